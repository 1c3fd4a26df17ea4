"""How a network of the plan is trained on a device: from what, in which way, how fast.

Imports torch only where it is used: the process that runs the stages needs none.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from arzip.weights.registry import SUFFIX
from scripts.slot import exports
from scripts.slot.plan import Core, Plan

if TYPE_CHECKING:
    from arzip.train.data import Source
    from arzip.train.qat_network import QatNetwork
    from arzip.train.recipes import Recipe
    from arzip.train.trainer import Trainer


@dataclass(frozen=True)
class Way:
    """Whether, on a GPU, a step is compiled, recorded as a CUDA graph, and has the recurrence as a Triton kernel."""

    name: str
    compiled: bool
    graph: bool
    triton: bool

    def words(self, device: str) -> str:
        """For the log."""
        return self.name if device == "cuda" else "on the CPU"

    def trainer(self, net: QatNetwork, sources: list[Source], recipe: Recipe, device: str) -> Trainer:
        """A run that steps in this way."""
        from arzip.train import scan
        from arzip.train.trainer import Trainer

        trainer = Trainer(net, sources, recipe, device, graph=self.graph, report=click.echo)
        if device == "cuda" and not self.triton:
            trainer.net.recurrence = scan.recurrence
        if device == "cuda" and self.compiled:
            trainer.compile()
        return trainer


# How a network is trained on a GPU, the fastest way first: what fails in one may work in the next.
WAYS = (
    Way("compiled, as a CUDA graph", compiled=True, graph=True, triton=True),
    Way("as a CUDA graph", compiled=False, graph=True, triton=True),
    Way("step by step", compiled=False, graph=False, triton=True),
    Way("as a CUDA graph, without Triton", compiled=False, graph=True, triton=False),
    Way("step by step, without Triton", compiled=False, graph=False, triton=False),
)


def network(core: Core, scratch: Path, output: Path) -> tuple[QatNetwork, str]:
    """What a network starts from, and what that is: its own export, if a run was broken off; a start; or chance."""
    from arzip.train.export import import_weights
    from arzip.train.qat_network import QatNetwork
    from arzip.weights.file import parse_weights

    name, start = f"{core.name}{SUFFIX}", scratch / "start" / f"{core.start}{SUFFIX}"
    if name in exports.read_index(output):
        net, origin = import_weights(parse_weights(exports.read(output, name), name)), "its own export"
    elif core.start:
        weights = parse_weights(start.read_bytes(), str(start))
        net, origin = import_weights(weights, core.config.blocks), weights.metadata.get("digest", core.start)
    else:
        net, origin = QatNetwork(core.config), "random"
    if net.config != core.config:
        raise click.ClickException(f"{core.name} can't go on from {origin}: {net.config} is not {core.config}")
    return net, origin


def recipe_of(core: Core, batch: int, seconds: float) -> Recipe:
    """What the trainer is told, for so many rows a batch and a schedule over so many seconds."""
    from arzip.train.recipes import scaled

    recipe = scaled(batch, core.length, minutes=seconds / 60)
    rates = {name: core.rate * getattr(recipe, name) for name in ("lr", "muon_lr", "ngram_lr")}
    return replace(recipe, **rates)


def speed(trainer: Trainer) -> dict[str, Any]:
    """How far a run has come, and how fast."""
    seconds = round(trainer.seconds, 1)
    rate = round(trainer.seen_bytes / max(trainer.seconds, 1e-9) / 1e6, 3)
    return {"seen_bytes": trainer.seen_bytes, "steps": trainer.steps, "seconds": seconds, "mb_s": rate}


def seconds_of(work: Callable[[], object], times: int, device: str, warmup: int = 2) -> float:
    """Seconds of one call, after some to warm up."""
    import torch

    def repeat(count: int) -> float:
        began = time.perf_counter()
        for _ in range(count):
            work()
        if device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - began

    repeat(warmup)
    return repeat(times) / times


def timed(plan: Plan, batch: int, device: str) -> list[tuple[int, int]]:
    """(batch, way) in the order of worth: the batch that is trained with, in all ways; then others."""
    others = [size for size in plan.batches if size != batch]
    if device == "cpu":
        return [(size, 0) for size in (batch, *others)]
    return [(batch, way) for way in range(len(WAYS))] + [(size, way) for way in (1, 0) for size in others]


def step_seconds(plan: Plan, batch: int, way: Way, scratch: Path, device: str) -> float:
    """Seconds of one training step of the plan's first network."""
    from arzip.train.data import load_mix
    from arzip.train.qat_network import QatNetwork

    core = plan.cores[0]
    sources, recipe = load_mix([scratch / "mix"]), recipe_of(core, batch, 60.0)
    trainer = way.trainer(QatNetwork(core.config), sources, recipe, device)
    return seconds_of(trainer.step, plan.timing_steps, device, warmup=6)


def warm_seconds(core: Core, scratch: Path, device: str) -> float:
    """Seconds of the first two steps of a network in the fastest way, on made-up text."""
    import numpy as np

    from arzip.train.data import load_source
    from arzip.train.qat_network import QatNetwork

    path = scratch / f"{core.name}.bin"
    path.write_bytes(np.random.default_rng(0).bytes(1 << 18))
    began = time.perf_counter()
    sources, recipe = [load_source(path, "", 1.0)], recipe_of(core, core.batch, 60.0)
    trainer = WAYS[0].trainer(QatNetwork(core.config), sources, recipe, device)
    for _ in range(2):
        float(trainer.step())
    return time.perf_counter() - began


def recurrence_seconds(plan: Plan, batch: int, triton: bool, device: str) -> float:
    """Seconds of one recurrence, there and back, of the plan's first network."""
    import torch

    from arzip.train import scan

    core, work = plan.cores[0], scan.fused_recurrence if triton else scan.recurrence
    d = core.config.d
    z = torch.randn(core.length, batch, 3 * d, dtype=torch.bfloat16, device=device, requires_grad=True)
    bias, h0 = torch.zeros(3 * d, device=device, requires_grad=True), torch.zeros(batch, d, device=device)
    grad = torch.randn(core.length, batch, d, device=device)

    def run() -> None:
        out, _ = work(z, bias, h0)
        out.backward(grad.to(out.dtype))

    return seconds_of(run, plan.timing_steps, device)
