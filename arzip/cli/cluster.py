"""Compress, decompress and test on a cluster: turns settings into requests, reports. Imports the cluster late."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from arzip.cli import fileio
from arzip.cli.args import Settings
from arzip.cli.messages import Reporter, shown

if TYPE_CHECKING:
    from arzip.cluster.jobs import Report

MAX_NAMED = 100  # of a report's lines
USELESS = (
    *("rm", "salvage", "range", "verify", "max_output"),
    *("filelist", "filelist0", "exclude_compressed"),
)


def run(verb: str, names: Sequence[str], settings: Settings) -> int:
    """Do it to each name; returns the exit code. verb: compress, decompress or test.

    Raises click.UsageError on settings that a cluster has no use for.
    """
    _check(verb, names, settings)
    reporter = Reporter(settings)
    rows: list[dict[str, Any]] = []
    code = reporter.each(names, lambda name: _do(verb, name, settings, reporter, rows))
    if settings.json:
        from arzip.cli import tables

        tables.print_json(rows)
    return code


def _check(verb: str, names: Sequence[str], settings: Settings) -> None:
    if not names or "-" in names or settings.to_stdout:
        raise click.UsageError("--cluster needs names of files, not the standard input or output")
    for option in USELESS:
        given = getattr(settings, option)
        if given is not None and given is not False:
            raise click.UsageError(f"--{option.replace('_', '-')} doesn't go with --cluster")
    if settings.output is not None and len(names) > 1:
        raise click.UsageError("-o names one output, but there are several sources")
    if settings.resume and verb == "test":
        raise click.UsageError("--resume doesn't go with -t: there is nothing to go on with")


def _do(verb: str, name: str, settings: Settings, reporter: Reporter, rows: list[dict[str, Any]]) -> None:
    """Do it to a file, or to all files in a folder. Raises ArzipError."""
    rows.append({"name": name, "sound": False})
    from arzip.cluster import verbs

    request = verbs.Request(
        verb,
        name,
        settings.output,
        fileio.codec_options(settings, threads=1),
        cluster=settings.cluster or "auto",
        workers=settings.threads,
        recursive=settings.recursive,
        resume=settings.resume,
        overwrite=settings.force,
    )
    start = time.monotonic()
    with reporter.progress(name, verbs.total_bytes(request), of_archive=verb != "compress") as progress:
        report = verbs.do(request, progress)
    rows[-1] |= {
        "sound": not report.failed,
        "raw_bytes": report.raw_bytes,
        "archive_bytes": report.archive_bytes,
        "blocks": report.blocks,
    }
    _tell(name, report, time.monotonic() - start, reporter)


def _tell(name: str, report: Report, seconds: float, reporter: Reporter) -> None:
    """What was done, what was done again, and what failed."""
    speed = report.raw_bytes / 1000 / max(seconds, 1e-6)
    sizes = f"{report.raw_bytes:,} raw bytes, {report.archive_bytes:,} archived"
    reporter.log(name, f"{report.files:,} files, {report.blocks:,} blocks, {sizes}, {speed:,.0f} KB/s")
    if report.reused_blocks or report.reused_files:
        reporter.log(name, f"of an earlier run: {report.reused_blocks:,} blocks, {report.reused_files:,} small files")
    for line in report.retried[:MAX_NAMED]:
        reporter.note(name, line.removeprefix(f"{name}: "))
    for failed, reason in report.failed:
        tell = reporter.warn if report.files else reporter.fail
        tell(shown(failed), reason)
