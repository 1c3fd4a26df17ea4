"""`arzip bench`: options and help text. Imports arzip.bench only when it runs."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from arzip.cli.args import Settings
from arzip.cli.messages import Reporter, shown
from arzip.cli.options import CONTEXT, MESSAGES, PROGRESS, grouped

if TYPE_CHECKING:
    from arzip.bench.external import Codec
    from arzip.bench.inputs import Item
    from arzip.bench.measure import Plan
    from arzip.bench.results import Result

FORMATS = ("md", "csv", "json", "html", "png")
TO_STDOUT = [["md"], ["csv"], ["json"], ["html"]]


def formats(ctx: click.Context, param: click.Parameter, value: str | None) -> list[str]:
    """Split a comma-separated list. Raises click.BadParameter on a word that isn't in FORMATS."""
    words = [word.strip() for word in value.split(",")] if value else []
    for word in words:
        if word not in FORMATS:
            raise click.BadParameter(f"{word!r} is none of {', '.join(FORMATS)}", ctx, param)
    return words


WHAT = grouped(
    click.argument("names", nargs=-1, metavar="[FILE|FOLDER|CORPUS]..."),
    click.option(
        "--codecs", default="", metavar="LIST", help="E.g. gzip,xz:6+9e,arzip:1-9, or none. [all that are here]"
    ),
    click.option("--levels", default="", metavar="LIST", help="E.g. 1,9 or 1-9 or all: those that a codec has. [few]"),
    click.option(
        "--command",
        "commands",
        multiple=True,
        metavar="TEMPLATE",
        help="Another codec, as 'name=cmd {in} {out} / cmd -d {in} {out}'. Any number of them.",
    ),
    click.option("-m", "--model", "models", multiple=True, metavar="NAME|PATH", help="arzip with this model."),
    click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", help="Where arzip computes. [cpu]"),
)
HOW = grouped(
    click.option(
        "--runs", type=click.IntRange(1), metavar="N", help="Of each. [up to 7, while they take less than 0.3 s]"
    ),
    click.option(
        "-T", "--threads", type=click.IntRange(0), default=0, metavar="N", help="Of arzip and zpaq; 0: one a core. [0]"
    ),
    click.option("--keep", type=click.Path(path_type=Path), metavar="FOLDER", help="Leave the archives there."),
)
OUT = grouped(
    click.option("--export", callback=formats, metavar="LIST", help=f"Write files: {', '.join(FORMATS)}."),
    click.option("-o", "--output", metavar="BASE", help="Their name, without ending; '-': to stdout. [arzip-bench]"),
    click.option("--from", "source", metavar="JSON", help="Measure nothing: show and export this earlier result."),
)


@click.command(context_settings=CONTEXT)
@grouped(WHAT, HOW, OUT, MESSAGES, PROGRESS)
def bench(names: tuple[str, ...], **options: Any) -> int:
    """Hold arzip against other compressors: size, speed, memory, on your files.

    Without a word, on a small set of files made on the spot. Corpora go by their names (canterbury, or
    canterbury/alice29.txt for a file of one). Every archive is written to disk and must come back byte for byte, or
    the codec is shown as failed. gzip, bzip2 and xz are always here; zstd, brotli, lz4, ppmd and kanzi come with
    pip install 'arzip[bench]'; zpaq where the command is installed.
    """
    reporting = {key: options.pop(key) for key in ("quiet", "verbose", "progress")}
    reporter = Reporter(Settings(**reporting))
    formats, base = options["export"], options["output"] or "arzip-bench"
    if options["output"] is not None and not formats:
        raise click.UsageError("-o goes with --export")
    if base == "-" and formats not in TO_STDOUT:
        raise click.UsageError("-o - takes one export, and none that is a picture")
    if options["source"] and names:
        raise click.UsageError("--from measures nothing: it goes without files")
    bar = reporting["progress"]
    if bar is None:
        bar = sys.stderr is not None and sys.stderr.isatty() and not reporting["quiet"]

    def job(_: str) -> None:
        from arzip.bench import exports

        exports.check(formats, base)
        _put_out(_measured(names, options, reporter, bar), formats, base, reporter)

    return reporter.each(["bench"], job)


def _measured(names: Sequence[str], options: dict[str, Any], reporter: Reporter, bar: bool) -> Result:
    """A result loaded from a file, or a new measurement. Raises ArzipError."""
    from arzip.bench import codecs, external, inputs, machine, measure, results

    if options["source"]:
        return results.load(Path(options["source"]))
    known = codecs.families(models=options["models"], device=options["device"], threads=options["threads"])
    chosen = codecs.choose(known, options["codecs"], options["levels"])
    chosen += [external.parse_command(text) for text in options["commands"]]
    with tempfile.TemporaryDirectory(prefix="arzip-bench-") as scratch:
        items = inputs.resolve(names, Path(scratch))
        result = results.Result(machine.describe(codec.name for codec in chosen))
        _run(items, chosen, result, Path(scratch), measure.Plan(options["runs"], options["keep"]), bar)
    for row in result.rows:
        if not row.verified:
            reporter.fail(f"{row.label} on {row.file}", row.error)
    return result


def _run(items: Sequence[Item], chosen: Sequence[Codec], result: Result, scratch: Path, plan: Plan, bar: bool) -> None:
    """Measure every cell into the result."""
    from arzip.bench import measure, terminal

    cells = measure.cells(items, chosen)
    with terminal.progress(bar, len(cells), result) as step:
        step("arzip gets ready", None)
        measure.warm_up(chosen, max((item.size_bytes for item in items), default=0), scratch)
        for item, codec in cells:
            name = f"{codec.name} {codec.level} on {shown(item.name)}"
            step(name, None)
            row = measure.measure(item, codec, plan, scratch)
            result.rows.append(row)
            step(name, row)


def _put_out(result: Result, formats: Sequence[str], base: str, reporter: Reporter) -> None:
    """Write a single export to stdout, or the table there and all exports to files. Raises ArzipError."""
    from arzip.bench import exports

    if base == "-":
        click.echo(exports.text(result, formats[0]), nl=False)
        return
    from arzip.bench import terminal

    terminal.show(result)
    for path in exports.write(result, formats, base):
        reporter.log("bench", f"wrote {path}")
