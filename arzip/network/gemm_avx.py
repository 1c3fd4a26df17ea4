"""The products of `gemm` on vector registers: AVX-512 VNNI and AVX2, in tiles that keep the registers full."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from arzip.jit.compile import njit
from arzip.network.packing import GROUP, LANES, LINE, LINES

# Tiles of rows x lines that keep the processor's vector registers full: 24 of 32, and 12 of 16.
VNNI_ROWS, VNNI_LINES = (6, 3, 1), LINES  # the smaller tiles are for the lanes that are left
AVX2_ROWS, AVX2_LINES = (3, 2, 1), 1

I16, I32, I64 = ir.IntType(16), ir.IntType(32), ir.IntType(64)
SUMS = ir.VectorType(I32, LANES)


class _Vnni:
    """Sixteen sums in one register; one instruction adds 64 products (unsigned by signed) to them."""

    sums = (SUMS,)

    @staticmethod
    def activations(builder: Any, four: Any) -> Any:
        undefined = ir.Constant(SUMS, ir.Undefined)
        first = builder.insert_element(undefined, four, ir.Constant(I32, 0))
        return builder.shuffle_vector(first, undefined, ir.Constant(SUMS, [0] * LANES))

    @staticmethod
    def weights(builder: Any, line: Any) -> list[Any]:
        return [line]

    @staticmethod
    def dot(builder: Any, total: Any, activations: Any, weights: Any) -> Any:
        kind = ir.FunctionType(SUMS, [SUMS] * 3)
        code = ir.InlineAsm(kind, "vpdpbusd $3, $2, $0", "=v,0,v,v", side_effect=False)
        return builder.call(code, [total, activations, weights])

    @staticmethod
    def finish(builder: Any, totals: list[Any]) -> Any:
        return totals[0]


class _Avx2:
    """Sixteen sums in four registers, each four outputs' sums of even and of odd input pairs, by int16 products."""

    WIDE = ir.VectorType(I16, 16)
    HALF = ir.VectorType(I32, 8)
    sums = (HALF,) * 4

    @staticmethod
    def activations(builder: Any, four: Any) -> Any:
        quads = ir.VectorType(I64, 4)
        wide = builder.zext(builder.bitcast(four, ir.VectorType(ir.IntType(8), 4)), ir.VectorType(I16, 4))
        undefined = ir.Constant(quads, ir.Undefined)
        first = builder.insert_element(undefined, builder.bitcast(wide, I64), ir.Constant(I32, 0))
        spread = builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(I32, 4), [0] * 4))
        return builder.bitcast(spread, _Avx2.WIDE)

    @staticmethod
    def weights(builder: Any, line: Any) -> list[Any]:
        line = builder.bitcast(line, ir.VectorType(ir.IntType(8), LINE))
        quarters = []
        for quarter in range(4):
            mask = ir.Constant(ir.VectorType(I32, 16), [16 * quarter + i for i in range(16)])
            part = builder.shuffle_vector(line, ir.Constant(line.type, ir.Undefined), mask)
            quarters.append(builder.sext(part, _Avx2.WIDE))
        return quarters

    @staticmethod
    def dot(builder: Any, total: Any, activations: Any, weights: Any) -> Any:
        kind = ir.FunctionType(_Avx2.HALF, [_Avx2.WIDE] * 2)
        code = ir.InlineAsm(kind, "vpmaddwd $2, $1, $0", "=x,x,x", side_effect=False)
        return builder.add(total, builder.call(code, [activations, weights]))

    @staticmethod
    def finish(builder: Any, totals: list[Any]) -> Any:
        def pick(a: Any, b: Any, order: list[int]) -> Any:
            return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(I32, len(order)), order))

        halves = []
        for k in (0, 2):
            even = pick(totals[k], totals[k + 1], [0, 2, 4, 6, 8, 10, 12, 14])
            odd = pick(totals[k], totals[k + 1], [1, 3, 5, 7, 9, 11, 13, 15])
            halves.append(builder.add(even, odd))
        return pick(halves[0], halves[1], list(range(LANES)))


