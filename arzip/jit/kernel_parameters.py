"""Arguments of a kernel as its entry point takes them: the counterpart of `nvptx` and `aot`, without numba.

Each parameter has 8 bytes. An integer is one; None is nothing; a tuple is its fields; an array is the address of its
first element and its extents, and its strides in bytes unless it is C-contiguous. Of an array for CUDA of which each
block has a part, the distance in elements from one block's part to the next one's follows the address, and the extents
are those of one part.
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
    """The parameters of an argument: None, an int, an array, a `PerBlock`, an `OnDevice`, or a tuple of such."""
    if isinstance(value, np.ndarray):
        address = value.__array_interface__["data"][0]
        return [address, *value.shape, *(() if value.flags.c_contiguous else value.strides)]
    if value is None:
        return []
    if isinstance(value, OnDevice):
        return [value.address, *([] if value.is_shared else [int(np.prod(value.shape))]), *value.shape]
    if isinstance(value, PerBlock):
        assert value.array.flags.c_contiguous
        address, _, *shape = flatten(value.array)
        return [address, int(np.prod(shape)), *shape]
    if isinstance(value, tuple):
        return [parameter for field in value for parameter in flatten(field)]
    return [int(value)]
