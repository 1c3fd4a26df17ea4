"""The network's exact step on a GPU: cases made by the CPU's kernels, and checked where no numba is.

A case is a model's core, the rows of its n-gram tables that a text asks for, what goes into each step of so many lanes,
and digests of what must come out: the frequencies of the next byte, and the recurrent state.
"""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arzip.network.config import NetworkConfig

FEW = (1, 16, 17)  # lanes: a program takes 16 or more
TILES = (16, 64)  # lanes a program
RESULTS = "frequencies", "states"
Arrays = dict[str, Any]  # of arrays
# (weights, lanes, tile) -> bytes just seen (L,) -> frequencies (L, 256) and states (blocks, L, d) after the step
Stepper = Callable[[NDArray[np.uint8]], tuple[NDArray[Any], NDArray[Any]]]
NewStepper = Callable[[Any, int, int], Stepper]


def digest(array: NDArray[Any]) -> str:
    """Of whole numbers, whatever their integer type."""
    return hashlib.sha256(np.ascontiguousarray(array, np.int32).tobytes()).hexdigest()[:32]


def make(path: Path, text: NDArray[np.uint8], lanes: int, steps: int) -> Arrays:
    """A case of the model at `path`: lanes x steps bytes of `text`, by the compiled step."""
    from arzip.network import forward_cpu as cpu
    from arzip.weights.file import load_weights

    weights = load_weights(path, with_initial_states=False)
    network = cpu.load_network(weights)
    letters = np.resize(text, (lanes, steps))
    last = np.zeros((steps, lanes), np.uint8)
    last[1:] = letters.T[:-1]
    found = []
    for count in (*FEW, lanes):
        state = cpu.init_state(network, count)
        for step in range(steps):
            cpu.step(network, state, last[step, :count].copy(), 0, count)
            found.append([digest(state.freqs), digest(state.h)])
    return pack_network(weights, letters) | {"last": last, "digests": np.array(found)}


def pack_network(weights: Any, *texts: NDArray[np.uint8]) -> Arrays:
    """A model's network for texts (L, T) alone: its n-gram tables have no other rows."""
    config = weights.config
    found = [_rows_of(config, letters) for letters in texts]
    used = [np.unique(np.concatenate([rows[k] for rows in found])) for k in range(config.tables)]
    names = np.full((config.tables, max(map(len, used))), -1, np.int32)
    small = np.zeros((*names.shape, config.ngram_d), np.int8)
    for k, own in enumerate(used):
        names[k, : len(own)] = own
        small[k, : len(own)] = weights.tensors["ngram"][k, own]
    tensors = {name: tensor for name, tensor in weights.tensors.items() if not name.startswith("memory.")}
    network = {f"w:{name}": tensor for name, tensor in (tensors | {"ngram": small}).items()}
    return network | {"rows": names, "config": np.array(config.dumps())}


def _rows_of(config: NetworkConfig, letters: NDArray[np.uint8]) -> list[NDArray[np.int64]]:
    """The rows of each n-gram table that lanes of text (L, T) ask for."""
    from arzip.network import ngram_rows as context

    lanes, steps = letters.shape
    rows = np.empty((steps, lanes, config.tables), np.int64)
    contexts, orders = np.zeros((lanes, context.CONTEXT_FIELDS), np.uint64), np.array([*config.orders, 0])
    context.window_rows(np.ascontiguousarray(letters), contexts, orders, config.rows.bit_length() - 1, rows)
    return [np.unique(rows[..., k]) for k in range(config.tables)]


def unpack_network(case: Arrays) -> Any:
    """The weights of `pack_network`; rows that it left out are zeros."""
    config = NetworkConfig.loads(str(case["config"]))
    tensors = {name[2:]: tensor for name, tensor in case.items() if name.startswith("w:")}
    whole = np.zeros((config.tables, config.rows, config.ngram_d), np.int8)
    for k, own in enumerate(case["rows"]):
        whole[k, own[own >= 0]] = tensors["ngram"][k, : np.count_nonzero(own >= 0)]
    return SimpleNamespace(config=config, tensors=tensors | {"ngram": whole}, digest=b"case")


def dump(case: Arrays) -> bytes:
    """A case as the bytes of an .npz."""
    sink = io.BytesIO()
    np.savez(sink, **case)
    return sink.getvalue()


def load(data: bytes) -> Arrays:
    """The inverse of `dump`."""
    with np.load(io.BytesIO(data), allow_pickle=False) as stored:
        return dict(stored)


def triton_stepper(device: str) -> NewStepper:
    """Steps by the kernel for GPUs, on a device of torch's."""
    import torch

    from arzip.network.forward_triton import NetworkStep, NetworkWeights

    def new(weights: Any, lanes: int, tile: int) -> Stepper:
        step = NetworkStep(NetworkWeights(weights, device), lanes, tile)

        def run(last: NDArray[np.uint8]) -> tuple[NDArray[Any], NDArray[Any]]:
            step.last.copy_(torch.from_numpy(last))
            step()
            return step.freqs.cpu().numpy(), step.h.cpu().numpy()

        return run

    return new


def differences(case: Arrays, weights: Any, new: NewStepper, lanes: int, tile: int, first: int) -> Iterator[str]:
    """What isn't as the CPU had it, in the first step that differs; first: index of the digests of these lanes."""
    step = new(weights, lanes, tile)
    for at, last in enumerate(case["last"]):
        found, expected = step(last[:lanes].copy()), case["digests"][first + at]
        wrong = [name for name, a, b in zip(RESULTS, map(digest, found), expected, strict=True) if a != b]
        if wrong:
            yield f"DIFFERENT at step {at}: {', '.join(wrong)}"
            return


def check(case: Arrays, new: NewStepper) -> list[str]:
    """One line for each number of lanes, and lanes a program: EQUAL, or where it first differs."""
    steps, lines, weights = len(case["last"]), [], unpack_network(case)
    for k, lanes in enumerate((*FEW, case["last"].shape[1])):
        for tile in TILES:
            verdict = next(differences(case, weights, new, lanes, tile, k * steps), "EQUAL to the CPU")
            lines.append(f"{lanes} lanes, {tile} a program, {steps} steps: {verdict}")
    return lines


def step_microseconds(case: Arrays, device: str, lanes: int, tile: int, warps: int, steps: int) -> float:
    """Microseconds a step of so many lanes takes on a GPU."""
    import torch

    from arzip.network.forward_triton import NetworkStep, NetworkWeights

    step = NetworkStep(NetworkWeights(unpack_network(case), device), lanes, tile, warps)
    step()
    torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(steps):
        step()
    torch.cuda.synchronize()
    return (time.perf_counter() - began) / steps * 1e6
