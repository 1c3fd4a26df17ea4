"""torture.py [--minutes N] [--flips N] [--kills N]: what can go wrong with archives and files, and what happens then.

Prints a table: trials of each kind, and of those how many ended in other bytes with success (silent), without the
source and without a whole output (lost), in a traceback or an internal error, in a crash, or not at all (hang). All
must be 0: the exit code says so. `make torture` runs it; docs/TRUST.md keeps the figures.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from damaged import accidents
from places import caches, changing, full_disk
from processes import clocks, kills, little_memory, streams, two_writers
from trials import Row

SIDE_BY_SIDE = 3  # kinds of trials


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
    starts = sum(row.starts for row in rows.values())
    print(f"\n{starts} by Ctrl-C in Python's own start, before the first line of arzip: its traceback, no fault")
    print(f"\n{(time.monotonic() - begin) / 60:.1f} minutes")
    sys.exit(any(row.faults for row in rows.values()))


if __name__ == "__main__":
    main()
