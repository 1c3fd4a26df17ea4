"""open_golden.py [--kernels FOLDER] [--make] NAME...: open golden archives, or make them anew, where compiling is slow.

Prints a line for each archive: its name, whether the bytes are right, and how long it took with what it had compiled:
one kernel for all profiles. Exit 1 if one isn't right. FOLDER: of aarch64_kernels.py; nothing is compiled then.
scripts/aarch64.sh runs it on another processor; NUMBA_OPT=1 makes it quicker there.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import platform
import sys
import time
from pathlib import Path

from golden_data import GOLDEN, RECIPES

from arzip.codec import Options, decompress
from arzip.context_mixing import static_shapes
from arzip.jit import ready


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kernels", type=Path)
    parser.add_argument("--make", action="store_true")
    parser.add_argument("names", nargs="+")
    given = parser.parse_args()
    if given.kernels:
        ready.FOLDER, ready.MODE = given.kernels, "ready"
        ready.TARGETS = (ready.Target(platform.machine(), frozenset(), "generic"),)
    # a profile's sizes that are compiled in make it faster and its kernels many; they are those of the arrays
    static_shapes.counts_of = lambda cm: None  # type: ignore[assignment]
    check = is_made_alike if given.make else is_opened_right
    wrong = 0
    for name in given.names:
        began = time.monotonic()
        is_right = check(name)
        wrong += not is_right
        seconds = time.monotonic() - began
        print(platform.machine(), name, "right" if is_right else "WRONG", f"{seconds:.0f} s", flush=True)
    sys.exit(wrong > 0)


def is_opened_right(name: str) -> bool:
    """Whether an archive gives the bytes that it was made of."""
    lines = (line.split() for line in (GOLDEN / "frozen.txt").read_text().splitlines())
    frozen = {name: held for name, _, held in lines}
    archive, sink = (GOLDEN / "good" / f"{name}.arz").read_bytes(), io.BytesIO()
    options = Options(dictionary=RECIPES[name].dictionary if name in RECIPES else b"", threads=1)
    decompress(io.BytesIO(archive), sink, options)
    return hashlib.sha256(sink.getvalue()).hexdigest() == frozen[name]


def is_made_alike(name: str) -> bool:
    """Whether an archive that is made here is the golden one."""
    from test_golden import kept, made

    return made(name) == kept(name)


if __name__ == "__main__":
    main()
