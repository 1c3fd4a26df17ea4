"""Runs one phase of one cell in a process of its own, so that the process's peak memory is that of the phase.

`python -m arzip.bench.worker` reads one job as JSON from stdin and writes one outcome as JSON to stdout. It imports
little: a child's peak is measured as at least that of its parent, which is this process (some 15 MB).
"""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

MAXRSS_BYTES = 1 if sys.platform == "darwin" else 1024


class Job(NamedTuple):
    """Compress or decompress `source` to `target`, at most `runs` times, but not again after `budget_seconds`.

    expected: path of the bytes that must come out (decompressing); "": no comparison. argv: the command of a process,
    run in `folder`; empty for a codec called in process, by name and level.
    """

    source: str
    target: str
    expected: str
    runs: int
    budget_seconds: float
    folder: str
    codec: str
    level: str
    argv: list[str]


class Outcome(NamedTuple):
    """Seconds of each run; error: one line, "" without one."""

    seconds: list[float]
    memory_bytes: int = 0
    error: str = ""


class FailedError(Exception):
    """The codec failed."""


def work(job: Job) -> Outcome:
    """Do the job. Any failure of the codec becomes the outcome's error."""
    try:
        return _spawned(job) if job.argv else _called(job)
    except (Exception, SystemExit) as error:  # a codec may raise anything
        text = str(error) if isinstance(error, FailedError) else f"{type(error).__name__}: {error}"
        return Outcome([], 0, " ".join(text.split()) or "failed")


def _called(job: Job) -> Outcome:
    """Run a codec in process. Only the call is timed, not reading and writing files."""
    from arzip.bench.inprocess import functions

    compress, decompress = functions(job.codec, job.level)
    source = Path(job.source).read_bytes()
    expected = Path(job.expected).read_bytes() if job.expected else None
    before, seconds = _peak_bytes(), list[float]()
    while _goes_on(job, seconds):
        result = b""  # frees the last result, so that it doesn't count in the peak
        start = time.perf_counter()
        result = compress(source) if expected is None else decompress(source, len(expected))
        seconds.append(time.perf_counter() - start)
        if expected is not None and result != expected:
            raise FailedError("other bytes came back")
    memory_bytes = _peak_bytes() - before
    Path(job.target).write_bytes(result)
    return Outcome(seconds, memory_bytes)


def _spawned(job: Job) -> Outcome:
    """Run a codec as a process, timed from before its start until after its end."""
    seconds, memory_bytes = list[float](), 0
    while _goes_on(job, seconds):
        Path(job.target).unlink(missing_ok=True)
        with open(Path(job.folder, "stderr"), "w+b") as stderr:
            start = time.perf_counter()
            child = subprocess.Popen(
                job.argv, cwd=job.folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr
            )
            _, status, usage = os.wait4(child.pid, 0)
            seconds.append(time.perf_counter() - start)
            child.returncode = os.waitstatus_to_exitcode(status)
            if child.returncode:
                stderr.seek(0)
                raise FailedError(_ending(child.returncode, stderr.read().decode(errors="replace")))
        memory_bytes = max(memory_bytes, usage.ru_maxrss * MAXRSS_BYTES)
        if not Path(job.target).is_file():
            raise FailedError("no output file appeared")
        if job.expected and not _same(job.target, job.expected):
            raise FailedError("other bytes came back")
    return Outcome(seconds, memory_bytes)


def _goes_on(job: Job, seconds: list[float]) -> bool:
    return not seconds or (len(seconds) < job.runs and sum(seconds) < job.budget_seconds)


def _peak_bytes() -> int:
    """Peak memory of this process so far. On Linux not by getrusage, which starts from the parent's peak."""
    with suppress(OSError):
        found = re.search(r"^VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
        if found:
            return int(found[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MAXRSS_BYTES


def _ending(code: int, stderr: str) -> str:
    lines = stderr.strip().splitlines()
    return (f"exit code {code}" if code > 0 else f"ended by signal {-code}") + (f": {lines[-1]}" if lines else "")


def _same(path: str, other: str) -> bool:
    """Whether two files are equal, compared piece by piece, since this process has to stay small."""
    with open(path, "rb") as one, open(other, "rb") as two:
        while True:
            piece, same = one.read(1 << 16), two.read(1 << 16)
            if piece != same:
                return False
            if not piece:
                return True


if __name__ == "__main__":
    print(json.dumps(work(Job(**json.load(sys.stdin)))._asdict()))
