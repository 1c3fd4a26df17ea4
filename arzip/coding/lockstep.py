"""A block's lanes in lockstep: the one loop that encoder and decoder share.

The lanes are two crews, the first half and the second, that take turns: (step, crew, bit, lane) is the order of
the bits, most significant first. So the network can predict for one crew while memory and coder work on the
other; an encoder lets it go ahead (prefill.py). Must not know files, frames or checks.
"""

from __future__ import annotations

from functools import partial
from threading import Thread

import numpy as np

from arzip.coding import byte_to_bits as bits
from arzip.coding import prefill as ahead
from arzip.coding import range_coder as coder
from arzip.coding.lane_state import Block, crew_lanes
from arzip.context_mixing import predictor as memory_kernels
from arzip.context_mixing import static_shapes as shapes
from arzip.context_mixing.state import Memory
from arzip.jit import cpu_features as processor
from arzip.jit.atomics import STRIDE, claim, count, publish, wait_for
from arzip.jit.compile import inlined, njit
from arzip.network import forward_cpu as cpu

CODED, CLAIMED, PREDICTED = 0, 2, 4  # counters of a hand-over, one for each crew: steps; shares of steps
ALONE, SEVERAL = None, 0  # None is a type of its own: what is called with it is compiled once more, for one lane only
SHARES = 1 if processor.HAS_AMX else 3  # the network predicts for a crew in so many shares: see `share_lanes`


@njit(forceinline=True, _nrt=False)
def code_bits(block, t, bit, first, end, chance, at):
    """Code this bit of byte t of the lanes [first, end), given P(bit = 1) (L,); returns `at` moved on."""
    decoding, recording = block.parts[2] != 0, block.bits.size > 0
    half = 128 >> bit
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
    return at


@njit(forceinline=True, _nrt=False)
def store_bytes(block, t, first, end):
    """What the lanes [first, end) have coded is their byte t."""
    decoding = block.parts[2] != 0
    for lane in range(first, end):
        block.last[lane] = block.low[lane]
        if decoding:
            block.text[block.starts[lane] + t] = block.low[lane]


@inlined
def code_crew(weights, opinions, row, memory, block, t, crew, at, alone, counts):
    """Code byte t of a crew's lanes, given the network's weights (L, 256) of its values, or what it has said ahead.

    opinions (steps, L, 8), or none: that of each bit; row: the step's place there. at: how many bits were coded
    before; returns it moved on. alone: see `ALONE`; counts: of the memory (static_shapes.py), or None.
    """
    if counts is not None:
        memory = shapes.known(memory, counts)
    is_known, with_memory = opinions.size > 0, block.parts[1] != 0
    with_network = block.parts[0] != 0 and not is_known
    first, end = (0, 1) if alone is None else crew_lanes(block.starts, t, crew)
    if first == end or (alone is None and crew == 1):
        return at
    if with_memory:
        memory_kernels.turn(memory, t)
    for lane in range(first, end):
        block.low[lane] = 0
        if with_network:
            block.total[lane] = bits.weight_sum(weights, lane, np.int64(0), np.int64(256))
    for bit in range(8):
        half = 128 >> bit
        if with_network:
            for lane in range(first, end):
                block.upper[lane] = bits.weight_sum(weights, lane, block.low[lane] + half, half)
                block.opinion[lane] = bits.chance(block.upper[lane], block.total[lane])
        if is_known:
            for lane in range(first, end):
                block.opinion[lane] = opinions[row, lane, bit]
        if with_memory:
            memory_kernels.predict(memory, first, end, block.opinion, block.chance, alone is None)
        chance = block.chance if with_memory else block.opinion
        at = code_bits(block, t, bit, first, end, chance, at)
        if with_network:
            for lane in range(first, end):
                block.total[lane] = block.upper[lane] if block.bit[lane] else block.total[lane] - block.upper[lane]
        if with_memory:
            memory_kernels.update(memory, first, end, block.bit, alone is None)
    store_bytes(block, t, first, end)
    if with_memory:
        memory_kernels.end_byte(memory, first, end, block.low, t, alone is None)
    return at


@njit()
def share_lanes(first, end, share, shares):
    """Which of a crew's lanes [first, end) are in a share: half of them, then a quarter .. the last: what is left."""
    lanes = end - first
    return (
        first if share == 0 else end - (lanes >> share),
        end if share == shares - 1 else end - (lanes >> (share + 1)),
    )


@njit()
def predict_share(network, state, block, t, crew, counters, shares):
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
def run_network(network, state, block, first_step, end_step, counters, shares):
    """The helper's half of `run_steps`: predicts for each crew as soon as its last byte is known."""
    for t in range(first_step, end_step):
        for crew in range(2):
            wait_for(counters, CODED + crew, t)
            while predict_share(network, state, block, t, crew, counters, shares):
                pass


@njit(nogil=True)
def run_coder(network, state, memory, block, opinions, first_step, end_step, counters, shares, helped, alone, counts):
    """Memory and coder, and of the network's work what nobody else has claimed; returns how many bits were coded.

    opinions (steps, L, 8): what the network says ahead; none: it predicts in lockstep. counters: of one or the other.
    alone, counts: as of `code_crew`.
    """
    at, is_ahead = np.int64(0), opinions.size > 0
    for t in range(first_step, end_step):
        if is_ahead and (t - first_step) % ahead.JOB_STEPS == 0:
            ahead.until_predicted(network, state, block, opinions, first_step, end_step, counters, t, helped)
        for crew in range(2):
            if block.parts[0] and not is_ahead:
                while predict_share(network, state, block, t, crew, counters, shares):
                    pass
                wait_for(counters, PREDICTED + crew, (t + 1) * shares)
            at = code_crew(state.weights, opinions, t - first_step, memory, block, t, crew, at, alone, counts)
            if not is_ahead:
                publish(counters, CODED + crew, t + 1)
    return at


def run_steps(
    network: cpu.Network, state: cpu.State, memory: Memory, block: Block, first: int, end: int, together: bool
) -> int:
    """Code steps [first, end), on two threads if `together`; returns how many bits were coded.

    An encoder's network goes ahead, on one thread as well: so its weights stay in the caches for a while.
    """
    lanes = block.last.size
    if block.parts[0] and not block.is_decoding:
        opinions, counters = np.empty((end - first, lanes, 8), np.int32), ahead.counters_for(lanes)
        shares = 1
        help_ = partial(ahead.run_network, network, state, block, opinions, first, end, counters)
    else:
        shares = SHARES if together else 1
        opinions, counters = ahead.NOTHING, np.zeros(6 * STRIDE, np.int64)
        counters[: CLAIMED * STRIDE] = first
        counters[CLAIMED * STRIDE :] = first * shares
        help_ = partial(run_network, network, state, block, first, end, counters, shares)
    helper = Thread(target=help_)
    if together:
        helper.start()
    alone, counts = ALONE if lanes == 1 else SEVERAL, shapes.counts_of(memory)
    bits = run_coder(network, state, memory, block, opinions, first, end, counters, shares, together, alone, counts)
    if together:
        helper.join()
    return int(bits)
