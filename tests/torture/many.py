"""many.py FILES [BYTES] [THROUGH_A_PIPE]: memory and time of many files in one call, and of a long stream of zeros.

Prints a line for each: FILES files there and back (the peak of memory must not grow with their number), then, if a
third number is given, so many bytes of zeros through a pipe there and back.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ARZIP = [sys.executable, "-m", "arzip"]
PIECE = bytes(1 << 20)


def measured(args: list[str]) -> tuple[int, float]:
    """Peak memory in bytes and seconds of a command."""
    start = time.monotonic()
    process = subprocess.Popen(args)
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, args
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


def zeros(size: int) -> None:
    """Zeros through two pipes, and their digest at the end."""
    pack = subprocess.Popen([*ARZIP, "-1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    unpack = subprocess.Popen([*ARZIP, "-d"], stdin=pack.stdout, stdout=subprocess.PIPE)
    digest, back = hashlib.sha256(), hashlib.sha256()

    def feed() -> None:
        assert pack.stdin
        for at in range(0, size, len(PIECE)):
            piece = PIECE[: size - at]
            digest.update(piece)
            pack.stdin.write(piece)
        pack.stdin.close()

    feeder = threading.Thread(target=feed)
    start = time.monotonic()
    feeder.start()
    assert unpack.stdout and pack.stdout
    pack.stdout.close()
    while piece := unpack.stdout.read(1 << 20):
        back.update(piece)
    feeder.join()
    peaks = [os.wait4(process.pid, 0)[2].ru_maxrss << 10 for process in (pack, unpack)]
    assert digest.digest() == back.digest()
    memory, seconds = " and ".join(f"{peak / 1e6:.0f}" for peak in peaks), time.monotonic() - start
    print(f"{size:,} zeros through pipes: {memory} MB, {seconds:.0f} s")


if __name__ == "__main__":
    many_files(int(sys.argv[1]), int(sys.argv[2]) if sys.argv[2:] else 60)
    if sys.argv[3:]:
        zeros(int(sys.argv[3]))
