"""Gated logistic mixing in fixed point: one layer of weight sets chosen by small contexts, one mixer over them.

After Mahoney's PAQ mixers. Inputs are logits in Q8 (int32, |x| <= 2047), weights int32 in Q20; a
product is rounded to Q14 (floor) before it is added. Gradients of the lanes are added, over the square root of
their number.

Rows are worked on in vectors of INPUT_ALIGN, spelled out in LLVM's terms: what its own vectoriser makes of
so few numbers is mostly loop.
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
from arzip.jit.compile import inlined

GRADIENT_BITS = 18  # rates are in 1 / 16

_I32, _I64 = ir.IntType(32), ir.IntType(64)
_VECTOR = ir.VectorType(_I32, INPUT_ALIGN)


def _all(value: int) -> Any:
    return ir.Constant(_VECTOR, [value] * INPUT_ALIGN)


def _row(context: Any, builder: Any, kind: Any, array: Any, row: Any) -> tuple[Any, Any]:
    """The address of a row of a 2-D array, and how many vectors it holds."""
    view = make_array(kind)(context, builder, array)
    width = cgutils.unpack_tuple(builder, view.shape)[1]
    start = builder.gep(view.data, [builder.mul(row, width)])
    return start, builder.udiv(width, ir.Constant(_I64, INPUT_ALIGN))


def _line(builder: Any, start: Any, k: Any) -> Any:
    """The address of a row's vector k."""
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
    """weights[row] += (inputs[lane] * error + 2**11) >> 12; brought into range if `last`."""

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
    """weights[row] brought into range."""

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
    """A member's share of `_dot`'s sum. Every product fits an int32, which LLVM sees from the conversions."""
    total = np.int32(0)
    for k in range(spmd.member_index(), weights.shape[1], spmd.member_count()):
        total = np.int32(total + (np.int32((weights[row, k] >> 4) * inputs[lane, k]) >> 10))
    return total


@spmd.cuda_version(_train)
def _train_columns(weights, row, inputs, lane, error, last):
    """`_train` for a member's columns. A block of one lane has the CPU's way only, so `last` is false."""
    for k in range(spmd.member_index(), weights.shape[1], spmd.member_count()):
        spmd.atomic_add(weights, (row, k), np.int32(inputs[lane, k] * error + (1 << 11)) >> 12)


@spmd.cuda_version(_clamp)
def _clamp_columns(weights, row):
    """`_clamp` for a member's columns; most are in range, and need no store."""
    for k in range(spmd.member_index(), weights.shape[1], spmd.member_count()):
        w = weights[row, k]
        if abs(w) > WEIGHT_LIMIT:
            weights[row, k] = WEIGHT_LIMIT if w > 0 else -WEIGHT_LIMIT


@inlined
def dot(weights, row, inputs, lane):
    """Sum of products of weights[row] and inputs[lane], a logit in Q8, the same for all members of a team."""
    return (np.int64(spmd.team_sum(_dot(weights, row, inputs, lane))) + 32) >> 6


@inlined
def train(weights, row, inputs, lane, error, last):
    """Add one lane's gradient to weights[row]: inputs[lane] x error, |error| < 2**19. last: bring it into range."""
    _train(weights, row, inputs, lane, np.int32(error), last)


@inlined
def clamp(weights, row):
    """Bring weights[row] back into range, after all lanes' gradients."""
    _clamp(weights, row)


@inlined
def clip(x, limit):
    """x within +-limit."""
    return min(max(x, -limit), limit)


assert LOGIT_LIMIT * (WEIGHT_LIMIT >> 4) < 2**31 and OUTPUT_LIMIT < 2**12
