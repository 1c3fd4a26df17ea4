"""The command `arzip`: options, help texts and exit codes. The help texts are the documentation of the command line.

Must not import torch, numpy, numba or rich at the top: `--help`, `--version` and `list` must start fast.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any

import click

from arzip.cli import process
from arzip.cli.actions import run_compress, run_decompress, run_list, run_test
from arzip.cli.args import Settings, expand_levels
from arzip.cli.environment import COMPLETION, VARIABLES
from arzip.cli.messages import ERROR, Reporter
from arzip.cli.options import (
    CLUSTER,
    CONTEXT,
    DICTIONARY,
    EXCLUDE,
    FILES,
    INPUT,
    JSON,
    LEVEL,
    MAX_OUTPUT,
    MESSAGES,
    MODEL,
    OPEN,
    OUTPUT,
    PROGRESS,
    RANGE,
    RESUME,
    SALVAGE,
    SPARSE,
    grouped,
)
from arzip.system import files
from arzip.version import __version__

_MODULES = {"eval": "evaluate"} | {name: name for name in ("cat", "bench", "train", "sample", "corpora", "completion")}
SAME_AS_FLAGS = ("compress", "decompress", "test", "list")
EXIT_CODES = {
    "0": "all is well",
    "1": "an error",
    "2": "a warning: something was skipped or left out",
    "130, 143": "stopped by Ctrl-C or SIGTERM: no output",
    "141": "a closed pipe",
}
CLOSED_PIPE = 128 + 13  # the shell's code for a process ended by SIGPIPE, as gzip is


class Main(click.Command):
    """The command without a subcommand; its help lists the others."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        others = [(name, c.get_short_help_str(84)) for name, c in COMMANDS.items() if name not in SAME_AS_FLAGS]
        with formatter.section("Commands, as the first word (arzip ./list or arzip -- list is the file 'list')"):
            formatter.write_text(f"{', '.join(SAME_AS_FLAGS)}: as no command, -d, -t, -l; -h shows more options")
            formatter.write_dl(others)
        formatter.write_paragraph()
        formatter.write_text("Exit codes: " + "; ".join(f"{code} {text}" for code, text in EXIT_CODES.items()) + ".")
        formatter.write_text(f"Environment: {', '.join(VARIABLES)}: see man arzip.")


@click.command(cls=Main, context_settings=CONTEXT)
@FILES
@click.option("-d", "--decompress", is_flag=True, help="Restore the files that FILE.arz were made from.")
@click.option("-t", "--test", is_flag=True, help="Decompress to nowhere: are the archives sound?")
@click.option("-l", "--list", "list_", is_flag=True, help="Show what is in the archives, without decompressing.")
@grouped(INPUT, EXCLUDE, LEVEL, OPEN, OUTPUT, MODEL, DICTIONARY, SALVAGE, RANGE, SPARSE, MAX_OUTPUT)
@grouped(JSON, CLUSTER, RESUME, MESSAGES, PROGRESS)
@click.version_option(__version__, "-V", "--version", prog_name="arzip", message="%(prog)s %(version)s")
def arzip(names: tuple[str, ...], decompress: bool, test: bool, list_: bool, **options: Any) -> int:
    """Compress each FILE to FILE.arz, by a small neural network that predicts the next byte.

    Without FILE, or with '-', from the standard input to the standard output, as tar -I arzip needs it. Every source
    is kept unless you say --rm. An output takes its name only when it is complete. Levels, model, device and threads
    are choices for compressing: an archive says all that decompressing needs.
    """
    settings = Settings(**options)
    if test and list_:
        raise click.UsageError("-t and -l: one thing at a time")
    if settings.json and not (test or list_):
        raise click.UsageError("--json goes with -t or -l")
    if settings.max_output is not None and not (test or decompress):
        raise click.UsageError("--max-output goes with -d or -t")
    if settings.range is not None and (test or list_ or not decompress):
        raise click.UsageError("--range goes with -d alone")
    if settings.salvage and (test or list_ or not decompress):
        raise click.UsageError("--salvage goes with -d alone")
    if settings.cluster is not None and list_:
        raise click.UsageError("-l reads the index alone: --cluster doesn't go with it")
    for name in names:
        if name in COMMANDS and not files.is_present(name):
            raise click.UsageError(f"no file {name!r}; as a command it comes first: arzip {name} ...")
    run = run_test if test else run_list if list_ else run_decompress if decompress else run_compress
    return run(names, settings)


