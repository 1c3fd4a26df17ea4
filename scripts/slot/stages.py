"""One stage of a slot, in a process of its own: a CUDA device that a failure has spoilt is then only that stage's.

Prints lines for the log, and lines of "RESULT" and a JSON object. Must not import numba.
"""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import click

from arzip.engine.cuda_batch import SHAPES
from arzip.engine.cuda_driver import DriverError
from arzip.weights.registry import SUFFIX
from scripts.slot import cases, exports, wide_cases
from scripts.slot.plan import PLAN, TOY, Plan
from scripts.slot.training import (
    WAYS,
    network,
    recipe_of,
    recurrence_seconds,
    seconds_of,
    speed,
    step_seconds,
    timed,
    warm_seconds,
)

RESULT = "RESULT "


@click.group()
def main() -> None:
    """One stage of a slot."""


def shared(job: Callable[..., None]) -> Callable[..., None]:
    """The options of every stage. --until: seconds of the epoch; --scratch: where the pack was unpacked."""
    for option in (
        click.option("--toy", is_flag=True),
        click.option("--device", required=True),
        click.option("--scratch", required=True, type=click.Path(path_type=Path)),
        click.option("--until", required=True, type=float),
    ):
        job = option(job)
    return job


def settle(toy: bool, device: str) -> Plan:
    """The plan; on a CPU, torch is told to take one thread."""
    if device == "cpu":
        import torch

        torch.set_num_threads(1)
    return TOY if toy else PLAN


def tell(facts: dict[str, Any]) -> None:
    """Print a stage's figures so far: what counts is the last such line."""
    click.echo(RESULT + json.dumps(facts))


def finish(facts: dict[str, Any]) -> None:
    """Print a stage's figures and end its process, without the second that torch takes to tidy up."""
    tell(facts)
    sys.stdout.flush()
    os._exit(0)


def version(name: str) -> str:
    """The version of a package, or that it is missing."""
    return importlib.import_module(name).__version__ if importlib.util.find_spec(name) else "missing"


@main.command()
@shared
def machine(toy: bool, device: str, scratch: Path, until: float) -> None:
    """What there is to run on, and how fast it moves and multiplies."""
    facts: dict[str, Any] = {name: version(name) for name in ("torch", "triton", "numpy", "safetensors")}
    facts |= {"python": platform.python_version(), "cores": os.cpu_count(), "device": device}
    tell(facts)
    if device == "cuda":
        facts |= cuda_facts()
    for name, value in facts.items():
        click.echo(f"{name}: {value}")
    finish(facts)


