"""Disks, folders and files that fail or change under a command."""

from __future__ import annotations

import io
import os
import random
import shutil
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from trials import ARZIP, LIMIT_SECONDS, TEXT, Files, Row, command, judge

from arzip import codec
from arzip.codec import Options


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
