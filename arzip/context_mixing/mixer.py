"""The mixer's two layers: which rows of its weights a bit uses, and their logits.

Only reads what lanes share. Must not know how anything is learned. The sums over inputs: mixer_simd.py.
"""

from __future__ import annotations

import numpy as np
from numba import uint64

from arzip.context_mixing import match_model as match
from arzip.context_mixing import mixer_simd as mixer
from arzip.context_mixing.logistic import OUTPUT_LIMIT
from arzip.context_mixing.state import (
    BIT,
    CLASSES,
    EXPECTED,
    LENGTH,
    NETWORK,
    ORDER,
    PARTIAL,
    RECENT,
    ROW,
    STEP,
)
from arzip.jit import spmd
from arzip.jit.compile import inlined


@inlined
def select(memory, lane, network):  # type: ignore[no-untyped-def]
    """Choose a row of each weight set by the set's small context."""
    bit = memory.clock[BIT]
    partial = memory.lane[lane, PARTIAL]
    last = memory.selectors.size
    for s in range(spmd.member_index(), last, spmd.member_count()):
        kind = memory.selectors[s]
        row = 0
        if kind == 0:
            expected = memory.match[lane, 0, EXPECTED] + 255
            if expected >= 256 and expected >> (8 - bit) == partial:
                row = (
                    1 + min(match.length_bucket(memory.match[lane, 0, LENGTH]), 15) * 2 + ((expected >> (7 - bit)) & 1)
                )
            row = row * 8 + bit
        elif kind == 1:
            row = partial
        elif kind == 2:
            row = memory.lane[lane, RECENT] & 255
        elif kind == 3:
            row = (memory.lane[lane, RECENT] >> 8) & 255
        elif kind == 4:
            row = memory.lane[lane, ORDER] * 8 + bit
        elif kind == 5:
            row = memory.lane[lane, CLASSES] & 511
        elif kind == 6:
            row = (memory.stretch[uint64(network >> 10)] + 2048) >> 7 if memory.clock[NETWORK] else 0
        elif kind == 7:
            length = memory.clock[ROW]
            row = (memory.starts[lane] + memory.clock[STEP]) % length & 255 if length else 0
            row = row * 8 + bit
        elif kind == 8:
            row = (
                (bit << 8)
                | ((memory.lane[lane, RECENT] >> 5) & 7) << 5
                | ((memory.lane[lane, RECENT] >> 13) & 7) << 2
                | ((memory.lane[lane, RECENT] >> 22) & 3)
            )
        elif kind == 9:
            row = memory.match[lane, 0, EXPECTED]
        elif kind == 10:
            row = (memory.lane[lane, RECENT] >> 16) & 255
        memory.chosen[lane, s] = memory.bases[s] + row
    memory.chosen[lane, last] = partial
    spmd.team_barrier()


@inlined
def blend(memory, lane):  # type: ignore[no-untyped-def]
    """The mixers: first-layer logits, then the final mixer's logit and probability."""
    total = np.int64(0)
    row = uint64(memory.chosen[lane, memory.selectors.size])
    for s in range(memory.selectors.size):
        logit = mixer.clip(mixer.dot(memory.weights, memory.chosen[lane, s], memory.inputs, lane), OUTPUT_LIMIT)
        memory.mixed[lane, s] = logit
        total += memory.final_weights[row, s] * logit
    logit = mixer.clip((total + (1 << 19)) >> 20, OUTPUT_LIMIT)
    memory.output[lane, 0] = logit
    memory.output[lane, 1] = np.int64(memory.squash[uint64(logit + OUTPUT_LIMIT)])
