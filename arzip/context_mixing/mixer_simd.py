"""Inner loops of the mixer: dot product, training and clamping of a weight row, in fixed point.

Inputs are logits in Q8 (int32, |x| <= 2047), weights int32 in Q20; a product is rounded down to Q14 before it is added.
Gradients of the lanes are summed, divided by the square root of their number.

Rows are processed in vectors of INPUT_ALIGN, written as LLVM IR: with so few elements LLVM's own vectoriser spends
most of the time on loop overhead.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from arzip.context_mixing.logistic import LOGIT_LIMIT, OUTPUT_LIMIT
from arzip.context_mixing.state import WEIGHT_LIMIT
from arzip.jit import spmd
from arzip.jit.compile import Intrinsic, inline_njit

IR = "arzip.context_mixing.mixer_simd_ir"
GRADIENT_BITS = 18  # rates are in 1 / 16

_dot: Any = Intrinsic(IR, "dot")
_train: Any = Intrinsic(IR, "train")
_clamp: Any = Intrinsic(IR, "clamp")


@spmd.cuda_version(_dot)
def _dot_columns(weights, row, inputs, lane):
    """A member's part of `_dot`'s sum. The conversions tell LLVM that every product fits an int32."""
    total = np.int32(0)
    for k in range(spmd.member_index(), weights.shape[1], spmd.member_count()):
        total = np.int32(total + (np.int32((weights[row, k] >> 4) * inputs[lane, k]) >> 10))
    return total


@spmd.cuda_version(_train)
def _train_columns(weights, row, inputs, lane, error, last):
    """`_train` for a member's columns. Only the CPU has a version for one lane, so `last` is false here."""
    for k in range(spmd.member_index(), weights.shape[1], spmd.member_count()):
        spmd.atomic_add(weights, (row, k), np.int32(inputs[lane, k] * error + (1 << 11)) >> 12)


@spmd.cuda_version(_clamp)
def _clamp_columns(weights, row):
    """`_clamp` for a member's columns; stores only what was out of range."""
    for k in range(spmd.member_index(), weights.shape[1], spmd.member_count()):
        w = weights[row, k]
        if abs(w) > WEIGHT_LIMIT:
            weights[row, k] = WEIGHT_LIMIT if w > 0 else -WEIGHT_LIMIT


@inline_njit
def dot(weights, row, inputs, lane):
    """Sum of products of weights[row] and inputs[lane], a logit in Q8, the same for all members of a team."""
    return (np.int64(spmd.team_sum(_dot(weights, row, inputs, lane))) + 32) >> 6


@inline_njit
def train(weights, row, inputs, lane, error, last):
    """Add one lane's gradient to weights[row]: inputs[lane] x error, |error| < 2**19. last: clamp it."""
    _train(weights, row, inputs, lane, np.int32(error), last)


@inline_njit
def clamp(weights, row):
    """Clamp weights[row], after all lanes' gradients were added."""
    _clamp(weights, row)


@inline_njit
def clip(x, limit):
    """Clip x to [-limit, limit]."""
    return min(max(x, -limit), limit)


assert LOGIT_LIMIT * (WEIGHT_LIMIT >> 4) < 2**31 and OUTPUT_LIMIT < 2**12
