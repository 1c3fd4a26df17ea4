"""The interface of backends, which run the steps of a block on a device, and of callbacks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from arzip.coding.lane_state import LaneState
from arzip.context_mixing.state import CMState
from arzip.engine.plan import Plan

OnBytes = Callable[[int], None]  # gets the number of raw bytes that have been coded since the last call
OnCosts = Callable[[NDArray[np.float64]], None]  # gets the -log2 p of each bit (n,) since the last call
Run = Callable[[LaneState, int, int], int]  # codes steps [first, end) of a block, returns the number of coded bits


class Backend(Protocol):
    """Runs network, mixer and coder over the steps of a block, on its device."""

    def start(self, plan: Plan, cm: CMState, only_block: bool = True) -> Run:
        """The function that runs the steps of one block. only_block: no other is coded beside it."""

    def threads_for(self, plan: Plan, decoding: bool, only_block: bool = True) -> int:
        """Number of threads that coding by this plan keeps busy."""
