"""What trials of torture.py share: how they are counted, and commands that are judged by how they end."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

ARZIP = [sys.executable, "-m", "arzip"]
LIMIT_SECONDS = 240  # after which a command hangs
FRAME = re.compile(rb'File "([^"]+)"')  # of a traceback
OK_CODES = {0, 1, 2, 130, 141, 143, -2, -9, -15}  # of a command, or the signals that it was sent
TEXT = b"".join(b"%d words of text, %d of them twice\n" % (i, i % 7) for i in range(90))


@dataclass
class Row:
    """What came of the trials of one kind."""

    trials: int = 0
    silent: int = 0
    lost: int = 0
    tracebacks: int = 0
    crashes: int = 0
    hangs: int = 0
    starts: int = 0  # Ctrl-C in Python's own start: its traceback, without a frame of arzip; no fault
    notes: list[str] = field(default_factory=list)

    @property
    def faults(self) -> int:
        return self.silent + self.lost + self.tracebacks + self.crashes + self.hangs

    def note(self, text: str) -> None:
        self.notes.append(text)
        print("FAULT", text, file=sys.stderr, flush=True)


def judge(row: Row, what: str, code: int | None, err: bytes) -> None:
    """Count how a command ended."""
    row.trials += 1
    if code is None:
        row.hangs += 1
        row.note(f"{what}: no end in {LIMIT_SECONDS} s")
    elif code not in OK_CODES:
        row.crashes += 1
        row.note(f"{what}: exit {code}: {err[-300:]!r}")
    if err.rstrip().endswith(b"KeyboardInterrupt") and not any(b"arzip" in path for path in FRAME.findall(err)):
        row.starts += 1
    elif b"Traceback" in err or b"internal error" in err:
        row.tracebacks += 1
        row.note(f"{what}: {err[-300:]!r}")


def command(*args: str, row: Row, **options: object) -> int | None:
    """Run a command to its end and count how it ended."""
    try:
        done = subprocess.run([*ARZIP, *args], capture_output=True, timeout=LIMIT_SECONDS, **options)  # type: ignore
    except subprocess.TimeoutExpired:
        judge(row, " ".join(args), None, b"")
        return None
    judge(row, " ".join(args), done.returncode, done.stderr)
    return done.returncode


class Files:
    """A folder with a source and its archive."""

    def __init__(self, folder: Path, raw: bytes) -> None:
        self.folder, self.raw = folder, raw
        self.plain, self.packed = folder / "x", folder / "x.arz"
        self.plain.write_bytes(raw)
        self.archive = b""

    def prepare(self, *present: Path) -> None:
        for path, data in ((self.plain, self.raw), (self.packed, self.archive)):
            if path in present:
                path.write_bytes(data)
            else:
                path.unlink(missing_ok=True)

    def check(self, row: Row, what: str) -> None:
        """Whether the data is still there, and every output is whole or absent."""
        alive = False
        if self.plain.exists():
            alive = self.plain.read_bytes() == self.raw
            if not alive:
                row.silent += 1
                row.note(f"{what}: {self.plain.stat().st_size} bytes where {len(self.raw)} belong")
        if self.packed.exists():
            if self.packed.read_bytes() == self.archive:
                alive = True
            else:
                row.silent += 1
                row.note(f"{what}: a broken archive")
        if not alive:
            row.lost += 1
            row.note(f"{what}: lost")
        for path in self.folder.glob(".arzip-*"):
            path.unlink()
