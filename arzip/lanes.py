"""A block as lanes that move in lockstep: the one loop that encoder and decoder share.

The block is cut into L contiguous parts; step t codes byte t of every lane. The lanes are two crews, the
first half and the second, that take turns: (step, crew, bit, lane) is the order of the bits, most
significant first. So the network can predict for one crew while memory and coder work on the other. The
first `n % L` lanes are one byte longer than the others: the lanes that still move are always the first
ones. Must not know files, frames or checks.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from arzip import coder
from arzip.compiled import njit
from arzip.handoff import STRIDE, claim, count, publish, wait_for
from arzip.memory import predict as memory_kernels
from arzip.memory.spec import NETWORK, Memory
from arzip.network import cpu

PROBABILITY_ONE = 1 << coder.PROBABILITY_BITS
CODED, CLAIMED, PREDICTED = 0, 2, 4  # counters of a hand-over, one for each crew: steps; shares of steps
SHARES = 3  # the network predicts for a crew in so many shares, by whichever thread is free: see `share_lanes`
CHUNK_BYTES = 1 << 15  # coded between two ticks; bounds the memory that bits and probabilities take

Tick = Callable[[int], None]
Cost = Callable[[float], None]


class Block(NamedTuple):
    """What coding a block of n bytes in L lanes carries from step to step.

    Encoding: text is read, stream (words) is written through registers; if they have elements, bits (uint8)
    and their P(bit = 1) (uint32, in 1 / 2**22) are written too. Decoding: stream is read, text is written.
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
    parts: NDArray[np.int64]  # (3,) whether network and memory take part; whether this is decoding
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


def new_block(
    text: NDArray[np.uint8], lanes: int, parts: tuple[bool, bool], payload: bytes | None, record: bool = False
) -> Block:
    """A block before its first step. payload: what to decode, None to encode. record: bits and probabilities, too."""
    low, total, upper, opinion, chance, bit = np.zeros((6, lanes), np.int64)
    bits = 8 * lanes * chunk_steps(lanes) if record else 0
    stream = np.zeros(0, np.uint32) if payload is None else coder.words(payload)
    registers = coder.init_encoder() if payload is None else coder.init_decoder(stream)
    starts, last = lane_starts(text.size, lanes), np.zeros(lanes, np.uint8)
    flags = np.array([*parts, payload is not None], np.int64)
    written, probabilities = np.empty(bits, np.uint8), np.empty(bits, np.uint32)
    return Block(
        text, starts, last, low, total, upper, opinion, chance, bit, flags, registers, stream, written, probabilities
    )


def with_room(block: Block, steps: int) -> Block:
    """The block with a stream that so many more steps can be written to."""
    words = int(block.registers[coder.NEXT]) + coder.room_words(8 * block.last.size * steps)
    if block.stream.size >= words:
        return block
    return block._replace(stream=np.concatenate([block.stream, np.zeros(words, np.uint32)]))


@njit(_nrt=False)
def weight_sum(weights, lane, low, size):  # type: ignore[no-untyped-def]
    """Sum of weights[lane, low : low + size], which fits an int32."""
    total = np.int32(0)
    for symbol in range(low, low + size):
        total = np.int32(total + weights[lane, symbol])
    return np.int64(total)


@njit(_nrt=False)
def active_lanes(starts, t):  # type: ignore[no-untyped-def]
    """How many lanes (always the first ones) have a byte at step t."""
    lanes = starts.size - 1
    shortest = starts[lanes] - starts[lanes - 1]
    return lanes if t < shortest else starts[lanes] - shortest * lanes


@njit(_nrt=False)
def crew_lanes(starts, t, crew):  # type: ignore[no-untyped-def]
    """The lanes [first, end) of a crew that have a byte at step t."""
    lanes = starts.size - 1
    half = (lanes + 1) // 2
    active = active_lanes(starts, t)
    if crew == 0:
        return 0, min(active, half)
    return half, max(active, half)


@njit(forceinline=True, _nrt=False)
def code_crew(weights, memory, block, t, crew, at):  # type: ignore[no-untyped-def]
    """Code byte t of a crew's lanes, given the network's weights (L, 256) of its values.

    at: how many bits were coded before; returns it moved on.
    """
    with_network, with_memory, decoding = block.parts[0] != 0, block.parts[1] != 0, block.parts[2] != 0
    recording = block.bits.size > 0
    first, end = crew_lanes(block.starts, t, crew)
    if first == end:
        return at
    if with_memory:
        memory_kernels.turn(memory, t)
    for lane in range(first, end):
        block.low[lane] = 0
        if with_network:
            block.total[lane] = weight_sum(weights, lane, np.int64(0), np.int64(256))
    for bit in range(8):
        half = 128 >> bit
        if with_network:
            for lane in range(first, end):
                block.upper[lane] = weight_sum(weights, lane, block.low[lane] + half, half)
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
                coder.encode_bit(block.registers, block.stream, one, chance[lane])
            if recording:
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


