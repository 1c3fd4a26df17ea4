"""What the commands do to their files: compress, decompress, test or list each, after one another.

Imports the codec and tables late.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from arzip.cli.args import Settings
from arzip.cli.inputs import gather
from arzip.cli.messages import Reporter

Action = Callable[[Sequence[str], Settings], int]


def run_compress(names: Sequence[str], settings: Settings) -> int:
    if settings.cluster is not None:
        return _on_cluster("compress", names, settings)
    from arzip.cli import fileio

    reporter = Reporter(settings)
    found = gather(names, settings, reporter, of_archives=False)
    return reporter.each(found, lambda name: fileio.compress(name, settings, reporter))


def _on_cluster(verb: str, names: Sequence[str], settings: Settings) -> int:
    from arzip.cli import cluster

    return cluster.run(verb, names, settings)


def run_decompress(names: Sequence[str], settings: Settings) -> int:
    if settings.cluster is not None:
        return _on_cluster("decompress", names, settings)
    from arzip.cli import fileio

    reporter = Reporter(settings)
    found = gather(names, settings, reporter, of_archives=True)
    return reporter.each(found, lambda name: fileio.decompress(name, settings, reporter))


def run_test(names: Sequence[str], settings: Settings) -> int:
    if settings.cluster is not None:
        return _on_cluster("test", names, settings)
    from arzip.cli import fileio, tables

    reporter = Reporter(settings)
    rows: list[dict[str, Any]] = []

    def job(name: str) -> None:
        rows.append({"name": name, "sound": False})
        rows[-1] = fileio.test(name, settings, reporter)

    code = reporter.each(gather(names, settings, reporter, of_archives=True), job)
    if settings.json:
        tables.print_json(rows)
    return code


def run_list(names: Sequence[str], settings: Settings) -> int:
    from arzip.cli import tables

    reporter = Reporter(settings)
    rows: list[dict[str, Any]] = []
    found = gather(names, settings, reporter, of_archives=True)
    code = reporter.each(found, lambda name: rows.extend(tables.archive_rows(name)))
    tables.print_archives(rows, settings)
    return code
