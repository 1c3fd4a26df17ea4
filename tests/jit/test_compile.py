"""Compiled kernels: what an older version left in the cache doesn't matter, and a thread that fails is heard of."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import tiny_network
from helpers import words

from arzip.coding import lockstep, prefill
from arzip.engine.cpu_backend import CpuBackend
from arzip.engine.engine import Engine
from arzip.engine.plan import Plan
from arzip.jit.atomics import CAN_YIELD
from arzip.jit.compile import njit


class Gone(NamedTuple):
    """A type that the next version no longer has."""

    value: int


@pytest.mark.parametrize(
    "left",
    [b"", b"no pickle", pickle.dumps(("stamp", {Gone: 1})).replace(b"Gone", b"Past")],
    ids=["cut", "no-pickle", "gone"],
)
def test_an_index_that_cannot_be_read_is_written_anew(
    left: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def double(x: int) -> int:
        return 2 * x

    kernel: Any = njit()(double)
    cache_file = kernel.dispatcher._cache._cache_file
    index = tmp_path / "index.nbi"
    monkeypatch.setattr(cache_file, "_cache_path", str(tmp_path))
    monkeypatch.setattr(cache_file, "_index_path", str(index))
    index.write_bytes(pickle.dumps(cache_file._version) + left)
    assert kernel(np.int64(4)) == 8
    assert cache_file._load_index()


@pytest.mark.skipif(not CAN_YIELD, reason="this system has no sched_yield: blocks are coded on one thread")
@pytest.mark.parametrize("module, name", [(prefill, "run_network"), (lockstep, "run_coder")])
def test_a_thread_that_fails_does_not_leave_the_other_waiting(
    module: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("not compiled")

    monkeypatch.setattr(module, name, fail)
    weights = tiny_network.weights(tiny_network.lively())
    with pytest.raises(RuntimeError, match="not compiled"):
        Engine(weights, CpuBackend(weights, two_threads=True)).encode(words(10), Plan(1, True, 0), lambda _: None)