@click.command(context_settings=CONTEXT)
@grouped(FILES, INPUT, EXCLUDE, LEVEL, OPEN, OUTPUT, MODEL, DICTIONARY, CLUSTER, RESUME, MESSAGES, PROGRESS)
def compress(names: tuple[str, ...], **options: Any) -> int:
    """Compress each FILE to FILE.arz; the same as no command."""
    return run_compress(names, Settings(**options))


@click.command(context_settings=CONTEXT)
@grouped(FILES, INPUT, OUTPUT, MODEL, DICTIONARY, SALVAGE, RANGE, SPARSE, MAX_OUTPUT)
@grouped(CLUSTER, RESUME, MESSAGES, PROGRESS)
def decompress(names: tuple[str, ...], **options: Any) -> int:
    """Restore each FILE.arz to FILE; the same as -d."""
    return run_decompress(names, Settings(**options))


@click.command(context_settings=CONTEXT)
@grouped(FILES, INPUT, MODEL, DICTIONARY, MAX_OUTPUT, JSON, CLUSTER, MESSAGES, PROGRESS)
def test(names: tuple[str, ...], **options: Any) -> int:
    """Decompress to nowhere: exit code 0 if all archives are sound; the same as -t."""
    return run_test(names, Settings(**options))


@click.command("list", context_settings=CONTEXT)
@grouped(FILES, INPUT, JSON, MESSAGES)
def list_archives(names: tuple[str, ...], **options: Any) -> int:
    """Show sizes, method and model of archives (-v: of each block); the same as -l."""
    return run_list(names, Settings(**options))


@click.command(context_settings=CONTEXT)
@grouped(JSON, MESSAGES)
def models(**options: Any) -> int:
    """Show the models at hand: size, digest, bits per byte, what they were trained on."""
    from arzip.cli import tables
    from arzip.weights import registry

    settings = Settings(**options)
    rows: list[dict[str, Any]] = []
    paths = [str(path) for path in registry.paths()]
    code = Reporter(settings).each(paths, lambda path: rows.append(tables.model_row(path)))
    tables.print_models(rows, settings)
    return code


class _Commands(Mapping[str, click.Command]):
    """Name -> command, in the order of the help. Those of modules of their own are imported when they are asked for."""

    def __init__(self, *here: click.Command) -> None:
        self._all: dict[str, click.Command | None] = {command.name or "": command for command in here}
        self._all |= dict.fromkeys(_MODULES)

    def __getitem__(self, name: str) -> click.Command:
        command = self._all[name]
        if not command:
            command = self._all[name] = getattr(import_module(f"arzip.cli.{_MODULES[name]}"), _MODULES[name])
        return command

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)


COMMANDS = _Commands(compress, decompress, test, list_archives, models)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line (default: sys.argv's) and return its exit code. Errors that a user can cause are printed."""
    args = list(sys.argv[1:] if argv is None else argv)
    if instruction := os.environ.get(COMPLETION):
        from arzip.cli import completion

        return completion.answer(instruction, arzip, COMMANDS)
    process.fill_standard_streams()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a file name may hold undecodable bytes
    try:
        with process.stopped_by_signals():
            return _run(args)
    except BrokenPipeError:
        return CLOSED_PIPE
    except OSError as error:  # writing to stdout; errors of files are handled where they occur
        click.echo(f"arzip: standard output: {files.reason(error)}", err=True)
        return ERROR


def _run(args: list[str]) -> int:
    command, name = (COMMANDS[args[0]], f"arzip {args[0]}") if args and args[0] in COMMANDS else (arzip, "arzip")
    try:
        words = expand_levels(args if command is arzip else args[1:])
        with command.make_context(name, words) as context:
            return int(command.invoke(context))
    except click.exceptions.Exit as leave:  # --help, --version
        return leave.exit_code
    except click.ClickException as error:
        message = " ".join(error.format_message().split())
        click.echo(f"arzip: {message.rstrip('.')} (help: {name} -h)", err=True)
        return ERROR
    finally:
        if sys.stdout is not None:
            sys.stdout.flush()
