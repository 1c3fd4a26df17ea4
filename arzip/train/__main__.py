"""`python -m arzip.train DATA... -o NAME.safetensors`: train a model, print what it reaches, write its weights."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from arzip.errors import ArzipError
from arzip.network.config import NetworkConfig
from arzip.system import extras
from arzip.system.files import write_whole
from arzip.train.add_tensors import CONTEXT, EXISTING, MORE
from arzip.train.data import Source, held_out_rows, load_mix
from arzip.train.recipes import Recipe

if TYPE_CHECKING:
    from arzip.train.qat_network import QatNetwork
    from arzip.train.trainer import Trainer


def parse_orders(text: str) -> tuple[int, ...]:
    """ "2,3,4" -> (2, 3, 4)."""
    return tuple(int(n) for n in text.split(","))


def start_network(start: Path | None, options: dict[str, Any]) -> tuple[QatNetwork, str]:
    """The network to train, and its origin: the digest of the weights file `start`, or "random".

    Without `start` the options give its shape. Raises ArzipError, ValueError.
    """
    from arzip.train.export import import_weights
    from arzip.train.qat_network import QatNetwork
    from arzip.weights.file import load_weights

    if start:
        weights = load_weights(start)
        return import_weights(weights, options["blocks"], options["seed"]), weights.digest.hex()
    orders = parse_orders(options["orders"])
    config = NetworkConfig(
        options["width"], options["blocks"], options["hidden"], orders, ngram_d=options["ngram_width"]
    )
    return QatNetwork(config, options["seed"]), "random"


def recipe_from(options: dict[str, Any]) -> Recipe:
    """The recipe that the options describe."""
    names = ("minutes", "batch", "length", "lr", "muon_lr", "ngram_lr", "seed")
    budget_bytes = int(1e6 * options["megabytes"])
    return Recipe(**{name: options[name] for name in names}, budget_bytes=budget_bytes)


def mix_digest(sources: list[Source]) -> str:
    """SHA-256 over the sources' names, sizes and shares."""
    lines = "\n".join(f"{s.name} {s.data.size} {s.share:.6f}" for s in sources)
    return hashlib.sha256(lines.encode()).hexdigest()


def compare_exact(data: bytes, name: str, held_out: dict[str, Any], float_bits: dict[str, float]) -> None:
    """Print bits per byte of each kind, and their mean: of the float network and of its integer network."""
    from arzip.train.evaluation import exact_bits
    from arzip.weights.file import parse_weights

    if not find_spec("numba"):
        click.echo("numba is not installed: the integer network was not run")
        return
    exact = exact_bits(parse_weights(data, name), held_out)
    for bits in (float_bits, exact):
        bits["mean"] = float(np.mean(list(bits.values())))
    for kind in float_bits:
        gap = 100 * (exact[kind] / float_bits[kind] - 1)
        click.echo(f"{kind:12s} float {float_bits[kind]:.4f} exact {exact[kind]:.4f} bpb, gap {gap:+.2f}%")


def prepare(sources: list[Source], net: QatNetwork, checkpoint: Path | None, options: dict[str, Any]) -> Trainer:
    """A trainer by the options, resumed from the checkpoint if that exists."""
    from arzip.train.trainer import Trainer

    trainer = Trainer(net, sources, recipe_from(options), options["device"])
    if options["fuse"]:
        trainer.compile()
    if checkpoint and checkpoint.exists():
        trainer.load(checkpoint)
        click.echo(f"resumed at {trainer.seen_bytes / 1e6:.1f} MB, {trainer.seconds / 60:.1f} minutes", err=True)
    return trainer


@click.command(context_settings=CONTEXT)
@click.argument("data", nargs=-1, required=True, type=EXISTING)
@click.option("-o", "--output", required=True, type=click.Path(dir_okay=False, path_type=Path), help="Weights file.")
@click.option("--from", "start", type=EXISTING, help="Weights file to start from.")
@click.option("--checkpoint", type=click.Path(dir_okay=False, path_type=Path), help="Resume here, save here.")
@click.option("--minutes", default=60.0, help="Time to train; the schedule is laid over it.")
@click.option("--megabytes", default=0.0, help="Text to train on instead, of 10^6 bytes; the schedule is laid over it.")
@click.option("--device", default="cpu", help="A torch device.")
@click.option("-T", "--threads", default=1, help="Threads of torch's CPU operations.")
@click.option("--compile", "fuse", is_flag=True, help="Fuse element-wise operations (needs a C++ compiler).")
@click.option("--width", default=192, help="Width d of the residual stream.")
@click.option("--blocks", default=2, help="Number of blocks; with --from, at least its own.")
@click.option("--hidden", default=576, help="Width of the MLP.")
@click.option("--orders", default="2,3,4,5,6", help="Byte orders of the n-gram tables.")
@click.option("--ngram-width", default=20, help="Values a row of the n-gram tables.")
@click.option("--batch", default=16, help="Rows of a batch.")
@click.option("--length", default=256, help="Bytes of a window.")
@click.option("--lr", default=3e-3, help="AdamW's learning rate.")
@click.option("--muon-lr", default=0.03, help="Muon's learning rate, for the matrices; 0: AdamW for all.")
@click.option("--ngram-lr", default=0.1, help="Adagrad's learning rate, for the n-gram tables.")
@MORE
@click.option("--seed", default=0)
def main(data: tuple[Path, ...], output: Path, start: Path | None, checkpoint: Path | None, **options: Any) -> None:
    """Train a model on files, or folders of them, and write its weights."""
    try:
        extras.require("torch", "train", "training")
        import torch

        torch.set_num_threads(options["threads"])
        sources = load_mix(list(data), options["more"])
        net, origin = start_network(start, options)
    except (ArzipError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    from arzip.train.export import export_bytes
    from arzip.train.trainer import HELD_OUT_BYTES, HELD_OUT_ROWS

    trainer = prepare(sources, net, checkpoint, options)
    held_out = held_out_rows(sources, HELD_OUT_BYTES, HELD_OUT_ROWS)
    float_bits = trainer.run(checkpoint, lambda line: click.echo(line, err=True), held_out=held_out)
    metadata = {
        "name": output.stem,
        "seen_bytes": str(trainer.seen_bytes),
        "started_from": origin,
        "trained_on": ", ".join(sorted({s.kind or s.name for s in sources})),
        "mix_sha256": mix_digest(sources),
        "recipe": json.dumps(asdict(trainer.recipe) | {"more": options["more"]}, sort_keys=True),
        "bits_per_byte": ", ".join(f"{kind} {bits:.3f}" for kind, bits in float_bits.items()),
    }
    weights = export_bytes(net, metadata)
    try:
        write_whole(output, weights)
    except ArzipError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{output}: {len(weights):,} bytes, {net.config.core_parameters:,} parameters in the core")
    compare_exact(weights, str(output), held_out, float_bits)


if __name__ == "__main__":
    main()