def cuda_facts() -> dict[str, Any]:
    """The card's name, memory and multiprocessors; GB/s of a copy (read and written), TFLOP/s of a bf16 product."""
    import torch

    card = torch.cuda.get_device_properties(0)
    free, total = torch.cuda.mem_get_info()
    facts: dict[str, Any] = {"card": card.name, "multiprocessors": card.multi_processor_count}
    facts |= {"cuda": torch.version.cuda, "free_gb": round(free / 1e9, 1), "total_gb": round(total / 1e9, 1)}
    source = torch.randint(0, 255, (1 << 31,), dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    facts["copy_gb_s"] = round(2 * source.numel() / seconds_of(lambda: target.copy_(source), 5, "cuda") / 1e9)
    a, b = (torch.randn(8192, 8192, dtype=torch.bfloat16, device="cuda") for _ in range(2))
    facts["bf16_tflop_s"] = round(2 * 8192**3 / seconds_of(lambda: a @ b, 10, "cuda") / 1e12)
    return facts


@main.command()
@shared
def exact(toy: bool, device: str, scratch: Path, until: float) -> None:
    """Whether the network's kernel gives on this GPU what the CPU's gave, and how long a step takes."""
    plan = settle(toy, device)
    found = unpacked_cases(scratch / "cases")
    if device == "cpu":
        click.echo(f"{len(found)} networks: not run, the kernel is a GPU's")
        finish({"networks": len(found)})
    result: dict[str, Any] = {}
    for name, case in found.items():
        result[name] = cases.check(case, cases.triton_stepper(device))
        for line in result[name]:
            click.echo(f"{name}: {line}")
        tell(result)
    times: dict[str, float] = {}
    order = sorted(found, key=lambda name: name != "small")  # that of the level without a number comes first
    for name, (tile, warps), lanes in product(order, plan.network_tiles, plan.network_lanes):
        if time.time() < until:
            what = f"{name}, {lanes} lanes, {tile} a program, {warps} warps"
            seconds = partial(cases.step_microseconds, found[name], device, lanes, tile, warps, plan.network_steps)
            attempt(times, what, lanes, seconds, "us a step")
    finish(result | {"us a step": times})


def unpacked_cases(folder: Path) -> dict[str, Any]:
    """The cases of a folder by name. Raises ClickException if there are none."""
    found = {path.stem: cases.load(path.read_bytes()) for path in sorted(folder.glob("*.npz"))}
    if not found:
        raise click.ClickException("there are no cases to check")
    return found


@main.command()
@shared
def wide(toy: bool, device: str, scratch: Path, until: float) -> None:
    """Whether the kernels of wide blocks leave on the GPU what the CPU's left; MB/s for several numbers of blocks."""
    plan = settle(toy, device)
    found = unpacked_cases(scratch / "wide")
    if device == "cpu":
        click.echo(f"{len(found)} cases: not run, the kernels are a GPU's")
        finish({"cases": len(found)})
    from arzip.engine.cuda_driver import Device

    network = cases.load((scratch / "wide-network.npz").read_bytes())
    loaded, result = wide_cases.Loaded(Device(), network), {}
    for name, case in found.items():
        result[name] = wide_cases.check(case, loaded)
        for line in result[name]:
            click.echo(f"{name}: {line}")
        tell(result)
    rates: dict[str, Any] = {}
    # what a release would choose by comes first: the time may not do for all
    for blocks, name, shape, part in product(plan.wide_blocks, plan.timed_first(found), SHAPES, wide_cases.PART):
        if time.time() > until:
            break
        what = f"{name}, {blocks} blocks, {shape[0]} threads a lane, {shape[1]} a block, {wide_cases.DIRECTIONS[part]}"
        try:
            found_speed = wide_cases.speed(found[name], part, loaded, shape, blocks, plan.wide_steps)
            rates[what] = found_speed._asdict()
            click.echo(f"{what}: {found_speed.mb_s} MB/s, {found_speed.us_a_step} us a step")
        except DriverError as error:
            click.echo(f"{what}: {error}")
        tell(result | {"speed": rates})
    finish(result | {"speed": rates})


@main.command()
@click.argument("name")
@click.option("--output", required=True, type=click.Path(path_type=Path))
@click.option("--way", type=click.IntRange(0, len(WAYS) - 1), default=0)
@shared
def train(name: str, output: Path, way: int, toy: bool, device: str, scratch: Path, until: float) -> None:
    """Train a network until a time, its export written as it goes."""
    deadline = time.monotonic() + until - time.time()
    plan = settle(toy, device)
    core, every = plan.core(name), plan.report_seconds
    from arzip.train.data import held_out_rows, load_mix
    from arzip.train.long_run import Periods

    sources = load_mix([scratch / "mix"])
    held_out = held_out_rows(sources, plan.held_out_bytes, plan.held_out_rows)
    net, started_from = network(core, scratch, output)
    deadline = min(deadline, time.monotonic() + plan.max_seconds)
    recipe = recipe_of(core, core.batch, deadline - time.monotonic())
    trainer = WAYS[way].trainer(net, sources, recipe, device)
    about = {"name": name, "started_from": started_from, "recipe": json.dumps(asdict(recipe), sort_keys=True)}
    trainer.metadata |= about | {"trained_on": ", ".join(sorted({s.kind or s.name for s in sources}))}
    click.echo(
        f"{name}: {net.config.core_parameters:,} parameters in the core, from {started_from}; {WAYS[way].words(device)}"
    )

    def export(data: bytes) -> None:
        exports.write(output, f"{name}{SUFFIX}", data, speed(trainer))

    periods = Periods(report=every, evaluate=every, export=every)
    bits = trainer.run(None, click.echo, periods, deadline=deadline, on_export=export, held_out=held_out)
    finish(
        speed(trainer) | {"way": WAYS[way].words(device), "bits_per_byte": {k: round(v, 4) for k, v in bits.items()}}
    )


@main.command()
@click.argument("name")
@shared
def warm(name: str, toy: bool, device: str, scratch: Path, until: float) -> None:
    """Make two steps of a network on made-up text, so that its compiled kernels are at hand when it is trained."""
    plan = settle(toy, device)
    finish({"seconds": round(warm_seconds(plan.core(name), scratch, device), 1)})


@main.command()
@shared
def timings(toy: bool, device: str, scratch: Path, until: float) -> None:
    """MB/s of the recurrence alone and of a training step, by batch and by the way it is run."""
    plan = settle(toy, device)
    core = plan.cores[0]
    rates: dict[str, float] = {}
    for triton in (True, False) if device == "cuda" else (False,):
        name = f"recurrence, {core.batch} rows, {'Triton' if triton else 'loop'}"
        attempt(rates, name, core.batch * core.length, partial(recurrence_seconds, plan, core.batch, triton, device))
    for batch, way in timed(plan, core.batch, device):
        if time.time() > until:
            break
        name = f"{core.name}, {batch} rows of {core.length}, {WAYS[way].words(device)}"
        attempt(rates, name, batch * core.length, partial(step_seconds, plan, batch, WAYS[way], scratch, device))
    finish(rates)


def attempt(
    rates: dict[str, float], name: str, size_bytes: int, seconds: Callable[[], float], unit: str = "MB/s"
) -> None:
    """Put MB/s, or in another unit what `seconds` gives, under a name, or say why there are none."""
    try:
        found = seconds()
        rates[name] = round(size_bytes / found / 1e6 if unit == "MB/s" else found, 3)
        click.echo(f"{name}: {rates[name]} {unit}")
        tell(rates)
    except Exception as error:  # compilers raise what they like; the other timings are worth having
        click.echo(f"{name}: {type(error).__name__}: {str(error).splitlines()[:1]}")


if __name__ == "__main__":
    main()
