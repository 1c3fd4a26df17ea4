"""The range coder: bits and their probabilities -> bytes, and back. The only module that imports constriction.

constriction's RangeEncoder (Martin 1979; 32-bit words, 64-bit state, 24-bit probabilities) is the reference.
`encode_bit` and `decode_bit` write and read the same stream inside compiled loops. Must not import models.

A probability is an integer k, 1 <= k < 2**22: P(bit = 1) = k / 2**22.
"""

from __future__ import annotations

import numpy as np
from numpy import uint64
from numpy.typing import NDArray

from arzip.jit.compile import njit
from arzip.probability import P_BITS

CODER_BITS = 24  # probabilities are quantised to 1 / 2**24, as by constriction
MAX_BIT_COST = 22  # in bits, rounded up
RANGE, LOWER, NEXT = 0, 1, 2  # registers; NEXT: index of the next word
OFFSET = LOWER  # the decoder's register: distance of its point from the lower end of the range


class Encoder:
    """One range-coded stream by constriction: the reference for `encode_bit`; slow beside busy threads."""

    def __init__(self) -> None:
        from constriction import stream

        self._stream = stream.queue.RangeEncoder()
        self._model = stream.model.Bernoulli(perfect=False)

    def encode(self, bits: NDArray[np.uint8], probabilities: NDArray[np.uint32]) -> None:
        """Append bits (n,) with P(bit = 1) = probabilities (n,) / 2**22."""
        self._stream.encode(bits.astype(np.int32), self._model, probabilities * 2.0**-P_BITS)

    def finish(self) -> bytes:
        """The stream as big-endian words, without trailing bytes that a decoder's implied zeros replace."""
        words, (lower, width) = self._stream.pos()
        stream: bytes = self._stream.get_compressed().astype(">u4").tobytes()
        size = 4 * words + 8
        sealed = int.from_bytes(stream[:size].ljust(size, b"\0"), "big")
        # The end of the stream may be any point of [first, first + width); a carry may still reach its words.
        first = (sealed >> 64 << 64) + lower
        if not first <= sealed < first + width:
            first -= 1 << 64
        for zeros in range(95, -1, -1):
            point = -(-first >> zeros) << zeros
            if point < first + width:
                break
        return int(point).to_bytes(size, "big").rstrip(b"\0")


def bit_costs(bits: NDArray[np.uint8], probabilities: NDArray[np.uint32]) -> NDArray[np.float64]:
    """Ideal cost of each of the bits (n,) at these probabilities: -log2 p, (n,)."""
    one = probabilities * 2.0**-P_BITS
    costs: NDArray[np.float64] = -np.log2(np.where(bits, one, 1 - one))
    return costs


def cost_bits(bits: NDArray[np.uint8], probabilities: NDArray[np.uint32]) -> float:
    """The sum of `bit_costs`."""
    return float(bit_costs(bits, probabilities).sum())


class Decoder:
    """Decoder of one stream by constriction: the reference for `decode_bit`; slow for few bits a call."""

    def __init__(self, data: bytes) -> None:
        from constriction import stream

        self._stream = stream.queue.RangeDecoder(words(data))
        self._model = stream.model.Bernoulli(perfect=False)

    def decode(self, probabilities: NDArray[np.uint32]) -> NDArray[np.uint8]:
        """The next bits (n,), given P(bit = 1) = probabilities (n,) / 2**22."""
        bits = self._stream.decode(self._model, probabilities * 2.0**-P_BITS)
        return np.asarray(bits, np.uint8)


def init_encoder() -> NDArray[np.uint64]:
    """The encoder's registers (3,) before the first bit."""
    return np.array([2**64 - 1, 0, 0], np.uint64)


def words_needed(bits: int) -> int:
    """Maximum number of words for so many more bits."""
    return bits * MAX_BIT_COST // 32 + 1


def finish(registers: NDArray[np.uint64], stream: NDArray[np.uint32]) -> bytes:
    """The stream's bytes, as by `Encoder.finish`."""
    width, lower, words = (int(value) for value in registers)
    zeros = 64
    while -(-lower >> zeros) << zeros >= lower + width:
        zeros -= 1
    point = -(-lower >> zeros) << zeros
    if point >> 64:
        carry(stream, words)
    end = int(point % 2**64).to_bytes(8, "big")
    return (stream[:words].astype(">u4").tobytes() + end).rstrip(b"\0")


@njit(_nrt=False)
def carry(stream, words):
    """Add one to the number that the first words are."""
    at = np.int64(words) - 1
    while stream[at] == np.uint32(0xFFFFFFFF):
        stream[at] = np.uint32(0)
        at -= 1
    stream[at] += np.uint32(1)


@njit(_nrt=False)
def quantise(probability):
    """constriction's probability of a 1 in 24 bits: neither symbol may get 0."""
    one = uint64(probability) << uint64(CODER_BITS - P_BITS)
    return one + uint64(probability < (1 << (P_BITS - 1)))


@njit(_nrt=False)
def encode_bit(registers, stream, bit, probability):
    """Append a bit with P(bit = 1) = probability / 2**22 to a stream with free words (see `words_needed`)."""
    one = quantise(probability)
    scale = registers[RANGE] >> uint64(CODER_BITS)
    split = scale * (uint64(1 << CODER_BITS) - one)
    if bit:
        registers[LOWER] += split
        if registers[LOWER] < split:
            carry(stream, registers[NEXT])
        registers[RANGE] = scale * one
    else:
        registers[RANGE] = split
    if registers[RANGE] < uint64(1 << 32):
        stream[registers[NEXT]] = np.uint32(registers[LOWER] >> uint64(32))
        registers[NEXT] += uint64(1)
        registers[LOWER] <<= uint64(32)
        registers[RANGE] <<= uint64(32)


def words(data: bytes) -> NDArray[np.uint32]:
    """A stream's bytes -> its words, with the zeros that `finish` left out and two more."""
    padded = data + bytes(-len(data) % 4 + 8)
    return np.frombuffer(padded, ">u4").astype(np.uint32)


def init_decoder(stream: NDArray[np.uint32]) -> NDArray[np.uint64]:
    """The decoder's registers (3,) before the first bit of a stream (of at least two words)."""
    return np.array([2**64 - 1, int(stream[0]) << 32 | int(stream[1]), 2], np.uint64)


@njit(_nrt=False)
def decode_bit(registers, stream, probability):
    """The next bit, given P(bit = 1) = probability / 2**22. Past the stream's end zeros are read."""
    one = quantise(probability)
    scale = registers[RANGE] >> uint64(CODER_BITS)
    split = scale * (uint64(1 << CODER_BITS) - one)
    bit = registers[OFFSET] >= split
    if bit:
        registers[OFFSET] -= split
        registers[RANGE] = scale * one
    else:
        registers[RANGE] = split
    if registers[RANGE] < uint64(1 << 32):
        word = uint64(0)
        if registers[NEXT] < uint64(stream.size):
            word = uint64(stream[registers[NEXT]])
        registers[RANGE] <<= uint64(32)
        registers[OFFSET] = (registers[OFFSET] << uint64(32)) | word
        registers[NEXT] += uint64(1)
    return np.int64(bit)
