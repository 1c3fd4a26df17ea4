"""The training loop: teacher forcing on windows, AdamW (Muon for matrices), cosine schedule, checkpoints.

Knows data and the float model; must not know archives.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from arzip.engine.cpu_backend import CpuBackend
from arzip.engine.engine import Engine
from arzip.engine.plan import Plan
from arzip.network import ngram_rows as context
from arzip.network.config import NetworkConfig, Weights
from arzip.train.data import Source, Windows, held_out_rows
from arzip.train.model import FloatNetwork, State

NATS_PER_BIT = math.log(2)
ADAGRAD_START = 1e-7  # a row seen a few times must stay near zero: it hurts on other kinds of text
WARMUP_SHARE = 0.01
CHECKPOINT_SECONDS = 300.0


@dataclass(frozen=True)
class Recipe:
    """Everything a run is made of besides its data; travels in the weights file's metadata."""

    minutes: float
    batch: int = 32
    length: int = 256
    lr: float = 3e-3
    muon_lr: float = 0.0
    ngram_lr: float = 0.03
    weight_decay: float = 0.01
    final_lr_share: float = 0.02
    seed: int = 0


class Feed:
    """Text windows -> tensors of a step, with each row's context and last byte carried along."""

    def __init__(self, config: NetworkConfig, device: str) -> None:
        self.orders = np.array([*config.orders, 0], np.int64)
        self.row_bits = config.rows.bit_length() - 1
        self.device = device
        self.contexts = np.zeros((0, context.CONTEXT_FIELDS), np.uint64)

    def tensors(self, text: NDArray[np.uint8], fresh: NDArray[np.bool_]) -> tuple[Tensor, Tensor, Tensor]:
        """text (B, T), fresh (B,) -> last bytes (T, B), n-gram rows (T, B, tables), targets (T, B), int64."""
        batch, length = text.shape
        if len(self.contexts) != batch:
            self.contexts = np.zeros((batch, context.CONTEXT_FIELDS), np.uint64)
        self.contexts[fresh] = 0
        first = (self.contexts[:, context.HISTORY] & np.uint64(255)).astype(np.int64)
        rows = np.empty((length, batch, self.orders.size), np.int64)
        context.window_rows(text, self.contexts, self.orders, self.row_bits, rows)
        target = torch.from_numpy(text.T.astype(np.int64))
        last = torch.cat([torch.from_numpy(first)[None], target[:-1]])
        return last.to(self.device), torch.from_numpy(rows).to(self.device), target.to(self.device)


@torch.no_grad()
def evaluate(net: FloatNetwork, rows: dict[str, NDArray[np.uint8]], device: str) -> dict[str, float]:
    """Held-out bits per byte of each kind, rows coded from an empty state, float32."""
    result = {}
    for kind, text in rows.items():
        last, grams, target = Feed(net.config, device).tensors(text, np.ones(len(text), np.bool_))
        state, nats = net.init_state(len(text)), 0.0
        with torch.compiler.set_stance("force_eager"):  # else every kind's number of rows is compiled for
            for t in range(0, len(last), 256):
                part = slice(t, t + 256)
                logits, state = net(last[part], net.gather(grams[part]), state)
                loss = nn.functional.cross_entropy(logits.flatten(0, 1), target[part].flatten(), reduction="sum")
                nats += float(loss)
        result[kind] = nats / NATS_PER_BIT / target.numel()
    return result


def exact_bits(weights: Weights, rows: dict[str, NDArray[np.uint8]]) -> dict[str, float]:
    """What `evaluate` gives, by the integer network that runs: each row a lane."""
    engine, result = Engine(weights, CpuBackend(weights, two_threads=False)), {}
    for kind, text in rows.items():
        result[kind] = engine.cost_bits(text.tobytes(), Plan(len(text), use_network=True, cm_profile=None)) / text.size
    return result


