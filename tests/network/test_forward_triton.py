"""The network's kernel for GPUs: the compiled step's integers, under Triton's interpreter; what compilers make of it.

The interpreter must be chosen before triton is imported, so it runs in a process of its own.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tiny_network
from numpy.typing import NDArray

from arzip.engine import cuda_network
from arzip.engine.cuda_driver import DriverError
from arzip.network import forward_cpu
from arzip.network.config import NetworkConfig, Weights
from arzip.weights import registry
from arzip.weights.file import load_weights

HAS_TRITON = all(importlib.util.find_spec(name) for name in ("torch", "triton"))
needs_triton = pytest.mark.skipif(not HAS_TRITON, reason="triton is not installed (pip install triton)")
LETTERS = np.frombuffer(b"etaoin shrdlu THE \xc3\xa9,.\n0", np.uint8)


def letters(steps: int, lanes: int) -> Iterator[NDArray[np.uint8]]:
    """Bytes just seen (L,), zeros before the first step."""
    source = np.random.default_rng(lanes)
    yield np.zeros(lanes, np.uint8)
    for _ in range(steps - 1):
        yield source.choice(LETTERS, lanes)


def differences(weights: Weights, lanes: int, steps: int, tile: int) -> list[str]:
    """Of frequencies and states, from the compiled step's."""
    import torch

    from arzip.network.forward_triton import NetworkStep, NetworkWeights

    network = forward_cpu.load_network(weights)
    state = forward_cpu.init_state(network, lanes)
    step, found = NetworkStep(NetworkWeights(weights, "cpu"), lanes, tile), []
    for t, last in enumerate(letters(steps, lanes)):
        forward_cpu.step(network, state, last, 0, lanes)
        step.last.copy_(torch.from_numpy(last))
        step()
        for name in ("freqs", "h"):
            if not np.array_equal(getattr(step, name).numpy(), getattr(state, name)):
                found.append(f"{weights.config}, {lanes} lanes: {name} of step {t}")
    return found


def batch_differences(lanes: int, steps: int) -> list[str]:
    """As the kernels of wide blocks see it: bytes written to one address, frequencies read from another."""
    weights = tiny_network.weights(tiny_network.lively())
    network = forward_cpu.load_network(weights)
    state = forward_cpu.init_state(network, lanes)
    batch = cuda_network.DeviceNetwork(weights, "cpu", 132).start(lanes)
    found = []
    for t, last in enumerate(letters(steps, lanes)):
        forward_cpu.step(network, state, last, 0, lanes)
        ctypes.memmove(batch.last, last.ctypes.data, lanes)
        batch.step()
        freqs = np.empty((lanes, 256), np.int32)
        ctypes.memmove(freqs.ctypes.data, batch.freqs, freqs.nbytes)
        found += [] if np.array_equal(freqs, state.freqs) else [f"step {t}"]
    return found


def shipped(name: str, seed: int) -> Weights:
    """A random network of the shape of a shipped model, with smaller tables."""
    config = load_weights(registry.find(name), with_initial_states=False).config
    return tiny_network.weights(tiny_network.lively(config, seed), config)


CASES = {
    "batch": lambda: batch_differences(7, 2),
    "tiny": lambda: differences(tiny_network.weights(tiny_network.lively()), 5, 3, 16),
    "other": lambda: differences(
        tiny_network.weights(tiny_network.lively(tiny_network.OTHER_SHAPE), tiny_network.OTHER_SHAPE), 35, 3, 32
    ),
    "extreme": lambda: differences(tiny_network.weights(tiny_network.extreme(alike=0.9)), 17, 2, 16),
    "nano": lambda: differences(shipped("nano", 3), 17, 2, 16),
    "small": lambda: differences(shipped("small", 4), 3, 2, 16),
    "base": lambda: differences(shipped("base", 5), 3, 2, 16),
}


