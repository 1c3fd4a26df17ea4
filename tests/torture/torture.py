"""torture.py [--minutes N] [--flips N] [--kills N]: what can go wrong with archives and files, and what happens then.

Prints a table: trials of each kind, and of those how many ended in other bytes with success (silent), without the
source and without a whole output (lost), in a traceback or an internal error, in a crash, or not at all (hang). All
must be 0: the exit code says so. `make torture` runs it; docs/TRUST.md keeps the figures.
"""

from __future__ import annotations

import argparse
import io
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from arzip import codec
from arzip.api import recovery
from arzip.codec import Options
from arzip.errors import ArzipError

ARZIP = [sys.executable, "-m", "arzip"]
SIDE_BY_SIDE = 3  # kinds of trials
GOLDEN_SHARE = 0.02  # of damaged archives
LIMIT_SECONDS = 240  # after which a command hangs
OK_CODES = {0, 1, 2, 130, 141, 143, -2, -9, -15}  # of a command, or the signals that it was sent


@dataclass
class Row:
    """What came of the trials of one kind."""

    trials: int = 0
    silent: int = 0
    lost: int = 0
    tracebacks: int = 0
    crashes: int = 0
    hangs: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def faults(self) -> int:
        return self.silent + self.lost + self.tracebacks + self.crashes + self.hangs

    def note(self, text: str) -> None:
        self.notes.append(text)
        print("FAULT", text, file=sys.stderr, flush=True)


TEXT = b"".join(b"%d words of text, %d of them twice\n" % (i, i % 7) for i in range(90))


def small_archives() -> list[tuple[str, bytes, bytes]]:
    """Name, archive, raw bytes."""
    noise = random.Random(1).randbytes(400)
    options = Options(level=1, threads=1)
    made = []
    for name, raw in (("level 1", TEXT[:600]), ("stored", noise), ("empty", b""), ("one byte", b"x")):
        sink = io.BytesIO()
        codec.compress(io.BytesIO(raw), sink, options)
        made.append((name, sink.getvalue(), raw))
    joined = [made[1], made[0], made[3]]
    made.append(("members", b"".join(m[1] for m in joined), b"".join(m[2] for m in joined)))
    from arzip.format.stream import Writer

    sink, parts = io.BytesIO(), [noise[i : i + 50] for i in range(0, 400, 50)]
    writer = Writer(sink, made[0][1][8:12])
    for part in parts:
        writer.write_stored(part)
    writer.finish()
    made.append(("blocks", sink.getvalue(), noise))
    return made


# of every kind of block that is decoded by a kernel of its own; what takes long is left out
GOLDEN = ("arm64-3", "array-6", "copies-1", "excel-1", "packed-1", "picture-6", "sound-6", "text-6", "wide-text-1")


def all_archives() -> tuple[list[tuple[str, bytes, bytes]], list[float]]:
    """Small archives and golden ones, and how often each is taken: those that are decoded in milliseconds rarely."""
    small = small_archives()
    golden = []
    for name in GOLDEN:
        archive, sink = (Path(__file__).parents[1] / "golden" / "good" / f"{name}.arz").read_bytes(), io.BytesIO()
        codec.decompress(io.BytesIO(archive), sink, Options(threads=1))
        golden.append((name, archive, sink.getvalue()))
    return small + golden, [1, 8, 2, 1, 3, 8, *[GOLDEN_SHARE * 23 / len(golden)] * len(golden)]


def damage(source: random.Random, data: bytes) -> bytes:
    """One accident: a bit, a byte, bytes lost, put in, moved; the end cut off."""
    at, kind = source.randrange(len(data)), source.randrange(8)
    other = source.randrange(len(data))
    if kind < 3:
        return data[:at] + bytes([data[at] ^ 1 << source.randrange(8)]) + data[at + 1 :]
    if kind == 3:
        return data[:at]
    if kind == 4:
        return data[:at] + data[at + source.randint(1, 9) :]
    if kind == 5:
        return data[:at] + source.randbytes(source.randint(1, 9)) + data[at:]
    if kind == 6:
        return data[:at] + source.choice([b"\0", b"\xff"]) * source.randint(1, 16) + data[at + 16 :]
    first, second = sorted((at, other))
    return data[:first] + data[second:] + data[first:second]


