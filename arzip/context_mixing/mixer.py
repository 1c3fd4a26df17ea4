"""The mixer: two layers of gated logistic mixing (Mahoney's PAQ mixers), selection of weight sets and forward pass.

Reads shared state only; update.py trains the weights. mixer_simd.py has the inner loops.
"""

from __future__ import annotations

import numpy as np
from numpy import uint64

from arzip.context_mixing import match_model, mixer_simd
from arzip.context_mixing.logistic import OUTPUT_LIMIT
from arzip.context_mixing.state import (
    BIT,
    CLASSES,
    EXPECTED,
    LENGTH,
    ORDER,
    PARTIAL,
    RECENT,
    RECORD_LENGTH,
    STEP,
    USE_NETWORK,
)
from arzip.jit import spmd
from arzip.jit.compile import inline_njit


@inline_njit
def select_weight_sets(cm, lane, network_p):
    """Select one row of each weight set by its mixer context -> weight_rows[lane] (S + 1,)."""
    bit = cm.clock[BIT]
    partial = cm.lane[lane, PARTIAL]
    last = cm.mixer_contexts.size
    for s in range(spmd.member_index(), last, spmd.member_count()):
        kind = cm.mixer_contexts[s]
        row = 0
        if kind == 0:
            expected = cm.match[lane, 0, EXPECTED] + 255
            if expected >= 256 and expected >> (8 - bit) == partial:
                row = (
                    1
                    + min(match_model.length_bucket(cm.match[lane, 0, LENGTH]), 15) * 2
                    + ((expected >> (7 - bit)) & 1)
                )
            row = row * 8 + bit
        elif kind == 1:
            row = partial
        elif kind == 2:
            row = cm.lane[lane, RECENT] & 255
        elif kind == 3:
            row = (cm.lane[lane, RECENT] >> 8) & 255
        elif kind == 4:
            row = cm.lane[lane, ORDER] * 8 + bit
        elif kind == 5:
            row = cm.lane[lane, CLASSES] & 511
        elif kind == 6:
            row = (cm.stretch[uint64(network_p >> 10)] + 2048) >> 7 if cm.clock[USE_NETWORK] else 0
        elif kind == 7:
            length = cm.clock[RECORD_LENGTH]
            row = (cm.starts[lane] + cm.clock[STEP]) % length & 255 if length else 0
            row = row * 8 + bit
        elif kind == 8:
            row = (
                (bit << 8)
                | ((cm.lane[lane, RECENT] >> 5) & 7) << 5
                | ((cm.lane[lane, RECENT] >> 13) & 7) << 2
                | ((cm.lane[lane, RECENT] >> 22) & 3)
            )
        elif kind == 9:
            row = cm.match[lane, 0, EXPECTED]
        elif kind == 10:
            row = (cm.lane[lane, RECENT] >> 16) & 255
        cm.weight_rows[lane, s] = cm.bases[s] + row
    cm.weight_rows[lane, last] = partial
    spmd.team_barrier()


@inline_njit
def mix(cm, lane):
    """Compute layer 1's logits, and layer 2's logit and probability -> output[lane]."""
    total = np.int64(0)
    row = uint64(cm.weight_rows[lane, cm.mixer_contexts.size])
    for s in range(cm.mixer_contexts.size):
        logit = mixer_simd.clip(mixer_simd.dot(cm.weights, cm.weight_rows[lane, s], cm.inputs, lane), OUTPUT_LIMIT)
        cm.layer1_logits[lane, s] = logit
        total += cm.layer2_weights[row, s] * logit
    logit = mixer_simd.clip((total + (1 << 19)) >> 20, OUTPUT_LIMIT)
    cm.output[lane, 0] = logit
    cm.output[lane, 1] = np.int64(cm.squash[uint64(logit + OUTPUT_LIMIT)])
