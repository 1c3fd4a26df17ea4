"""A block as lanes that move in lockstep: the one loop that encoder and decoder share.

The block is cut into L contiguous parts; step t codes byte t of every lane. The lanes are two crews, the
first half and the second, that take turns: (step, crew, bit, lane) is the order of the bits, most
significant first. So the network can predict for one crew while memory and coder work on the other. The
first `n % L` lanes are one byte longer than the others: the lanes that still move are always the first
ones. Must not know files, frames or checks.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Thread
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from arzip import coder
from arzip.compiled import njit
from arzip.handoff import STRIDE, publish, wait_for
from arzip.memory import predict as memory_kernels
from arzip.memory.spec import NETWORK, Memory
from arzip.network import cpu

PROBABILITY_ONE = 1 << coder.PROBABILITY_BITS
CODED, PREDICTED = 0, 2  # counters of a hand-over: steps done, one for each crew
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
    low, total, upper, opinion, chance, bit = np.zeros((6, lanes), np.int64)
    bits = 0 if payload is not None else 8 * lanes * chunk_steps(lanes)
    stream = NO_WORDS if payload is None else coder.words(payload)
    registers = np.zeros(3, np.uint64) if payload is None else coder.init_registers(stream)
    starts, last = lane_starts(text.size, lanes), np.zeros(lanes, np.uint8)
    flags = np.array(parts, np.int64)
    written, probabilities = np.empty(bits, np.uint8), np.empty(bits, np.uint32)
    return Block(
        text, starts, last, low, total, upper, opinion, chance, bit, flags, registers, stream, written, probabilities
    )


@njit()
def weight_sum(weights, low, size):  # type: ignore[no-untyped-def]
    """Sum of weights[low : low + size]."""
    total = np.int64(0)
    for symbol in range(low, low + size):
        total += weights[symbol]
    return total


@njit()
def active_lanes(starts, t):  # type: ignore[no-untyped-def]
    """How many lanes (always the first ones) have a byte at step t."""
    lanes = starts.size - 1
    shortest = starts[lanes] - starts[lanes - 1]
    return lanes if t < shortest else starts[lanes] - shortest * lanes


@njit()
def crew_lanes(starts, t, crew):  # type: ignore[no-untyped-def]
    """The lanes [first, end) of a crew that have a byte at step t."""
    lanes = starts.size - 1
    half = (lanes + 1) // 2
    active = active_lanes(starts, t)
    if crew == 0:
        return 0, min(active, half)
    return half, max(active, half)


@njit(nogil=True)
def code_crew(weights, memory, block, t, crew, at):  # type: ignore[no-untyped-def]
    """Code byte t of a crew's lanes, given the network's weights (L, 256) of its values.

    at: index of the next bit to write; returns it moved on.
    """
    with_network, with_memory = block.parts[0] != 0, block.parts[1] != 0
    decoding = block.stream.size > 0
    first, end = crew_lanes(block.starts, t, crew)
    if first == end:
        return at
    if with_memory:
        memory_kernels.turn(memory, t)
    for lane in range(first, end):
        block.low[lane] = 0
        if with_network:
            block.total[lane] = weight_sum(weights[lane], 0, 256)
    for bit in range(8):
        half = 128 >> bit
        if with_network:
            for lane in range(first, end):
                block.upper[lane] = weight_sum(weights[lane], block.low[lane] + half, half)
                p = (block.upper[lane] << coder.PROBABILITY_BITS) // block.total[lane]
                block.opinion[lane] = min(max(p, 1), PROBABILITY_ONE - 1)
        if with_memory:
            memory_kernels.predict(memory, first, end, block.opinion, block.chance)
        chance = block.chance if with_memory else block.opinion
        for lane in range(first, end):
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
            memory_kernels.update(memory, first, end, block.bit)
    for lane in range(first, end):
        block.last[lane] = block.low[lane]
        if decoding:
            block.text[block.starts[lane] + t] = block.low[lane]
    if with_memory:
        memory_kernels.end_byte(memory, first, end, block.low, t)
    return at


@njit(nogil=True)
def run_network(network, state, block, first_step, end_step, counters):  # type: ignore[no-untyped-def]
    """The network's half of `run_together`: predicts for each crew as soon as its last byte is known."""
    for t in range(first_step, end_step):
        for crew in range(2):
            first, end = crew_lanes(block.starts, t, crew)
            wait_for(counters, CODED + crew, t)
            cpu.step(network, state, block.last, first, end)
            publish(counters, PREDICTED + crew, t + 1)


@njit(nogil=True)
def run_coder(state, memory, block, first_step, end_step, counters):  # type: ignore[no-untyped-def]
    """The other half: memory and coder; returns how many bits were written."""
    at = 0
    for t in range(first_step, end_step):
        for crew in range(2):
            wait_for(counters, PREDICTED + crew, t + 1)
            at = code_crew(state.weights, memory, block, t, crew, at)
            publish(counters, CODED + crew, t + 1)
    return at


@njit(nogil=True)
def run_alone(network, state, memory, block, first_step, end_step):  # type: ignore[no-untyped-def]
    """Predict and code steps [first_step, end_step) on one thread; returns how many bits were written."""
    at = 0
    for t in range(first_step, end_step):
        for crew in range(2):
            if block.parts[0]:
                first, end = crew_lanes(block.starts, t, crew)
                cpu.step(network, state, block.last, first, end)
            at = code_crew(state.weights, memory, block, t, crew, at)
    return at


def run_together(network: cpu.Network, state: cpu.State, memory: Memory, block: Block, first: int, end: int) -> int:
    """What `run_alone` does, the same, on two threads that hand the crews to and fro."""
    counters = np.zeros(4 * STRIDE, np.int64)
    counters[: 2 * STRIDE] = first
    helper = Thread(target=run_network, args=(network, state, block, first, end, counters))
    helper.start()
    bits = int(run_coder(state, memory, block, first, end, counters))
    helper.join()
    return bits


def begin(memory: Memory, with_network: bool) -> None:
    """Make a memory ready for its block's first byte."""
    memory.clock[NETWORK] = with_network
    memory_kernels.begin(memory, 0, memory.starts.size)


Run = Callable[[Block, int, int], int]


def encode_block(run: Run, block: Block, tick: Tick, cost: Cost | None) -> bytes:
    """Run all steps over the block's text -> one range-coded stream.

    `run` does steps [a, b) and says how many bits it wrote. `tick` hears of every chunk's raw bytes, `cost`
    of its -log2 p in bits.
    """
    lanes = block.last.size
    steps, chunk = steps_of(block.text.size, lanes), chunk_steps(lanes)
    encoder = coder.Encoder()
    with ThreadPoolExecutor(1) as writer:  # a chunk is coded while the next one is predicted
        coding = writer.submit(lambda: None)
        for t in range(0, steps, chunk):
            n = run(block, t, min(t + chunk, steps))
            bits, probabilities = block.bits[:n].copy(), block.probabilities[:n].copy()
            coding.result()
            coding = writer.submit(encoder.encode, bits, probabilities)
            if cost is not None:
                cost(coder.cost_bits(bits, probabilities))
            tick(n // 8)
        coding.result()
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
