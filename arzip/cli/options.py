"""Options that several commands share, and their help texts. Must not import commands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from arzip import levels
from arzip.cli import environment
from arzip.cli.completers import complete_files, complete_models
from arzip.cli.sizes import byte_range, size_between

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}  # of every command

MAX_THREADS = 1024

F = TypeVar("F", bound=Callable[..., Any])


class PlainOption(click.Option):
    """Shown without the range that click adds."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str]:
        return f"{', '.join(self.opts)} {self.make_metavar(ctx)}", self.help or ""


class RareOption(click.Option):
    """Shown in the help of commands that have it beside the main one's, which points there."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        return None if ctx.command.name == "arzip" else super().get_help_record(ctx)


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


class PairOption(click.Option):
    """Stands for itself and for another one, which is hidden. shown: what the help says in the place of both."""

    def __init__(self, *args: Any, shown: str, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.shown = shown

    def get_help_record(self, ctx: click.Context) -> tuple[str, str]:
        return self.shown, self.help or ""


FILES = click.argument("names", nargs=-1, metavar="[FILE]...", shell_complete=complete_files)
INPUT = grouped(
    click.option("-r", "--recursive", is_flag=True, help="Of a folder, take all files in it and below it, but links."),
    click.option(
        "--filelist",
        cls=PairOption,
        shown="--filelist[0] PATH",
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
    click.option(
        *("-b", "--block-size"),
        callback=size_between(levels.MIN_BLOCK_BYTES, levels.MAX_BLOCK_BYTES),
        metavar="SIZE",
        help="Blocks of at most SIZE (64KiB, 4MiB ..): smaller ones, more threads.",
    ),
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
    click.option(
        "--verify/--no-verify",
        cls=RareOption,
        default=None,
        help="Read back, decode and compare what was written. [with --rm]",
    ),
    click.option("-f", "--force", is_flag=True, help="Overwrite outputs; follow links; write archives to terminals."),
)
MODEL = grouped(
    click.option(
        "-m", "--model", metavar="NAME|PATH", shell_complete=complete_models, help="The weights; see 'arzip models'."
    ),
    click.option(
        "--device",
        cls=RareOption,
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
    click.option(
        *("-M", "--memory"),
        callback=size_between(1),
        metavar="LIMIT",
        help="Take at most LIMIT (512MiB, 2G ..) of memory, by fewer blocks at a time.",
    ),
)
DICTIONARY = click.option(
    *("-D", "--dictionary"),
    metavar="PATH",
    shell_complete=complete_files,
    help="Start after the bytes of PATH, which the data resembles (-d, -t too).",
)
MAX_OUTPUT = click.option(
    "--max-output",
    cls=RareOption,
    callback=size_between(),
    metavar="SIZE",
    help="With -d, -t: stop at an archive that holds more than SIZE (1GiB ..).",
)
CLUSTER = click.option(
    "--cluster",
    cls=RareOption,
    metavar="auto|local|ADDRESS",
    help="Of files, folders (-r) and URLs: on a Ray cluster, -T: workers in all; local: one of this machine.",
)
RESUME = click.option(
    "--resume", cls=RareOption, is_flag=True, help="With --cluster: go on with what an unfinished run has left."
)
SALVAGE = grouped(
    click.option(
        "--salvage",
        cls=PairOption,
        shown="--salvage [--zeros]",
        is_flag=True,
        help="-d: a damaged archive's whole blocks (zeros for the others); exit code 2.",
    ),
    click.option("--zeros", hidden=True, is_flag=True),
)
RANGE = click.option(
    "--range",
    cls=RareOption,
    callback=byte_range,
    metavar="START:LEN",
    help="Restore LEN bytes from START on: decodes the blocks that hold them.",
)
SPARSE = click.option(
    "--sparse/--no-sparse", cls=RareOption, default=True, help="Make holes of zeros in restored files. [--sparse]"
)
JSON = click.option("--json", cls=RareOption, is_flag=True, help="Print JSON instead of a table or of nothing.")
MESSAGES = grouped(
    click.option("-q", "--quiet", count=True, help="No warnings; -qq: no errors either (the exit code tells)."),
    click.option("-v", "--verbose", count=True, help="Sizes and speed of each file; -vv: where an error arose."),
)
PROGRESS = click.option(
    "--progress/--no-progress", cls=RareOption, default=None, help="A bar on stderr. [if it is a terminal]"
)
