"""Fit a model to a user's own files: the network, with early stopping, then n-grams and initial states.

Must not import command line code.
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
from arzip.train.count_ngrams import count_rows, fill_empty_rows
from arzip.train.evaluation import evaluate, exact_bits
from arzip.train.export import export_tensors, import_weights
from arzip.train.prime import pretrain_cm
from arzip.train.qat_network import QatNetwork
from arzip.train.recipes import Recipe
from arzip.train.trainer import Trainer
from arzip.train.user_data import WINDOW_BYTES, UserData
from arzip.weights.file import dump_weights, load_weights, parse_weights

PRETRAINING_SHARE = 0.2  # of the time: what training the initial states takes
PRETRAINING_BYTES_A_MINUTE = 400_000
MIN_PRETRAINING_BYTES, MAX_PRETRAINING_BYTES = 1 << 15, 2_000_000
ROW_BITS, CONTEXT_BITS = 20, 24  # of the table of n-grams, and of the table they are counted in
ROUNDS = 16  # evaluations of validation text, evenly spaced, the last one at the end
PATIENCE = 4  # rounds without a gain after which training stops
COMPILE_MINUTES = 8.0  # below that, compiling takes longer than it saves
BATCH = 24
# Gradients of n-gram rows are far below the root of recipes.ADAGRAD_START, so rows move smoothly: docs/LOG.md.
SCRATCH = Recipe(0, BATCH, WINDOW_BYTES, 3e-3, 0.03, 0.1)
FINETUNE = Recipe(0, BATCH, WINDOW_BYTES, 3e-3, 0.02, 0.1)

Log = Callable[[str], None]


@dataclass(frozen=True)
class Fitted:
    """A new model: its file's bytes, the weights in them, and validation bits per byte of the network alone."""

    data: bytes
    weights: Weights
    float_bpb: float
    exact_bpb: float


def fit(data: UserData, start: Path | None, name: str, minutes: float, seed: int, log: Log) -> Fitted:
    """Train all parts of a model on `data`, from the weights file `start` or from random weights. Raises ModelError."""
    old = load_weights(start) if start else None
    net = import_weights(old) if old else QatNetwork(NetworkConfig(), seed)
    float_bpb, seen_bytes = train_network(net, data, bool(old), minutes * (1 - PRETRAINING_SHARE), seed, log)
    metadata = {
        "name": name,
        "seen_bytes": str(seen_bytes),
        "started_from": old.digest.hex() if old else "random",
        "trained_on": f"own data, {data.size_bytes:,} bytes",
        "bits_per_byte": f"own data {float_bpb:.3f}",
    }
    tensors = export_tensors(net)
    log("counting n-grams")
    rows = count_rows(data.ngram_documents(), ROW_BITS, min(CONTEXT_BITS, (32 * data.size_bytes).bit_length()))
    tensors[NGRAMS] = fill_empty_rows(rows, ngrams_of(old.tensors)) if old else rows
    weights = parse_weights(dump_weights(net.config, tensors, metadata), name)
    exact_bpb = exact_bits(weights, {"own": data.validation_rows()})["own"]
    log(f"held out, by the network alone: {float_bpb:.4f} bpb in float, {exact_bpb:.4f} in exact integers")
    size_bytes = int(PRETRAINING_BYTES_A_MINUTE * PRETRAINING_SHARE * minutes)
    size_bytes = min(max(size_bytes, MIN_PRETRAINING_BYTES), MAX_PRETRAINING_BYTES)
    log("priming the memory")
    tensors |= pretrain_cm(weights, data.pretraining_documents(size_bytes, seed), size_bytes, seed)
    packed = dump_weights(net.config, tensors, metadata | {"primed_on_bytes": str(size_bytes)})
    return Fitted(packed, parse_weights(packed, name), float_bpb, exact_bpb)


def train_network(
    net: QatNetwork, data: UserData, is_finetuning: bool, minutes: float, seed: int, log: Log
) -> tuple[float, int]:
    """Train with early stopping; the network keeps the weights that were best on validation text.

    Returns the bits per byte of those weights on it, and the bytes of text trained on.
    """
    rows = {"own": data.validation_rows()}
    best, best_state, rounds_without_gain = evaluate(net, rows, "cpu")["own"], snapshot(net), 0
    log(f"held out at the start: {best:.3f} bpb")
    base = FINETUNE if is_finetuning else SCRATCH
    trainer = Trainer(net, [data.source()], Recipe(**{**vars(base), "minutes": max(minutes, 1e-9), "seed": seed}))
    if minutes >= COMPILE_MINUTES and (os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")):
        compile_quietly(net)
    for round_ in range(1, ROUNDS + 1):
        if rounds_without_gain == PATIENCE:
            break
        while trainer.seconds < 60 * minutes * round_ / ROUNDS:
            trainer.step()
        bits = evaluate(net, rows, "cpu")["own"]
        rate = trainer.seen_bytes / max(trainer.seconds, 1e-9) / 1000
        seen = f"{trainer.seconds / 60:.1f} min, {trainer.seen_bytes / 1e6:.2f} MB seen, {rate:.1f} KB/s"
        log(f"{seen}: held out {bits:.3f} bpb")
        rounds_without_gain = 0 if bits < best else rounds_without_gain + 1
        if bits < best:
            best, best_state = bits, snapshot(net)
    restore(net, best_state)
    return best, trainer.seen_bytes


def snapshot(net: QatNetwork) -> list[torch.Tensor]:
    """Copies of all values that training changes."""
    return [value.detach().clone() for value in (*net.p.values(), net.ngram)]


def restore(net: QatNetwork, state: list[torch.Tensor]) -> None:
    """The inverse of `snapshot`."""
    with torch.no_grad():
        for value, saved in zip((*net.p.values(), net.ngram), state, strict=True):
            value.copy_(saved)


def compile_quietly(net: QatNetwork) -> None:
    """Fuse the network's loops; parts that can't be compiled run eagerly."""
    import torch._dynamo

    torch._dynamo.config.suppress_errors = True
    net.compile()
