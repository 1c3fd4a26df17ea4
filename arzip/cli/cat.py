"""`arzip cat`: what archives hold, or a part of it, to the standard output; also of URLs. Imports the API late."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import click

from arzip.cli.args import Settings
from arzip.cli.messages import Reporter
from arzip.cli.options import CONTEXT, MESSAGES, MODEL, grouped
from arzip.cli.sizes import ByteRange, byte_range
from arzip.system import files, outputs

PIECE_BYTES = 1 << 20


@click.command(context_settings=CONTEXT)
@click.argument("names", nargs=-1, required=True, metavar="FILE|URL...")
@click.option(
    "--range",
    "part",
    metavar="START:LEN",
    callback=byte_range,
    help="LEN bytes from START of what each holds: reads the index and the blocks with these bytes alone.",
)
@grouped(MODEL, MESSAGES)
def cat(names: tuple[str, ...], part: ByteRange | None, **options: Any) -> int:
    """Write what archives, files or URLs, hold (or a range of it) to stdout. As s3://bucket/big.arz (needs fsspec)."""
    settings = Settings(**options)
    return Reporter(settings).each(names, lambda name: _copy(name, part, settings))


def _copy(name: str, part: ByteRange | None, settings: Settings) -> None:
    """Write the part of an archive. Raises ArzipError."""
    with _opened(name) as source:
        from arzip.api.file import ArzipFile

        with ArzipFile(source, model=settings.model, threads=settings.threads) as archive, _stdout() as sink:
            left = part.length if part else None
            if part:
                archive.seek(part.start)
            while left is None or left > 0:
                data = archive.read1(PIECE_BYTES if left is None else min(left, PIECE_BYTES))
                if not data:
                    break
                sink.write(data)
                left = None if left is None else left - len(data)


@contextmanager
def _opened(name: str) -> Iterator[BinaryIO]:
    """A file that can seek. Raises ArzipError."""
    if "://" in name:
        from arzip.cluster import locations

        with locations.reading(name) as file:
            yield file
        return
    with files.open_source(name, special=True) as source:
        yield source.stream


@contextmanager
def _stdout() -> Iterator[outputs.OutputFile]:
    with open(os.devnull, "rb") as nothing:
        like = files.InputFile("", nothing, os.fstat(nothing.fileno()))
        with outputs.open_stdout(like, allow_terminal=True) as sink:
            yield sink
