"""An entry of the maps, consulted and taught: a probability in Q22 above a count, both of its bit.

Architecture invariant: what lanes teach one entry is added up; `learn.settle` brings the sum into range.
"""

from __future__ import annotations

from numba import uint64

from arzip.context_mixing.state import MAP_COUNT_BITS
from arzip.jit import spmd
from arzip.jit.compile import inlined
from arzip.probability import P_ONE

COUNT_MASK = (1 << MAP_COUNT_BITS) - 1


@inlined
def consult(memory, lane, i, at, flip):  # type: ignore[no-untyped-def]
    """Map i's opinion is that of the entry at `at`; flip 1: its bit is the bit being 0."""
    word = memory.maps[uint64(at)]
    p = word >> (MAP_COUNT_BITS + 10)
    memory.entry[lane, i] = at
    memory.old[lane, i] = word
    memory.flip[lane, i] = flip
    logit = memory.stretch[uint64(p)]
    memory.inputs[lane, 2 * i] = -logit if flip else logit
    memory.inputs[lane, 2 * i + 1] = (2048 - p if flip else p - 2048) >> 1


@inlined
def abstain(memory, lane, i):  # type: ignore[no-untyped-def]
    """Map i has no opinion, and nothing to learn."""
    memory.entry[lane, i] = -1
    memory.inputs[lane, 2 * i] = 0
    memory.inputs[lane, 2 * i + 1] = 0


@inlined
def teach(memory, lane, m, target, alone):  # type: ignore[no-untyped-def]
    """Move the entry of map m that a lane consulted towards target, 0 or P_ONE - 1; unsettled unless alone."""
    at = uint64(memory.entry[lane, m])
    word = memory.old[lane, m]
    n = word & COUNT_MASK
    change = (((target - (word >> MAP_COUNT_BITS)) * memory.reciprocal[uint64(n)]) >> 16) << MAP_COUNT_BITS
    if alone:
        memory.maps[at] = word + change + (n < memory.limits[m])
    else:
        spmd.atomic_add(memory.maps, at, change + 1)


assert P_ONE << MAP_COUNT_BITS < 1 << 62
