"""Rows of a PNG: filtered ones -> values and filters, and back.

Normative text: docs/RECOMPRESSION_FORMAT.md, 'Rows'. Must not know where pictures stand.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from arzip.jit.compile import njit
from arzip.preprocess.recompress.parts import bare

FILTERS = 5


@bare
def expected(kind, left, above, corner):
    """What filter 0 .. 4 takes off a value, by its neighbours."""
    if kind == 0:
        return 0
    if kind == 1:
        return left
    if kind == 2:
        return above
    if kind == 3:
        return (left + above) >> 1
    base = left + above - corner
    far, near, far_corner = abs(base - left), abs(base - above), abs(base - corner)
    if far <= near and far <= far_corner:
        return left
    return above if near <= far_corner else corner


@bare
def neighbours(values, y, x, pixel):
    """The values to the left of a place, above it, and above to the left; 0 outside."""
    left = np.int64(values[y, x - pixel]) if x >= pixel else 0
    above = np.int64(values[y - 1, x]) if y else 0
    corner = np.int64(values[y - 1, x - pixel]) if y and x >= pixel else 0
    return left, above, corner


@bare
def guess(values, y, pixel):
    """The filter whose row has the minimum sum of distances to 0, the first of equals."""
    best, minimum = 0, np.int64(1) << 62
    for kind in range(FILTERS):
        total = np.int64(0)
        for x in range(values.shape[1]):
            left, above, corner = neighbours(values, y, x, pixel)
            rest = (np.int64(values[y, x]) - expected(kind, left, above, corner)) & 255
            total += min(rest, 256 - rest)
        if total < minimum:
            best, minimum = kind, total
    return best


@njit(_nrt=False, nogil=True)
def take_off(rows, pixel, values, filters, guesses):
    """rows (H, 1 + W) uint8, each with its filter in front -> values (H, W), filters (H,), guesses (H,); False: a
    filter that there isn't.

    pixel: bytes of a pixel, 1 at least.
    """
    for y in range(rows.shape[0]):
        kind = np.int64(rows[y, 0])
        if kind >= FILTERS:
            return False
        for x in range(values.shape[1]):
            left, above, corner = neighbours(values, y, x, pixel)
            values[y, x] = (np.int64(rows[y, x + 1]) + expected(kind, left, above, corner)) & 255
        filters[y], guesses[y] = kind, guess(values, y, pixel)
    return True


@njit(_nrt=False, nogil=True)
def put_on(values, pixel, filters, guessed, rows):
    """The inverse of `take_off` -> rows; guessed: filters are distances to the guesses; False: one that there isn't."""
    for y in range(values.shape[0]):
        kind = np.int64(filters[y])
        if kind >= FILTERS:
            return False
        if guessed:
            kind = (kind + guess(values, y, pixel)) % FILTERS
        rows[y, 0] = kind
        for x in range(values.shape[1]):
            left, above, corner = neighbours(values, y, x, pixel)
            rows[y, x + 1] = (np.int64(values[y, x]) - expected(kind, left, above, corner)) & 255
    return True


def unfilter(text: bytes, row_bytes: int, pixel_bytes: int) -> tuple[bytes, bytes, bool] | None:
    """Values, filters, and whether these are distances to guesses: what costs less. None: no rows of a picture.

    row_bytes: of a row and its filter.
    """
    if row_bytes < 2 or pixel_bytes < 1 or len(text) % row_bytes:
        return None
    rows = np.frombuffer(bytearray(text), np.uint8).reshape(-1, row_bytes)
    values = np.zeros((len(rows), row_bytes - 1), np.uint8)
    filters, guesses = np.zeros(len(rows), np.uint8), np.zeros(len(rows), np.uint8)
    if not take_off(rows, pixel_bytes, values, filters, guesses):
        return None
    distances = (filters + (FILTERS - guesses)) % FILTERS
    guessed = _changes(distances) < _changes(filters)
    return values.tobytes(), (distances if guessed else filters).tobytes(), guessed


def _changes(numbers: NDArray[np.uint8]) -> float:
    """Bits that numbers below FILTERS take, about, if each is told by the one before it."""
    counts = np.full((FILTERS, FILTERS), 0.1)
    np.add.at(counts, (numbers[:-1], numbers[1:]), 1)
    return float(-(counts * np.log2(counts / counts.sum(1, keepdims=True))).sum())


def filter_again(values: bytes, filters: bytes, row_bytes: int, pixel_bytes: int, guessed: bool) -> bytes:
    """The text that `unfilter` was given. Raises ValueError where a filter is none."""
    rows = np.zeros((len(filters), row_bytes), np.uint8)
    whole = np.frombuffer(bytearray(values), np.uint8).reshape(len(filters), row_bytes - 1)
    if not put_on(whole, pixel_bytes, np.frombuffer(bytearray(filters), np.uint8), guessed, rows):
        raise ValueError("a filter that there isn't")
    return rows.tobytes()
