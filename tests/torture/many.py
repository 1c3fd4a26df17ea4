"""many.py FILES [BYTES] [THROUGH_A_PIPE]: memory and time of many files in one call, and of a long stream.

Prints a line for each: FILES files there and back (the peak of memory must not grow with their number; 0: none), then,
if a third number is given, so many bytes from a pipe and back to one, nearly all of them zero.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ARZIP = [sys.executable, "-m", "arzip"]
PIECE = bytes(1 << 20)
WORDS = b"words that lie across what 32 bits can count, or at an end " * 3


def measured(args: list[str]) -> tuple[int, float]:
    """Peak memory in bytes and seconds of a command."""
    start = time.monotonic()
    process = subprocess.Popen(args)
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, (status, args)
    return usage.ru_maxrss << 10, time.monotonic() - start


def many_files(count: int, size: int) -> None:
    """Compress `count` files of `size` bytes in one call, decompress them in another, compare."""
    with tempfile.TemporaryDirectory() as folder:
        names = [Path(folder) / str(i // 1000) / f"{i}.txt" for i in range(count)]
        for i, name in enumerate(names):
            name.parent.mkdir(exist_ok=True)
            name.write_bytes(b"%d " % i * (size // 6))
        for args in (["-1", "-r", "--rm"], ["-d", "-r", "--rm"]):
            peak, seconds = measured([*ARZIP, *args, folder])
            print(f"{count:,} files, arzip {' '.join(args)}: {peak / 1e6:.0f} MB, {seconds:.0f} s", flush=True)
        assert all(name.read_bytes() == b"%d " % i * (size // 6) for i, name in enumerate(names))


def pieces(size: int) -> Iterator[bytes]:
    """Zeros, but for words at the beginning, in the middle, across 4 GiB and at the end."""
    places = (0, size // 2, (1 << 32) - len(WORDS) // 2, size - len(WORDS))
    for at in range(0, size, len(PIECE)):
        piece = bytearray(PIECE[: size - at])
        for place in places:
            first, last = max(place, at), min(place + len(WORDS), at + len(piece))
            if first < last:
                piece[first - at : last - at] = WORDS[first - place : last - place]
        yield bytes(piece)


def long_stream(size: int) -> None:
    """So many bytes from a pipe to an archive, its list, and back to a pipe."""
    with tempfile.TemporaryDirectory() as folder:
        archive, digest, back = Path(folder) / "long.arz", hashlib.sha256(), hashlib.sha256()
        start = time.monotonic()
        with archive.open("wb") as sink:
            pack = subprocess.Popen([*ARZIP, "-1"], stdin=subprocess.PIPE, stdout=sink)
            assert pack.stdin
            for piece in pieces(size):
                digest.update(piece)
                pack.stdin.write(piece)
            pack.stdin.close()
            _, status, packing = os.wait4(pack.pid, 0)
            assert status == 0
        packed = time.monotonic()
        listed = subprocess.run([*ARZIP, "-l", str(archive)], capture_output=True, text=True, check=True).stdout
        assert f"{size:,}" in listed, listed
        unpack = subprocess.Popen([*ARZIP, "-dc", str(archive)], stdout=subprocess.PIPE)
        assert unpack.stdout
        while piece := unpack.stdout.read(1 << 20):
            back.update(piece)
        _, status, unpacking = os.wait4(unpack.pid, 0)
        assert status == 0 and digest.digest() == back.digest()
        print(f"{size:,} bytes from a pipe: {archive.stat().st_size:,} at -1\n{listed}")
        for way, usage, seconds in (("in", packing, packed - start), ("out", unpacking, time.monotonic() - packed)):
            memory, work = usage.ru_maxrss * 1024 / 1e6, usage.ru_utime + usage.ru_stime
            print(f"{way}: {memory:.0f} MB at the peak, {work:.0f} CPU s, {seconds:.0f} s")


if __name__ == "__main__":
    if int(sys.argv[1]):
        many_files(int(sys.argv[1]), int(sys.argv[2]) if sys.argv[2:] else 60)
    if sys.argv[3:]:
        long_stream(int(sys.argv[3]))
