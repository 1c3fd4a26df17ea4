"""The network's exact step on another device: cases made by the CPU's kernels, and checked where no numba is.

A case is a model's core, the rows of its n-gram tables that a text asks for, what goes into each step of so many lanes,
and a digest of what must come out: the weights of the next byte, and the recurrent state.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arzip.network.config import NetworkConfig

FEW = (1, 16, 17)  # lanes: torch's int8 product on CUDA wants more than 16 rows
Arrays = dict[str, Any]  # of arrays


def digest(freqs: NDArray[Any], h: NDArray[Any]) -> str:
    """Of weights (L, 256) and states (blocks, L, d), whatever their integer type."""
    whole = np.ascontiguousarray(freqs, np.int32).tobytes() + np.ascontiguousarray(h, np.int32).tobytes()
    return hashlib.sha256(whole).hexdigest()


def make(path: Path, text: NDArray[np.uint8], lanes: int, steps: int) -> Arrays:
    """A case of the model at `path`: lanes x steps bytes of `text`, by the compiled step."""
    from arzip.network import forward_cpu as cpu
    from arzip.network import ngram_rows as context
    from arzip.weights.file import load_weights

    weights = load_weights(path, with_initial_states=False)
    config, network = weights.config, cpu.load_network(weights)
    letters = np.resize(text, (lanes, steps))
    last = np.zeros((steps, lanes), np.uint8)
    last[1:] = letters.T[:-1]
    rows = np.empty((steps, lanes, config.tables), np.int64)
    contexts, orders = np.zeros((lanes, context.CONTEXT_FIELDS), np.uint64), np.array([*config.orders, 0])
    context.window_rows(letters, contexts, orders, config.rows.bit_length() - 1, rows)
    arrays = {name: tensor for name, tensor in weights.tensors.items() if not name.startswith("memory.")}
    arrays["ngram"], rows = only_used(arrays["ngram"], rows)
    found = []
    for count in (*FEW, lanes):
        state = cpu.init_state(network, count)
        for step in range(steps):
            cpu.step(network, state, last[step, :count].copy(), 0, count)
            found.append(digest(state.freqs, state.h))
    facts = {"config": np.array(config.dumps()), "digests": np.array(found)}
    return {f"w:{name}": tensor for name, tensor in arrays.items()} | {"last": last, "rows": rows} | facts


def only_used(table: NDArray[np.int8], rows: NDArray[np.int64]) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
    """Tables (tables, rows, n) with the rows that (T, L, tables) names, and their numbers in what is left."""
    used = [np.unique(rows[..., k], return_inverse=True) for k in range(len(table))]
    small = np.zeros((len(table), max(len(names) for names, _ in used), table.shape[2]), np.int8)
    for k, (names, _) in enumerate(used):
        small[k, : len(names)] = table[k, names]
    return small, np.stack([where.reshape(rows.shape[:2]) for _, where in used], -1).astype(np.int64)


def dump(case: Arrays) -> bytes:
    """A case as the bytes of an .npz."""
    sink = io.BytesIO()
    np.savez(sink, **case)
    return sink.getvalue()


def load(data: bytes) -> Arrays:
    """The inverse of `dump`."""
    with np.load(io.BytesIO(data), allow_pickle=False) as stored:
        return dict(stored)


def run(case: Arrays, device: str, lanes: int) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Weights and states after each step of `TorchStep` on a device of torch's."""
    from arzip.network.forward_torch import TorchStep

    tensors = {name[2:]: tensor for name, tensor in case.items() if name.startswith("w:")}
    weights: Any = SimpleNamespace(config=NetworkConfig.loads(str(case["config"])), tensors=tensors)
    step = TorchStep(weights, device, lanes)
    for last, rows in zip(case["last"].astype(np.int64), case["rows"], strict=True):
        freqs = step(last[:lanes], rows[:lanes])
        yield freqs.cpu().numpy(), np.stack([h.cpu().numpy() for h in step.h])


def check(case: Arrays, device: str) -> list[str]:
    """One line a number of lanes: EQUAL, or where it first differs and by how much from torch on the CPU."""
    steps, lines = len(case["last"]), []
    for k, lanes in enumerate((*FEW, case["last"].shape[1])):
        expected = case["digests"][k * steps : (k + 1) * steps]
        wrong = next((s for s, out in enumerate(run(case, device, lanes)) if digest(*out) != expected[s]), None)
        verdict = "EQUAL to the CPU"
        if wrong is not None:
            verdict = f"DIFFERENT at step {wrong}: {_difference(case, device, lanes, wrong)}"
        lines.append(f"{lanes} lanes, {steps} steps: {verdict}")
    return lines


def _difference(case: Arrays, device: str, lanes: int, step: int) -> str:
    """What differs after a step between the device and torch on the CPU."""
    there, here = (list(zip(range(step + 1), run(case, d, lanes), strict=False))[-1][1] for d in (device, "cpu"))
    words = []
    for name, a, b in zip(("weights", "states"), there, here, strict=True):
        gap = abs(a.astype(np.int64) - b.astype(np.int64))
        words.append(f"{np.count_nonzero(gap)} of {gap.size} {name}, at most by {gap.max()}")
    return ", ".join(words)
