"""Lockstep coding of a wide block: one lane group, and a range coder stream for each lane.

Nothing is coded in series, so the threads of a CUDA block share all of the work: a block's lanes are coded by the teams
of one CUDA block, by the same source as on the CPU (arzip.jit.spmd). The network's frequencies of a step come from
outside. Must not import the network's forward pass, files or frames.
"""

from __future__ import annotations

import numpy as np
from numpy import uint64

from arzip.coding import byte_to_bits, range_coder
from arzip.coding.lane_state import active_lanes
from arzip.context_mixing import predictor, static_shapes
from arzip.jit import spmd
from arzip.jit.atomics import store_release
from arzip.jit.compile import inline_njit, njit

# Arrays that kernels only read, and that are the same for all blocks of one launch: of equal profile, size and model.
SHARED = frozenset(
    (
        *("kinds", "orders", "apms", "min_lengths", "strides", "limits", "mixer_contexts", "bases", "next_state"),
        *("squash", "stretch", "reciprocal", "rates", "map_bases", "runs", "joints", "expected_joints", "has_prior"),
        *("ngrams", "flags"),
    )
)
CODED = 0  # counter of two threads on the CPU: steps whose bytes are known


@inline_njit
def team_freq_sum(freqs, lane, low, size):
    """Sum of freqs[lane, low : low + size], which fits an int32, by the members of the lane's team."""
    total = np.int32(0)
    for symbol in range(low + spmd.member_index(), low + size, spmd.member_count()):
        total = np.int32(total + freqs[lane, symbol])
    return np.int64(spmd.team_sum(total))


@inline_njit
def network_probability(freqs, block, lane, bit):
    """The network's P(bit = 1) of a lane's next bit -> block.network_p[lane]."""
    half = 128 >> bit
    upper = team_freq_sum(freqs, lane, block.low[lane] + half, half)
    if spmd.leads_team():
        block.upper[lane] = upper
        block.network_p[lane] = byte_to_bits.bit_probability(upper, block.total[lane])


@inline_njit
def code_bit(block, t, bit, lane, p, at):
    """Code a bit of byte t of a lane into or from the lane's own stream, given P(bit = 1) (L,); write it to block.bits.

    An encoder whose stream is full stops there: `lane_state.finish_streams` sees it. at: index of lane 0's bit.
    """
    if block.flags[2]:
        one = range_coder.decode_bit(block.registers[lane], block.stream[lane], p[lane])
    else:
        one = np.int64(block.text[block.starts[lane] + t] >> (7 - bit)) & 1
        if block.registers[lane, range_coder.NEXT] < uint64(block.stream.shape[1]):
            range_coder.encode_bit(block.registers[lane], block.stream[lane], one, p[lane])
    if block.bits.size > 0:
        block.bits[uint64(at) + lane] = one
        block.probabilities[uint64(at) + lane] = p[lane]
    block.bit[lane] = one
    block.low[lane] += one * (128 >> bit)


@inline_njit
def store_bytes(block, t, end):
    """Store byte t of the lanes [0, end), of which all bits are coded."""
    if spmd.leads_team():
        for lane in range(spmd.team_index(), uint64(end), spmd.team_count()):
            block.last[lane] = block.low[lane]
            if block.flags[2]:
                block.text[block.starts[lane] + t] = block.low[lane]


@inline_njit
def code_byte(cm, block, freqs, prefilled, row, t, end, at, counters, counts):
    """Code byte t of the lanes [0, end).

    freqs (L, 256) int32: the network's, if it takes part and has not run ahead. prefilled (steps, L, 8), row: its
    P(bit = 1) of each bit and the step's index there, if it has; None on CUDA. at: how many bits were coded before.
    counters: of two threads, CODED among them; counts: see static_shapes; both None on CUDA.
    """
    if counts is not None:
        cm = static_shapes.with_static_shapes(cm, counts)
    is_prefilled, with_memory = False, block.flags[1] != 0
    if prefilled is not None:
        is_prefilled = prefilled.size > 0
    with_network = block.flags[0] != 0 and not is_prefilled
    if with_memory:
        predictor.set_step(cm, t)
    for lane in range(spmd.team_index(), uint64(end), spmd.team_count()):
        total = team_freq_sum(freqs, lane, np.int64(0), np.int64(256)) if with_network else np.int64(0)
        if spmd.leads_team():
            block.low[lane] = 0
            block.total[lane] = total
            block.upper[lane] = 0
    spmd.team_barrier()
    for bit in range(8):
        if with_network:
            for lane in range(spmd.team_index(), uint64(end), spmd.team_count()):
                network_probability(freqs, block, lane, bit)
            spmd.team_barrier()
        if prefilled is not None and is_prefilled:
            for lane in range(end):
                block.network_p[lane] = prefilled[row, lane, bit]
        if with_memory:
            predictor.predict(cm, 0, end, block.network_p, block.probability, False)
        p = block.probability if with_memory else block.network_p
        if spmd.leads_team():
            for lane in range(spmd.team_index(), uint64(end), spmd.team_count()):
                code_bit(block, t, bit, lane, p, at + bit * end)
                block.total[lane] = block.upper[lane] if block.bit[lane] else block.total[lane] - block.upper[lane]
        if bit == 7:
            store_bytes(block, t, end)
            if counters is not None:
                store_release(counters, CODED, t + 1)
        if with_memory:
            predictor.update(cm, 0, end, block.bit, False)
    if with_memory:
        predictor.end_byte(cm, 0, end, block.low, t, False)
    return at + 8 * end


@njit(_nrt=False)
def begin(cm):
    """Prepare the first byte of every lane."""
    predictor.begin(cm, 0, cm.starts.size)


@njit(nogil=True, _nrt=False)
def code_steps(cm, block, freqs, first_step, end_step):
    """Code the steps [first_step, end_step) of a block whose registers are (L, 3) and whose stream is (L, words).

    Fewer if the block has fewer: others of the same launch may be longer. freqs (L, 256) int32: the network's, for one
    step; none without a network.
    """
    for t in range(first_step, min(end_step, block.starts[1] - block.starts[0])):
        code_byte(cm, block, freqs, None, 0, t, active_lanes(block.starts, t), np.int64(0), None, None)
