"""Deflate stream -> text, tokens, blocks and block headers: everything that the stream consists of.

Accepts any bytes: a stream that breaks off or breaks the rules is read as far as it is sound. Must not know how a
token or a header was chosen.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from arzip.jit.compile import njit
from arzip.preprocess.recompress.parts import bare, part
from arzip.preprocess.recompress.tables import (
    CODE_LENGTH_EXTRA,
    CODE_LENGTH_ORDER,
    CODE_LENGTHS,
    CODES,
    COUNT,
    DISTANCE_BASE,
    DISTANCE_EXTRA,
    DISTANCES,
    DYNAMIC,
    END_OF_BLOCK,
    FIXED,
    FIXED_LITERALS,
    HCLEN,
    HDIST,
    HEADER_SIZE,
    HLIT,
    IRREGULAR,
    LENGTH_BASE,
    LENGTH_BITS,
    LENGTH_EXTRA,
    LITERALS,
    MANY_ZEROS,
    MAX_MATCH,
    OPERATIONS,
    REPEAT,
    STORED,
)

COMPLETE, BROKEN, TOO_LONG = 0, 1, 2  # status
TYPE, FIRST_TOKEN, FIRST_BYTE, FINAL, HEADER, FILLER, BLOCK_FIELDS = 0, 1, 2, 3, 4, 5, 6  # columns of blocks
PADDING = 8  # zero bytes that must follow the data
LONGEST_CODE = 15


class Inflated(NamedTuple):
    """What a stream consists of. A stream that isn't complete ends behind its last whole token.

    status: COMPLETE; BROKEN: it ends or breaks the rules; TOO_LONG: its text is over the limit. end_bit: where it
    ends. text (n,) uint8. tokens (m,) int32. blocks (b + 1, BLOCK_FIELDS) int64, a row behind the last one. headers:
    those of dynamic blocks, int16, one behind another.
    """

    status: int
    end_bit: int
    text: NDArray[np.uint8]
    tokens: NDArray[np.int32]
    blocks: NDArray[np.int64]
    headers: NDArray[np.int16]


@bare
def peek(data, at):
    """The 24 bits from bit `at` on, or a few more."""
    i = at >> 3
    word = np.uint32(data[i]) | np.uint32(data[i + 1]) << np.uint32(8)
    word |= np.uint32(data[i + 2]) << np.uint32(16) | np.uint32(data[i + 3]) << np.uint32(24)
    return np.int64(word >> np.uint32(at & 7))


@part
def grown(array, used, size):
    """The array with room for `size` elements, of which the first `used` are kept."""
    if size <= array.size:
        return array
    larger = np.empty(max(size, 2 * array.size), array.dtype)
    larger[:used] = array[:used]
    return larger


@part
def build_table(lengths, table):
    """Code lengths -> table[next bits] = symbol << 4 | length, 0 where no code is; the bits that index it.

    -1 if there are too many codes, or too few (but for a single one of one bit).
    """
    counts = np.zeros(LONGEST_CODE + 1, np.int64)
    for length in lengths:
        counts[length] += 1
    bits = LONGEST_CODE
    while bits > 0 and counts[bits] == 0:
        bits -= 1
    if bits == 0:
        table[0] = 0
        return 0
    code, left, starts = 0, 1, np.zeros(LONGEST_CODE + 2, np.int64)
    for length in range(1, LONGEST_CODE + 1):
        left = 2 * left - counts[length]
        if left < 0:
            return -1
        starts[length] = code
        code = (code + counts[length]) << 1
    if left > 0 and (bits > 1 or counts[1] != 1):
        return -1
    table[: 1 << bits] = 0
    for symbol in range(lengths.size):
        length = lengths[symbol]
        if length:
            code, reverse = starts[length], 0
            starts[length] += 1
            for _ in range(length):
                reverse = reverse << 1 | code & 1
                code >>= 1
            for at in range(reverse, 1 << bits, 1 << length):
                table[at] = symbol << 4 | length
    return bits


@part
def read_header(data, at, end, header, lengths, table):
    """Block header from bit `at` on -> header, code lengths; the bit behind it, -1 if it is none."""
    if at + 14 > end:
        return -1
    word = peek(data, at)
    header[HLIT], header[HDIST], header[HCLEN] = (word & 31) + 257, (word >> 5 & 31) + 1, (word >> 10 & 15) + 4
    at += 14
    if header[HLIT] > LITERALS or header[HDIST] > DISTANCES or at + 3 * header[HCLEN] > end:
        return -1
    header[CODES : CODES + CODE_LENGTHS] = 0
    for i in range(header[HCLEN]):
        header[CODES + CODE_LENGTH_ORDER[i]] = peek(data, at) & 7
        at += 3
    bits = build_table(header[CODES : CODES + CODE_LENGTHS], table)
    if bits <= 0:
        return -1
    total, done, count = header[HLIT] + header[HDIST], 0, 0
    while done < total:
        entry = table[peek(data, at) & ((1 << bits) - 1)]
        symbol = entry >> 4
        at += entry & 15
        extra = peek(data, at) & ((1 << CODE_LENGTH_EXTRA[symbol]) - 1)
        at += CODE_LENGTH_EXTRA[symbol]
        if entry == 0 or at > end:
            return -1
        header[OPERATIONS + count] = symbol | extra << 8
        count += 1
        done = expand(lengths, done, total, symbol, extra)
        if done < 0:
            return -1
    header[COUNT] = count
    return at


@bare
def expand(lengths, done, total, symbol, extra):
    """Write the lengths that an operation stands for behind the first `done`; how many there are then, -1: it can't."""
    if symbol < REPEAT:
        lengths[done] = symbol
        return done + 1
    repeats = extra + (11 if symbol == MANY_ZEROS else 3)
    if done + repeats > total or (symbol == REPEAT and done == 0):
        return -1
    lengths[done : done + repeats] = lengths[done - 1] if symbol == REPEAT else 0
    return done + repeats


