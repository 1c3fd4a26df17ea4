"""LLVM IR of the mixer's inner loops (`mixer_simd`)."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

from arzip.context_mixing.state import INPUT_ALIGN, WEIGHT_LIMIT

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


dot: Any = intrinsic(_dot_rows)
train: Any = intrinsic(_train_rows)
clamp: Any = intrinsic(_clamp_rows)
