"""`arzip train`: fit a model to a user's files, as zstd --train fits a dictionary."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from arzip.cli.args import Settings
from arzip.cli.messages import Reporter, shown
from arzip.cli.options import CONTEXT, MESSAGES
from arzip.errors import ArzipError, OutputError
from arzip.system import extras
from arzip.system.files import write_whole
from arzip.weights import registry

STOCK = "small"


@click.command(
    context_settings=CONTEXT, short_help="Fit a model to your own files: logs, records, messages, sources of one kind."
)
@click.argument("data", nargs=-1, required=True, metavar="DATA...", type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, metavar="NAME.safetensors", help="The model file to write.")
@click.option("--from", "start", default=STOCK, metavar="MODEL", help="Start from: NAME, PATH or none. [small]")
@click.option("--minutes", type=click.FloatRange(min=0), default=10.0, metavar="N", help="Time to train in. [10]")
@click.option("-T", "--threads", type=click.IntRange(min=0), default=0, metavar="N", help="0: one a core. [0]")
@click.option("--seed", type=click.IntRange(min=0), default=0, metavar="N", help="Of what is drawn at random. [0]")
@click.option("-f", "--force", is_flag=True, help="Overwrite the output.")
@MESSAGES
def train(
    data: tuple[Path, ...],
    output: str,
    start: str,
    minutes: float,
    threads: int,
    seed: int,
    force: bool,
    **options: Any,
) -> int:
    """Fit a model to your own files: logs, records, messages, sources of one kind, many or large.

    DATA are files or folders of them. Some of it is held out, a fifth at most: training stops when that gets no
    better, and the last line says what the new model gains there, in archives of single records, against the stock
    model, xz and zstd with a trained dictionary. The comparison takes a minute more than --minutes.

    Archives made with the model (-m NAME) name its digest, and can't be decompressed without it: keep it with them.
    """
    reporter = Reporter(Settings(**options))

    def job(name: str) -> None:
        extras.require("torch", "train", "training")
        path = check_output(name, force)
        source = None if start == "none" else registry.find(start)
        run(list(data), path, source, minutes, threads, seed, reporter)

    return reporter.each([output], job)


def check_output(name: str, force: bool) -> Path:
    """Path of the model to write. Raises OutputError for a wrong suffix, a missing folder, or a file that exists."""
    path = Path(name)
    if path.suffix != registry.SUFFIX:
        raise OutputError(f"a model's file ends with {registry.SUFFIX}")
    if not path.parent.is_dir():
        raise OutputError(f"no such folder: {path.parent}")
    if path.exists() and not force:
        raise OutputError("exists already; -f overwrites it")
    return path


def run(
    data: list[Path], path: Path, start: Path | None, minutes: float, threads: int, seed: int, reporter: Reporter
) -> None:
    """Train, write the model, compare it on held-out records. Raises ArzipError."""
    import torch

    from arzip.system.workers import usable_cores
    from arzip.train.finetune import fit
    from arzip.train.user_data import load_user_data

    began = time.monotonic()
    torch.set_num_threads(threads or usable_cores())
    documents = load_user_data(data, seed)
    counts = f"{len(documents.train):,} to train on, {len(documents.validation)} for validation"
    counts += f", {len(documents.test)} for the final test"
    reporter.report(f"{documents.size_bytes:,} bytes in {documents.files:,} files: {counts}")

    def log(line: str) -> None:
        reporter.report(f"{time.monotonic() - began:6.0f} s  {line}")

    fitted = fit(documents, start, path.stem, minutes, seed, log)
    write_whole(path, fitted.data)
    digest = fitted.weights.digest.hex()
    reporter.report(
        f"{shown(str(path))}: {len(fitted.data):,} bytes, digest {digest}; use it with -m {shown(str(path))}"
    )
    reporter.report(
        f"put it into {registry.user_folder()} and -m {shown(path.stem)} does; decompressing finds it there by itself"
    )
    compare(documents.test, documents.train, path, threads, reporter)


def compare(records: list[bytes], samples: list[bytes], path: Path, threads: int, reporter: Reporter) -> None:
    """Print the last line: sizes of archives of the test records, by the new model and by other compressors."""
    from arzip.train import compare_codecs

    reporter.report("comparing archives of held-out records")
    sizes: dict[str, int | None] = {path.stem: compare_codecs.archive_bytes(records, str(path), threads)}
    try:
        sizes[f"stock model {STOCK}"] = compare_codecs.archive_bytes(records, str(registry.find(STOCK)), threads)
    except ArzipError:
        sizes[f"stock model {STOCK}"] = None
    sizes["xz -9e"] = compare_codecs.xz_bytes(records)
    sizes["zstd -19 with a dictionary"] = compare_codecs.zstd_bytes(records, samples)
    click.echo(compare_codecs.summary_line(sizes, sum(map(len, records)), len(records)))
