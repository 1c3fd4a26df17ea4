"""One stream, whatever computes it: one thread or two, compiled loops or torch, the CPU or a GPU."""

from __future__ import annotations

import numpy as np
import pytest
import tiny_network
from helpers import words

from arzip.engine.backend import Backend
from arzip.engine.cpu_backend import CpuBackend
from arzip.engine.engine import Engine
from arzip.engine.plan import Plan
from arzip.jit.atomics import CAN_YIELD
from arzip.network.config import Weights

torch = pytest.importorskip("torch")

from arzip.engine.torch_backend import TorchBackend  # noqa: E402
from arzip.network.forward_torch import float_matmul, int_matmul  # noqa: E402

PLANS = [Plan(1, True, 0), Plan(2, True, 2), Plan(7, True, 0), Plan(24, True, None), Plan(5, False, 1)]
cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device is at hand")


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


@pytest.mark.parametrize("plan", PLANS)
def test_torch_makes_the_stream_of_the_compiled_loops(weights: Weights, plan: Plan) -> None:
    same_both_ways(weights, TorchBackend(weights, "cpu"), plan, 400)


@pytest.mark.parametrize("alike", [0.5, 0.9, 0.0])
def test_torch_agrees_where_all_that_can_saturate_does(alike: float) -> None:
    extreme = tiny_network.weights(tiny_network.extreme(alike=alike))
    same_both_ways(extreme, TorchBackend(extreme, "cpu"), Plan(3, True, None), 120)


@cuda
@pytest.mark.parametrize("plan", PLANS)
def test_cuda_makes_the_stream_of_the_cpu(weights: Weights, plan: Plan) -> None:
    same_both_ways(weights, TorchBackend(weights, "cuda"), plan, 400)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=cuda)])
@pytest.mark.parametrize("rows", [1, 17, 64])
def test_torchs_int8_product_is_its_float_product(device: str, rows: int) -> None:
    source = np.random.default_rng(rows)
    for inputs in (64, 384, 1040):
        a = torch.from_numpy(source.choice([-127, 127, 3], (rows, inputs)).astype(np.int8)).to(device)
        w = torch.from_numpy(source.choice([-127, 127, -5], (64, inputs)).astype(np.int8)).to(device)
        exact = a.cpu().numpy().astype(np.int64) @ w.cpu().numpy().astype(np.int64).T
        assert np.array_equal(int_matmul(a, w).cpu().numpy(), exact)
        assert np.array_equal(float_matmul(a, w).cpu().numpy(), exact)
