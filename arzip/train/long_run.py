"""Runs a trainer to the end of its budget, with progress lines, evaluations, checkpoints and exports, by a deadline.

Must not import code that makes steps.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from arzip.train.evaluation import evaluate
from arzip.train.export import export_bytes
from arzip.train.qat_network import QatNetwork
from arzip.train.recipes import Recipe

RESERVE = 1.5  # evaluation, checkpoint and export at the end get so many times the seconds they last took
RESERVE_SECONDS = 1.0


@dataclass(frozen=True)
class Periods:
    """Seconds between two reports, held-out evaluations, checkpoints and exports."""

    report: float = 60.0
    evaluate: float = 300.0
    checkpoint: float = 300.0
    export: float = 300.0


class Task:
    """Work to repeat every so many seconds. cost: seconds that it last took."""

    def __init__(self, work: Callable[[], None], every_seconds: float) -> None:
        self.work, self.every = work, every_seconds
        self.last, self.cost = time.monotonic(), 0.0

    def run(self) -> None:
        """Do the work now."""
        began = time.monotonic()
        self.work()
        self.last = time.monotonic()
        self.cost = self.last - began

    def run_if_due(self, until: float) -> None:
        """Do the work if it is due and, by its last cost, ends before `until`, a time.monotonic()."""
        now = time.monotonic()
        if now - self.last >= self.every and now + self.cost < until:
            self.run()


class Stepper(Protocol):
    """The attributes of arzip.train.trainer.Trainer that a run uses."""

    net: QatNetwork
    recipe: Recipe
    device: str
    metadata: dict[str, str]
    deadline: float | None
    reserve: float
    seconds: float
    seen_bytes: int
    steps: int
    loss_sum: Tensor

    def step(self) -> Tensor:
        """Train on one batch; returns its loss."""

    def progress(self) -> float:
        """Share of the budget that is spent."""

    def learning_rate(self) -> float:
        """The schedule's factor."""

    def save(self, path: Path) -> None:
        """Write a checkpoint."""


class LongRun:
    """One call of Trainer.run, with its parameters."""

    def __init__(
        self,
        trainer: Stepper,
        held_out: dict[str, NDArray[np.uint8]],
        checkpoint: Path | None,
        report: Callable[[str], None],
        periods: Periods,
        on_export: Callable[[bytes], None] | None,
    ) -> None:
        self.trainer, self.held_out, self.report = trainer, held_out, report
        self.bits: dict[str, float] = {}
        self.shown_steps, self.shown_seconds = trainer.steps, trainer.seconds
        self.report_task = Task(self.report_progress, periods.report)
        self.final_tasks = [Task(self.evaluate_held_out, periods.evaluate)]  # repeated at the end, in this order
        if checkpoint is not None:
            self.final_tasks.append(Task(lambda: trainer.save(checkpoint), periods.checkpoint))
        if on_export is not None:
            self.final_tasks.append(Task(lambda: on_export(self.export()), periods.export))

    def run(self) -> dict[str, float]:
        """Train; returns held-out bits per byte of each kind at the end."""
        trainer = self.trainer
        if trainer.deadline is not None:
            for task in self.final_tasks:  # measures how much time to reserve for them
                task.run()
        while trainer.progress() < 1:
            trainer.reserve = RESERVE * sum(task.cost for task in self.final_tasks) + RESERVE_SECONDS
            trainer.step()
            until = math.inf if trainer.deadline is None else trainer.deadline - trainer.reserve
            for task in (self.report_task, *self.final_tasks):
                task.run_if_due(until)
        self.report_progress()
        for task in self.final_tasks:
            task.run()
        return self.bits

    def report_progress(self) -> None:
        """Report clock, speed, and mean training loss since the last report."""
        trainer = self.trainer
        loss, steps = float(trainer.loss_sum), trainer.steps - self.shown_steps
        if not steps:
            return
        trainer.loss_sum.zero_()
        seconds = max(trainer.seconds - self.shown_seconds, 1e-9)
        rate = steps * trainer.recipe.batch * trainer.recipe.length / seconds / 1000
        self.shown_steps, self.shown_seconds = trainer.steps, trainer.seconds
        clock = f"{trainer.seconds / 60:7.1f} min {trainer.seen_bytes / 1e6:8.2f} MB"
        self.report(f"{clock} {rate:6.1f} KB/s {loss / steps:.4f} bpb, rate {trainer.learning_rate():.3f}")

    def evaluate_held_out(self) -> None:
        """Evaluate on held-out text, and report the result."""
        self.bits = evaluate(self.trainer.net, self.held_out, self.trainer.device)
        self.report("held out: " + " ".join(f"{kind} {bits:.3f}" for kind, bits in self.bits.items()))

    def export(self) -> bytes:
        """The weights file of the network now; its bits per byte are those of the last evaluation."""
        bits = ", ".join(f"{kind} {value:.3f}" for kind, value in self.bits.items())
        about = {"seen_bytes": str(self.trainer.seen_bytes), "bits_per_byte": bits}
        return export_bytes(self.trainer.net, self.trainer.metadata | about)
