"""Where deflate streams may begin in any bytes: marks of containers, and zlib headers with a sound block behind them.

Small, quick to compile and to run: files that hold no streams cost nothing else.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from arzip.jit.compile import njit
from arzip.preprocess.recompress.inflate import PADDING, peek, read_header, stored_size
from arzip.preprocess.recompress.parts import bare, part
from arzip.preprocess.recompress.tables import (
    DISTANCE_BASE,
    DISTANCE_EXTRA,
    DISTANCES,
    DYNAMIC,
    END_OF_BLOCK,
    HDIST,
    HEADER_SIZE,
    HLIT,
    LENGTH_BASE,
    LENGTH_EXTRA,
    LITERALS,
    STORED,
)

LOOKED_AT = 512  # symbols of a block with fixed codes
MIN_BITS = 8 * 40  # of a stream that is worth it
BLOCKS = 3  # with fixed codes that may follow one another
UNSOUND, SOUND = -1, 0
MAX_DISTANCE = 1 << 15
STARTS = 1 << 12  # found in one go


@bare
def reversed_bits(word, count):
    """The lowest bits of a word, the first one highest."""
    value = 0
    for i in range(count):
        value = value << 1 | word >> i & 1
    return value


@bare
def follow_fixed(data, at, end, size):
    """UNSOUND, SOUND, or the bit behind the block: what the symbols from bit `at` on are, with fixed codes.

    size: bytes of text before them.
    """
    for _ in range(LOOKED_AT):
        if at + 32 > end:
            return SOUND
        word = peek(data, at)
        code = reversed_bits(word, 9)
        if code < 0x60:  # 7 bits
            at, symbol = at + 7, END_OF_BLOCK + (code >> 2)
        elif code < 0x180:  # 8 bits
            at, symbol = at + 8, (code >> 1) - 0x30
        elif code < 0x190:
            at, symbol = at + 8, (code >> 1) - 0xC0 + 280
        else:
            at, symbol = at + 9, code - 0x190 + 144
        if symbol == END_OF_BLOCK:
            return at
        if symbol < END_OF_BLOCK:
            size += 1
            continue
        if symbol >= LITERALS:
            return UNSOUND
        symbol -= END_OF_BLOCK + 1
        size += LENGTH_BASE[symbol] + (peek(data, at) & ((1 << LENGTH_EXTRA[symbol]) - 1))
        at += LENGTH_EXTRA[symbol]
        code = reversed_bits(peek(data, at), 5)
        if code >= DISTANCES:
            return UNSOUND
        at += 5
        if DISTANCE_BASE[code] + (peek(data, at) & ((1 << DISTANCE_EXTRA[code]) - 1)) > size:
            return UNSOUND
        at += DISTANCE_EXTRA[code]
    return SOUND


@bare
def left_over(lengths):
    """What a code of these lengths leaves unused, in 2**-15; negative: it can't be."""
    left = 1 << 15
    for length in lengths:
        if length:
            left -= 1 << 15 >> length
    return left


@part
def is_sound(data, start, end, header, lengths, table):
    """Whether a stream may begin at bit `start`."""
    at = start
    for _ in range(BLOCKS):
        word = peek(data, at)
        kind, at, first = word >> 1 & 3, at + 3, at
        if kind == STORED:
            return stored_size(data, at, end) > 0
        if kind == DYNAMIC:
            return is_sound_dynamic(data, at, end, header, lengths, table)
        if kind > DYNAMIC:
            return False
        at = follow_fixed(data, at, end, 0 if first == start else MAX_DISTANCE)
        if at <= SOUND or word & 1:
            return at == SOUND or at >= start + MIN_BITS
    return True


@part
def is_sound_dynamic(data, at, end, header, lengths, table):
    """Whether a block's header may be at bit `at`."""
    word = peek(data, at)
    if (word & 31) > LITERALS - 257 or (word >> 5 & 31) > DISTANCES - 1 or at + 74 > end:
        return False
    left, here = 1 << 7, at + 14
    for _ in range((word >> 10 & 15) + 4):
        length = peek(data, here) & 7
        left -= 1 << 7 >> length if length else 0
        here += 3
    if left != 0 or read_header(data, at, end, header, lengths, table) < 0:
        return False
    literals = np.int64(header[HLIT])
    left = left_over(lengths[literals : literals + header[HDIST]])
    return left_over(lengths[:literals]) == 0 and lengths[END_OF_BLOCK] > 0 and left >= 0


@njit()
def find(data, first, end, found):
    """Places from `first` on where a stream's container may begin -> found; how many, the place to go on at.

    data: with PADDING behind `end`.
    """
    header, lengths = np.zeros(HEADER_SIZE, np.int16), np.zeros(LITERALS + DISTANCES, np.int64)
    table, count = np.zeros(1 << 15, np.int32), 0
    for at in range(first, end - 3):
        a = data[at]
        if a & 0x8F == 8:
            b = data[at + 1]
            is_start = (np.int64(a) << 8 | b) % 31 == 0 and b & 0x20 == 0
            is_start = is_start and is_sound(data, 8 * at + 16, 8 * end, header, lengths, table)
        elif a == 0x50:
            c, d = data[at + 2], data[at + 3]
            is_start = data[at + 1] == 0x4B and ((c == 3 and d == 4) or (c == 1 and d == 2))
        elif a == 0x1F:
            is_start = data[at + 1] == 0x8B and data[at + 2] == 8
        else:
            is_start = a == 0x89 and data[at + 1] == 0x50 and data[at + 2] == 0x4E and data[at + 3] == 0x47
        if is_start:
            found[count] = at
            count += 1
            if count == found.size:
                return count, at + 1
    return count, end


def find_starts(padded: NDArray[np.uint8]) -> list[int]:
    """All places where a container may begin in bytes that have PADDING behind them."""
    at, end, all_found = 0, padded.size - PADDING, []
    found: NDArray[np.int64] = np.zeros(STARTS, np.int64)
    while at < end:
        count, at = find(padded, at, end, found)
        all_found += found[:count].tolist()
    return all_found
