"""Finds arrays, sound and pictures that no header names, by statistics. Must not know how they are coded."""

from __future__ import annotations

from arzip.media import array_statistics, picture_statistics
from arzip.media.array_headers import FoundArray
from arzip.media.array_payload import ArrayLayout
from arzip.media.array_values import SIGNED, UNSIGNED
from arzip.media.payload import MAX_CHANNELS, Layout
from arzip.media.picture_payload import PictureLayout

Guess = tuple[int, int, ArrayLayout | Layout | PictureLayout]


def find(raw: bytes, pictures: bool) -> list[Guess]:
    """What seems to lie in a block, in order: from where to where, and how. pictures: whether they are looked for."""
    guesses: list[Guess] = [_array_or_sound(array) for array in array_statistics.find(raw)]
    if pictures:
        guesses += picture_statistics.find(raw)
    kept: list[Guess] = []
    for guess in sorted(guesses, key=lambda guess: guess[0]):
        if not kept or guess[0] >= kept[-1][1]:
            kept.append(guess)
    return kept


def _array_or_sound(array: FoundArray) -> Guess:
    """Whole numbers of two bytes whose rows are as short as frames are taken for sound."""
    row = array.parts[0][1]
    if array.size == 2 and array.kind in (SIGNED, UNSIGNED) and row <= MAX_CHANNELS:
        stop = array.stop - (array.stop - array.start) % (2 * row)
        return array.start, stop, Layout(0, 0, row, 2, array.big_endian, array.kind == SIGNED)
    layout = ArrayLayout(0, 0, array.kind, array.size, array.big_endian, array.parts)
    return array.start, array.stop, layout