@njit()
def share_lanes(first, end, share, shares):  # type: ignore[no-untyped-def]
    """Which of a crew's lanes [first, end) are in a share: half of them, then a quarter .. the last: what is left."""
    lanes = end - first
    return (
        first if share == 0 else end - (lanes >> share),
        end if share == shares - 1 else end - (lanes >> (share + 1)),
    )


@njit()
def predict_share(network, state, block, t, crew, counters, shares):  # type: ignore[no-untyped-def]
    """Let the network predict byte t for a share of a crew that nobody has claimed yet; False if there is none."""
    share = claim(counters, CLAIMED + crew, (t + 1) * shares)
    if share < 0:
        return False
    first, end = crew_lanes(block.starts, t, crew)
    first, end = share_lanes(first, end, share - t * shares, shares)
    if first < end:
        cpu.step(network, state, block.last, first, end)
    count(counters, PREDICTED + crew)
    return True


@njit(nogil=True)
def run_network(network, state, block, first_step, end_step, counters, shares):  # type: ignore[no-untyped-def]
    """The helper's half of `run_steps`: predicts for each crew as soon as its last byte is known."""
    for t in range(first_step, end_step):
        for crew in range(2):
            wait_for(counters, CODED + crew, t)
            while predict_share(network, state, block, t, crew, counters, shares):
                pass


@njit(nogil=True)
def run_coder(network, state, memory, block, first_step, end_step, counters, shares):  # type: ignore[no-untyped-def]
    """Memory and coder, and of the network's work what nobody else has claimed; returns how many bits were coded."""
    at = np.int64(0)
    for t in range(first_step, end_step):
        for crew in range(2):
            if block.parts[0]:
                while predict_share(network, state, block, t, crew, counters, shares):
                    pass
                wait_for(counters, PREDICTED + crew, (t + 1) * shares)
            at = code_crew(state.weights, memory, block, t, crew, at)
            publish(counters, CODED + crew, t + 1)
    return at


def run_steps(
    network: cpu.Network, state: cpu.State, memory: Memory, block: Block, first: int, end: int, together: bool
) -> int:
    """Code steps [first, end), on two threads if `together`; returns how many bits were coded."""
    shares = SHARES if together else 1
    counters = np.zeros(6 * STRIDE, np.int64)
    counters[: CLAIMED * STRIDE] = first
    counters[CLAIMED * STRIDE :] = first * shares
    if not together:
        return int(run_coder(network, state, memory, block, first, end, counters, shares))
    helper = Thread(target=run_network, args=(network, state, block, first, end, counters, shares))
    helper.start()
    bits = int(run_coder(network, state, memory, block, first, end, counters, shares))
    helper.join()
    return bits


def begin(memory: Memory, with_network: bool) -> None:
    """Make a memory ready for its block's first byte."""
    memory.clock[NETWORK] = with_network
    memory_kernels.begin(memory, 0, memory.starts.size)


Run = Callable[[Block, int, int], int]


def encode_block(run: Run, block: Block, tick: Tick, cost: Cost | None) -> bytes:
    """Run all steps over the block's text -> one range-coded stream.

    `run` does steps [a, b) and says how many bits it coded. `tick` hears of every chunk's raw bytes, `cost`
    of its -log2 p in bits, if the block records them.
    """
    lanes = block.last.size
    steps, chunk = steps_of(block.text.size, lanes), chunk_steps(lanes)
    for t in range(0, steps, chunk):
        end = min(t + chunk, steps)
        block = with_room(block, end - t)
        n = run(block, t, end)
        if cost is not None:
            cost(coder.cost_bits(block.bits[:n], block.probabilities[:n]))
        tick(n // 8)
    return coder.finish(block.registers, block.stream)


def decode_block(run: Run, block: Block, tick: Tick) -> bytes:
    """The inverse of `encode_block`. A damaged payload gives other bytes, not an error: the frame's check tells."""
    lanes = block.last.size
    steps, chunk = steps_of(block.text.size, lanes), chunk_steps(lanes)
    for t in range(0, steps, chunk):
        end = min(t + chunk, steps)
        run(block, t, end)
        tick(min(end * lanes, block.text.size) - t * lanes)
    return block.text.tobytes()
