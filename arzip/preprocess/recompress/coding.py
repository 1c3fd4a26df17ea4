"""Adaptive binary coding of deviations. The only module here that imports the range coder.

Every symbol is made of bits; a bit is 0 where the prediction is right. A model is one uint32: P(bit = 1) in its high
22 bits, the number of bits seen in its low 10, as in PAQ's adaptive maps.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from arzip.coding import range_coder
from arzip.coding.range_coder import decode_bit, encode_bit
from arzip.preprocess.recompress.parts import bare, part

MEASURE, ENCODE, DECODE, EXACT = range(4)  # count the ones; write; read; every bit is 0
ONES = 0  # the register that counts when measuring
COUNT_BITS, COUNT_LIMIT = 10, 255
HALF = 1 << 21
ROOM = 256  # bits that `with_room` provides for, unless told

# Where the models of each symbol begin
HIT = 0  # by kind of prediction and the last two hits
MISS = HIT + 64  # by kind of prediction: 4 bits
OTHER_LENGTH = MISS + 64  # bit trees of 8 bits: by whether a match was found
FAR = OTHER_LENGTH + 2 * 256
HOPS = FAR + 16
SPELLING = HOPS + 2 * 32
END = SPELLING + 1
SIZE = END + 2
IS_STORED = SIZE + 2 * 32
IS_FINAL = IS_STORED + 3
IS_FIXED = IS_FINAL + 2
FILLED = IS_FIXED + 2
OTHER_HEADER = FILLED + 1
HEADER_FIELDS = OTHER_HEADER + 1
LITERAL_LENGTHS = HEADER_FIELDS + 8  # bit trees of 4 bits by predicted length
DISTANCE_LENGTHS = LITERAL_LENGTHS + 16 * 16
CODE_TREE = DISTANCE_LENGTHS + 16 * 16  # bit trees of 3 bits by predicted length
RUN = CODE_TREE + 8 * 8  # by kind of length and size of the run
RUN_SIZE = RUN + 3 * 16
MODELS = RUN_SIZE + 2 * 32

_RATES = (1 << 17) // (2 * np.arange(COUNT_LIMIT + 1, dtype=np.int64) + 3)  # 1 / (count + 1.5) in 2**-16


class Coder(NamedTuple):
    """mode; the range coder's registers (MEASURE: a counter); its words; the models (MODELS,) uint32."""

    mode: int
    registers: NDArray[np.uint64]
    stream: NDArray[np.uint32]
    models: NDArray[np.uint32]


def new_models() -> NDArray[np.uint32]:
    """Models before the first bit: even odds."""
    return np.full(MODELS, HALF << COUNT_BITS, np.uint32)


def measurer() -> Coder:
    """Counts the ones and codes nothing."""
    return Coder(MEASURE, np.zeros(3, np.uint64), np.zeros(0, np.uint32), np.zeros(0, np.uint32))


def exact() -> Coder:
    """Every bit is 0."""
    return Coder(EXACT, np.zeros(3, np.uint64), np.zeros(0, np.uint32), np.zeros(0, np.uint32))


def encoder(models: NDArray[np.uint32]) -> Coder:
    """Writes; updates the models."""
    return Coder(ENCODE, range_coder.init_encoder(), np.zeros(ROOM, np.uint32), models)


def decoder(models: NDArray[np.uint32], data: bytes) -> Coder:
    """Reads `data`; updates the models."""
    stream = range_coder.words(data)
    return Coder(DECODE, range_coder.init_decoder(stream), stream, models)


def finish(written: Coder) -> bytes:
    """The bytes of what was encoded."""
    stream: Any = written.stream
    return range_coder.finish(written.registers, stream)


@part
def with_room(coder, bits):
    """The coder with room for so many more bits."""
    needed = np.int64(coder.registers[range_coder.NEXT]) + bits + 4
    if coder.mode != ENCODE or needed <= coder.stream.size:
        return coder
    stream = np.zeros(2 * needed, np.uint32)
    stream[: coder.stream.size] = coder.stream
    return Coder(coder.mode, coder.registers, stream, coder.models)


@part
def without_room(coder):
    """The coder with no more words than `finish` needs."""
    if coder.mode != ENCODE:
        return coder
    end = np.int64(coder.registers[range_coder.NEXT]) + 4
    return Coder(coder.mode, coder.registers, coder.stream[:end], coder.models)


@bare
def code_bit(coder, at, bit):
    """Code a bit with the model `at`; the bit, which a decoder finds."""
    if coder.mode == MEASURE:
        coder.registers[ONES] += np.uint64(bit)
        return bit
    if coder.mode == EXACT:
        return 0
    model = np.int64(coder.models[at])
    probability, count = model >> COUNT_BITS, model & ((1 << COUNT_BITS) - 1)
    if coder.mode == ENCODE:
        encode_bit(coder.registers, coder.stream, bit, probability)
    else:
        bit = np.int64(decode_bit(coder.registers, coder.stream, probability))
    target = (1 << 22) - 1 if bit else 1
    probability += ((target - probability) * _RATES[count]) >> 16
    coder.models[at] = max(1, probability) << COUNT_BITS | min(count + 1, COUNT_LIMIT)
    return bit


@bare
def code_raw(coder, bits, value):
    """Code a number of so many bits at even odds."""
    decoded = 0
    for i in range(bits - 1, -1, -1):
        bit = value >> i & 1
        if coder.mode == ENCODE:
            encode_bit(coder.registers, coder.stream, bit, HALF)
        elif coder.mode == DECODE:
            bit = np.int64(decode_bit(coder.registers, coder.stream, HALF))
        decoded = decoded << 1 | bit
    return decoded


@bare
def code_tree(coder, at, bits, value):
    """Code a number of so many bits, each with a model by the bits before it: 2**bits models from `at` on."""
    node = 1
    for i in range(bits - 1, -1, -1):
        node = node << 1 | code_bit(coder, at + node, value >> i & 1)
    return node - (1 << bits)


@bare
def code_number(coder, at, value):
    """Code 0 <= value < 2**28: its size in bits (32 models from `at` on), then what is below the leading one."""
    bits, value = 0, value + 1
    while bits < 28 and code_bit(coder, at + bits, np.int64(value >> (bits + 1) > 0)):
        bits += 1
    return (1 << bits | code_raw(coder, bits, value & ((1 << bits) - 1))) - 1
