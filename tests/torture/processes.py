"""Commands that are killed, run beside each other, or lose their streams, memory or clock."""

from __future__ import annotations

import io
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from trials import ARZIP, LIMIT_SECONDS, TEXT, Files, Row, command, judge

from arzip import codec
from arzip.codec import Options


def kills(first: int, count: int, deadline: float, folder: Path) -> Row:
    """Commands that are killed at random moments."""
    row, files = Row(), Files(folder, TEXT * 4)
    assert command("-1k", str(files.plain), row=Row()) == 0
    files.archive = files.packed.read_bytes()
    start = time.monotonic()
    files.prepare(files.plain)
    command("-1", str(files.plain), row=Row())
    usual = time.monotonic() - start
    for number in range(first, first + count):
        if time.monotonic() > deadline:
            break
        source = random.Random(number)
        decoding, removing = source.random() < 0.5, source.random() < 0.5
        there = files.packed if decoding else files.plain
        files.prepare(there)
        args = ["-d" if decoding else "-1", *["--rm"] * removing, str(there)]
        process = subprocess.Popen([*ARZIP, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        time.sleep(source.uniform(0.02, 1.1 * usual))
        number_of = source.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
        process.send_signal(number_of)
        what = f"kill {number} ({number_of.name}): {' '.join(args)}"
        try:
            err = process.communicate(timeout=LIMIT_SECONDS)[1]
            code: int | None = process.returncode
        except subprocess.TimeoutExpired:
            process.kill()
            err, code = process.communicate()[1], None
        judge(row, what, code, err)
        files.check(row, what)
    return row


def streams(folder: Path) -> Row:
    """Pipes that close early, and standard streams that are closed from the start."""
    row, files = Row(), Files(folder, random.Random(3).randbytes(300_000))
    assert command("-1k", str(files.plain), row=Row()) == 0
    files.archive = files.packed.read_bytes()
    files.prepare(files.plain, files.packed)
    for args in (["-1c"], ["-dc"], ["-dc", "--salvage"], ["-lv"], ["-h"], ["models"]):
        source = [str(files.plain if args == ["-1c"] else files.packed)] * (args not in (["-h"], ["models"]))
        for size in (0, 1, 5000):
            process = subprocess.Popen([*ARZIP, *args, *source], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            assert process.stdout and process.stderr
            process.stdout.read(size)
            process.stdout.close()
            err = process.stderr.read()
            judge(row, f"{args}, pipe closed after {size}", process.wait(LIMIT_SECONDS), err)
    for closed in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
        for args in ("-1f x", "-df x.arz", "-1c x", "-dc x.arz", "-t x.arz", "-l x.arz", "-1c -"):
            line = f"exec {' '.join(ARZIP)} {args} {closed}"
            done = subprocess.run(
                ["sh", "-c", line], cwd=folder, capture_output=True, check=False, stdin=subprocess.DEVNULL
            )
            judge(row, f"{args} {closed}", done.returncode, done.stderr)
            files.check(row, f"{args} {closed}")
    return row


def two_writers(folder: Path, count: int = 12) -> Row:
    """Two commands with one target."""
    row = Row()
    first, second, target = folder / "first", folder / "second", folder / "target"
    raws = {TEXT * 3, TEXT[::-1] * 3}
    first.write_bytes(TEXT * 3)
    second.write_bytes(TEXT[::-1] * 3)
    for number in range(count):
        target.unlink(missing_ok=True)
        flags = ["-f"] * (number % 2)
        both = [
            subprocess.Popen([*ARZIP, "-1", *flags, str(path), "-o", str(target)], stderr=subprocess.PIPE)
            for path in (first, second)
        ]
        codes = []
        for process in both:
            err = process.communicate(timeout=LIMIT_SECONDS)[1]
            judge(row, f"two writers {flags}", process.returncode, err)
            codes.append(process.returncode)
        sink = io.BytesIO()
        codec.decompress(io.BytesIO(target.read_bytes()), sink, Options(threads=1))
        if sink.getvalue() not in raws or 0 not in codes or (not flags and sorted(codes) != [0, 1]):
            row.silent += 1
            row.note(f"two writers {flags}: {codes}")
    return row


# Runs arzip with a clock that jumps by years, at every look.
JUMPING = """
import random, runpy, sys, time
source, now, nanoseconds = random.Random(int(sys.argv.pop(1))), time.time, time.time_ns
time.time = lambda: max(0.0, now() + source.choice([-2e9, -3e7, 0, 3e7, 4e9]))
time.time_ns = lambda: max(0, nanoseconds() + source.choice([-2, 0, 2]) * 10**18)
runpy.run_module("arzip", run_name="__main__", alter_sys=True)
"""


def clocks(folder: Path, count: int = 6) -> Row:
    """A clock that jumps, and files of odd times; an unfinished file of the future beside them."""
    row, files = Row(), Files(folder, TEXT * 2)
    assert command("-1k", str(files.plain), row=Row()) == 0
    files.archive = files.packed.read_bytes()
    for number, seconds in enumerate([-(1 << 31), -1, 0, 1 << 31, 1 << 33, 1 << 34][:count]):
        for args in (["-1", "--rm"], ["-d", "--rm"], ["-t"]):
            source = files.plain if args[0] == "-1" else files.packed
            files.prepare(source)
            (folder / ".arzip-0.tmp").write_bytes(b"")
            for path in (source, folder / ".arzip-0.tmp"):
                os.utime(path, (seconds, seconds))
            words = [sys.executable, "-c", JUMPING, str(number), *args, str(source)]
            done = subprocess.run(words, capture_output=True, check=False, timeout=LIMIT_SECONDS)
            judge(row, f"clock {number} {args}", done.returncode, done.stderr)
            row.silent += done.returncode != 0
            files.check(row, f"clock {number} {args}")
    return row


def little_memory(folder: Path) -> Row:
    """An address space that is too small, in steps: an output is whole or absent, and the process ends by itself."""
    import resource

    row, files = Row(), Files(folder, TEXT * 4)
    assert command("-6k", str(files.plain), row=Row()) == 0
    files.archive = files.packed.read_bytes()
    for args in (["-6"], ["-d", "--rm"]):
        for megabytes in range(60, 380, 20):
            limit = (megabytes << 20, megabytes << 20)
            source = files.plain if args[0] == "-6" else files.packed
            files.prepare(source)
            words = [*ARZIP, "-T2", *args, str(source)]
            try:
                done = subprocess.run(
                    words,
                    capture_output=True,
                    check=False,
                    timeout=LIMIT_SECONDS,
                    preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, limit),  # noqa: B023
                )
                judge(row, f"{megabytes} MB {args}", done.returncode, done.stderr)
            except subprocess.TimeoutExpired:
                judge(row, f"{megabytes} MB {args}", None, b"")
            files.check(row, f"{megabytes} MB {args}")
    return row