def _tile(unit: Any, rows: int, lines: int) -> Any:
    """An intrinsic that computes rows x (16 lines) sums: accumulators in registers, one pass over K.

    Its arguments are int64: addresses of a (rows, 4 k) uint8, the packed lines, the start values and c,
    each but the start values with its stride in bytes; k.
    """

    def tile(typingctx, a, a_step, w, w_step, s, c, c_step, k):
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            a, a_step, w, w_step, s, c, c_step, k = args
            zero, line = ir.Constant(I64, 0), ir.Constant(I64, LINE)
            cells = [(r, v) for r in range(rows) for v in range(lines)]

            def at(base: Any, step: Any, times: int) -> Any:
                return builder.add(base, builder.mul(step, ir.Constant(I64, times)))

            def pointer(address: Any, kind: Any) -> Any:
                return builder.inttoptr(address, kind.as_pointer())

            def load(address: Any, kind: Any) -> Any:
                return builder.load(pointer(address, kind), align=1)

            sums = {cell: [cgutils.alloca_once(builder, kind) for kind in unit.sums] for cell in cells}
            for cell in cells:
                for slot in sums[cell]:
                    builder.store(ir.Constant(slot.type.pointee, None), slot)
            with cgutils.for_range(builder, k) as loop:
                here = builder.mul(loop.index, line)
                weights = [unit.weights(builder, load(builder.add(at(w, w_step, v), here), SUMS)) for v in range(lines)]
                here = builder.mul(loop.index, ir.Constant(I64, GROUP))
                for r in range(rows):
                    spread = unit.activations(builder, load(builder.add(at(a, a_step, r), here), I32))
                    for v in range(lines):
                        for slot, part in zip(sums[r, v], weights[v], strict=True):
                            builder.store(unit.dot(builder, builder.load(slot), spread, part), slot)
            for r, v in cells:
                out = pointer(builder.add(at(c, c_step, r), at(zero, line, v)), SUMS)
                value = unit.finish(builder, [builder.load(slot) for slot in sums[r, v]])
                value = builder.add(value, load(at(s, line, v), SUMS))
                builder.store(value, out, align=4)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 8), codegen

    return intrinsic(tile)


def _tiled(unit: Any, tile_rows: tuple[int, int, int], lines: int) -> Any:
    """The product over whole matrices: as many of the largest tiles as fit, then of the smaller ones."""
    large, middle, single = tile_rows
    large_tile, middle_tile, single_tile = (_tile(unit, rows, lines) for rows in tile_rows)
    assert single == 1

    def gemm(a, packed, start, c):
        groups = np.int64(packed.shape[1])
        w_step = groups * LINE
        a_step, c_step = np.int64(a.strides[0]), np.int64(c.strides[0])
        rest = a.shape[0] % large
        for n in range(0, packed.shape[0], lines):
            a_at, c_at = np.int64(a.ctypes.data), np.int64(c.ctypes.data) + n * LINE
            w_at, s_at = np.int64(packed.ctypes.data) + n * w_step, np.int64(start.ctypes.data) + n * LINE
            for _ in range(a.shape[0] // large):
                large_tile(a_at, a_step, w_at, w_step, s_at, c_at, c_step, groups)
                a_at += large * a_step
                c_at += large * c_step
            for _ in range(rest // middle):
                middle_tile(a_at, a_step, w_at, w_step, s_at, c_at, c_step, groups)
                a_at += middle * a_step
                c_at += middle * c_step
            for _ in range(rest % middle):
                single_tile(a_at, a_step, w_at, w_step, s_at, c_at, c_step, groups)
                a_at += a_step
                c_at += c_step

    return gemm


gemm_vnni = njit(cache=False)(_tiled(_Vnni, VNNI_ROWS, VNNI_LINES))
gemm_avx2 = njit(cache=False)(_tiled(_Avx2, AVX2_ROWS, AVX2_LINES))
