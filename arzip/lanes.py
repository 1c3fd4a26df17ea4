"""A block as lanes that move in lockstep: the one loop that encoder and decoder share.

The block is cut into L contiguous parts; step t codes byte t of every lane, bit by bit, most significant
first, in the order (step, bit, lane). The first `n % L` lanes are one byte longer than the others, so the
lanes that still move are always the first ones. Must not know files, frames or checks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from arzip import coder
from arzip.memory import predict as memory_kernels
from arzip.memory.spec import NETWORK
from arzip.network import cpu

PROBABILITY_ONE = 1 << coder.PROBABILITY_BITS
CHUNK_BYTES = 1 << 15  # coded between two ticks; bounds the memory that bits and probabilities take
NO_WORDS = np.zeros(0, np.uint32)
NO_BITS = np.zeros(0, np.uint8)

Tick = Callable[[int], None]
Cost = Callable[[float], None]


class Block(NamedTuple):
    """What coding a block of n bytes in L lanes carries from step to step.

    Encoding (stream has no words): text is read; `bits` (uint8) and their P(bit = 1) (uint32, in 1 / 2**22)
    are written in coding order. Decoding: stream (words) is read through registers, text is written.
    """

    text: NDArray[np.uint8]  # (n,)
    starts: NDArray[np.int64]  # (L + 1,) where each lane starts, and the end
    last: NDArray[np.uint8]  # (L,) each lane's newest byte, zero at first
    low: NDArray[np.int64]  # (L,) the byte's bits so far, as its smallest possible value
    total: NDArray[np.int64]  # (L,) sum of the network's weights that are still possible
    upper: NDArray[np.int64]  # (L,) the part of it on which the next bit is 1
    opinion: NDArray[np.int64]  # (L,) the network's P(bit = 1)
    chance: NDArray[np.int64]  # (L,) the final P(bit = 1)
    bit: NDArray[np.int64]  # (L,)
    parts: NDArray[np.int64]  # (2,) whether network and memory take part
    registers: NDArray[np.uint64]
    stream: NDArray[np.uint32]
    bits: NDArray[np.uint8]
    probabilities: NDArray[np.uint32]


def lane_starts(size_bytes: int, lanes: int) -> NDArray[np.int64]:
    """Where each lane starts in the block, and its end: (L + 1,)."""
    short, longer = divmod(size_bytes, lanes)
    k = np.arange(lanes + 1)
    return np.asarray(k * short + np.minimum(k, longer), np.int64)


def steps_of(size_bytes: int, lanes: int) -> int:
    """Number of steps of a block."""
    return -(-size_bytes // lanes)


def chunk_steps(lanes: int) -> int:
    """Number of steps between two ticks."""
    return -(-CHUNK_BYTES // lanes)


def new_block(text: NDArray[np.uint8], lanes: int, parts: tuple[bool, bool], payload: bytes | None) -> Block:
    """A block before its first step; `payload` is what to decode, None to encode."""
    counts = np.zeros((6, lanes), np.int64)
    bits = 0 if payload is not None else 8 * lanes * chunk_steps(lanes)
    stream = NO_WORDS if payload is None else coder.words(payload)
    registers = np.zeros(3, np.uint64) if payload is None else coder.init_registers(stream)
    starts, last = lane_starts(text.size, lanes), np.zeros(lanes, np.uint8)
    flags = np.array(parts, np.int64)
    written = np.empty(bits, np.uint8), np.empty(bits, np.uint32)
    return Block(text, starts, last, *counts, flags, registers, stream, *written)


@njit(cache=True)
def weight_sum(weights, low, size):  # type: ignore[no-untyped-def]
    """Sum of weights[low : low + size]."""
    total = np.int64(0)
    for symbol in range(low, low + size):
        total += weights[symbol]
    return total


@njit(cache=True)
def active_lanes(starts, t):  # type: ignore[no-untyped-def]
    """How many lanes (always the first ones) have a byte at step t."""
    lanes = starts.size - 1
    shortest = starts[lanes] - starts[lanes - 1]
    return lanes if t < shortest else starts[lanes] - shortest * lanes


@njit(cache=True, nogil=True)
def code_step(weights, memory, block, t, at):  # type: ignore[no-untyped-def]
    """Code byte t of every lane, given the network's weights (L, 256) of its values.

    at: index of the next bit to write; returns it moved on.
    """
    with_network, with_memory = block.parts[0] != 0, block.parts[1] != 0
    decoding = block.stream.size > 0
    active = active_lanes(block.starts, t)
    for lane in range(active):
        block.low[lane] = 0
        if with_network:
            block.total[lane] = weight_sum(weights[lane], 0, 256)
    for bit in range(8):
        half = 128 >> bit
        if with_network:
            for lane in range(active):
                block.upper[lane] = weight_sum(weights[lane], block.low[lane] + half, half)
                p = (block.upper[lane] << coder.PROBABILITY_BITS) // block.total[lane]
                block.opinion[lane] = min(max(p, 1), PROBABILITY_ONE - 1)
        if with_memory:
            memory_kernels.predict(memory, active, block.opinion, block.chance)
        chance = block.chance if with_memory else block.opinion
        for lane in range(active):
            if decoding:
                one = coder.decode_bit(block.registers, block.stream, chance[lane])
            else:
                one = np.int64(block.text[block.starts[lane] + t] >> (7 - bit)) & 1
                block.bits[at] = one
                block.probabilities[at] = chance[lane]
                at += 1
            block.bit[lane] = one
            block.low[lane] += one * half
            block.total[lane] = block.upper[lane] if one else block.total[lane] - block.upper[lane]
        if with_memory:
            memory_kernels.update(memory, active, block.bit)
    for lane in range(active):
        block.last[lane] = block.low[lane]
        if decoding:
            block.text[block.starts[lane] + t] = block.low[lane]
    if with_memory:
        memory_kernels.end_byte(memory, active, block.low)
    return at


@njit(cache=True, nogil=True)
def begin(memory, block, first_step):  # type: ignore[no-untyped-def]
    """Make the memory ready for a block's first byte."""
    if first_step == 0 and block.parts[1]:
        memory.clock[NETWORK] = block.parts[0]
        memory_kernels.begin(memory, block.starts.size - 1)


