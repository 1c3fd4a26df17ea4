"""`arzip corpora`: list, fetch and verify the evaluation corpora."""

from __future__ import annotations

from typing import Any

import click

from arzip.bench.corpora import catalog
from arzip.cli import tables
from arzip.cli.args import Settings
from arzip.cli.messages import Reporter, shown
from arzip.cli.options import CONTEXT, JSON, MESSAGES, grouped
from arzip.errors import ArzipError

VERBS = ("list", "fetch", "verify")


@click.command(
    context_settings=CONTEXT, short_help="List, fetch and verify the corpora that compressors are measured on."
)
@click.argument("verb", type=click.Choice(VERBS), default="list", required=False)
@click.argument("names", nargs=-1, metavar="[NAME]...")
@grouped(JSON, MESSAGES)
def corpora(verb: str, names: tuple[str, ...], **options: Any) -> int:
    """The corpora that compressors are measured on: list them, fetch those NAMEd, verify them.

    Fetched files go to the folder named in ARZIP_CORPORA, else to the user's data folder, and take their names only
    when their SHA-256 is that of the manifest. Without NAME, all corpora are meant.
    """
    settings = Settings(**options)
    if settings.json and verb == "fetch":
        raise click.UsageError("--json goes with list and verify")
    reporter = Reporter(settings)
    rows: list[dict[str, Any]] = []

    def job(name: str) -> None:
        if verb == "fetch":
            fetch(name, reporter)
        else:
            rows.append(describe(name))
            if verb == "verify":
                verify(name, rows[-1], reporter)

    code = reporter.each(names or catalog.names(), job)
    if settings.json:
        tables.print_json(rows)
    elif verb == "list" and rows:
        print_corpora(rows)
    return code


def describe(name: str) -> dict[str, Any]:
    """The row that `list` shows of a corpus. Raises ArzipError for an unknown name."""
    corpus = catalog.corpus(name)
    root = catalog.folder(name)
    absent = catalog.missing(name, root)
    return {
        "name": name,
        "files": len(corpus.files),
        "size_bytes": sum(file.size_bytes for file in corpus.files),
        "present": len(corpus.files) - len(absent),
        "folder": str(root),
        "about": corpus.about,
        "home": corpus.home,
    }


def fetch(name: str, reporter: Reporter) -> None:
    """Download the missing files of a corpus. Raises ArzipError."""
    from arzip.bench.corpora.download import fetch as download

    corpus, root = catalog.corpus(name), catalog.folder(name)
    damaged = catalog.damage(name)
    download(
        corpus, [file for file in corpus.files if file.name in damaged], root, lambda line: reporter.log(name, line)
    )
    click.echo(f"{name}: {len(corpus.files)} files in {shown(str(root))}")


def verify(name: str, row: dict[str, Any], reporter: Reporter) -> None:
    """Hash every file of a corpus. Raises ArzipError if one is missing or damaged."""
    row["damage"] = catalog.damage(name)
    if row["damage"]:
        faults = ", ".join(f"{file} {fault}" for file, fault in row["damage"].items())
        raise ArzipError(f"{faults} in {row['folder']}: arzip corpora fetch {name}")
    reporter.log(name, f"{row['files']} files, {row['size_bytes']:,} bytes, as published")


def print_corpora(rows: list[dict[str, Any]]) -> None:
    """`list`: print a line for each corpus."""
    lines = [["bytes", "files", "at hand", "name", "about"]]
    for row in rows:
        lines.append([f"{row['size_bytes']:,}", str(row["files"]), str(row["present"]), row["name"], row["about"]])
    tables.print_table(lines, left=3)
