"""Products of int8 activations with int8 weights, exact in int32: the only code that knows the processor.

Activations are stored with an offset, as uint8 = int8 + 128, and the offset's share of each sum is taken
out beforehand (`start_values`). Three versions of one product give the same integers, since no sum leaves
int32 and integer sums don't depend on their order: AVX-512 VNNI, AVX2, and plain loops for the rest.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import binding, ir
from numba import types
from numba.core import cgutils, config
from numba.extending import intrinsic
from numpy.typing import NDArray

from arzip.compiled import njit

OFFSET = 128
LANES = 16  # outputs that a packed line holds
GROUP = 4  # inputs that a packed line holds
LINE = LANES * GROUP
STORE, ADD, ADD_TWICE = 0, 1, 2  # what becomes of a sum: c = s, c += s, c += 2 s

# Tiles of rows x lines that keep the processor's vector registers full: 24 of 32, and 12 of 16.
VNNI_ROWS, VNNI_LINES = (6, 3, 1), 4  # the smaller tiles are for the lanes that are left
AVX2_ROWS, AVX2_LINES = (3, 2, 1), 1

_features = binding.get_host_cpu_features()
_native = not getattr(config, "CPU_NAME", None)  # numba was told to compile for another processor: plain loops
HAS_VNNI = _native and bool(_features.get("avx512vnni"))
HAS_AVX2 = _native and bool(_features.get("avx2"))
binding.initialize_native_asmparser()  # the tiles' multiplications are lines of assembly

I16, I32, I64 = ir.IntType(16), ir.IntType(32), ir.IntType(64)
SUMS = ir.VectorType(I32, LANES)


def pack_weights(weight: NDArray[np.int8]) -> NDArray[np.int8]:
    """Weights (N, K) int8 -> (N / 16, K / 4, 64): a line holds four inputs of sixteen outputs.

    N must be a multiple of 64 and K of 4.
    """
    n, k = weight.shape
    assert n % (LANES * VNNI_LINES) == 0 and k % GROUP == 0, "shape the network so that tiles are full"
    tiles = weight.reshape(n // LANES, LANES, k // GROUP, GROUP).transpose(0, 2, 1, 3)
    return np.ascontiguousarray(tiles).reshape(n // LANES, k // GROUP, LINE)


def start_values(weight: NDArray[np.int8], bias: NDArray[np.int32] | None = None) -> NDArray[np.int32]:
    """What each sum (N,) starts from: the bias less the share of the activations' offset."""
    start: NDArray[np.int32] = np.zeros(len(weight), np.int32) if bias is None else bias.astype(np.int32)
    start -= np.int32(OFFSET) * weight.sum(axis=1, dtype=np.int32)
    return start


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
    each but the start values with its stride in bytes; k; the mode.
    """

    def tile(typingctx, a, a_step, w, w_step, s, c, c_step, k, mode):  # type: ignore[no-untyped-def]
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            a, a_step, w, w_step, s, c, c_step, k, mode = args
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
            is_store = builder.icmp_signed("==", mode, ir.Constant(I64, STORE))
            is_twice = builder.icmp_signed("==", mode, ir.Constant(I64, ADD_TWICE))
            for r, v in cells:
                out = pointer(builder.add(at(c, c_step, r), at(zero, line, v)), SUMS)
                value = unit.finish(builder, [builder.load(slot) for slot in sums[r, v]])
                value = builder.add(value, load(at(s, line, v), SUMS))
                value = builder.select(is_twice, builder.add(value, value), value)
                before = builder.select(is_store, ir.Constant(SUMS, None), builder.load(out, align=4))
                builder.store(builder.add(value, before), out, align=4)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 9), codegen

    return intrinsic(tile)


def _tiled(unit: Any, tile_rows: tuple[int, int, int], lines: int) -> Any:
    """The product over whole matrices: as many of the largest tiles as fit, then of the smaller ones."""
    large, middle, single = tile_rows
    large_tile, middle_tile, single_tile = (_tile(unit, rows, lines) for rows in tile_rows)
    assert single == 1

    def gemm(a, packed, start, c, mode):  # type: ignore[no-untyped-def]
        groups = np.int64(packed.shape[1])
        w_step = groups * LINE
        a_step, c_step = np.int64(a.strides[0]), np.int64(c.strides[0])
        rest = a.shape[0] % large
        for n in range(0, packed.shape[0], lines):
            a_at, c_at = np.int64(a.ctypes.data), np.int64(c.ctypes.data) + n * LINE
            w_at, s_at = np.int64(packed.ctypes.data) + n * w_step, np.int64(start.ctypes.data) + n * LINE
            for _ in range(a.shape[0] // large):
                large_tile(a_at, a_step, w_at, w_step, s_at, c_at, c_step, groups, np.int64(mode))
                a_at += large * a_step
                c_at += large * c_step
            for _ in range(rest // middle):
                middle_tile(a_at, a_step, w_at, w_step, s_at, c_at, c_step, groups, np.int64(mode))
                a_at += middle * a_step
                c_at += middle * c_step
            for _ in range(rest % middle):
                single_tile(a_at, a_step, w_at, w_step, s_at, c_at, c_step, groups, np.int64(mode))
                a_at += a_step
                c_at += c_step

    return gemm


@njit()
def gemm_plain(a, packed, start, c, mode):  # type: ignore[no-untyped-def]
    """a (L, K) uint8, packed (N / 16, K / 4, 64) int8, start (N,) int32 -> c (L, N) int32 by `mode`."""
    sums = np.empty(LANES, np.int32)
    for m in range(a.shape[0]):
        for n in range(packed.shape[0]):
            for j in range(LANES):
                sums[j] = start[n * LANES + j]
            for g in range(packed.shape[1]):
                for j in range(LANES):
                    for i in range(GROUP):
                        sums[j] += np.int32(a[m, g * GROUP + i]) * np.int32(packed[n, g, j * GROUP + i])
            for j in range(LANES):
                if mode == STORE:
                    c[m, n * LANES + j] = sums[j]
                else:
                    c[m, n * LANES + j] += mode * sums[j]


gemm_vnni = njit(cache=False)(_tiled(_Vnni, VNNI_ROWS, VNNI_LINES))
gemm_avx2 = njit(cache=False)(_tiled(_Avx2, AVX2_ROWS, AVX2_LINES))
gemm = gemm_vnni if HAS_VNNI else gemm_avx2 if HAS_AVX2 else gemm_plain
