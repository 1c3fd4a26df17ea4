"""A run to the end of its budget: reports, held-out evaluation, checkpoints and exports on the way, all by a deadline.

Must not know how a step is made.
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

from arzip.train.export import export_bytes
from arzip.train.heldout import evaluate
from arzip.train.model import FloatNetwork
from arzip.train.recipes import Recipe

RESERVE = 1.5  # times what evaluation, checkpoint and export last took is kept for the last ones
RESERVE_SECONDS = 1.0


@dataclass(frozen=True)
class Periods:
    """Seconds between two reports, held-out evaluations, checkpoints and exports."""

    report: float = 60.0
    evaluate: float = 300.0
    checkpoint: float = 300.0
    export: float = 300.0


class Task:
    """Something to do every so many seconds, and what it last took."""

    def __init__(self, work: Callable[[], None], every_seconds: float) -> None:
        self.work, self.every = work, every_seconds
        self.last, self.cost = time.monotonic(), 0.0

    def run(self) -> None:
        """Do it now."""
        began = time.monotonic()
        self.work()
        self.last = time.monotonic()
        self.cost = self.last - began

    def run_if_due(self, until: float) -> None:
        """Do it if the time has come, and it will be done by `until`, a time.monotonic()."""
        now = time.monotonic()
        if now - self.last >= self.every and now + self.cost < until:
            self.run()


class Stepper(Protocol):
    """What a run drives: arzip.train.loop.Trainer, whose attributes these are."""

    net: FloatNetwork
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
    """One call of Trainer.run, whose parameters it has."""

    def __init__(
        self,
        trainer: Stepper,
        held: dict[str, NDArray[np.uint8]],
        checkpoint: Path | None,
        report: Callable[[str], None],
        periods: Periods,
        on_export: Callable[[bytes], None] | None,
    ) -> None:
        self.trainer, self.held, self.report = trainer, held, report
        self.bits: dict[str, float] = {}
        self.shown_steps, self.shown_seconds = trainer.steps, trainer.seconds
        self.talk = Task(self.tell, periods.report)
        self.costly = [Task(self.look, periods.evaluate)]  # repeated at the end, in this order
        if checkpoint is not None:
            self.costly.append(Task(lambda: trainer.save(checkpoint), periods.checkpoint))
        if on_export is not None:
            self.costly.append(Task(lambda: on_export(self.exported()), periods.export))

    def go(self) -> dict[str, float]:
        """Train; returns held-out bits per byte of each kind at the end."""
        trainer = self.trainer
        if trainer.deadline is not None:
            for task in self.costly:  # what they take is what has to be kept for them
                task.run()
        while trainer.progress() < 1:
            trainer.reserve = RESERVE * sum(task.cost for task in self.costly) + RESERVE_SECONDS
            trainer.step()
            until = math.inf if trainer.deadline is None else trainer.deadline - trainer.reserve
            for task in (self.talk, *self.costly):
                task.run_if_due(until)
        self.tell()
        for task in self.costly:
            task.run()
        return self.bits

    def tell(self) -> None:
        """Report clock, speed and mean training loss since the last time."""
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

    def look(self) -> None:
        """Evaluate on held-out text, and say what it gave."""
        self.bits = evaluate(self.trainer.net, self.held, self.trainer.device)
        self.report("held out: " + " ".join(f"{kind} {bits:.3f}" for kind, bits in self.bits.items()))

    def exported(self) -> bytes:
        """The weights file of the network as it is; how it was judged is from the last look."""
        bits = ", ".join(f"{kind} {value:.3f}" for kind, value in self.bits.items())
        about = {"seen_bytes": str(self.trainer.seen_bytes), "bits_per_byte": bits}
        return export_bytes(self.trainer.net, self.trainer.metadata | about)
