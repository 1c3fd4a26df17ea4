"""Draw docs/command.svg: the command at work on a small file, as a terminal shows it. Every line is what it printed.

No line shows a speed: it would be that of one machine, at one moment.
"""

from __future__ import annotations

import io
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

import arzip

PICTURE = Path(__file__).resolve().parent.parent / "docs" / "command.svg"
COMMANDS = (
    "arzip -1 topics.txt",
    "arzip -l topics.txt.arz",
    "arzip -t -v topics.txt.arz",
    "arzip -dc topics.txt.arz | head -n 2",
    "tar -I 'arzip -1' -cf notes.tar.arz notes && ls notes.tar.arz",
)
SAMPLE_BYTES = 100_000


def sample() -> bytes:
    """English that every Python brings along."""
    import pydoc_data.topics

    return "".join(pydoc_data.topics.topics.values()).encode()[:SAMPLE_BYTES]


def run(line: str, folder: Path) -> str:
    """What a line of shell prints, on both streams. Exits if it fails."""
    wrapper = folder.parent / "bin" / "arzip"
    wrapper.parent.mkdir(exist_ok=True)
    wrapper.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m arzip "$@"\n')
    wrapper.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{wrapper.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(Path(arzip.__file__).parent.parent),
    }
    streams: dict[str, int] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    done = subprocess.run(["bash", "-c", line], cwd=folder, env=environment, text=True, check=False, **streams)
    if done.returncode:
        sys.exit(f"picture: {line}: {done.stdout}")
    return done.stdout


def record(commands: tuple[str, ...]) -> Console:
    """A console with the lines and what they printed."""
    console = Console(record=True, width=100, file=io.StringIO(), force_terminal=True)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "here"
        (folder / "notes").mkdir(parents=True)
        (folder / "topics.txt").write_bytes(sample())
        (folder / "notes" / "a.txt").write_bytes(sample()[:2000])
        for line in commands:
            console.print(Text.assemble(("$ ", "bold green"), (line, "bold")))
            console.print(Text(run(line, folder)), end="")
    return console


if __name__ == "__main__":
    record(COMMANDS).save_svg(str(PICTURE), title="arzip")
