"""Arguments of a kernel for CUDA as its entry point takes them: the counterpart of `nvptx`, without numba.

Each parameter has 8 bytes. An integer is one; a tuple is its fields; an array is the address of its first element, the
distance in elements from one block's part to the next one's unless all share it, and the extents of one part.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class PerBlock(NamedTuple):
    """Arrays (blocks, ...) of which each block of a launch has its own part; others are shared by all."""

    array: NDArray[Any]


class OnDevice(NamedTuple):
    """An array of a device: its address, the shape of one block's part, whether all blocks share it."""

    address: int
    shape: tuple[int, ...]
    is_shared: bool


def flatten(value: Any) -> list[int]:
    """The parameters of an argument: an int, a C-contiguous array, a `PerBlock`, an `OnDevice`, or a tuple of such."""
    if isinstance(value, OnDevice):
        return [value.address, *([] if value.is_shared else [int(np.prod(value.shape))]), *value.shape]
    if isinstance(value, PerBlock):
        address, _, *shape = flatten(value.array)
        return [address, int(np.prod(shape)), *shape]
    if isinstance(value, np.ndarray):
        assert value.flags.c_contiguous
        return [value.ctypes.data, *value.shape]
    if isinstance(value, tuple):
        return [parameter for field in value for parameter in flatten(field)]
    return [int(value)]
