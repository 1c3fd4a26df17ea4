"""One stage of a slot, in a process of its own: a CUDA device that a failure has spoilt is then only that stage's.

Prints lines for the log, and last of all "RESULT" and a JSON object. Must not import numba.
"""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from arzip.models import SUFFIX
from scripts.slot import cases, exports
from scripts.slot.plan import PLAN, TOY, Core, Plan

if TYPE_CHECKING:
    from arzip.train.model import FloatNetwork

# How a network is trained, the fastest way first.
CAUTION = (
    "compiled, as a CUDA graph",
    "as a CUDA graph",
    "step by step",
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


def finish(facts: dict[str, Any]) -> None:
    """Print the last line of a stage and end its process, without the second that torch takes to tidy up."""
    click.echo(RESULT + json.dumps(facts))
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


def seconds_of(work: Callable[[], object], times: int, device: str) -> float:
    """Seconds of one call, after two to warm up."""
    import torch

    wait = torch.cuda.synchronize if device == "cuda" else (lambda: None)
    for _ in range(2):
        work()
    wait()
    began = time.perf_counter()
    for _ in range(times):
        work()
    wait()
    return (time.perf_counter() - began) / times


@main.command()
@shared
def exact(toy: bool, device: str, scratch: Path, until: float) -> None:
    """Whether the network's integer step gives on this device what the CPU's kernels gave."""
    settle(toy, device)
    result: dict[str, Any] = {}
    for path in sorted((scratch / "cases").glob("*.npz")):
        case = cases.load(path.read_bytes())
        result[path.stem] = cases.check(case, device)
        for line in result[path.stem]:
            click.echo(f"{path.stem}: {line}")
    if not result:
        raise click.ClickException("there are no cases to check")
    finish(result)


@main.command()
@click.argument("name")
@click.option("--output", required=True, type=click.Path(path_type=Path))
@click.option("--caution", type=click.IntRange(0, len(CAUTION) - 1), default=0)
@shared
def train(name: str, output: Path, caution: int, toy: bool, device: str, scratch: Path, until: float) -> None:
    """Train a network until a time, its export written as it goes."""
    deadline = time.monotonic() + until - time.time()
    plan, core = settle(toy, device), settle(toy, device).core(name)
    from arzip.train.recipes import scaled

    from arzip.train.data import held_out_rows, load_mix
    from arzip.train.loop import Trainer

    sources = load_mix([scratch / "mix"])
    held = held_out_rows(sources, plan.held_bytes, plan.held_rows)
    net, started_from = network(core, scratch, output)
    if device == "cuda" and caution == 0:
        net.compile()
    recipe = scaled(core.batch, core.length, minutes=(deadline - time.monotonic()) / 60)
    trainer = Trainer(net, sources, recipe, device, graph=caution < 2)
    trainer.metadata |= {"name": name, "started_from": started_from}
    click.echo(
        f"{name}: {net.config.core_parameters:,} parameters in the core, from {started_from}; {CAUTION[caution]}"
    )

    def facts() -> dict[str, Any]:
        rate = trainer.seen_bytes / max(trainer.seconds, 1e-9) / 1e6
        return {"seen_bytes": trainer.seen_bytes, "progress": round(trainer.progress(), 3), "mb_s": round(rate, 3)}

    bits = trainer.run(
        None,
        click.echo,
        plan.report_seconds,
        deadline=deadline,
        on_export=lambda data: exports.write(output, f"{name}{SUFFIX}", data, facts()),
        export_seconds=plan.report_seconds,
        held=held,
    )
    done = {"bits_per_byte": {kind: round(value, 4) for kind, value in bits.items()}, "caution": CAUTION[caution]}
    finish(facts() | {"steps": trainer.steps, "seconds": round(trainer.seconds, 1)} | done)


def network(core: Core, scratch: Path, output: Path) -> tuple[FloatNetwork, str]:
    """What a network starts from, and what that is: its own export, if a run was broken off; a start; or chance."""
    from arzip.network.weights import parse_weights
    from arzip.train.export import import_weights
    from arzip.train.model import FloatNetwork

    name, start = f"{core.name}{SUFFIX}", scratch / "start" / f"{core.start}{SUFFIX}"
    if name in exports.read_index(output):
        net, origin = import_weights(parse_weights(exports.read(output, name), name)), "its own export"
    elif core.start:
        weights = parse_weights(start.read_bytes(), str(start))
        net, origin = import_weights(weights, core.config.blocks), weights.metadata.get("digest", core.start)
    else:
        net, origin = FloatNetwork(core.config), "random"
    if net.config != core.config:
        raise click.ClickException(f"{core.name} can't go on from {origin}: {net.config} is not {core.config}")
    return net, origin


@main.command()
@shared
def timings(toy: bool, device: str, scratch: Path, until: float) -> None:
    """MB/s of training the first network of the plan, by batch and by how it is run."""
    plan = settle(toy, device)
    from arzip.train.recipes import scaled

    from arzip.train.data import load_mix
    from arzip.train.loop import Trainer
    from arzip.train.model import FloatNetwork

    sources, core, rates = load_mix([scratch / "mix"]), plan.cores[0], {}
    for batch in plan.batches:
        for caution, words in enumerate(CAUTION):
            if time.time() > until:
                break
            net = FloatNetwork(core.config)
            if device == "cuda" and caution == 0:
                net.compile()
            trainer = Trainer(net, sources, scaled(batch, core.length, minutes=1.0), device, graph=caution < 2)
            seconds = seconds_of(trainer.step, plan.timing_steps, device)
            rates[f"{batch} rows, {words}"] = round(batch * core.length / seconds / 1e6, 3)
            click.echo(
                f"{core.name}, {batch} rows of {core.length}, {words}: {batch * core.length / seconds / 1e6:.2f} MB/s"
            )
    finish(rates)


if __name__ == "__main__":
    main()
