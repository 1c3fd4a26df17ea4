"""`arzip corpora`: list, fetch and verify the evaluation corpora."""

from __future__ import annotations

from typing import Any

import click

from arzip.cli import tables
from arzip.cli.args import Settings
from arzip.cli.messages import Talk, shown
from arzip.cli.options import CONTEXT, JSON, TALK, grouped
from arzip.corpora import catalog as room
from arzip.errors import ArzipError

VERBS = ("list", "fetch", "verify")


@click.command(context_settings=CONTEXT)
@click.argument("verb", type=click.Choice(VERBS), default="list", required=False)
@click.argument("names", nargs=-1, metavar="[NAME]...")
@grouped(JSON, TALK)
def corpora(verb: str, names: tuple[str, ...], **options: Any) -> int:
    """The corpora that compressors are measured on: list them, fetch those NAMEd, verify them.

    Fetched files go to the folder named in ARZIP_CORPORA, else to the user's data folder, and take their names only
    when their SHA-256 is that of the manifest. Without NAME, all corpora are meant.
    """
    settings = Settings(**options)
    if settings.json and verb == "fetch":
        raise click.UsageError("--json goes with list and verify")
    talk = Talk(settings)
    rows: list[dict[str, Any]] = []

    def job(name: str) -> None:
        if verb == "fetch":
            fetch(name, talk)
        else:
            rows.append(describe(name))
            if verb == "verify":
                verify(name, rows[-1], talk)

    code = talk.each(names or room.names(), job)
    if settings.json:
        tables.print_json(rows)
    elif verb == "list" and rows:
        print_corpora(rows)
    return code


def describe(name: str) -> dict[str, Any]:
    """The row of a corpus. Raises ArzipError if there is none of this name."""
    corpus = room.corpus(name)
    place = room.folder(name)
    lacking = room.missing(name, place)
    return {
        "name": name,
        "files": len(corpus.files),
        "size_bytes": sum(file.size_bytes for file in corpus.files),
        "present": len(corpus.files) - len(lacking),
        "folder": str(place),
        "about": corpus.about,
        "home": corpus.home,
    }


def fetch(name: str, talk: Talk) -> None:
    """Fetch what a corpus lacks. Raises ArzipError."""
    from arzip.corpora.download import fetch as bring

    corpus, place = room.corpus(name), room.folder(name)
    damaged = room.damage(name)
    bring(corpus, [file for file in corpus.files if file.name in damaged], place, lambda line: talk.tell(name, line))
    click.echo(f"{name}: {len(corpus.files)} files in {shown(str(place))}")


def verify(name: str, row: dict[str, Any], talk: Talk) -> None:
    """Hash every file of a corpus. Raises ArzipError unless it is whole."""
    row["damage"] = room.damage(name)
    if row["damage"]:
        faults = ", ".join(f"{file} {fault}" for file, fault in row["damage"].items())
        raise ArzipError(f"{faults} in {row['folder']}: arzip corpora fetch {name}")
    talk.tell(name, f"{row['files']} files, {row['size_bytes']:,} bytes, as published")


def print_corpora(rows: list[dict[str, Any]]) -> None:
    """`list`: a line a corpus."""
    lines = [["bytes", "files", "at hand", "name", "about"]]
    for row in rows:
        lines.append([f"{row['size_bytes']:,}", str(row["files"]), str(row["present"]), row["name"], row["about"]])
    tables.print_table(lines, left=3)
