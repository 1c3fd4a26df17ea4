"""One stream, whatever computes it: one thread or two."""

from __future__ import annotations

import pytest
import tiny_network
from helpers import words

from arzip.engine.backend import Backend
from arzip.engine.cpu_backend import CpuBackend
from arzip.engine.engine import Engine
from arzip.engine.plan import Plan
from arzip.jit.atomics import CAN_YIELD
from arzip.network.config import Weights

PLANS = [Plan(1, True, 0), Plan(2, True, 2), Plan(7, True, 0), Plan(24, True, None), Plan(5, False, 1)]


@pytest.fixture(scope="module")
def weights() -> Weights:
    return tiny_network.weights(tiny_network.lively())


def same_both_ways(weights: Weights, backend: Backend, plan: Plan, size: int) -> None:
    """The backend's streams are those of the compiled loops on one thread, and each reads the other's."""
    plain, other, raw = Engine(weights, CpuBackend(weights, two_threads=False)), Engine(weights, backend), words(size)
    stream = plain.encode(raw, plan, lambda _: None)
    assert other.encode(raw, plan, lambda _: None) == stream
    assert other.decode(stream, size, plan, lambda _: None) == raw
    assert plain.decode(stream, size, plan, lambda _: None) == raw


@pytest.mark.skipif(not CAN_YIELD, reason="this system has no sched_yield: blocks are coded on one thread")
@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("size", [1, 31, 5000])
def test_two_threads_make_the_stream_of_one(weights: Weights, plan: Plan, size: int) -> None:
    backend = CpuBackend(weights, two_threads=True)
    both = plan.use_network and plan.cm_profile is not None
    assert backend.threads_for(plan, decoding=True) == (2 if both and plan.lanes > 1 else 1)
    assert backend.threads_for(plan, decoding=False) == (2 if both else 1)
    same_both_ways(weights, backend, Plan(min(plan.lanes, size), plan.use_network, plan.cm_profile), size)
