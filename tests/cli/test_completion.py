"""Completion in real shells: bash and zsh on a terminal of their own, fish by its `complete -C`."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import arzip
from arzip import cli
from arzip.cli import environment

SECONDS = 60  # a busy machine is slow; a shell that answers needs one
PROMPT = "ready> "


@pytest.fixture(autouse=True)
def _workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with files, and `arzip` on the path."""
    command = tmp_path / "bin" / "arzip"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m arzip "$@"\n')
    command.chmod(0o755)
    (tmp_path / "here").mkdir()
    for name in ("report.txt", "report two.txt", "a.arz"):
        (tmp_path / "here" / name).write_bytes(b"words")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("PATH", os.pathsep.join([str(command.parent), os.environ["PATH"]]))
    monkeypatch.setenv("PYTHONPATH", str(Path(arzip.__file__).parent.parent))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("PS1", PROMPT)


def script(shell: str) -> str:
    """What `arzip completion SHELL` prints."""
    command = [sys.executable, "-m", "arzip", "completion", shell]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def needs(shell: str) -> str:
    """Path of a shell; the test is skipped where it is missing."""
    found = shutil.which(shell)
    if found is None:
        pytest.skip(f"no {shell} here")
    return found


class Terminal:
    """An interactive shell on a terminal of its own."""

    def __init__(self, *command: str) -> None:
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            os.execvp(command[0], command)
        self.seen = ""

    def type(self, keys: str) -> None:
        self.seen = ""
        os.write(self._terminal, keys.encode())

    def wait_for(self, pattern: str) -> str:
        """What was printed since the last keys, as soon as it has the pattern."""
        end = time.monotonic() + SECONDS
        while not re.search(pattern, self.seen):
            ready, _, _ = select.select([self._terminal], [], [], max(0.0, end - time.monotonic()))
            assert ready, f"no {pattern!r} in {self.seen!r}"
            self.seen += os.read(self._terminal, 4096).decode(errors="replace").replace("\a", "")
        return self.seen

    def close(self) -> None:
        os.close(self._terminal)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


@pytest.fixture(params=["bash", "zsh"])
def terminal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Terminal]:
    """A shell with the completion loaded."""
    path = needs(request.param)
    (tmp_path / "script").write_text(script(request.param))
    shell = Terminal(path, "--norc", "--noprofile", "-i") if request.param == "bash" else Terminal(path, "-f", "-i")
    try:
        shell.wait_for(PROMPT)
        load = "" if request.param == "bash" else "unsetopt zle_bracketed_paste; autoload -U compinit; compinit -u; "
        shell.type(f"{load}. {tmp_path / 'script'}; echo load''ed\n")
        shell.wait_for(r"loaded\r?\n[^\n]*" + PROMPT)
        yield shell
    finally:
        shell.close()


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("arzip decom", "decompress "),
        ("arzip --exclude-c", "--exclude-compressed "),
        ("arzip -9 repor", "report"),
        ("arzip test a.a", "a.arz "),
        ("arzip -o repor", "report"),
        ("arzip -m sma", "small "),
        ("arzip list --fileli", "--filelist"),
        ("arzip completion zs", "zsh "),
        ("arzip --device cud", "cuda "),
    ],
)
def test_bash_and_zsh_complete(terminal: Terminal, typed: str, completed: str) -> None:
    terminal.type(typed + "\t")
    terminal.wait_for(re.escape(typed.rsplit(" ", 1)[0] + " " + completed))


def fish(line: str) -> list[str]:
    """The words that a real fish offers at the end of a line, without their descriptions."""
    source = f"{script('fish')}\ncomplete --do-complete {line!r}"
    done = subprocess.run([needs("fish"), "--no-config", "-c", source], capture_output=True, text=True, check=True)
    return [offer.split("\t")[0] for offer in done.stdout.splitlines()]


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("arzip decom", ["decompress"]),
        ("arzip --exclude-c", ["--exclude-compressed"]),
        ("arzip -9 repor", ["report two.txt", "report.txt"]),
        ("arzip test a.a", ["a.arz"]),
        ("arzip -m sma", ["small"]),
        ("arzip completion zs", ["zsh"]),
        ("arzip --device cud", ["cuda"]),
    ],
)
def test_fish_completes(typed: str, offered: list[str]) -> None:
    assert sorted(fish(typed)) == offered


def asked(shell: str, words: str, position: int, capfd: pytest.CaptureFixture[str]) -> list[str]:
    """What the command prints to a shell that asks for completions."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(environment.COMPLETION, f"{shell}_complete")
        patch.setenv("COMP_WORDS", words)
        patch.setenv("COMP_CWORD", str(position))
        assert cli.main([]) == 0
    return capfd.readouterr().out.split()


def test_every_command_is_offered_and_files_beside_it(capfd: pytest.CaptureFixture[str]) -> None:
    offered = asked("zsh", "arzip ", 1, capfd)
    assert set(cli.COMMANDS) | {"file"} <= set(offered)
    Path("compare.txt").write_bytes(b"")
    offered = asked("bash", "arzip comp", 1, capfd)
    assert offered == ["plain,compress", "plain,completion", "plain,compare.txt"]
    assert asked("bash", "arzip ", 1, capfd) == ["file,"]


def test_a_shell_that_is_not_known_gets_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(environment.COMPLETION, "tcsh_complete")
    assert cli.main([]) == 1
    monkeypatch.delenv(environment.COMPLETION)
    assert cli.main(["completion", "tcsh"]) == 1