@part
def read_tokens(data, at, end, limit, tables, bits, text, n, tokens, m):
    """The tokens of a block, behind n bytes of text and m tokens.

    -> status, the bit behind the last token, text, n, tokens, m. COMPLETE: the end of the block follows.
    """
    literal_mask, distance_mask = (1 << bits[0]) - 1, (1 << bits[1]) - 1
    literals, distances = tables[0], tables[1]
    while True:
        if n > limit:
            return TOO_LONG, at, text, n, tokens, m
        entry = literals[peek(data, at) & literal_mask]
        here, symbol = at + (entry & 15), entry >> 4
        if entry == 0 or here > end:
            return BROKEN, at, text, n, tokens, m
        if symbol == END_OF_BLOCK:
            return COMPLETE, at, text, n, tokens, m
        if m >= tokens.size:
            tokens = grown(tokens, m, m + 1)
        if n + MAX_MATCH > text.size:
            text = grown(text, n, n + MAX_MATCH)
        if symbol < END_OF_BLOCK:
            text[n] = symbol
            tokens[m] = 1
            n, m, at = n + 1, m + 1, here
            continue
        if symbol >= LITERALS:
            return BROKEN, at, text, n, tokens, m
        symbol -= END_OF_BLOCK + 1
        length = LENGTH_BASE[symbol] + (peek(data, here) & ((1 << LENGTH_EXTRA[symbol]) - 1))
        here += LENGTH_EXTRA[symbol]
        entry = distances[peek(data, here) & distance_mask]
        here += entry & 15
        code = entry >> 4
        distance = DISTANCE_BASE[code] + (peek(data, here) & ((1 << DISTANCE_EXTRA[code]) - 1))
        here += DISTANCE_EXTRA[code]
        if entry == 0 or here > end or distance > n:
            return BROKEN, at, text, n, tokens, m
        for i in range(n, n + length):
            text[i] = text[i - distance]
        spelling = IRREGULAR if length == MAX_MATCH and symbol == 27 else length
        tokens[m] = spelling | distance << LENGTH_BITS
        n, m, at = n + length, m + 1, here


