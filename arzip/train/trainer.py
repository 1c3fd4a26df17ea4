"""The training loop: teacher forcing on windows, AdamW (Muon for matrices), Adagrad for n-gram rows, checkpoints.

One step for all devices; on CUDA its tensors keep their addresses, so that a CUDA graph can replay it. Must not import
archive code.
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
from arzip.train.cuda_graph import GraphedStep
from arzip.train.data import Source, held_out_rows
from arzip.train.device_mix import DeviceMix, HostMix
from arzip.train.evaluation import NATS_PER_BIT
from arzip.train.long_run import LongRun, Periods
from arzip.train.ngram_rows import Feed
from arzip.train.optim import DenseAdagrad, Muon, sparse_adagrad
from arzip.train.qat_network import QatNetwork, training_dtype
from arzip.train.recipes import Recipe

NGRAM_LIMIT = 127 / 64
WAIT_STEPS = 8  # steps between synchronisations with a GPU, so the clock is that exact; below device_mix.SLOTS
SETTLING_STEPS = 5  # after compilation and capture, where the schedule of a run with a deadline begins
HELD_OUT_BYTES, HELD_OUT_ROWS = 1024, 8  # of a row; rows of each source

Report = Callable[[str], None]


class Trainer:
    """Model, optimisers, clock and data position of one run.

    graph: whether a GPU's steps are recorded in a CUDA graph. fused: whether a step is made as GPUs make it (text on
    the device, one operator for the recurrence, dense Adagrad); None: on GPUs. `metadata` goes into exported files.
    """

    def __init__(
        self,
        net: QatNetwork,
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
        self.base_rates = [[float(g["lr"]) for g in o.param_groups] for o in self.optimizers]
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
        """Restart the data from a seed that depends on the steps done, and the recording of the step."""
        mix = DeviceMix if self.fused else HostMix
        recipe, self.first_step = self.recipe, self.steps
        self.mix = mix(self.sources, recipe.batch, recipe.length, recipe.seed + self.steps, self.device, recipe.stagger)
        self.run_step: Callable[[], Tensor] = GraphedStep(self.work, self.report) if self.use_graph else self.work
        for group in (g for o in self.optimizers for g in o.param_groups):
            group["lr"] = torch.tensor(float(group["lr"]), device=self.device) if self.fused else float(group["lr"])

    def compile(self) -> None:
        """Fuse the element-wise operations of the network, and on a GPU those of the rest of the step."""
        self.net.compile(whole=self.fused)
        if self.adagrad:
            self.adagrad.compile()
            self.feed.compile()

    # ------------------------------------------------------------------------------------------------------ schedule

    def progress(self) -> float:
        """The share of the budget that is spent, 0 to 1; with a deadline, at least the share of the time until it."""
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

    def set_learning_rates(self, factor: float) -> None:
        """Set all learning rates to their base times the factor; on a GPU they are tensors that the graph reads."""
        for optimizer, base in zip(self.optimizers, self.base_rates, strict=True):
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
        self.set_learning_rates(self.learning_rate())
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
        """The operations of a step: none waits for a value, or reallocates a tensor that outlives the step."""
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
        """Adagrad on the n-gram rows; dense on a GPU, as shapes in a CUDA graph can't depend on data."""
        c = self.net.config
        rows, grad = rows.view(-1, c.tables), grad.view(-1, c.tables, c.ngram_d)
        update = self.adagrad.step if self.adagrad else sparse_adagrad
        update(self.net.ngram, self.ngram_sum, rows, grad, self.ngram_rate, NGRAM_LIMIT)

    # ------------------------------------------------------------------------------------------------------- long runs

    def save(self, path: Path) -> None:
        """Write a checkpoint, by way of a temporary file, so that a broken write leaves the last one."""
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
        """Load weights, optimisers and clock of a checkpoint; data restarts from another seed."""
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
        held_out: dict[str, NDArray[np.uint8]] | None = None,
    ) -> dict[str, float]:
        """Train until the budget is spent; returns held-out bits per byte of each kind.

        checkpoint: file to save to. deadline: a time.monotonic() before which everything ends, including the last
        evaluation, checkpoint and export; the schedule spans the time until then. on_export gets the bytes of weights
        files, at intervals and at the end.
        held_out: kind -> rows (n, length) to evaluate on; otherwise drawn from the sources.
        """
        if held_out is None:
            held_out = held_out_rows(self.sources, HELD_OUT_BYTES, HELD_OUT_ROWS)
        self.deadline, self.report = deadline, report
        return LongRun(self, held_out, checkpoint, report, periods, on_export).run()
