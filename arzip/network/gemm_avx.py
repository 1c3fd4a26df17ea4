"""The products of `gemm` on vector registers: AVX-512 VNNI and AVX2, in tiles that keep the registers full."""

from __future__ import annotations

from typing import Any

import numpy as np

from arzip.jit.compile import Intrinsic, njit
from arzip.network.packing import LINE, LINES, SIGNED, WITH_OFFSET

IR = "arzip.network.gemm_avx_ir"
# Tiles of rows x lines: sums in 24 of 32 vector registers, and in 8 of 16.
VNNI_TILES = ((6, LINES), (3, LINES), (1, LINES))  # the smaller tiles are for the remaining lanes
AVX2_TILES = ((2, 2), (1, 4))

split_row: Any = Intrinsic(IR, "split_row")


@njit()
def _split_sign(a):
    """Activations (L, K) uint8 with offset -> (L, 2 K + 4) uint8.

    Of each lane: absolute values; masks, 255 where negative; the sum of the negative ones' absolute values, int32.
    """
    k = a.shape[1]
    split = np.empty((a.shape[0], 2 * k + 4), np.uint8)
    for m in range(a.shape[0]):
        split_row(np.int64(a[m].ctypes.data), np.int64(split[m].ctypes.data), k)
    return split


@njit()
def _unchanged(a):
    """Activations (L, K) uint8."""
    return a


def _tiled(unit: str, start_row: int, ready: Any, tiles: tuple[tuple[int, int], ...]) -> Any:
    """The product over whole matrices: as many of the largest tiles as fit, then of the smaller ones.

    unit: name of the instructions. start_row: of the start values, for activations as `ready` makes them of (L, K)
    uint8. tiles: (rows, lines), the last with one row.
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
            w_at, s_at = np.int64(packed.ctypes.data) + n * w_step, np.int64(start[start_row].ctypes.data) + n * LINE
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


def _lines_of(unit: str, tile: tuple[int, int]) -> Any:
    """A function that computes so many rows of LINES lines, by tiles of rows x lines."""
    rows, lines = tile
    part: Any = Intrinsic(IR, f"{unit}_{rows}x{lines}")
    assert LINES % lines == 0

    @njit(cache=False, forceinline=True)
    def compute(a, a_step, w, w_step, s, c, c_step, k):
        for v in range(0, LINES, lines):
            part(a, a_step, w + v * w_step, w_step, s + v * LINE, c + v * LINE, c_step, k)

    return compute


gemm_vnni = njit(cache=False)(_tiled("vnni", WITH_OFFSET, _unchanged, VNNI_TILES))
gemm_avx2 = njit(cache=False)(_tiled("avx2", SIGNED, _split_sign, AVX2_TILES))
