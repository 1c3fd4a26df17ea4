"""The training loop: teacher forcing on windows, AdamW (Muon for matrices), Adagrad for n-gram rows, checkpoints.

One step for all devices; on CUDA its tensors stay in place, so that a graph can hold it. Must not know archives.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from arzip.train import scan
from arzip.train.data import Source, held_out_rows
from arzip.train.device_mix import DeviceMix, HostMix
from arzip.train.graph import GraphedStep
from arzip.train.heldout import NATS_PER_BIT
from arzip.train.heldout import evaluate as evaluate
from arzip.train.heldout import exact_bits as exact_bits
from arzip.train.model import FloatNetwork, training_dtype
from arzip.train.optim import DenseAdagrad, Muon, sparse_adagrad
from arzip.train.recipes import Recipe as Recipe
from arzip.train.rows import Feed as Feed
from arzip.train.run import LongRun, Periods

NGRAM_LIMIT = 127 / 64
WAIT_STEPS = 8  # a GPU is waited for so often: the clock is right to that many steps; below device_mix.SLOTS
SETTLING_STEPS = 5  # compilation and capture are over then, and a deadline's schedule begins
HELD_OUT_BYTES, HELD_OUT_ROWS = 1024, 8  # of a row; rows of each source

Report = Callable[[str], None]


class Trainer:
    """Model, optimisers, clock and data position of one run.

    graph: whether a GPU's steps are recorded in a CUDA graph. fused: whether a step is made as GPUs make it (text on
    the device, one operator for the recurrence, dense Adagrad); None: on GPUs. `metadata` goes into exported files.
    """

    def __init__(
        self,
        net: FloatNetwork,
        sources: list[Source],
        recipe: Recipe,
        device: str = "cpu",
        graph: bool = True,
        report: Report = print,
        fused: bool | None = None,
    ) -> None:
        self.net, self.recipe, self.device, self.sources = net, recipe, device, sources
        self.on_cuda = torch.device(device).type == "cuda"
        self.fused = self.on_cuda if fused is None else fused
        self.dtype = training_dtype(device)
        net.to(device)
        net.ngram = net.ngram.to(device)
        self.ngram_sum = torch.full_like(net.ngram, recipe.ngram_start)
        self.optimizers = self.make_optimizers()
        self.base = [[float(g["lr"]) for g in o.param_groups] for o in self.optimizers]
        self.ngram_rate = torch.zeros((), device=device)
        self.adagrad = DenseAdagrad(net.ngram) if self.fused else None
        self.feed = Feed(net.config, device)
        if self.fused:
            net.recurrence = scan.fused_recurrence
        self.state = [(a.clone(), h.clone()) for a, h in net.init_state(recipe.batch)]
        self.loss_sum = torch.zeros((), device=device)
        self.seconds, self.seen_bytes, self.steps = 0.0, 0, 0
        self.deadline: float | None = None
        self.began = self.reserve = 0.0
        self.metadata: dict[str, str] = {}
        self.report, self.use_graph = report, graph and self.on_cuda
        self.restart()

    def make_optimizers(self) -> list[torch.optim.Optimizer]:
        """Muon for the blocks' matrices if the recipe wants it, AdamW for the rest."""
        hidden = [v for n, v in self.net.p.items() if n.startswith("block") and v.ndim == 2]
        rest = [v for n, v in self.net.p.items() if not (n.startswith("block") and v.ndim == 2)]
        optimizers: list[torch.optim.Optimizer] = []
        if self.recipe.muon_lr:
            optimizers.append(Muon(hidden, self.recipe.muon_lr, self.recipe.weight_decay, dtype=self.dtype))
        else:
            rest = rest + hidden
        adam = torch.optim.AdamW(rest, lr=self.recipe.lr, betas=(0.9, 0.98), weight_decay=0.0, capturable=self.on_cuda)
        return [*optimizers, adam]

    def restart(self) -> None:
        """Draw data anew, from a seed that depends on the steps done; record the step anew."""
        mix = DeviceMix if self.fused else HostMix
        recipe, self.first_step = self.recipe, self.steps
        self.mix = mix(self.sources, recipe.batch, recipe.length, recipe.seed + self.steps, self.device, recipe.stagger)
        self.run_step: Callable[[], Tensor] = GraphedStep(self.work, self.report) if self.use_graph else self.work
        for group in (g for o in self.optimizers for g in o.param_groups):
            group["lr"] = torch.tensor(float(group["lr"]), device=self.device) if self.fused else float(group["lr"])

    def compile(self) -> None:
        """Fuse the step's element-wise work: the network's, and on a GPU the rest too."""
        self.net.compile(whole=self.fused)
        if self.adagrad:
            self.adagrad.compile()
            self.feed.compile()

    # ------------------------------------------------------------------------------------------------------ schedule

    def progress(self) -> float:
        """The share of the budget that is spent, 0 to 1; with a deadline, at least that of the time until then."""
        done = 0.0
        if self.recipe.budget_bytes:
            done = self.seen_bytes / self.recipe.budget_bytes
        elif self.recipe.minutes:
            done = self.seconds / (60 * self.recipe.minutes)
        if self.deadline is not None and self.began:
            left = max(self.deadline - self.reserve - self.began, 1e-9)
            done = max(done, (time.monotonic() - self.began) / left)
        return min(done, 1.0)

    def learning_rate(self) -> float:
        """The schedule's factor now."""
        return self.recipe.factor(self.progress())

    def set_rates(self, factor: float) -> None:
        """All learning rates times the factor; on the device they are tensors that a graph reads."""
        for optimizer, base in zip(self.optimizers, self.base, strict=True):
            for group, lr in zip(optimizer.param_groups, base, strict=True):
                if isinstance(group["lr"], Tensor):
                    group["lr"].fill_(lr * factor)
                else:
                    group["lr"] = lr * factor
        self.ngram_rate.fill_(self.recipe.ngram_lr * factor)

    # ---------------------------------------------------------------------------------------------------------- step

    def step(self) -> Tensor:
        """One batch; returns its loss in bits per byte, on the device. The next step may overwrite it."""
        began = time.monotonic()
        self.mix.prepare()
        self.set_rates(self.learning_rate())
        loss = self.run_step()
        self.steps += 1
        if self.on_cuda and self.steps % WAIT_STEPS == 0:
            torch.cuda.synchronize()
        now = time.monotonic()
        if not self.began and self.steps - self.first_step >= SETTLING_STEPS:
            self.began = now
        self.seconds += now - began
        self.seen_bytes += self.recipe.batch * self.recipe.length
        return loss

    def work(self) -> Tensor:
        """A step's work on the device: nothing here waits for a value, or moves a tensor that outlives the step."""
        text, fresh = self.mix.draw()
        last, rows, target = self.feed.advance(text, fresh)
        keep = ~fresh[:, None]
        grams = self.net.gather(rows).requires_grad_()
        state = [(a * keep, h * keep) for a, h in self.state]
        loss, after = self.net.loss(last, grams, target, state, self.dtype)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        assert grams.grad is not None
        self.update_ngrams(rows, grams.grad)
        with torch.no_grad():
            for mine, new in zip(self.state, after, strict=True):
                for kept, value in zip(mine, new, strict=True):
                    kept.copy_(value)
            bits = loss.detach() / NATS_PER_BIT
            self.loss_sum += bits
        return bits

    def update_ngrams(self, rows: Tensor, grad: Tensor) -> None:
        """Adagrad on the n-gram rows; dense on a GPU, whose step has no shape that depends on data."""
        c = self.net.config
        rows, grad = rows.view(-1, c.tables), grad.view(-1, c.tables, c.ngram_d)
        update = self.adagrad.step if self.adagrad else sparse_adagrad
        update(self.net.ngram, self.ngram_sum, rows, grad, self.ngram_rate, NGRAM_LIMIT)

    # ------------------------------------------------------------------------------------------------------- long runs

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
        self.net.ngram.copy_(saved["ngram"])
        self.ngram_sum.copy_(saved["ngram_sum"])
        for optimizer, state in zip(self.optimizers, saved["optimizers"], strict=True):
            if isinstance(optimizer, torch.optim.AdamW):
                for group in state["param_groups"]:
                    group["capturable"] = self.on_cuda  # the checkpoint may come from another device
            optimizer.load_state_dict(state)
        self.seconds, self.seen_bytes, self.steps = saved["clock"]
        self.restart()

    def run(
        self,
        checkpoint: Path | None,
        report: Report,
        periods: Periods = Periods(),  # noqa: B008  (frozen)
        *,
        deadline: float | None = None,
        on_export: Callable[[bytes], None] | None = None,
        held: dict[str, NDArray[np.uint8]] | None = None,
    ) -> dict[str, float]:
        """Train until the budget is spent; returns held-out bits per byte of each kind.

        deadline: a time.monotonic() by when all is done, last evaluation, checkpoint and export included; the schedule
        is laid over the time until then. on_export gets weights files' bytes, now and then and at the end.
        held: kind -> rows (n, length) to evaluate on; otherwise drawn from the sources.
        """
        if held is None:
            held = held_out_rows(self.sources, HELD_OUT_BYTES, HELD_OUT_ROWS)
        self.deadline, self.report = deadline, report
        return LongRun(self, held, checkpoint, report, periods, on_export).go()
