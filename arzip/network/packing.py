"""Memory layout of matrices for the products: int8 weights in lines of 64, everything aligned to cache lines.

Activations are stored with an offset, as uint8 = int8 + 128; `start_values` subtracts the offset's part of each sum.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

OFFSET = 128
WITH_OFFSET, SIGNED = 0, 1  # rows of start values: for products of activations as stored, and without offset
LANES = 16  # outputs that a packed line holds
GROUP = 4  # inputs that a packed line holds
LINE = LANES * GROUP
LINES = 4  # lines in a tile: the number of outputs is a multiple of LINES * LANES
CACHE_LINE = 64


def aligned(shape: tuple[int, ...], dtype: DTypeLike, fill: int = 0) -> NDArray[Any]:
    """An array aligned to a cache line; a vector that crosses two lines takes twice the time."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    buffer = np.empty(size + CACHE_LINE, np.uint8)
    first = -buffer.ctypes.data % CACHE_LINE
    array: NDArray[Any] = buffer[first : first + size].view(dtype).reshape(shape)
    array.fill(fill)
    return array


def stack(arrays: list[NDArray[Any]]) -> NDArray[Any]:
    """np.stack, aligned."""
    whole = aligned((len(arrays), *arrays[0].shape), arrays[0].dtype)
    return np.stack(arrays, out=whole)


def pack_weights(weight: NDArray[np.int8]) -> NDArray[np.int8]:
    """Weights (N, K) int8 -> (N / 16, K / 4, 64): a line holds four inputs of sixteen outputs.

    N must be a multiple of 64 and K of 4.
    """
    n, k = weight.shape
    assert n % (LANES * LINES) == 0 and k % GROUP == 0, "shape the network so that tiles are full"
    packed = aligned((n // LANES, k // GROUP, LINE), np.int8)
    packed.reshape(n // LANES, k // GROUP, LANES, GROUP)[...] = weight.reshape(
        n // LANES, LANES, k // GROUP, GROUP
    ).transpose(0, 2, 1, 3)
    return packed


def start_values(weight: NDArray[np.int8], bias: NDArray[np.int32] | None = None) -> NDArray[np.int32]:
    """Initial values of the sums (2, N) int32: SIGNED, the biases; WITH_OFFSET, less the offset times the row sums."""
    start = aligned((2, len(weight)), np.int32)
    if bias is not None:
        start[...] = bias
    start[WITH_OFFSET] -= np.int32(OFFSET) * weight.sum(axis=1, dtype=np.int32)
    return start
