"""Inner loops of the mixer: dot product, training and clamping of a weight row, in fixed point.

Inputs are logits in Q8 (int32, |x| <= 2047), weights int32 in Q20; a product is rounded down to Q14 before it is added.
Gradients of the lanes are summed, divided by the square root of their number.

Rows are processed in vectors of INPUT_ALIGN, written as LLVM IR: with so few elements LLVM's own vectoriser spends
most of the time on loop overhead.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

from arzip.context_mixing.logistic import LOGIT_LIMIT, OUTPUT_LIMIT
from arzip.context_mixing.state import INPUT_ALIGN, WEIGHT_LIMIT
from arzip.jit import spmd
from arzip.jit.compile import inline_njit

GRADIENT_BITS = 18  # rates are in 1 / 16

_I32, _I64 = ir.IntType(32), ir.IntType(64)
_VECTOR = ir.VectorType(_I32, INPUT_ALIGN)


def _all(value: int) -> Any:
    return ir.Constant(_VECTOR, [value] * INPUT_ALIGN)


def _row(context: Any, builder: Any, kind: Any, array: Any, row: Any) -> tuple[Any, Any]:
    """Address of a row of a 2-D array, and the number of vectors in it."""
    view = make_array(kind)(context, builder, array)
    width = cgutils.unpack_tuple(builder, view.shape)[1]
    start = builder.gep(view.data, [builder.mul(row, width)])
    return start, builder.udiv(width, ir.Constant(_I64, INPUT_ALIGN))


def _line(builder: Any, start: Any, k: Any) -> Any:
    """Address of vector k of a row."""
    at = builder.gep(start, [builder.mul(k, ir.Constant(_I64, INPUT_ALIGN))])
    return builder.bitcast(at, _VECTOR.as_pointer())


def _clamped(builder: Any, value: Any) -> Any:
    limit = _all(WEIGHT_LIMIT)
    value = builder.select(builder.icmp_signed("<", value, limit), value, limit)
    limit = _all(-WEIGHT_LIMIT)
    return builder.select(builder.icmp_signed(">", value, limit), value, limit)


def _dot_rows(typingctx, weights, row, inputs, lane):
    """Sum (int32) of ((weights[row] >> 4) * inputs[lane]) >> 10."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        w_row, lines = _row(context, builder, signature.args[0], args[0], args[1])
        x_row, _ = _row(context, builder, signature.args[2], args[2], args[3])
        total = cgutils.alloca_once_value(builder, _all(0))
        with cgutils.for_range(builder, lines) as loop:
            w = builder.ashr(builder.load(_line(builder, w_row, loop.index), align=4), _all(4))
            x = builder.load(_line(builder, x_row, loop.index), align=4)
            builder.store(builder.add(builder.load(total), builder.ashr(builder.mul(w, x), _all(10))), total)
        sums, size = builder.load(total), INPUT_ALIGN
        while size > 1:
            size //= 2
            low, high = (ir.Constant(ir.VectorType(_I32, size), [at + i for i in range(size)]) for at in (0, size))
            undefined = ir.Constant(sums.type, ir.Undefined)
            sums = builder.add(
                builder.shuffle_vector(sums, undefined, low), builder.shuffle_vector(sums, undefined, high)
            )
        return builder.extract_element(sums, ir.Constant(_I32, 0))

    return types.int32(weights, types.int64, inputs, types.int64), codegen


def _train_rows(typingctx, weights, row, inputs, lane, error, last):
    """weights[row] += (inputs[lane] * error + 2**11) >> 12; clamped if `last`."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        w_row, lines = _row(context, builder, signature.args[0], args[0], args[1])
        x_row, _ = _row(context, builder, signature.args[2], args[2], args[3])
        undefined = ir.Constant(_VECTOR, ir.Undefined)
        error = builder.insert_element(undefined, args[4], ir.Constant(_I32, 0))
        error = builder.shuffle_vector(error, undefined, _all(0))
        with cgutils.for_range(builder, lines) as loop:
            at = _line(builder, w_row, loop.index)
            x = builder.load(_line(builder, x_row, loop.index), align=4)
            change = builder.ashr(builder.add(builder.mul(x, error), _all(1 << 11)), _all(12))
            w = builder.add(builder.load(at, align=4), change)
            builder.store(builder.select(args[5], _clamped(builder, w), w), at, align=4)
        return context.get_dummy_value()

    return types.void(weights, types.int64, inputs, types.int64, types.int32, types.boolean), codegen


def _clamp_rows(typingctx, weights, row):
    """Clamp weights[row] to +-WEIGHT_LIMIT."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        w_row, lines = _row(context, builder, signature.args[0], args[0], args[1])
        with cgutils.for_range(builder, lines) as loop:
            at = _line(builder, w_row, loop.index)
            builder.store(_clamped(builder, builder.load(at, align=4)), at, align=4)
        return context.get_dummy_value()

    return types.void(weights, types.int64), codegen


_dot: Any = intrinsic(_dot_rows)
_train: Any = intrinsic(_train_rows)
_clamp: Any = intrinsic(_clamp_rows)


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
