"""`arzip eval`: compressed size of files without writing archives, and its breakdown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from arzip.cli.args import Settings
from arzip.cli.inputs import gather
from arzip.cli.messages import Reporter
from arzip.cli.options import CONTEXT, FILES, INPUT, JSON, LEVEL, MESSAGES, MODEL, OPEN, PROGRESS, grouped


@click.command(
    "eval",
    context_settings=CONTEXT,
    short_help="Show bits per byte of each FILE, archived and by the model alone; writes nothing.",
)
@FILES
@click.option("--by-position", is_flag=True, help="Where in the file the bits go: its twentieths.")
@click.option("--by-byte-class", is_flag=True, help="Which bytes take them: letters, digits, spaces ..")
@click.option("--plot", metavar="FILE.png", help="Draw both; needs matplotlib.")
@grouped(INPUT, LEVEL, OPEN, MODEL, JSON, MESSAGES, PROGRESS)
def evaluate(names: tuple[str, ...], by_position: bool, by_byte_class: bool, plot: str | None, **options: Any) -> int:
    """Show bits per byte of each FILE, of its archive and of the model alone; writes no archive.

    The tables by position and by byte class are of one lane, whatever the level: a byte's cost is what its past makes
    of it.
    """
    from arzip.cli import fileio, tables

    settings = Settings(**options)
    if plot is not None and not plot.lower().endswith(".png"):
        raise click.UsageError("--plot draws a FILE.png")
    rows: list[dict[str, Any]] = []
    reporter = Reporter(settings)
    broken_down = by_position or by_byte_class or plot is not None
    found = gather(names, settings, reporter, of_archives=False)
    code = reporter.each(found, lambda name: rows.append(fileio.evaluate(name, settings, reporter, broken_down)))
    tables.print_evaluations(rows, settings)
    keys = [key for key, wanted in (("by_position", by_position), ("by_byte_class", by_byte_class)) if wanted]
    if not settings.json:
        tables.print_cost_breakdown(rows, keys)
    if plot is not None and rows:
        from arzip.system.figures import plot_cost_breakdown

        code = reporter.each([plot], lambda path: plot_cost_breakdown(rows, Path(path)))
    return code