@needs_triton
@pytest.mark.parametrize(
    "case", ["batch", "tiny", "other", "extreme", *(["nano", "small", "base"] * ("ARZIP_LONG_TESTS" in os.environ))]
)
def test_kernel_gives_the_compiled_steps_integers_under_tritons_interpreter(case: str) -> None:
    program = f"import test_forward_triton as here; print(here.CASES[{case!r}]())"
    paths = [str(Path(__file__).parent), str(Path(tiny_network.__file__).parent), *sys.path]
    environment = os.environ | {"TRITON_INTERPRET": "1", "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0 and done.stdout.strip() == "[]", done.stdout + done.stderr[-2000:]


def ptx_of(config: NetworkConfig, architecture: int, tile: int, warps: int) -> tuple[str, int]:
    """PTX of the kernel for a network's shape, and its shared memory in bytes."""
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource, compile

    from arzip.network import forward_triton

    kinds = dict.fromkeys(["byte", "ngram", "gates", "state_out", "mlp_in", "mlp_out", "out", "pair", "y", "u"], "*i8")
    kinds |= dict.fromkeys(
        ["orders", "gates_bias", "out_bias", "sigmoid", "exponential", "rows", "h", "x", "freqs"], "*i32"
    )
    kinds |= {"last": "*u8", "context": "*i64", "lanes": "i32", "turn": "i32"}
    names = forward_triton.step_kernel.arg_names
    signature = {name: kinds.get(name, "constexpr") for name in names}
    constants = {"D": config.d, "HIDDEN": config.hidden, "BLOCKS": config.blocks, "TABLES": config.tables}
    constants |= {"NGRAM_D": config.ngram_d, "ROW_BITS": config.rows.bit_length() - 1, "LANES": tile}
    aligned = {(k,): [["tt.divisibility", 16]] for k, name in enumerate(names) if signature[name].startswith("*")}
    source = ASTSource(fn=forward_triton.step_kernel, signature=signature, constexprs=constants, attrs=aligned)
    built = compile(source, target=GPUTarget("cuda", architecture, 32), options={"num_warps": warps})
    return built.asm["ptx"], built.metadata.shared


@needs_triton
@pytest.mark.parametrize(("architecture", "tile", "product"), [(90, 64, "wgmma.mma_async"), (80, 16, "mma.sync")])
def test_kernel_compiles_to_products_of_int8_for_each_gpu(architecture: int, tile: int, product: str) -> None:
    ptx, shared = ptx_of(NetworkConfig(), architecture, tile, 4)
    assert re.search(rf"{re.escape(product)}\S*\.s32\.s8\.s8", ptx), "no product of int8 in int32"
    assert "sqrt.rn.f64" in ptx and "sqrt.approx" not in ptx  # exact with the correction that follows
    assert shared <= 100 << 10


@pytest.mark.parametrize(
    ("lanes", "processors", "tile"), [(64, 132, 16), (2048, 132, 16), (8192, 132, 32), (33792, 132, 64)]
)
@needs_triton
def test_few_lanes_are_spread_over_more_programs(lanes: int, processors: int, tile: int) -> None:
    from arzip.network.forward_triton import tile_lanes

    assert tile_lanes(lanes, processors) == tile


def test_what_goes_wrong_with_torch_is_an_error_of_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = tiny_network.weights(tiny_network.lively())
    with pytest.raises(DriverError, match="the network on the GPU"):
        cuda_network.DeviceNetwork(weights, "cuda:99", 132)

    def fails() -> None:
        raise RuntimeError("one\ntwo")

    fails.last = fails.freqs = np.zeros(1)  # type: ignore[attr-defined]
    monkeypatch.setattr(cuda_network.BatchNetwork, "__init__", lambda self, step: setattr(self, "_step", step))
    with pytest.raises(DriverError, match="RuntimeError: one two"):
        cuda_network.BatchNetwork(fails).step()


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda_network.importlib.util, "find_spec", lambda name: None)
    assert cuda_network.missing() == "the network needs torch and triton on a GPU: pip install 'arzip[cuda]'"
    monkeypatch.setattr(cuda_network.importlib.util, "find_spec", lambda name: name)
    assert cuda_network.missing() == ""
