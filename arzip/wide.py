"""Lockstep coding of a wide block: one lane group, and a range coder stream for each lane.

Nothing is coded in series, so the threads of a CUDA block share all of the work: a block's lanes are coded by the teams
of one CUDA block, by the same source as on the CPU (arzip.jit.spmd). The network's frequencies of a step come from
outside. Must not import the network's forward pass, files or frames.
"""

from __future__ import annotations

import numpy as np
from numba import uint64

from arzip import coder
from arzip.block import active_lanes
from arzip.compiled import inlined, njit
from arzip.jit import spmd
from arzip.memory import predict as memory_kernels
from arzip.network import bits

# Arrays that kernels only read, and that are the same for all blocks of one launch: of equal profile, size and model.
SHARED = frozenset(
    (
        *("kinds", "orders", "finals", "shortest", "strides", "limits", "selectors", "bases", "history", "squash"),
        *("stretch", "reciprocal", "rates", "map_bases", "runs", "joints", "expected_joints", "counted", "ngrams"),
        "parts",
    )
)


@inlined
def team_weight_sum(weights, lane, low, size):  # type: ignore[no-untyped-def]
    """Sum of weights[lane, low : low + size], which fits an int32, by the members of the lane's team."""
    total = np.int32(0)
    for symbol in range(low + spmd.member_index(), low + size, spmd.member_count()):
        total = np.int32(total + weights[lane, symbol])
    return np.int64(spmd.team_sum(total))


@inlined
def network_chance(weights, block, lane, bit):  # type: ignore[no-untyped-def]
    """The network's P(bit = 1) of a lane's next bit -> block.opinion[lane]."""
    half = 128 >> bit
    upper = team_weight_sum(weights, lane, block.low[lane] + half, half)
    if spmd.leads_team():
        block.upper[lane] = upper
        block.opinion[lane] = bits.chance(upper, block.total[lane])


@inlined
def code_bit(block, t, bit, lane):  # type: ignore[no-untyped-def]
    """Code a bit of byte t of a lane into or from the lane's own stream; narrow the network's frequencies to it."""
    if block.parts[2]:
        one = coder.decode_bit(block.registers[lane], block.stream[lane], block.chance[lane])
    else:
        one = np.int64(block.text[block.starts[lane] + t] >> (7 - bit)) & 1
        coder.encode_bit(block.registers[lane], block.stream[lane], one, block.chance[lane])
    block.bit[lane] = one
    block.low[lane] += one * (128 >> bit)
    block.total[lane] = block.upper[lane] if one else block.total[lane] - block.upper[lane]


@inlined
def code_byte(memory, block, weights, t, end):  # type: ignore[no-untyped-def]
    """Code byte t of the lanes [0, end)."""
    with_network = weights.shape[0] > 0
    memory_kernels.turn(memory, t)
    for lane in range(spmd.team_index(), uint64(end), spmd.team_count()):
        total = team_weight_sum(weights, lane, np.int64(0), np.int64(256)) if with_network else np.int64(0)
        if spmd.leads_team():
            block.low[lane] = 0
            block.total[lane] = total
            block.upper[lane] = 0
    spmd.team_barrier()
    for bit in range(8):
        if with_network:
            for lane in range(spmd.team_index(), uint64(end), spmd.team_count()):
                network_chance(weights, block, lane, bit)
            spmd.team_barrier()
        memory_kernels.predict(memory, 0, end, block.opinion, block.chance, False)
        if spmd.leads_team():
            for lane in range(spmd.team_index(), uint64(end), spmd.team_count()):
                code_bit(block, t, bit, lane)
        memory_kernels.update(memory, 0, end, block.bit, False)
    if spmd.leads_team():
        for lane in range(spmd.team_index(), uint64(end), spmd.team_count()):
            block.last[lane] = block.low[lane]
            if block.parts[2]:
                block.text[block.starts[lane] + t] = block.low[lane]
    memory_kernels.end_byte(memory, 0, end, block.low, t, False)


@njit(_nrt=False)
def begin(memory):  # type: ignore[no-untyped-def]
    """Prepare the first byte of every lane."""
    memory_kernels.begin(memory, 0, memory.starts.size)


@njit(nogil=True, _nrt=False)
def code_steps(memory, block, weights, first_step, end_step):  # type: ignore[no-untyped-def]
    """Code the steps [first_step, end_step) of a block whose registers are (L, 3) and whose stream is (L, words).

    weights (L, 256) int32: the network's, for one step; none without a network.
    """
    for t in range(first_step, end_step):
        code_byte(memory, block, weights, t, active_lanes(block.starts, t))
