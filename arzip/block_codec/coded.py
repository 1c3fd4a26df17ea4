"""What a block becomes, the methods that its frame can name, and sums and progress over its parts."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from arzip.engine.backend import OnBytes
from arzip.format.opened_head import OpenedHead
from arzip.format.records import Method

# which method a frame names when (network, memory) take part
METHODS = {(True, False): Method.NETWORK, (False, True): Method.MEMORY, (True, True): Method.MIXED}
WITH_REPEATS = {(False, True): Method.MEMORY_REPEATS, (True, True): Method.REPEATS}
COMPONENTS = {method: components for methods in (METHODS, WITH_REPEATS) for components, method in methods.items()}


class Coded(NamedTuple):
    """A block and what it became; the fields are those of the frame. opened: how an opened one's payload begins.

    refused: how many of its streams were too long for the level.
    """

    raw: bytes
    payload: bytes
    method: Method
    lanes: int
    profile_byte: int
    opened: OpenedHead | None = None
    refused: int = 0


class Sum:
    """Adds costs up."""

    def __init__(self) -> None:
        self.total: NDArray[np.float64] = np.zeros(1)

    def __call__(self, costs: NDArray[np.float64]) -> None:
        self.total += costs.sum()


class Scaled:
    """Progress on the bytes of an opened block as progress on those of the block."""

    def __init__(self, on_bytes: OnBytes, raw_bytes: int, all_bytes: int) -> None:
        self._on_bytes, self._raw_bytes, self._all_bytes = on_bytes, raw_bytes, all_bytes
        self._done = self._told = 0

    def __call__(self, done: int) -> None:
        self._done += done
        now = self._raw_bytes * self._done // max(self._all_bytes, 1)
        self._on_bytes(now - self._told)
        self._told = now
