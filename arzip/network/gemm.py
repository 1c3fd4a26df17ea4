"""Products of int8 activations with int8 weights, exact in int32: the only code that knows the processor.

Activations are stored with an offset, as uint8 = int8 + 128, and the offset's share of each sum is taken
out beforehand (`start`). Where the processor has AVX-512 VNNI one instruction multiplies and adds 64
pairs; elsewhere plain loops give the same integers. Any order of these additions gives the same sum,
since |sum| < 2**31.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import binding, ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

OFFSET = 128
LANES = 16  # outputs in one vector
GROUP = 4  # inputs that one 32-bit lane takes at once
TILE_ROWS, TILE_VECTORS = 6, 4  # 24 accumulators of 32 vector registers
TILE_COLUMNS = LANES * TILE_VECTORS
STORE, ADD, ADD_TWICE = 0, 1, 2  # what becomes of a sum: c = s, c += s, c += 2 s

binding.initialize_native_asmparser()  # the fast tile is one line of assembly
HAS_VNNI = bool(binding.get_host_cpu_features().get("avx512vnni"))


def pack_weights(weight: NDArray[np.int8]) -> NDArray[np.int8]:
    """Weights (N, K) int8 -> (N / 16, K / 4, 64): one vector holds four inputs of sixteen outputs.

    N must be a multiple of 64 and K of 4.
    """
    n, k = weight.shape
    assert n % TILE_COLUMNS == 0 and k % GROUP == 0, "shape the network so that vectors are full"
    tiles = weight.reshape(n // LANES, LANES, k // GROUP, GROUP).transpose(0, 2, 1, 3)
    return np.ascontiguousarray(tiles).reshape(n // LANES, k // GROUP, LANES * GROUP)


def start_values(weight: NDArray[np.int8], bias: NDArray[np.int32] | None = None) -> NDArray[np.int32]:
    """What each sum (N,) starts from: the bias less the share of the activations' offset."""
    start: NDArray[np.int32] = np.zeros(len(weight), np.int32) if bias is None else bias.astype(np.int32)
    start -= np.int32(OFFSET) * weight.sum(axis=1, dtype=np.int32)
    return start


def _tile_intrinsic(rows: int) -> Any:
    """An intrinsic that computes `rows` x 64 sums: accumulators in registers, one pass over K.

    Its arguments are int64: addresses of a (rows, 4 k) uint8, w, the start values and c, each but the
    start values with its stride in bytes; k; the mode.
    """

    def tile(typingctx, a, a_step, w, w_step, s, c, c_step, k, mode):  # type: ignore[no-untyped-def]
        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            a, a_step, w, w_step, s, c, c_step, k, mode = args
            i32, i64 = ir.IntType(32), ir.IntType(64)
            vector = ir.VectorType(i32, LANES)
            undefined = ir.Constant(vector, ir.Undefined)
            first = ir.Constant(vector, [0] * LANES)
            signature_ = ir.FunctionType(vector, [vector] * 3)
            dot = ir.InlineAsm(signature_, "vpdpbusd $3, $2, $0", "=v,0,v,v", side_effect=False)
            tiles = [(r, v) for r in range(rows) for v in range(TILE_VECTORS)]

            def at(base, step, times):  # type: ignore[no-untyped-def]
                return builder.add(base, builder.mul(step, ir.Constant(i64, times)))

            def pointer(address, kind):  # type: ignore[no-untyped-def]
                return builder.inttoptr(address, kind.as_pointer())

            def load(address, kind):  # type: ignore[no-untyped-def]
                return builder.load(pointer(address, kind), align=1)

            line = ir.Constant(i64, LANES * GROUP)
            sums = {tile: cgutils.alloca_once(builder, vector) for tile in tiles}
            for r, v in tiles:
                builder.store(load(at(s, line, v), vector), sums[r, v])
            with cgutils.for_range(builder, k) as loop:
                here = builder.mul(loop.index, line)
                weights = [load(builder.add(at(w, w_step, v), here), vector) for v in range(TILE_VECTORS)]
                here = builder.mul(loop.index, ir.Constant(i64, GROUP))
                for r in range(rows):
                    four = load(builder.add(at(a, a_step, r), here), i32)
                    four = builder.insert_element(undefined, four, ir.Constant(i32, 0))
                    four = builder.shuffle_vector(four, undefined, first)
                    for v in range(TILE_VECTORS):
                        builder.store(builder.call(dot, [builder.load(sums[r, v]), four, weights[v]]), sums[r, v])
            is_store = builder.icmp_signed("==", mode, ir.Constant(i64, STORE))
            is_twice = builder.icmp_signed("==", mode, ir.Constant(i64, ADD_TWICE))
            with builder.if_else(is_store) as (store, add):
                with store:
                    for r, v in tiles:
                        out = pointer(builder.add(at(c, c_step, r), at(ir.Constant(i64, 0), line, v)), vector)
                        builder.store(builder.load(sums[r, v]), out, align=4)
                with add:
                    for r, v in tiles:
                        out = pointer(builder.add(at(c, c_step, r), at(ir.Constant(i64, 0), line, v)), vector)
                        value = builder.load(sums[r, v])
                        value = builder.select(is_twice, builder.add(value, value), value)
                        builder.store(builder.add(value, builder.load(out, align=4)), out, align=4)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 9), codegen

    return intrinsic(tile)


_six_rows, _one_row = _tile_intrinsic(TILE_ROWS), _tile_intrinsic(1)


@njit(cache=True)
def gemm_vnni(a, packed, start, c, mode):  # type: ignore[no-untyped-def]
    """a (L, K) uint8, packed (N / 16, K / 4, 64) int8, start (N,) int32 -> c (L, N) int32 by `mode`."""
    groups = np.int64(packed.shape[1])
    w_step = groups * LANES * GROUP
    a_step, c_step = np.int64(a.strides[0]), np.int64(c.strides[0])
    for n in range(0, packed.shape[0], TILE_VECTORS):
        a_at, c_at = np.int64(a.ctypes.data), np.int64(c.ctypes.data) + n * LANES * 4
        w_at, s_at = np.int64(packed.ctypes.data) + n * w_step, np.int64(start.ctypes.data) + n * LANES * 4
        for _ in range(a.shape[0] // TILE_ROWS):
            _six_rows(a_at, a_step, w_at, w_step, s_at, c_at, c_step, groups, np.int64(mode))
            a_at += TILE_ROWS * a_step
            c_at += TILE_ROWS * c_step
        for _ in range(a.shape[0] % TILE_ROWS):
            _one_row(a_at, a_step, w_at, w_step, s_at, c_at, c_step, groups, np.int64(mode))
            a_at += a_step
            c_at += c_step


@njit(cache=True)
def gemm_plain(a, packed, start, c, mode):  # type: ignore[no-untyped-def]
    """The same product in plain loops: what any processor can do, and what the fast one must equal."""
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


gemm = gemm_vnni if HAS_VNNI else gemm_plain
