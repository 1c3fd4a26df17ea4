"""Bits of a deflate stream: blocks -> bytes. Output arrays are zero behind the bits that are written."""

from __future__ import annotations

import numpy as np

from arzip.preprocess.recompress.inflate import LONGEST_CODE
from arzip.preprocess.recompress.parts import bare, part
from arzip.preprocess.recompress.tables import (
    CODE_LENGTH_EXTRA,
    CODE_LENGTH_ORDER,
    CODE_LENGTHS,
    CODES,
    COUNT,
    DISTANCE_BASE,
    DISTANCE_CODE,
    DISTANCE_EXTRA,
    END_OF_BLOCK,
    HCLEN,
    HDIST,
    HLIT,
    IRREGULAR,
    LENGTH_BASE,
    LENGTH_BITS,
    LENGTH_CODE,
    LENGTH_EXTRA,
    LENGTH_MASK,
    OPERATIONS,
)

TOKEN_BYTES = 8  # a token takes at most 15 + 5 + 15 + 13 bits
HEADER_BYTES = 400


@part
def zero_grown(array, used, size):
    """The array with room for `size` bytes, of which the first `used` are kept and the others zero."""
    if size <= array.size:
        return array
    larger = np.zeros(max(size, 2 * array.size), np.uint8)
    larger[:used] = array[:used]
    return larger


@bare
def put(out, at, value, bits):
    """Write up to 16 bits from bit `at` on; the bit behind them."""
    word, i = np.int64(value) << (at & 7), at >> 3
    out[i] |= word & 255
    out[i + 1] |= word >> 8 & 255
    out[i + 2] |= word >> 16
    return at + bits


@part
def make_codes(lengths, codes):
    """Canonical codes of these lengths, their first bit lowest -> codes."""
    starts = np.zeros(LONGEST_CODE + 2, np.int64)
    for length in lengths:
        starts[length + 1] += np.int64(length > 0)
    code = 0
    for length in range(1, LONGEST_CODE + 1):
        code = (code + starts[length]) << 1
        starts[length] = code
    for symbol in range(lengths.size):
        code, reverse = starts[lengths[symbol]], 0
        starts[lengths[symbol]] += 1
        for _ in range(lengths[symbol]):
            reverse = reverse << 1 | code & 1
            code >>= 1
        codes[symbol] = reverse


@part
def put_header(out, at, header):
    """Write a block header from bit `at` on; the bit behind it."""
    at = put(out, at, header[HLIT] - 257, 5)
    at = put(out, at, header[HDIST] - 1, 5)
    at = put(out, at, header[HCLEN] - 4, 4)
    for i in range(header[HCLEN]):
        at = put(out, at, header[CODES + CODE_LENGTH_ORDER[i]], 3)
    codes, lengths = np.zeros(CODE_LENGTHS, np.int64), np.zeros(CODE_LENGTHS, np.int64)
    lengths[:] = header[CODES : CODES + CODE_LENGTHS]
    make_codes(lengths, codes)
    for operation in header[OPERATIONS : OPERATIONS + header[COUNT]]:
        symbol = operation & 255
        at = put(out, at, codes[symbol], lengths[symbol])
        at = put(out, at, operation >> 8, CODE_LENGTH_EXTRA[symbol])
    return at


@part
def put_tokens(out, at, text, first, tokens, literals, distances, is_open):
    """Write a block's tokens, of the text from `first` on, and its end unless it is open -> out, the bit behind."""
    literal_codes, distance_codes = np.zeros(literals.size, np.int64), np.zeros(distances.size, np.int64)
    make_codes(literals, literal_codes)
    make_codes(distances, distance_codes)
    for token in tokens:
        out = zero_grown(out, (at >> 3) + 1, (at >> 3) + 2 * TOKEN_BYTES)
        length, distance = token & LENGTH_MASK, token >> LENGTH_BITS
        if length == 1:
            at = put(out, at, literal_codes[text[first]], literals[text[first]])
            first += 1
            continue
        code = 27 if length == IRREGULAR else LENGTH_CODE[length]
        length -= np.int64(length == IRREGULAR)
        first += length
        symbol = END_OF_BLOCK + 1 + code
        at = put(out, at, literal_codes[symbol], literals[symbol])
        at = put(out, at, length - LENGTH_BASE[code], LENGTH_EXTRA[code])
        code = DISTANCE_CODE[distance]
        at = put(out, at, distance_codes[code], distances[code])
        at = put(out, at, distance - DISTANCE_BASE[code], DISTANCE_EXTRA[code])
    out = zero_grown(out, (at >> 3) + 1, (at >> 3) + 2 * TOKEN_BYTES)
    if not is_open:
        at = put(out, at, literal_codes[END_OF_BLOCK], literals[END_OF_BLOCK])
    return out, at


@part
def put_stored(out, at, text, first, end, filler):
    """Write a stored block's filler, size and bytes -> out, the bit behind."""
    size = end - first
    out = zero_grown(out, (at >> 3) + 1, (at >> 3) + size + TOKEN_BYTES)
    at = put(out, at, filler, -at & 7)
    at = put(out, at, size, 16)
    at = put(out, at, 0xFFFF - size, 16)
    out[at >> 3 : (at >> 3) + size] = text[first:end]
    return out, at + 8 * size