@njit(cache=True, nogil=True)
def run_steps(network, state, memory, block, first_step, end_step):  # type: ignore[no-untyped-def]
    """Predict and code steps [first_step, end_step) of a block; returns how many bits were written."""
    at = 0
    begin(memory, block, first_step)
    for t in range(first_step, end_step):
        if block.parts[0]:
            cpu.step(network, state, block.last, active_lanes(block.starts, t))
        at = code_step(state.weights, memory, block, t, at)
    return at


Run = Callable[[Block, int, int], int]


def encode_block(run: Run, block: Block, tick: Tick, cost: Cost | None) -> bytes:
    """Run all steps over the block's text -> one range-coded stream.

    `run` does steps [a, b) and says how many bits it wrote. `tick` hears of every chunk's raw bytes, `cost`
    of its -log2 p in bits.
    """
    lanes = block.last.size
    steps, chunk = steps_of(block.text.size, lanes), chunk_steps(lanes)
    encoder = coder.Encoder()
    for t in range(0, steps, chunk):
        n = run(block, t, min(t + chunk, steps))
        encoder.encode(block.bits[:n], block.probabilities[:n])
        if cost is not None:
            cost(coder.cost_bits(block.bits[:n], block.probabilities[:n]))
        tick(n // 8)
    return encoder.finish()


def decode_block(run: Run, block: Block, tick: Tick) -> bytes:
    """The inverse of `encode_block`. A damaged payload gives other bytes, not an error: the frame's check tells."""
    lanes = block.last.size
    steps, chunk = steps_of(block.text.size, lanes), chunk_steps(lanes)
    for t in range(0, steps, chunk):
        end = min(t + chunk, steps)
        run(block, t, end)
        tick(min(end * lanes, block.text.size) - t * lanes)
    return block.text.tobytes()
