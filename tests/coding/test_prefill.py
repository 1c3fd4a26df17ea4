"""Two threads that share a chunk of steps: when one fails, the other doesn't wait for it for ever."""

from __future__ import annotations

import time

import numpy as np
import pytest

from arzip.coding import prefill
from arzip.coding.prefill import Chunk, run_chunk


def waits(chunk: Chunk) -> int:
    """As a kernel does: until a counter has moved on; it counts itself, too."""
    for step in range(3):
        limit = time.monotonic() + 20
        while chunk.end and chunk.counters[0] <= step:
            assert time.monotonic() < limit, "waits for ever"
            time.sleep(0.001)
        chunk.counters[0] = step
    return 24


def fails(chunk: Chunk) -> int:
    if chunk.end:
        raise MemoryError
    return 0


@pytest.mark.parametrize(("helper", "coder"), [(fails, waits), (waits, fails), (fails, fails)])
def test_a_thread_that_fails_ends_both(helper: object, coder: object) -> None:
    chunk = Chunk(0, 3, prefill.NO_PREFILL, np.zeros(6, np.int64), 1, True)
    with pytest.raises(MemoryError):
        run_chunk(chunk, helper, coder)  # type: ignore[arg-type]
