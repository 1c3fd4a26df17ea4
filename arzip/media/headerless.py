"""Finds arrays, sound and pictures that no header names, by statistics. Must not know how they are coded."""

from __future__ import annotations

from arzip.media import array_headers, array_statistics, bitmap_rows, letter_rows, picture_statistics
from arzip.media.array_headers import FoundArray
from arzip.media.array_layout import ArrayLayout
from arzip.media.array_values import SIGNED, UNSIGNED
from arzip.media.payload import MAX_CHANNELS, Layout
from arzip.media.picture_payload import PictureLayout

AnyLayout = ArrayLayout | Layout | PictureLayout
Guess = tuple[int, int, list[AnyLayout]]


def find(raw: bytes, pictures: bool, light: bool = False, bitmaps: bool = True) -> list[Guess]:
    """What seems to lie in a block, in order: from where to where, and how, or in which of two ways.

    pictures: whether they are looked for; light: what their layouts say; bitmaps: whether pictures of a bit a pixel are
    looked for.
    """
    guesses: list[Guess] = [_array_or_sound(array) for array in array_statistics.find(raw)]
    if pictures:
        found = letter_rows.find(raw) + picture_statistics.find(raw)  # sorted below: of one place the first stays
        guesses += [(start, stop, [layout._replace(light=light)]) for start, stop, layout in found]
    if pictures and bitmaps:
        guesses += [(start, stop, [layout]) for start, stop, layout in bitmap_rows.find(raw)]
    kept: list[Guess] = []
    for guess in sorted(guesses, key=lambda guess: guess[0]):
        if not kept or guess[0] >= kept[-1][1]:
            kept.append(guess)
    return kept


def _array_or_sound(array: FoundArray) -> Guess:
    """Whole numbers of two bytes may be sound: rows as short as frames are, or a tone is taken for rows."""
    row, stop, layouts = array.parts[0][1], array.stop, list[AnyLayout]()
    if array.size == 2 and array.kind in (SIGNED, UNSIGNED):
        several = (row,) if 1 < row <= MAX_CHANNELS else (1, 2)  # channels that are nearly the same look like one
        stop -= (stop - array.start) % (2 * several[-1])
        layouts += [Layout(0, 0, channels, 2, array.big_endian, array.kind == SIGNED) for channels in several]
    array = array_headers.cut(array, array.start, stop)
    if not layouts or row > MAX_CHANNELS:
        layouts.append(ArrayLayout(0, 0, *array[1:]))
    return array.start, stop, layouts