def accidents(first: int, count: int, deadline: float) -> tuple[Row, Row]:
    """Damaged archives opened and salvaged in this process."""
    opened, saved, (archives, weights) = Row(), Row(), all_archives()
    options = Options(threads=1)
    for number in range(first, first + count):
        if time.monotonic() > deadline:
            break
        source = random.Random(number)
        name, archive, raw = source.choices(archives, weights)[0]
        broken = damage(source, archive)
        sink, start = io.BytesIO(), time.monotonic()
        opened.trials += 1
        try:
            codec.decompress(io.BytesIO(broken), sink, options)
            # success is right if the bytes are, and where the end of a member was hit: what is left is an archive
            whole = {raw[:i] for i in range(len(raw) + 1)} if name == "members" else {raw}
            if sink.getvalue() not in whole:
                opened.silent += 1
                opened.note(f"accident {number} of {name}: other bytes")
        except ArzipError as error:
            if "\n" in str(error):
                opened.tracebacks += 1
        except Exception as error:
            opened.tracebacks += 1
            opened.note(f"accident {number} of {name}: {error!r}")
        opened.hangs += time.monotonic() - start > 60
        if number % 10 == 0 and name != "members":
            saved.trials += 1
            sink = io.BytesIO()
            try:
                recovery.salvage(io.BytesIO(broken), sink, options)
                size = 50 if name == "blocks" else len(raw) or 1
                parts = {raw[i : i + size] for i in range(0, len(raw), size)}
                got = sink.getvalue()
                if any(got[i : i + size] not in parts for i in range(0, len(got), size)):
                    saved.silent += 1
                    saved.note(f"salvage {number} of {name}: bytes that never were")
            except ArzipError:
                pass
            except Exception as error:
                saved.tracebacks += 1
                saved.note(f"salvage {number} of {name}: {error!r}")
    return opened, saved


def judge(row: Row, what: str, code: int | None, err: bytes) -> None:
    """Count how a command ended."""
    row.trials += 1
    if code is None:
        row.hangs += 1
        row.note(f"{what}: no end in {LIMIT_SECONDS} s")
    elif code not in OK_CODES:
        row.crashes += 1
        row.note(f"{what}: exit {code}: {err[-300:]!r}")
    if b"Traceback" in err or b"internal error" in err:
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


def full_disk(folder: Path) -> Row:
    """Outputs on a disk of 64 KB, and on /dev/full."""
    row, files = Row(), Files(folder, random.Random(2).randbytes(200_000))
    assert command("-1k", str(files.plain), row=Row()) == 0
    files.archive = files.packed.read_bytes()
    disk = folder / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], capture_output=True, check=False
    )
    targets = [str(disk / "out")] if mounted.returncode == 0 else []
    try:
        for target in [*targets, "/dev/full"]:
            for args in (["-1"], ["-1", "--rm"], ["-d"], ["-d", "--rm"], ["-d", "--salvage"], ["-1f"], ["-df"]):
                decoding = args[0].startswith("-d")
                source = files.packed if decoding else files.plain
                files.prepare(source)
                code = command(*args, "-o", target, str(source), row=row)
                if code == 0:
                    row.silent += 1
                    row.note(f"{args} to {target}: success on a full disk")
                files.check(row, f"full disk {args} {target}")
                if target != "/dev/full" and os.listdir(disk):
                    row.silent += 1
                    row.note(f"{args}: {os.listdir(disk)} left on the full disk")
        with open("/dev/full", "wb") as full:
            for args in (["-1c"], ["-dc"], ["-lv"], ["-t", "--json"], ["-h"]):
                source = files.plain if args == ["-1c"] else files.packed
                files.prepare(source)
                done = subprocess.run([*ARZIP, *args, str(source)], stdout=full, stderr=subprocess.PIPE, check=False)
                judge(row, f"{args} > /dev/full", done.returncode, done.stderr)
                row.silent += done.returncode == 0
                files.check(row, f"{args} > /dev/full")
    finally:
        if targets:
            subprocess.run(["umount", disk], check=False)
    if not targets:
        row.notes.append("no tmpfs here: /dev/full alone")
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


