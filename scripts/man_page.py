"""Write docs/share/arzip.1, the manual page, from the commands' own texts. --check: compare, exit code 1 if it differs.

All of it is read from click's commands and the tables of exit codes and variables; nothing is said here a second time.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from arzip import cli
from arzip.cli.environment import VARIABLES
from arzip.version import __version__

PAGE = Path(__file__).resolve().parent.parent / "docs" / "share" / "arzip.1"
AS_IS = "\b"  # a paragraph that begins with this keeps its lines
Record = tuple[str, str]
EXAMPLES = {
    "arzip \\-9 \\-\\-rm *.log": "Compress as small as it gets; remove each source once its archive is complete.",
    "tar \\-I arzip \\-cf src.tar.arz src": "Pack a folder; tar \\-I arzip \\-xf src.tar.arz unpacks it.",
    "arzip \\-r \\-\\-exclude\\-compressed folder": "Compress each file in a folder, but what is compressed already.",
    "find . \\-name '*.csv' \\-print0 | arzip \\-\\-filelist0 \\-": "Compress what another program finds.",
}
ESCAPES = {"\\": "\\e", "-": "\\-", "'": "\\(aq", "^": "\\(ha", "~": "\\(ti", "`": "\\(ga"}


def escaped(text: str) -> str:
    """A text as roff prints it, character by character."""
    line = "".join(ESCAPES.get(letter, letter) for letter in text)
    return "\\&" + line if line.startswith(".") else line


def paragraphs(text: str) -> Iterator[str]:
    """The paragraphs of a docstring in roff."""
    for number, part in enumerate(inspect.cleandoc(text).split("\n\n")):
        if number:
            yield ".PP"
        if part.startswith(AS_IS):
            yield ".nf"
            yield from (escaped(line) for line in part.splitlines()[1:])
            yield ".fi"
        else:
            yield escaped(" ".join(part.split()))


def context(command: click.Command, name: str) -> click.Context:
    """The context that a command has when it is run as `name`."""
    return click.Context(command, info_name=name, **command.context_settings)


def records(command: click.Command, name: str) -> list[Record]:
    """Names and help text of a command's options, in their order."""
    ctx = context(command, name)
    options = [parameter for parameter in command.get_params(ctx) if isinstance(parameter, click.Option)]
    found = [option.get_help_record(ctx) for option in options]
    return [record for record in found if record is not None]


def definitions(items: Iterator[Record] | list[Record]) -> Iterator[str]:
    """A list of terms and what they mean."""
    for term, text in items:
        yield from (".TP", f".B {escaped(term)}", escaped(text))


def usage(command: click.Command, name: str) -> str:
    """A command's line of use, without its name."""
    return " ".join(command.collect_usage_pieces(context(command, name)))


def subcommand(name: str, command: click.Command, known: set[Record]) -> Iterator[str]:
    """The subsection of a command; options that the main command has with the same text are only named."""
    own = records(command, name)
    yield f'.SS "arzip {escaped(name)} {escaped(usage(command, name))}"'
    yield from paragraphs(command.help or "")
    yield from definitions([record for record in own if record not in known])
    if shared := [term.split(", ")[0].split(" /")[0] for term, text in own if (term, text) in known]:
        yield ".PP"
        yield escaped(f"Options as above: {', '.join(shared)}.")


def page() -> str:
    """The whole page in roff."""
    main = records(cli.arzip, "arzip")
    lines = [
        ".\\\" Written by scripts/man_page.py (make man) from the commands' own texts.",
        f'.TH ARZIP 1 "" "arzip {__version__}" "User Commands"',
        *(".SH NAME", "arzip \\- lossless compression by a small neural network and context mixing"),
        *(".SH SYNOPSIS", ".B arzip", escaped(usage(cli.arzip, "arzip"))),
        *(".br", ".B arzip", "\\fICOMMAND\\fR [OPTIONS] ..."),
        *(".SH DESCRIPTION", *paragraphs(cli.arzip.help or "")),
        *(".SH OPTIONS", *definitions(main)),
        ".SH COMMANDS",
        escaped(f"A command is the first word. {', '.join(cli.SAME_AS_FLAGS)} do what no command, -d, -t and -l do."),
    ]
    for name, command in cli.COMMANDS.items():
        lines += subcommand(name, command, set(main))
    lines += [".SH EXIT STATUS", *definitions(list(cli.EXIT_CODES.items()))]
    lines += [".SH ENVIRONMENT", *definitions(list(VARIABLES.items()))]
    lines.append(".SH EXAMPLES")
    for line, text in EXAMPLES.items():
        lines += [".TP", f".B {line}", text]
    lines += [".SH SEE ALSO", ".BR tar (1),", ".BR xz (1),", ".BR zstd (1)"]
    return "\n".join(lines) + "\n"


def main(check: bool) -> None:
    text = page()
    if check:
        if not PAGE.exists() or PAGE.read_text("utf-8") != text:
            sys.exit(f"man_page: {PAGE.name} doesn't say what the commands do; run: make man")
        return
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(text, "utf-8")


if __name__ == "__main__":
    main("--check" in sys.argv[1:])
