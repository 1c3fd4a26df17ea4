"""A block as lanes that move in lockstep: the one loop that encoder and decoder share.

The block is cut into L contiguous parts; step t codes byte t of every lane, bit by bit, most significant
first, in the order (step, bit, lane). The first `n % L` lanes are one byte longer than the others, so the
lanes that still move are always the first ones. Must not know files, frames or checks.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numba import njit
from numpy.typing import NDArray

from arzip import coder
from arzip.network import cpu

PROBABILITY_ONE = 1 << coder.PROBABILITY_BITS
CHUNK_BYTES = 1 << 15  # coded between two ticks; bounds the memory that bits and probabilities take
NO_WORDS = np.zeros(0, np.uint32)
NO_BITS = np.zeros(0, np.uint8)

Tick = Callable[[int], None]
Cost = Callable[[float], None]


def lane_starts(size_bytes: int, lanes: int) -> NDArray[np.int64]:
    """Where each lane starts in the block, and its end: (L + 1,)."""
    short, longer = divmod(size_bytes, lanes)
    k = np.arange(lanes + 1)
    return np.asarray(k * short + np.minimum(k, longer), np.int64)


def steps_of(size_bytes: int, lanes: int) -> int:
    """Number of steps of a block."""
    return -(-size_bytes // lanes)


@njit(cache=True)
def split_node(weights, low, size):  # type: ignore[no-untyped-def]
    """Sum of the upper half of a node of the byte tree: symbols low + size / 2 .. low + size - 1."""
    total = np.int64(0)
    for symbol in range(low + size // 2, low + size):
        total += weights[symbol]
    return total


@njit(cache=True)
def active_lanes(starts, t):  # type: ignore[no-untyped-def]
    """How many lanes (always the first ones) have a byte at step t."""
    lanes = starts.size - 1
    shortest = starts[lanes] - starts[lanes - 1]
    return lanes if t < shortest else starts[lanes] - shortest * lanes


@njit(cache=True, nogil=True)
def code_step(weights, text, starts, t, last, registers, stream, bits, probabilities, at):  # type: ignore[no-untyped-def]
    """Code byte t of every lane, given weights (L, 256) of its values; returns where the next bit goes.

    Encoding (stream has no words): reads text (n,) uint8; writes bits (uint8) and their P(bit = 1)
    (uint32, in 1 / 2**22) from index `at` on. Decoding: reads stream (words, uint32) through registers,
    writes text. last (L,) uint8 gets each lane's byte.
    """
    decoding = stream.size > 0
    active = active_lanes(starts, t)
    low = np.zeros(active, np.int64)
    total = np.empty(active, np.int64)
    for lane in range(active):
        total[lane] = split_node(weights[lane], -256, 512)
    for bit in range(8):
        size = 256 >> bit
        for lane in range(active):
            upper = split_node(weights[lane], low[lane], size)
            p = (upper << coder.PROBABILITY_BITS) // total[lane]
            p = min(max(p, 1), PROBABILITY_ONE - 1)
            if decoding:
                one = coder.decode_bit(registers, stream, p)
            else:
                one = np.int64(text[starts[lane] + t] >> (7 - bit)) & 1
                bits[at] = one
                probabilities[at] = p
                at += 1
            if one:
                low[lane] += size >> 1
                total[lane] = upper
            else:
                total[lane] -= upper
    for lane in range(active):
        last[lane] = low[lane]
        if decoding:
            text[starts[lane] + t] = low[lane]
    return at


@njit(cache=True, nogil=True)
def run_steps(network, state, text, starts, first_step, end_step, last, registers, stream, bits, probabilities):  # type: ignore[no-untyped-def]
    """Predict and code steps [first_step, end_step) of a block; returns how many bits. See `code_step`.

    last (L,) uint8 carries each lane's newest byte from call to call, zero at first.
    """
    at = 0
    for t in range(first_step, end_step):
        cpu.step(network, state, last, active_lanes(starts, t))
        at = code_step(state.weights, text, starts, t, last, registers, stream, bits, probabilities, at)
    return at


def encode_block(network: cpu.Network, raw: bytes, lanes: int, tick: Tick, cost: Cost | None) -> bytes:
    """Raw bytes -> one range-coded stream. `tick` hears of every chunk's bytes, `cost` of its -log2 p in bits."""
    text = np.frombuffer(bytearray(raw), np.uint8)
    starts, steps, chunk = lane_starts(text.size, lanes), steps_of(text.size, lanes), -(-CHUNK_BYTES // lanes)
    state, last, registers = cpu.init_state(network, lanes), np.zeros(lanes, np.uint8), np.zeros(3, np.uint64)
    bits, probabilities = np.empty(8 * lanes * chunk, np.uint8), np.empty(8 * lanes * chunk, np.uint32)
    encoder = coder.Encoder()
    for t in range(0, steps, chunk):
        end = min(t + chunk, steps)
        n = run_steps(network, state, text, starts, t, end, last, registers, NO_WORDS, bits, probabilities)
        encoder.encode(bits[:n], probabilities[:n])
        if cost is not None:
            cost(coder.cost_bits(bits[:n], probabilities[:n]))
        tick(n // 8)
    return encoder.finish()


def decode_block(network: cpu.Network, payload: bytes, raw_bytes: int, lanes: int, tick: Tick) -> bytes:
    """The inverse of `encode_block`. A damaged payload gives other bytes, not an error: the frame's check tells."""
    text, stream = np.zeros(raw_bytes, np.uint8), coder.words(payload)
    starts, steps, chunk = lane_starts(text.size, lanes), steps_of(text.size, lanes), -(-CHUNK_BYTES // lanes)
    state, last, registers = cpu.init_state(network, lanes), np.zeros(lanes, np.uint8), coder.init_registers(stream)
    for t in range(0, steps, chunk):
        end = min(t + chunk, steps)
        run_steps(network, state, text, starts, t, end, last, registers, stream, NO_BITS, NO_WORDS)
        tick(min((end - t) * lanes, raw_bytes - t * lanes))
    return text.tobytes()
