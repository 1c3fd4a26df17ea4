"""Compress a real file with the installed command, restore it, compare, and print sizes beside gzip and xz.

Exit code 1 if the round trip fails. A size is that of an archive that came back byte for byte.
"""

from __future__ import annotations

import gzip
import importlib.util
import lzma
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

COMMAND = [sys.executable, "-m", "arzip"]


def sample() -> Path:
    """The standard library's help texts: some 700 KB of English."""
    found = importlib.util.find_spec("pydoc_data.topics")
    if found is None or found.origin is None:
        sys.exit("demo: this Python has no pydoc_data/topics.py to compress")
    return Path(found.origin)


def report(name: str, raw: bytes, compress: Callable[[bytes], bytes], decompress: Callable[[bytes], bytes]) -> None:
    """Print one line; exit if what comes back is not what went in."""
    start = time.perf_counter()
    archive = compress(raw)
    middle = time.perf_counter()
    restored = decompress(archive)
    end = time.perf_counter()
    if restored != raw:
        sys.exit(f"demo: {name} FAILED: {len(restored)} bytes came back that differ from the original")
    bpb = 8 * len(archive) / len(raw)
    print(f"{name:10} {len(archive):>10,} {bpb:>15.3f} {middle - start:>11.1f} {end - middle:>13.1f}", flush=True)


def run_arzip(folder: Path, *args: str) -> None:
    """Run the command in `folder`, where no checkout shadows the installed package."""
    done = subprocess.run([*COMMAND, *args], cwd=folder, check=False)
    if done.returncode != 0:
        sys.exit(f"demo: arzip {' '.join(args)} FAILED with exit code {done.returncode}")


def main() -> None:
    raw = sample().read_bytes()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def compress(data: bytes) -> bytes:
            (folder / "topics.py").write_bytes(data)
            run_arzip(folder, "topics.py")
            return (folder / "topics.py.arz").read_bytes()

        def decompress(archive: bytes) -> bytes:
            (folder / "topics.py").unlink()
            run_arzip(folder, "-d", "topics.py.arz")
            return (folder / "topics.py").read_bytes()

        print(f"{sample()}: {len(raw):,} bytes\n")
        print(f"{'':10} {'bytes':>10} {'bits per byte':>15} {'compress, s':>11} {'decompress, s':>13}")
        report("gzip -9", raw, lambda data: gzip.compress(data, 9), gzip.decompress)
        report("xz -9e", raw, lambda data: lzma.compress(data, preset=9 | lzma.PRESET_EXTREME), lzma.decompress)
        report("arzip", raw, compress, decompress)
    print("\nWhat came back is byte for byte what went in. arzip's seconds are those of the whole process.")


if __name__ == "__main__":
    main()
