"""`arzip eval`: what files would cost, and where the bits go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from arzip.cli.args import Settings
from arzip.cli.messages import Talk
from arzip.cli.options import CONTEXT, FILES, JSON, LEVEL, MODEL, PROGRESS, TALK, grouped


@click.command("eval", context_settings=CONTEXT)
@FILES
@click.option("--by-position", is_flag=True, help="Where in the file the bits go: its twentieths.")
@click.option("--by-byte-class", is_flag=True, help="Which bytes take them: letters, digits, spaces ...")
@click.option("--plot", metavar="FILE.png", help="Draw both; needs matplotlib.")
@grouped(LEVEL, MODEL, JSON, TALK, PROGRESS)
def evaluate(names: tuple[str, ...], by_position: bool, by_byte_class: bool, plot: str | None, **options: Any) -> int:
    """Show bits per byte of each FILE, of its archive and of the model alone; writes no archive.

    The tables by position and by byte class are of one lane, whatever the level: a byte's cost is what its past makes
    of it.
    """
    from arzip.cli import fileio as jobs
    from arzip.cli import tables

    settings = Settings(**options)
    if plot is not None and not plot.lower().endswith(".png"):
        raise click.UsageError("--plot draws a FILE.png")
    rows: list[dict[str, Any]] = []
    talk = Talk(settings)
    dissected = by_position or by_byte_class or plot is not None
    code = talk.each(names or ("-",), lambda name: rows.append(jobs.evaluate(name, settings, talk, dissected)))
    tables.print_evaluations(rows, settings)
    keys = [key for key, wanted in (("by_position", by_position), ("by_byte_class", by_byte_class)) if wanted]
    if not settings.json:
        tables.print_anatomy(rows, keys)
    if plot is not None and rows:
        from arzip.analysis.plot import plot_anatomy

        code = talk.each([plot], lambda path: plot_anatomy(rows, Path(path)))
    return code
