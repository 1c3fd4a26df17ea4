"""Bytes -> items -> bytes of arrays of numbers: each item a whole number with a sign that has the order of the numbers.

Normative text: docs/FORMAT.md, 'Arrays'. Must not know how they are coded.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from arzip.jit.compile import inline_njit
from arzip.media.numbers import bit_length, clip

UNSIGNED, SIGNED, FLOAT, BFLOAT = range(4)  # classes of numbers
MANTISSA = {(FLOAT, 2): 10, (FLOAT, 4): 23, (FLOAT, 8): 52, (BFLOAT, 2): 7}
SIZES = (2, 4, 8)  # bytes of an item
FIXED_LIMIT = 1 << 44
INTEGER_BITS = 12  # fraction of a whole number in fixed point


def is_known(kind: int, size: int) -> bool:
    """Whether there are items of so many bytes of a class."""
    return size in SIZES and (kind == SIGNED or (kind, size) in MANTISSA or (kind == UNSIGNED and size < 8))


def unpack(data: bytes, kind: int, size: int, big_endian: bool) -> NDArray[np.int64]:
    """Items (n,), within -+2^(8 size - 1), of data of n items of `size` bytes."""
    raw = np.frombuffer(data, f"{'>' if big_endian else '<'}i{size}").astype(f"i{size}")
    if kind == UNSIGNED:
        raw = raw ^ np.iinfo(raw.dtype).min
    elif kind != SIGNED:
        raw = np.where(raw < 0, raw ^ np.iinfo(raw.dtype).max, raw)
    return raw.astype(np.int64)


def pack(items: NDArray[np.int64], kind: int, size: int, big_endian: bool) -> bytes:
    """The inverse of `unpack`."""
    raw: NDArray[Any] = items.astype(f"i{size}")
    if kind == UNSIGNED:
        raw = raw ^ np.iinfo(raw.dtype).min
    elif kind != SIGNED:
        raw = np.where(raw < 0, raw ^ np.iinfo(raw.dtype).max, raw)
    return raw.astype(f"{'>' if big_endian else '<'}i{size}").tobytes()


@inline_njit
def fixed(item, mantissa, offset, unit):
    """The number that an item is, in fixed point, within FIXED_LIMIT.

    mantissa: bits of a float's fraction, 0 of whole numbers; offset: what is added to a whole number's item.
    """
    if mantissa == 0:
        number, by = item + offset, INTEGER_BITS - unit
        size = number if number >= 0 else -1 - number  # |number| is at most 2^bits of it, and fits
    else:
        size = item if item >= 0 else -1 - item
        exponent = size >> mantissa
        size &= (1 << mantissa) - 1
        if exponent > 0:
            size |= 1 << mantissa
            exponent -= 1
        number, by = (size if item >= 0 else -size), exponent - unit
    if by >= 0:
        if number == 0:
            return np.int64(0)
        if bit_length(size) + by > 45:
            return np.int64(FIXED_LIMIT if number > 0 else -FIXED_LIMIT)
        return clip(number << by, -FIXED_LIMIT, FIXED_LIMIT)
    return clip(number >> min(-by, 63), -FIXED_LIMIT, FIXED_LIMIT)
