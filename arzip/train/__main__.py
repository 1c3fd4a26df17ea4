"""`python -m arzip.train DATA... -o NAME.safetensors`: train a model, print what it reaches, write its weights."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path

import click
import numpy as np

from arzip.errors import ArzipError
from arzip.system.files import write_whole
from arzip.train.revise import MORE


def parse_orders(text: str) -> tuple[int, ...]:
    """ "2,3,4" -> (2, 3, 4)."""
    return tuple(int(n) for n in text.split(","))


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.argument("data", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(dir_okay=False, path_type=Path), help="Weights file.")
@click.option("--from", "start", type=click.Path(exists=True, path_type=Path), help="Weights file to start from.")
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
def main(
    data: tuple[Path, ...],
    output: Path,
    start: Path | None,
    checkpoint: Path | None,
    minutes: float,
    megabytes: float,
    device: str,
    threads: int,
    fuse: bool,
    width: int,
    blocks: int,
    hidden: int,
    orders: str,
    ngram_width: int,
    batch: int,
    length: int,
    lr: float,
    muon_lr: float,
    ngram_lr: float,
    more: tuple[str, ...],
    seed: int,
) -> None:
    """Train a model on files, or folders of them, and write its weights."""
    import torch

    from arzip.network.config import NetworkConfig
    from arzip.train.data import held_out_rows, load_mix
    from arzip.train.export import export_bytes, import_weights
    from arzip.train.loop import HELD_OUT_BYTES, HELD_OUT_ROWS, Recipe, Trainer, exact_bits
    from arzip.train.model import FloatNetwork
    from arzip.weights.file import load_weights, parse_weights

    torch.set_num_threads(threads)
    try:
        sources = load_mix(list(data), more)
        config = NetworkConfig(width, blocks, hidden, parse_orders(orders), ngram_d=ngram_width)
        net = import_weights(load_weights(start), blocks, seed) if start else FloatNetwork(config, seed)
    except (ArzipError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    recipe = Recipe(minutes, batch, length, lr, muon_lr, ngram_lr, seed=seed, budget_bytes=int(1e6 * megabytes))
    trainer = Trainer(net, sources, recipe, device)
    if fuse:
        trainer.compile()
    if checkpoint and checkpoint.exists():
        trainer.load(checkpoint)
        click.echo(f"resumed at {trainer.seen_bytes / 1e6:.1f} MB, {trainer.seconds / 60:.1f} minutes", err=True)
    held = held_out_rows(sources, HELD_OUT_BYTES, HELD_OUT_ROWS)
    floating = trainer.run(checkpoint, lambda line: click.echo(line, err=True), held=held)

    mix = hashlib.sha256("\n".join(f"{s.name} {s.data.size} {s.share:.6f}" for s in sources).encode()).hexdigest()
    metadata = {
        "name": output.stem,
        "seen_bytes": str(trainer.seen_bytes),
        "started_from": load_weights(start).digest.hex() if start else "random",
        "trained_on": ", ".join(sorted({s.kind or s.name for s in sources})),
        "mix_sha256": mix,
        "recipe": json.dumps(asdict(recipe) | {"more": more}, sort_keys=True),
        "bits_per_byte": ", ".join(f"{kind} {bits:.3f}" for kind, bits in floating.items()),
    }
    data_bytes = export_bytes(net, metadata)
    try:
        write_whole(output, data_bytes)
    except ArzipError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{output}: {len(data_bytes):,} bytes, {net.config.core_parameters:,} parameters in the core")
    if not find_spec("numba"):
        click.echo("numba is not at hand: the integer network was not run")
        return
    exact = exact_bits(parse_weights(data_bytes, str(output)), held)
    floating["mean"], exact["mean"] = (float(np.mean(list(bits.values()))) for bits in (floating, exact))
    for kind in floating:
        gap = 100 * (exact[kind] / floating[kind] - 1)
        click.echo(f"{kind:12s} float {floating[kind]:.4f} exact {exact[kind]:.4f} bpb, gap {gap:+.2f}%")


if __name__ == "__main__":
    main()
