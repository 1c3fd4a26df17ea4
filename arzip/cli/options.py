"""Options that several commands share, and their help texts. Must not import commands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from arzip import levels
from arzip.cli import environment
from arzip.cli.completers import complete_files, complete_models

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}  # of every command

MAX_THREADS = 1024

F = TypeVar("F", bound=Callable[..., Any])


class PlainOption(click.Option):
    """Shown without the range that click adds."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str]:
        return f"{', '.join(self.opts)} {self.make_metavar(ctx)}", self.help or ""


class LevelOption(click.Option):
    """Shown as -1 .. -9; expand_levels turns those into --level."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str]:
        return "-1 .. -9, --level N", self.help or ""


def grouped(*options: Callable[[F], F]) -> Callable[[F], F]:
    """Several options as one decorator, listed in the help in this order."""

    def apply(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return apply


class ListOption(click.Option):
    """Stands for itself and for --filelist0, which is hidden."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str]:
        return "--filelist[0] PATH", self.help or ""


FILES = click.argument("names", nargs=-1, metavar="[FILE]...", shell_complete=complete_files)
INPUT = grouped(
    click.option("-r", "--recursive", is_flag=True, help="Of a folder, take all files in it and below it, but links."),
    click.option(
        "--filelist",
        cls=ListOption,
        shell_complete=complete_files,
        help="Take files named in PATH ('-': stdin), one a line; 0: NUL-ended.",
    ),
    click.option("--filelist0", hidden=True, shell_complete=complete_files),
)
EXCLUDE = click.option(
    "--exclude-compressed",
    is_flag=True,
    help="Skip what is compressed already; by deflate, with --no-open.",
)
LEVEL = grouped(
    click.option(
        "--level",
        cls=LevelOption,
        type=click.IntRange(1, 9),
        callback=environment.number_from(environment.LEVEL, 1, 9, levels.DEFAULT),
        help=f"1 is the fastest, 9 the smallest; {levels.DEFAULT} if you don't say.",
    ),
    click.option("--wide", is_flag=True, help="Blocks of many lanes, for GPUs: a little larger, and open anywhere."),
)
OPEN = click.option(
    "--no-open", is_flag=True, help="Don't look into what deflate has packed: zip, docx, gz, png, pdf .."
)
OUTPUT = grouped(
    click.option("-c", "--stdout", is_flag=True, help="Write to the standard output."),
    click.option(
        "-o",
        "--output",
        metavar="PATH",
        shell_complete=complete_files,
        help="Write to PATH ('-': the standard output).",
    ),
    click.option("--rm/--keep", " /-k", default=False, help="Remove the source once the output is complete. [keep]"),
    click.option("-f", "--force", is_flag=True, help="Overwrite outputs; follow links; write archives to terminals."),
)
MODEL = grouped(
    click.option(
        "-m", "--model", metavar="NAME|PATH", shell_complete=complete_models, help="The weights; see 'arzip models'."
    ),
    click.option(
        "--device",
        type=click.Choice(["auto", "cpu", "cuda"]),
        default="auto",
        help="Where wide blocks are coded: auto takes a GPU.",
    ),
    click.option(
        *("-T", "--threads"),
        cls=PlainOption,
        type=click.IntRange(0, MAX_THREADS),
        callback=environment.number_from(environment.THREADS, 0, MAX_THREADS, 0),
        metavar="N",
        help="At most N; 0: one a core. [0]",
    ),
)
DICTIONARY = click.option(
    *("-D", "--dictionary"),
    metavar="PATH",
    shell_complete=complete_files,
    help="Start after the bytes of PATH, up to 1 MiB, which the data resembles; -d, -t too.",
)
SALVAGE = click.option(
    "--salvage", is_flag=True, help="With -d: get the whole blocks out of a damaged archive; exit code 2."
)
JSON = click.option("--json", is_flag=True, help="Print JSON instead of a table or of nothing.")
MESSAGES = grouped(
    click.option("-q", "--quiet", count=True, help="No warnings; -qq: no errors either (the exit code tells)."),
    click.option("-v", "--verbose", count=True, help="Sizes and speed of each file; -vv: where an error arose."),
)
PROGRESS = click.option("--progress/--no-progress", default=None, help="A bar on stderr. [if it is a terminal]")
