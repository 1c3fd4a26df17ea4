"""LLVM IR of the products on tile registers (`gemm_amx`)."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from arzip.network.gemm_amx import ROWS
from arzip.network.packing import LINE, LINES

SUMS, WEIGHTS, ACTIVATIONS = range(LINES), (LINES, LINES + 1), LINES + 2  # the tiles by number: 7 of 8
assert len(SUMS) == 4  # fewer would wait for the latency of each product

I8, I32, I64 = ir.IntType(8), ir.IntType(32), ir.IntType(64)


def _asm(builder: Any, text: str, *args: Any) -> None:
    """Lines of assembly that touch tiles and memory; $0, $1 .. are the args, int64 in registers."""
    kind = ir.FunctionType(ir.VoidType(), [I64] * len(args))
    constraints = ",".join([*["r"] * len(args), "~{memory}"])
    builder.call(ir.InlineAsm(kind, text, constraints, side_effect=True), args)


def _configure(typingctx, rows):
    """Set the shapes of the tiles: `rows` (1 to 16) of sums and activations, 16 of weights, 64 bytes each."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        used, kind = len(SUMS) + len(WEIGHTS) + 1, ir.VectorType(I8, 64)
        widths, heights = [LINE, 0] * used + [0, 0] * (16 - used), [0] * 16  # uint16 and uint8 for each of 16 tiles
        for number in WEIGHTS:
            heights[number] = ROWS
        value = ir.Constant(kind, [1] + [0] * 15 + widths + heights)  # palette 1, start row 0
        for number in (*SUMS, ACTIVATIONS):
            value = builder.insert_element(value, builder.trunc(args[0], I8), ir.Constant(I32, 48 + number))
        where = cgutils.alloca_once(builder, kind)
        builder.store(value, where)
        _asm(builder, "ldtilecfg ($0)", builder.ptrtoint(where, I64))
        return context.get_dummy_value()

    return types.void(types.int64), codegen


def _release(typingctx):
    """Release the tiles, so that the system need not save them at a context switch."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _asm(builder, "tilerelease")
        return context.get_dummy_value()

    return types.void(), codegen


def _tile(typingctx, a, a_step, w, w_step, s, c, c_step, k):
    """(rows, 64) sums to c. Arguments as of gemm_avx's tiles; k in tiles of weights."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        a, a_step, w, w_step, s, c, c_step, k = args

        def line(address: Any, times: int) -> Any:
            return builder.add(address, ir.Constant(I64, times * LINE))

        for number in SUMS:  # a stride of 0: every row starts from the same values
            _asm(builder, f"tileloadd ($0,$1), %tmm{number}", line(s, number), ir.Constant(I64, 0))
        with cgutils.for_range(builder, k) as loop:
            here = builder.mul(loop.index, ir.Constant(I64, LINE))
            _asm(builder, f"tileloadd ($0,$1), %tmm{ACTIVATIONS}", builder.add(a, here), a_step)
            here = builder.add(w, builder.mul(loop.index, ir.Constant(I64, ROWS * LINE)))
            for number in SUMS:
                held = WEIGHTS[number % len(WEIGHTS)]
                _asm(builder, f"tileloadd ($0,$1), %tmm{held}", here, ir.Constant(I64, LINE))
                _asm(builder, f"tdpbusd %tmm{held}, %tmm{ACTIVATIONS}, %tmm{number}")
                here = builder.add(here, w_step)
        for number in SUMS:
            _asm(builder, f"tilestored %tmm{number}, ($0,$1)", line(c, number), c_step)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 8), codegen


configure: Any = intrinsic(_configure)
release: Any = intrinsic(_release)
tile: Any = intrinsic(_tile)
