"""The products of `gemm` on Intel's tile registers (AMX): a pass over the weights serves up to sixteen rows.

A packed line holds four inputs of sixteen outputs, so sixteen lines are a tile of weights as they stand. Tiles are a
thread's own and are released after each product. cpu_features.HAS_AMX: whether this CPU has them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from arzip.jit.compile import Intrinsic, njit
from arzip.network.packing import LANES, LINE, LINES, WITH_OFFSET

IR = "arzip.network.gemm_amx_ir"
ROWS = 16  # of a tile, at most: lanes of activations, lines of weights

configure: Any = Intrinsic(IR, "configure")
release: Any = Intrinsic(IR, "release")
tile: Any = Intrinsic(IR, "tile")


@njit(cache=False)
def gemm_amx(a, packed, start, c):
    """As `gemm.gemm_plain`; K must be a multiple of 64."""
    s_base, w_step = np.int64(start[WITH_OFFSET].ctypes.data), np.int64(packed.shape[1]) * LINE
    a_step, c_step = np.int64(a.strides[0]), np.int64(c.strides[0])
    for first in range(0, a.shape[0], ROWS):
        a_at, c_at = np.int64(a.ctypes.data) + first * a_step, np.int64(c.ctypes.data) + first * c_step
        configure(min(ROWS, a.shape[0] - first))
        for n in range(0, packed.shape[0], LINES):
            w_at, s_at = np.int64(packed.ctypes.data) + n * w_step, s_base + n * LINE
            tile(a_at, a_step, w_at, w_step, s_at, c_at + n * LINE, c_step, np.int64(packed.shape[1]) // LANES)
    release()