def changing(folder: Path) -> Row:
    """Sources that vanish, grow, shrink or are replaced while they are read; folders too."""
    row = Row()

    def truncate(path: Path) -> None:
        os.truncate(path, 100)

    def grow(path: Path) -> None:
        with open(path, "ab") as file:
            file.write(b"more" * 1000)

    def replace(path: Path) -> None:
        other = path.with_name("other")
        other.write_bytes(b"another file")
        os.replace(other, path)

    changes: list[tuple[str, Callable[[Path], None]]] = [
        ("removed", lambda path: path.unlink(missing_ok=True)),
        ("cut", truncate),
        ("appended to", grow),
        ("replaced", replace),
        ("in a folder that goes", lambda path: shutil.rmtree(path.parent, ignore_errors=True)),
    ]
    for name, change in changes:
        for removing in (False, True):
            for delay in (0.05, 0.5, 1.0):
                work = folder / "work"
                shutil.rmtree(work, ignore_errors=True)
                work.mkdir()
                source = work / "x"
                source.write_bytes(TEXT * 20)
                args = [*ARZIP, "-1", *["--rm"] * removing, str(source)]
                process = subprocess.Popen(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                time.sleep(delay)
                with suppress(OSError):
                    change(source)
                now = source.read_bytes() if source.exists() else None
                err = process.communicate(timeout=LIMIT_SECONDS)[1]
                judge(row, f"source {name}, --rm {removing}, {delay} s", process.returncode, err)
                packed = work / "x.arz"
                if packed.exists():
                    sink = io.BytesIO()
                    codec.decompress(io.BytesIO(packed.read_bytes()), sink, Options(threads=1))
                    held = sink.getvalue()
                    if removing and now is not None and not source.exists() and held != now:
                        row.lost += 1
                        row.note(f"source {name}: removed, and its new bytes are nowhere")
    return row


def caches(folder: Path) -> Row:
    """Places for caches and models that can't be used."""
    row = Row()
    source = folder / "x"
    source.write_bytes(TEXT)
    (folder / "file").write_bytes(b"")
    odd = {
        "HOME": ["/nonexistent", "/dev/null", str(folder / "file"), "", "/proc/1/root"],
        "NUMBA_CACHE_DIR": ["/dev/null/x", str(folder / "file"), "/proc/1", ""],
        "XDG_DATA_HOME": ["/dev/null", str(folder / "file"), "relative"],
        "ARZIP_MODEL_PATH": ["/dev/null", "/dev/zero", str(folder), "/proc/self/mem", ":::"],
        "TMPDIR": ["/nonexistent"],
    }
    for variable, values in odd.items():
        for value in values:
            environment = {**os.environ, variable: value}
            packed = subprocess.run([*ARZIP, "-1c", source], capture_output=True, env=environment, check=False)
            judge(row, f"{variable}={value} -1c", packed.returncode, packed.stderr)
            back = subprocess.run(
                [*ARZIP, "-dc"], input=packed.stdout, capture_output=True, env=environment, check=False
            )
            judge(row, f"{variable}={value} -dc", back.returncode, back.stderr)
            if (packed.returncode, back.returncode) == (0, 0) and back.stdout != TEXT:
                row.silent += 1
            if (packed.returncode, back.returncode) != (0, 0):
                row.crashes += 1
                row.note(f"{variable}={value}: {packed.stderr + back.stderr!r}")
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


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--flips", type=int, default=100_000)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--first", type=int, default=0, help="number of the first flip and kill, each a seed")
    parser.add_argument("--only", action="store_true", help="flips and kills alone")
    options = parser.parse_args()
    begin = time.monotonic()
    end = begin + 60 * options.minutes
    with tempfile.TemporaryDirectory() as name:

        def folder(part: str) -> Path:
            (Path(name) / part).mkdir()
            return Path(name) / part

        work: dict[str, Callable[[], Row]] = {
            "full disk": partial(full_disk, folder("full")),
            "closed pipes and streams": partial(streams, folder("streams")),
            "sources that change": partial(changing, folder("changing")),
            "unusable caches, homes, model paths": partial(caches, folder("caches")),
            "two writers of one target": partial(two_writers, folder("writers")),
            "clocks that jump, odd times": partial(clocks, folder("clocks")),
            "too little memory": partial(little_memory, folder("memory")),
        }
        if options.only:
            work.clear()
        with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            killed = pool.submit(kills, options.first, options.kills, end, folder("kills"))
            others = {kind: pool.submit(run) for kind, run in work.items()}
            opened, saved = accidents(options.first, options.flips, end)
            rows = {"damaged archives, opened": opened, "damaged archives, salvaged": saved}
            rows["killed at random moments"] = killed.result()
            rows |= {kind: future.result() for kind, future in others.items()}
    print("| kind | trials | silent | lost | tracebacks | crashes | hangs |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    for kind, row in rows.items():
        counts = (row.trials, row.silent, row.lost, row.tracebacks, row.crashes, row.hangs)
        print(f"| {kind} | {' | '.join(f'{count:,}' for count in counts)} |")
    print(f"\n{(time.monotonic() - begin) / 60:.1f} minutes")
    sys.exit(any(row.faults for row in rows.values()))


if __name__ == "__main__":
    main()
