"""The products of `gemm` on vector registers: AVX-512 VNNI and AVX2, in tiles that keep the registers full."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from arzip.jit.compile import njit
from arzip.network.packing import LANES, LINE, LINES

# Tiles of rows x lines: sums in 24 of 32 vector registers, and in 8 of 16 (with 12, the compiler spills some of them).
VNNI_TILES = ((6, LINES), (3, LINES), (1, LINES))  # the smaller tiles are for the remaining lanes
AVX2_TILES = ((2, 1), (1, 2))

I16, I32, I64 = ir.IntType(16), ir.IntType(32), ir.IntType(64)
SUMS = ir.VectorType(I32, LANES)


def _load(builder: Any, address: Any, kind: Any) -> Any:
    """The value of this type at an address (int64), aligned or not."""
    return builder.load(builder.inttoptr(address, kind.as_pointer()), align=1)


class _Vnni:
    """Sixteen sums in one register; one instruction adds 64 products (unsigned by signed) to them."""

    sums = (SUMS,)
    quartet = I32  # the four activations of a group

    @staticmethod
    def activations(builder: Any, four: Any) -> Any:
        undefined = ir.Constant(SUMS, ir.Undefined)
        first = builder.insert_element(undefined, four, ir.Constant(I32, 0))
        return builder.shuffle_vector(first, undefined, ir.Constant(SUMS, [0] * LANES))

    @staticmethod
    def weights(builder: Any, address: Any) -> list[Any]:
        return [_load(builder, address, SUMS)]

    @staticmethod
    def dot(builder: Any, total: Any, activations: Any, weights: Any) -> Any:
        kind = ir.FunctionType(SUMS, [SUMS] * 3)
        code = ir.InlineAsm(kind, "vpdpbusd $3, $2, $0", "=v,0,v,v", side_effect=False)
        return builder.call(code, [total, activations, weights])

    @staticmethod
    def finish(builder: Any, totals: list[Any]) -> Any:
        return totals[0]


class _Avx2:
    """Sixteen sums in four registers, each four outputs' sums of even and of odd input pairs, by int16 products.

    Activations come as int16 (see `_widen`): converted once a product, not once a line.
    """

    WIDE = ir.VectorType(I16, 16)
    HALF = ir.VectorType(I32, 8)
    sums = (HALF,) * 4
    quartet = I64  # the four activations of a group

    @staticmethod
    def activations(builder: Any, four: Any) -> Any:
        quads = ir.VectorType(I64, 4)
        undefined = ir.Constant(quads, ir.Undefined)
        first = builder.insert_element(undefined, four, ir.Constant(I32, 0))
        spread = builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(I32, 4), [0] * 4))
        return builder.bitcast(spread, _Avx2.WIDE)

    @staticmethod
    def weights(builder: Any, address: Any) -> list[Any]:
        narrow = ir.VectorType(ir.IntType(8), 16)
        parts = [_load(builder, builder.add(address, ir.Constant(I64, 16 * quarter)), narrow) for quarter in range(4)]
        return [builder.sext(part, _Avx2.WIDE) for part in parts]

    @staticmethod
    def dot(builder: Any, total: Any, activations: Any, weights: Any) -> Any:
        kind = ir.FunctionType(_Avx2.HALF, [_Avx2.WIDE] * 2)
        multiply = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.avx2.pmadd.wd")
        return builder.add(total, builder.call(multiply, [activations, weights]))

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

    Its arguments are int64: addresses of the activations (rows, 4 k) as the unit takes them, the packed lines, the
    start values and c, each but the start values with its stride in bytes; k.
    """

    def tile(typingctx, a, a_step, w, w_step, s, c, c_step, k):
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            a, a_step, w, w_step, s, c, c_step, k = args
            zero, line = ir.Constant(I64, 0), ir.Constant(I64, LINE)
            cells = [(r, v) for r in range(rows) for v in range(lines)]

            def at(base: Any, step: Any, times: int) -> Any:
                return builder.add(base, builder.mul(step, ir.Constant(I64, times)))

            sums = {cell: [cgutils.alloca_once(builder, kind) for kind in unit.sums] for cell in cells}
            for cell in cells:
                for slot in sums[cell]:
                    builder.store(ir.Constant(slot.type.pointee, None), slot)
            with cgutils.for_range(builder, k) as loop:
                here = builder.mul(loop.index, ir.Constant(I64, unit.quartet.width // 8))
                spread = [
                    unit.activations(builder, _load(builder, builder.add(at(a, a_step, r), here), unit.quartet))
                    for r in range(rows)
                ]
                here = builder.mul(loop.index, line)
                for v in range(lines):
                    for part, weights in enumerate(unit.weights(builder, builder.add(at(w, w_step, v), here))):
                        for r in range(rows):
                            slot = sums[r, v][part]
                            builder.store(unit.dot(builder, builder.load(slot), spread[r], weights), slot)
            for r, v in cells:
                value = unit.finish(builder, [builder.load(slot) for slot in sums[r, v]])
                value = builder.add(value, _load(builder, at(s, line, v), SUMS))
                out = builder.inttoptr(builder.add(at(c, c_step, r), at(zero, line, v)), SUMS.as_pointer())
                builder.store(value, out, align=4)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 8), codegen

    return intrinsic(tile)


@njit()
def _widen(a):
    """Activations (L, K) uint8 -> int16."""
    wide = np.empty(a.shape, np.int16)
    for m in range(a.shape[0]):
        for i in range(a.shape[1]):
            wide[m, i] = a[m, i]
    return wide


@njit()
def _unchanged(a):
    """Activations (L, K) uint8."""
    return a


def _tiled(unit: Any, ready: Any, tiles: tuple[tuple[int, int], ...]) -> Any:
    """The product over whole matrices: as many of the largest tiles as fit, then of the smaller ones.

    ready: converts activations (L, K) uint8 to the unit's type. tiles: (rows, lines), the last with one row.
    """
    (large, _), (middle, _), (single, _) = tiles[0], tiles[1], tiles[-1]
    large_lines, middle_lines, single_lines = (_lines_of(unit, tile) for tile in (tiles[0], tiles[1], tiles[-1]))
    assert single == 1

    def gemm(a, packed, start, c):
        groups = np.int64(packed.shape[1])
        w_step = groups * LINE
        wide = ready(a)
        a_step, c_step = np.int64(wide.strides[0]), np.int64(c.strides[0])
        rest = a.shape[0] % large
        for n in range(0, packed.shape[0], LINES):
            a_at, c_at = np.int64(wide.ctypes.data), np.int64(c.ctypes.data) + n * LINE
            w_at, s_at = np.int64(packed.ctypes.data) + n * w_step, np.int64(start.ctypes.data) + n * LINE
            for _ in range(a.shape[0] // large):
                large_lines(a_at, a_step, w_at, w_step, s_at, c_at, c_step, groups)
                a_at += large * a_step
                c_at += large * c_step
            for _ in range(rest // middle):
                middle_lines(a_at, a_step, w_at, w_step, s_at, c_at, c_step, groups)
                a_at += middle * a_step
                c_at += middle * c_step
            for _ in range(rest % middle):
                single_lines(a_at, a_step, w_at, w_step, s_at, c_at, c_step, groups)
                a_at += a_step
                c_at += c_step

    return gemm


def _lines_of(unit: Any, tile: tuple[int, int]) -> Any:
    """A function that computes so many rows of LINES lines, by tiles of rows x lines."""
    rows, lines = tile
    part = _tile(unit, rows, lines)
    assert LINES % lines == 0

    @njit(cache=False, forceinline=True)
    def compute(a, a_step, w, w_step, s, c, c_step, k):
        for v in range(0, LINES, lines):
            part(a, a_step, w + v * w_step, w_step, s + v * LINE, c + v * LINE, c_step, k)

    return compute


gemm_vnni = njit(cache=False)(_tiled(_Vnni, _unchanged, VNNI_TILES))
gemm_avx2 = njit(cache=False)(_tiled(_Avx2, _widen, AVX2_TILES))