@njit()
def read_blocks(data, first, end_byte, limit):
    """The fields of Inflated, blocks in one dimension, of the stream from byte `first` of data (PADDING after end)."""
    at, end, n, m, b, h, status, final = 8 * first, 8 * end_byte, 0, 0, 0, 0, BROKEN, 0
    text, tokens = np.empty(1 << 12, np.uint8), np.empty(1 << 10, np.int32)
    blocks, headers = np.empty(4 * BLOCK_FIELDS, np.int64), np.empty(2 * HEADER_SIZE, np.int16)
    tables, lengths = np.empty((2, 1 << LONGEST_CODE), np.int32), np.empty(LITERALS + DISTANCES, np.int64)
    bits, cut = np.zeros(2, np.int64), at
    while final == 0 and at + 3 <= end:
        word = peek(data, at)
        final, kind = word & 1, word >> 1 & 3
        at += 3
        blocks = grown(blocks, b * BLOCK_FIELDS, (b + 2) * BLOCK_FIELDS)
        block = blocks[b * BLOCK_FIELDS : (b + 1) * BLOCK_FIELDS]
        block[TYPE], block[FIRST_TOKEN], block[FIRST_BYTE], block[FINAL], block[HEADER] = kind, m, n, final, -1
        if kind == STORED:
            block[FILLER] = peek(data, at) & ((1 << (-at & 7)) - 1)
            size = stored_size(data, at, end)
            if size < 0 or n + size > limit:
                status = BROKEN if size < 0 else TOO_LONG
                break
            at += (-at & 7) + 32
            text = grown(text, n, n + size)
            text[n : n + size] = data[at >> 3 : (at >> 3) + size]
            at += 8 * size
            n, b, cut, status = n + size, b + 1, at, COMPLETE if final else BROKEN
            continue
        if kind == DYNAMIC:
            headers = grown(headers, h, h + HEADER_SIZE)
            block[HEADER] = h
            at = read_header(data, at, end, headers[h : h + HEADER_SIZE], lengths, tables[0])
        if kind > DYNAMIC or at < 0 or not set_tables(kind, headers[h : h + 2], lengths, tables, bits):
            break
        h += HEADER_SIZE if kind == DYNAMIC else 0
        b += 1
        before = m
        status, at, text, n, tokens, m = read_tokens(data, at, end, limit, tables, bits, text, n, tokens, m)
        cut = at if m > before else cut
        if status != COMPLETE:
            break
        at += tables[0][peek(data, at) & ((1 << bits[0]) - 1)] & 15
        status = COMPLETE if final else BROKEN
    if status != COMPLETE:
        at = cut
        while b > 0 and blocks[(b - 1) * BLOCK_FIELDS + FIRST_BYTE] == n:
            b -= 1
    blocks = grown(blocks, b * BLOCK_FIELDS, (b + 1) * BLOCK_FIELDS)
    blocks[b * BLOCK_FIELDS + FIRST_TOKEN], blocks[b * BLOCK_FIELDS + FIRST_BYTE] = m, n
    return status, at, text[:n], tokens[:m], blocks[: (b + 1) * BLOCK_FIELDS], headers[:h]


@bare
def stored_size(data, at, end):
    """Bytes of the stored block whose type ends before bit `at`; -1 if there is no such block."""
    at += -at & 7
    if at + 32 > end:
        return -1
    size = peek(data, at) & 0xFFFF
    return size if peek(data, at + 16) & 0xFFFF == 0xFFFF - size and at + 32 + 8 * size <= end else -1


@part
def set_tables(kind, header, lengths, tables, bits):
    """Build both tables of a fixed or dynamic block; whether its codes are sound."""
    if kind == FIXED:
        bits[0], bits[1] = build_table(FIXED_LITERALS, tables[0]), 5
        for symbol in range(32):  # the last two have a code, but mean nothing
            reverse = 0
            for i in range(5):
                reverse |= (symbol >> i & 1) << (4 - i)
            tables[1][reverse] = symbol << 4 | 5 if symbol < DISTANCES else 0
        return True
    literals, total = np.int64(header[HLIT]), np.int64(header[HLIT]) + np.int64(header[HDIST])
    bits[0], bits[1] = build_table(lengths[:literals], tables[0]), build_table(lengths[literals:total], tables[1])
    return bits[0] > 0 and bits[1] >= 0 and lengths[END_OF_BLOCK] > 0


def pad(data: bytes) -> NDArray[np.uint8]:
    """The bytes with PADDING behind them."""
    return np.frombuffer(data + bytes(PADDING), np.uint8)


def inflate(padded: NDArray[np.uint8], first: int, limit: int) -> Inflated:
    """Read the stream that begins at byte `first` of padded bytes, up to a text of about `limit` bytes."""
    status, end, text, tokens, blocks, headers = read_blocks(padded, first, padded.size - PADDING, limit)
    return Inflated(status, end, text, tokens, blocks.reshape(-1, BLOCK_FIELDS), headers)
