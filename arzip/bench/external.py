"""Codecs that run as processes: arzip itself, zpaq, and commands given by the user. Builds their command lines."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from arzip.errors import ArzipError

RAW, RESTORED = "raw", "restored"  # file names in the folder where the commands run
TEMPLATE_HINT = "write it as 'name=cmd {in} {out} / cmd -d {in} {out}'"


@dataclass(frozen=True)
class Codec:
    """A codec at a level. compress, decompress: the commands' words, none for a codec that Python calls.

    how: "process" or "in-process". threads: 0 stands for one a core. packed: the archive's name in the folder.
    """

    name: str
    level: str
    how: str
    compress: tuple[str, ...] = ()
    decompress: tuple[str, ...] = ()
    packed: str = "packed"
    threads: int = 1
    device: str = "cpu"
    is_arzip: bool = False
    model: str = ""


def arzip(name: str, level: str, model: str, device: str, threads: int) -> Codec:
    """This arzip, as a process of this Python. `model`: a name or a path; "" for the level's own."""
    command = (sys.executable, "-m", "arzip", "-f", "--device", device, "-T", str(threads))
    chosen = ("-m", str(Path(model).resolve()) if Path(model).is_file() else model) if model else ()
    return Codec(
        name,
        level,
        "process",
        (*command, *chosen, f"-{level}", "-o", "packed.arz", RAW),
        (*command, *chosen, "-d", "-o", RESTORED, "packed.arz"),
        "packed.arz",
        threads,
        device,
        is_arzip=True,
        model=model,
    )


def zpaq(level: str, threads: int) -> Codec:
    """zpaq, as a process. Its journaling archives hold a name, a date and hashes: some 150 bytes a file."""
    limit = (f"-t{threads}",) if threads else ()
    return Codec(
        "zpaq",
        level,
        "process",
        ("zpaq", "add", "packed.zpaq", RAW, f"-m{level}", *limit),
        ("zpaq", "extract", "packed.zpaq", RAW, "-to", RESTORED, "-force", *limit),
        "packed.zpaq",
        threads,
    )


def parse_command(text: str) -> Codec:
    """A user's template: 'name=cmd {in} {out} / cmd -d {in} {out}'. Raises ArzipError."""
    name, equals, rest = text.partition("=")
    halves = rest.split(" / ")
    if not equals or not name.strip() or len(halves) != 2:
        raise ArzipError(f"--command {text!r}: {TEMPLATE_HINT}")
    try:
        pack, unpack = (shlex.split(half) for half in halves)
    except ValueError as error:
        raise ArzipError(f"--command {text!r}: {error}") from error
    for words in (pack, unpack):
        if not all(any(mark in word for word in words) for mark in ("{in}", "{out}")):
            raise ArzipError(f"--command {text!r}: {{in}} and {{out}} belong in both halves; {TEMPLATE_HINT}")
    compress = tuple(word.replace("{in}", RAW).replace("{out}", "packed") for word in pack)
    decompress = tuple(word.replace("{in}", "packed").replace("{out}", RESTORED) for word in unpack)
    return Codec(name.strip(), "", "process", compress, decompress, threads=0)
