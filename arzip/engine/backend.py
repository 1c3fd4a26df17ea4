"""What runs the steps of a block on some device, and the callbacks that follow the work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from arzip.coding.lane_state import Block
from arzip.context_mixing.state import Memory
from arzip.engine.plan import Plan

Tick = Callable[[int], None]
Cost = Callable[[NDArray[np.float64]], None]
Run = Callable[[Block, int, int], int]


class Backend(Protocol):
    """Something that can run the steps of a block on its device."""

    def start(self, plan: Plan, memory: Memory) -> Run:
        """What runs the steps of one block."""

    def threads_for(self, plan: Plan, decoding: bool) -> int:
        """How many threads that keeps busy."""
