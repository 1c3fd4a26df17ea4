"""`arzip completion`: the shells' scripts, and what these ask for at each tab. The scripts are click's own.

A script runs arzip with COMPLETION in the environment, which then prints words that may follow.
Must not import commands.
"""

from __future__ import annotations

import glob
import shlex
from collections.abc import Mapping

import click
from click.shell_completion import CompletionItem, ShellComplete, get_completion_class

from arzip.cli.args import expand_levels
from arzip.cli.environment import COMPLETION
from arzip.cli.options import CONTEXT

SHELLS = ("bash", "zsh", "fish")

PROGRAM = "arzip"
Items = list[CompletionItem]


@click.command(
    context_settings=CONTEXT,
    short_help="Print a script by which bash, zsh or fish completes words and files.",
)
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> int:
    """Print a script by which a shell completes commands, options, files and models.

    \b
    bash, in ~/.bashrc:                    eval "$(arzip completion bash)"
    zsh, in ~/.zshrc, after compinit:      eval "$(arzip completion zsh)"
    fish, once: arzip completion fish > ~/.config/fish/completions/arzip.fish
    """
    click.echo(_of_shell(shell, completion).source())
    return 0


def answer(instruction: str, main: click.Command, commands: Mapping[str, click.Command]) -> int:
    """Print what may follow the words in the environment, for a shell; returns the exit code.

    instruction: COMPLETION's value, "bash_complete". main: the command without a subcommand; commands: the others.
    """
    shell, _, verb = instruction.partition("_")
    if shell not in SHELLS or verb != "complete":
        return 1
    asked = _of_shell(shell, main)
    args, incomplete = asked.get_completion_args()
    items = _commands(shell, commands, incomplete) if not args else []
    if args and args[0] in commands:
        asked.cli = commands[args.pop(0)]
    try:
        args = expand_levels(args) if asked.cli is main else args
    except click.UsageError:
        return 1
    if not items or shell != "bash":
        items += asked.get_completions(args, incomplete)
    click.echo("\n".join(map(asked.format_completion, items)))
    return 0


def _of_shell(shell: str, command: click.Command) -> ShellComplete:
    found = get_completion_class(shell)
    assert found is not None, shell
    return found(command, {}, PROGRAM, COMPLETION)


def _commands(shell: str, commands: Mapping[str, click.Command], incomplete: str) -> Items:
    """The commands that begin so. bash takes either words or files: there, the files' names too, as words."""
    if not incomplete and shell == "bash":
        return []
    found = [
        CompletionItem(name, help=command.get_short_help_str(60))
        for name, command in commands.items()
        if name.startswith(incomplete)
    ]
    if found and shell == "bash":
        named = glob.glob(glob.escape(incomplete) + "*")
        found += [CompletionItem(name) for name in sorted(named) if shlex.quote(name) == name]
    return found
