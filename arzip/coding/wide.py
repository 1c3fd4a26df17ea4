"""Lockstep coding of a wide block: one lane group, and a range coder stream for each lane.

Nothing is coded in series, so the threads of a CUDA block share all of the work: a block's lanes are coded by the teams
of one CUDA block, by the same source as on the CPU (arzip.jit.spmd). The network's frequencies of a step come from
outside. Must not import the network's forward pass, files or frames.
"""

from __future__ import annotations

import numpy as np
from numba import uint64

from arzip.coding import byte_to_bits, range_coder
from arzip.coding.lane_state import active_lanes
from arzip.context_mixing import predictor
from arzip.jit import spmd
from arzip.jit.compile import inline_njit, njit

# Arrays that kernels only read, and that are the same for all blocks of one launch: of equal profile, size and model.
SHARED = frozenset(
    (
        *("kinds", "orders", "apms", "min_lengths", "strides", "limits", "mixer_contexts", "bases", "next_state"),
        *("squash", "stretch", "reciprocal", "rates", "map_bases", "runs", "joints", "expected_joints", "has_prior"),
        *("ngrams", "flags"),
    )
)


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
def code_bit(block, t, bit, lane):
    """Code a bit of byte t of a lane into or from the lane's own stream; narrow the network's frequencies to it."""
    if block.flags[2]:
        one = range_coder.decode_bit(block.registers[lane], block.stream[lane], block.probability[lane])
    else:
        one = np.int64(block.text[block.starts[lane] + t] >> (7 - bit)) & 1
        range_coder.encode_bit(block.registers[lane], block.stream[lane], one, block.probability[lane])
    block.bit[lane] = one
    block.low[lane] += one * (128 >> bit)
    block.total[lane] = block.upper[lane] if one else block.total[lane] - block.upper[lane]


@inline_njit
def code_byte(cm, block, freqs, t, end):
    """Code byte t of the lanes [0, end)."""
    with_network = freqs.shape[0] > 0
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
        predictor.predict(cm, 0, end, block.network_p, block.probability, False)
        if spmd.leads_team():
            for lane in range(spmd.team_index(), uint64(end), spmd.team_count()):
                code_bit(block, t, bit, lane)
        predictor.update(cm, 0, end, block.bit, False)
    if spmd.leads_team():
        for lane in range(spmd.team_index(), uint64(end), spmd.team_count()):
            block.last[lane] = block.low[lane]
            if block.flags[2]:
                block.text[block.starts[lane] + t] = block.low[lane]
    predictor.end_byte(cm, 0, end, block.low, t, False)


@njit(_nrt=False)
def begin(cm):
    """Prepare the first byte of every lane."""
    predictor.begin(cm, 0, cm.starts.size)


@njit(nogil=True, _nrt=False)
def code_steps(cm, block, freqs, first_step, end_step):
    """Code the steps [first_step, end_step) of a block whose registers are (L, 3) and whose stream is (L, words).

    freqs (L, 256) int32: the network's, for one step; none without a network.
    """
    for t in range(first_step, end_step):
        code_byte(cm, block, freqs, t, active_lanes(block.starts, t))
