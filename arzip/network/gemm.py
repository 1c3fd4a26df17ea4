"""Products of int8 activations with int8 weights, exact in int32: selects the version for this CPU.

Four versions give the same integers, since no sum leaves int32 and integer sums don't depend on their order: AMX
(gemm_amx.py), AVX-512 VNNI and AVX2 (gemm_avx.py), and plain loops for other CPUs.
"""

from __future__ import annotations

import numpy as np

from arzip.jit import cpu_features
from arzip.jit.compile import njit
from arzip.network.gemm_amx import gemm_amx
from arzip.network.gemm_avx import gemm_avx2, gemm_vnni
from arzip.network.packing import GROUP, LANES, WITH_OFFSET

AMX_ROWS = 2  # a single one is faster in vectors


@njit()
def gemm_plain(a, packed, start, c):
    """a (L, K) uint8, packed (N / 16, K / 4, 64) int8, start (2, N) int32 -> c (L, N) int32."""
    sums = np.empty(LANES, np.int32)
    for m in range(a.shape[0]):
        for n in range(packed.shape[0]):
            for j in range(LANES):
                sums[j] = start[WITH_OFFSET, n * LANES + j]
            for g in range(packed.shape[1]):
                for j in range(LANES):
                    for i in range(GROUP):
                        sums[j] += np.int32(a[m, g * GROUP + i]) * np.int32(packed[n, g, j * GROUP + i])
            for j in range(LANES):
                c[m, n * LANES + j] = sums[j]


@njit()
def gemm_tiles(a, packed, start, c):
    """As `gemm_plain`, in AMX tiles for AMX_ROWS rows or more."""
    if a.shape[0] >= AMX_ROWS:
        gemm_amx(a, packed, start, c)
    else:
        gemm_vnni(a, packed, start, c)


if cpu_features.HAS_AMX:
    gemm = gemm_tiles
elif cpu_features.HAS_VNNI:
    gemm = gemm_vnni
else:
    gemm = gemm_avx2 if cpu_features.HAS_AVX2 else gemm_plain
