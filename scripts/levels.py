"""Print the table of levels of the README: bits per byte of each file, and speed, by the installed command.

usage: python scripts/levels.py [--levels 1,6,9] FILE...    Every archive is restored and compared.
xz and zpaq stand beside where they are installed. Speeds are of whole processes, on all the files together.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ARZIP = [sys.executable, "-m", "arzip"]


def run(command: Sequence[str], folder: Path) -> float:
    """Seconds that the command takes; exit if it fails."""
    start = time.perf_counter()
    done = subprocess.run(command, cwd=folder, check=False, capture_output=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} FAILED: {done.stderr.decode()}")
    return time.perf_counter() - start


def row(name: str, files: list[Path], compress: list[str], decompress: list[str], folder: Path) -> str:
    """One line of the table. The commands read `raw` and write `packed`, and back to `restored/raw`."""
    cells, sizes, there, back = [], 0, 0.0, 0.0
    for path in files:
        for leftover in ("packed", "restored"):
            target = folder / leftover
            if target.is_dir():
                shutil.rmtree(target)
            target.unlink(missing_ok=True)
        (folder / "raw").write_bytes(path.read_bytes())
        (folder / "restored").mkdir()
        there += run(compress, folder)
        back += run(decompress, folder)
        if (folder / "restored" / "raw").read_bytes() != path.read_bytes():
            sys.exit(f"{name} FAILED on {path}: other bytes came back")
        packed = (folder / "packed").stat().st_size
        cells.append(f"{8 * packed / path.stat().st_size:.3f}")
        sizes += path.stat().st_size
    return f"| {name} | {' | '.join(cells)} | {sizes / there / 1000:.0f} | {sizes / back / 1000:.0f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--levels", default="1,2,3,4,5,6,7,8,9")
    options = parser.parse_args()
    print(f"| | {' | '.join(path.name for path in options.files)} | compress, KB/s | decompress, KB/s |")
    print("|---|" + "---|" * (len(options.files) + 2))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shell = ["sh", "-c"]
        if shutil.which("xz"):
            there = [*shell, "xz -9e -c raw > packed"]
            print(row("xz -9e", options.files, there, [*shell, "xz -dc packed > restored/raw"], folder), flush=True)
        if shutil.which("zpaq"):
            there = [*shell, "zpaq a packed.zpaq raw -m5 -t1 && mv packed.zpaq packed"]
            back = [*shell, "cp packed p.zpaq && zpaq x p.zpaq -to restored -t1 && rm p.zpaq"]
            print(row("zpaq -m5 -t1", options.files, there, back, folder), flush=True)
        for level in options.levels.split(","):
            there = [*ARZIP, f"-{level}", "raw", "-o", "packed"]
            back = [*ARZIP, "-d", "packed", "-o", "restored/raw"]
            print(row(f"arzip -{level}", options.files, there, back, folder), flush=True)


if __name__ == "__main__":
    main()
