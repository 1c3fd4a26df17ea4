"""Fit a model to a user's own files: the network, until held-out text gets no better, then the memory's start.

Must not know the command line.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from arzip.context_mixing.pretrained import NGRAMS, ngrams_of
from arzip.network.config import NetworkConfig, Weights
from arzip.train.count import count_rows, fill_up
from arzip.train.export import export_tensors, import_weights
from arzip.train.loop import Recipe, Trainer, evaluate, exact_bits
from arzip.train.model import FloatNetwork
from arzip.train.own import WINDOW_BYTES, OwnData
from arzip.train.prime import prime
from arzip.weights.file import dump_weights, load_weights, parse_weights

PRIMING_SHARE = 0.2  # of the time
PRIMING_BYTES_A_MINUTE = 400_000
LEAST_PRIMING_BYTES, MOST_PRIMING_BYTES = 1 << 15, 2_000_000
ROW_BITS, CONTEXT_BITS = 20, 24  # of the table of n-grams, and of the one they are counted in
ROUNDS = 16  # looks at the held-out text, the last one at the end
PATIENCE = 4  # rounds without a gain
COMPILE_MINUTES = 8.0  # a shorter training doesn't earn the compiler's time back
BATCH = 24
# Gradients of n-gram rows are far below loop.ADAGRAD_START's root, so rows move smoothly from the start: docs/LOG.md.
SCRATCH = Recipe(0, BATCH, WINDOW_BYTES, 3e-3, 0.03, 0.1)
TUNING = Recipe(0, BATCH, WINDOW_BYTES, 3e-3, 0.02, 0.1)

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Fitted:
    """A new model: its file's bytes, the weights in them, and its held-out bits per byte: float, exact integers."""

    data: bytes
    weights: Weights
    floating: float
    exact: float


def fit(data: OwnData, start: Path | None, name: str, minutes: float, seed: int, tell: Tell) -> Fitted:
    """Train and prime a model on `data`, from the weights file `start` or from nothing. Raises ModelError."""
    old = load_weights(start) if start else None
    net = import_weights(old) if old else FloatNetwork(NetworkConfig(), seed)
    floating, seen_bytes = train_network(net, data, bool(old), minutes * (1 - PRIMING_SHARE), seed, tell)
    metadata = {
        "name": name,
        "seen_bytes": str(seen_bytes),
        "started_from": old.digest.hex() if old else "random",
        "trained_on": f"own data, {data.size_bytes:,} bytes",
        "bits_per_byte": f"own data {floating:.3f}",
    }
    tensors = export_tensors(net)
    tell("counting n-grams")
    rows = count_rows(data.counted(), ROW_BITS, min(CONTEXT_BITS, (32 * data.size_bytes).bit_length()))
    tensors[NGRAMS] = fill_up(rows, ngrams_of(old.tensors)) if old else rows
    weights = parse_weights(dump_weights(net.config, tensors, metadata), name)
    exact = exact_bits(weights, {"own": data.rows()})["own"]
    tell(f"held out, by the network alone: {floating:.4f} bpb in float, {exact:.4f} in exact integers")
    size_bytes = int(PRIMING_BYTES_A_MINUTE * PRIMING_SHARE * minutes)
    size_bytes = min(max(size_bytes, LEAST_PRIMING_BYTES), MOST_PRIMING_BYTES)
    tell("priming the memory")
    tensors |= prime(weights, data.pieces(size_bytes, seed), size_bytes, seed)
    packed = dump_weights(net.config, tensors, metadata | {"primed_on_bytes": str(size_bytes)})
    return Fitted(packed, parse_weights(packed, name), floating, exact)


def train_network(
    net: FloatNetwork, data: OwnData, tuning: bool, minutes: float, seed: int, tell: Tell
) -> tuple[float, int]:
    """Train, and leave the network as it was when held-out text was cheapest; its bits per byte, and bytes seen."""
    rows = {"own": data.rows()}
    best, best_state, worse = evaluate(net, rows, "cpu")["own"], snapshot(net), 0
    tell(f"held out at the start: {best:.3f} bpb")
    base = TUNING if tuning else SCRATCH
    trainer = Trainer(net, [data.source()], Recipe(**{**vars(base), "minutes": max(minutes, 1e-9), "seed": seed}))
    if minutes >= COMPILE_MINUTES and (os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")):
        compile_quietly(net)
    for round_ in range(1, ROUNDS + 1):
        if worse == PATIENCE:
            break
        while trainer.seconds < 60 * minutes * round_ / ROUNDS:
            trainer.step()
        bits = evaluate(net, rows, "cpu")["own"]
        rate = trainer.seen_bytes / max(trainer.seconds, 1e-9) / 1000
        seen = f"{trainer.seconds / 60:.1f} min, {trainer.seen_bytes / 1e6:.2f} MB seen, {rate:.1f} KB/s"
        tell(f"{seen}: held out {bits:.3f} bpb")
        worse = 0 if bits < best else worse + 1
        if bits < best:
            best, best_state = bits, snapshot(net)
    restore(net, best_state)
    return best, trainer.seen_bytes


def snapshot(net: FloatNetwork) -> list[torch.Tensor]:
    """Copies of all that training changes."""
    return [value.detach().clone() for value in (*net.p.values(), net.ngram)]


def restore(net: FloatNetwork, state: list[torch.Tensor]) -> None:
    """The inverse of `snapshot`."""
    with torch.no_grad():
        for value, saved in zip((*net.p.values(), net.ngram), state, strict=True):
            value.copy_(saved)


def compile_quietly(net: FloatNetwork) -> None:
    """Fuse the network's loops; what can't be compiled runs as it is."""
    import torch._dynamo

    torch._dynamo.config.suppress_errors = True
    net.compile()