class Trainer:
    """Model, optimisers, clock and data position of one run."""

    def __init__(self, net: FloatNetwork, sources: list[Source], recipe: Recipe, device: str = "cpu") -> None:
        self.net, self.recipe, self.device, self.sources = net, recipe, device, sources
        net.to(device)
        net.ngram = net.ngram.to(device)
        self.ngram_sum = torch.full_like(net.ngram, ADAGRAD_START)
        hidden = [v for n, v in net.p.items() if n.startswith("block") and v.ndim == 2]
        rest = [v for n, v in net.p.items() if not (n.startswith("block") and v.ndim == 2)]
        self.optimizers: list[torch.optim.Optimizer] = []
        if recipe.muon_lr:
            self.optimizers.append(torch.optim.Muon(hidden, lr=recipe.muon_lr, weight_decay=recipe.weight_decay))
        else:
            rest = rest + hidden
        self.optimizers.append(torch.optim.AdamW(rest, lr=recipe.lr, betas=(0.9, 0.98), weight_decay=0.0))
        self.base = [[g["lr"] for g in o.param_groups] for o in self.optimizers]
        self.windows = Windows(sources, recipe.batch, recipe.length, recipe.seed)
        self.feed = Feed(net.config, device)
        self.state: State = net.init_state(recipe.batch)
        self.seconds, self.seen_bytes, self.steps = 0.0, 0, 0

    def learning_rate(self) -> float:
        """The schedule's factor now: linear warm-up, then a cosine down to final_lr_share."""
        done = min(self.seconds / (60 * self.recipe.minutes), 1.0)
        if done < WARMUP_SHARE:
            return max(done / WARMUP_SHARE, 0.02)
        cosine = 0.5 + 0.5 * math.cos(math.pi * (done - WARMUP_SHARE) / (1 - WARMUP_SHARE))
        return self.recipe.final_lr_share + (1 - self.recipe.final_lr_share) * cosine

    def step(self) -> float:
        """One batch; returns its loss in bits per byte."""
        began = time.monotonic()
        text, fresh = self.windows.next()
        last, rows, target = self.feed.tensors(text, fresh)
        keep = torch.from_numpy(~fresh).to(self.device)[:, None]
        self.state = [(a * keep, h * keep) for a, h in self.state]
        grams = self.net.gather(rows).requires_grad_()
        logits, self.state = self.net(last, grams, self.state, torch.bfloat16)
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), target.flatten())
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        factor = self.learning_rate()
        for optimizer, base in zip(self.optimizers, self.base, strict=True):
            for group, lr in zip(optimizer.param_groups, base, strict=True):
                group["lr"] = lr * factor
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        assert grams.grad is not None
        self.update_ngrams(rows, grams.grad, self.recipe.ngram_lr * factor)
        self.seconds += time.monotonic() - began
        self.seen_bytes += target.numel()
        self.steps += 1
        return float(loss.detach()) / NATS_PER_BIT

    @torch.no_grad()
    def update_ngrams(self, rows: Tensor, grad: Tensor, lr: float) -> None:
        """Adagrad (Duchi et al. 2011) on the rows that this batch touched."""
        c = self.net.config
        grad = grad.view(-1, c.tables, c.ngram_d)
        for k in range(c.tables):
            touched, where = torch.unique(rows[..., k].flatten(), return_inverse=True)
            g = torch.zeros(len(touched), c.ngram_d, device=self.device).index_add_(0, where, grad[:, k])
            self.ngram_sum[k, touched] += g * g
            step = lr * g / self.ngram_sum[k, touched].sqrt()
            self.net.ngram[k, touched] = (self.net.ngram[k, touched] - step).clamp_(-127 / 64, 127 / 64)

    def save(self, path: Path) -> None:
        """Checkpoint, replacing the last one only when the new one is whole."""
        part = path.with_suffix(".part")
        torch.save(
            {
                "config": self.net.config.dumps(),
                "params": self.net.state_dict(),
                "ngram": self.net.ngram,
                "ngram_sum": self.ngram_sum,
                "optimizers": [o.state_dict() for o in self.optimizers],
                "clock": (self.seconds, self.seen_bytes, self.steps),
            },
            part,
        )
        part.replace(path)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint: weights, optimisers and clock; data is drawn anew from a fresh seed."""
        saved = torch.load(path, map_location=self.device, weights_only=True)
        self.net.load_state_dict(saved["params"])
        self.net.ngram, self.ngram_sum = saved["ngram"], saved["ngram_sum"]
        for optimizer, state in zip(self.optimizers, saved["optimizers"], strict=True):
            optimizer.load_state_dict(state)
        self.seconds, self.seen_bytes, self.steps = saved["clock"]
        self.windows = Windows(self.sources, self.recipe.batch, self.recipe.length, self.recipe.seed + self.steps)

    def run(self, checkpoint: Path | None, report: Callable[[str], None], every_seconds: float = 60.0) -> None:
        """Train until the recipe's minutes are spent; a checkpoint every few minutes and at the end."""
        held = held_out_rows(self.sources, 1024, 8)
        shown = saved = time.monotonic()
        mean = 0.0
        while self.seconds < 60 * self.recipe.minutes:
            loss = self.step()
            mean = loss if not mean else 0.98 * mean + 0.02 * loss
            now = time.monotonic()
            if now - shown > every_seconds:
                shown = now
                rate = self.seen_bytes / self.seconds / 1000
                report(f"{self.seconds / 60:7.1f} min {self.seen_bytes / 1e6:8.2f} MB {rate:6.1f} KB/s {mean:.4f} bpb")
            if checkpoint and now - saved > CHECKPOINT_SECONDS:
                saved = now
                self.save(checkpoint)
                bits = evaluate(self.net, held, self.device)
                report("held out: " + " ".join(f"{k} {v:.3f}" for k, v in bits.items()))
        if checkpoint:
            self.save(checkpoint)
