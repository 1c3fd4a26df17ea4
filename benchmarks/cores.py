"""What more cores bring: one file on one thread and on several, and many records at once beside a loop over them.

    python benchmarks/cores.py FILE [--levels 1,6] [--threads 1,16] [--rounds 3] [--records 2000] [-o RESULT.json]

Needs arzip with compiled kernels, numpy, safetensors and click, no numba. A row is the median of the rounds, in which
the numbers of threads take turns; each archive is restored and compared. Records are pieces of FILE of 700 bytes; every
other one goes into the dictionary.
"""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

import arzip

RECORD_BYTES, DICTIONARY_BYTES, LOOP_SHARE = 700, 112640, 20


def numbers(text: str) -> list[int]:
    """The numbers of a list with commas."""
    return [int(part) for part in text.split(",")]


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    """How long it takes, and what it returns."""
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def scaling(raw: bytes, level: int, threads: list[int], rounds: int) -> dict[str, Any]:
    """Seconds there and back for each number of threads; the archive is the same for all."""
    times: dict[int, list[tuple[float, float]]] = {count: [] for count in threads}
    sizes = set()
    for _ in range(rounds):
        for count in threads:
            there, archive = seconds(lambda count=count: arzip.compress(raw, level, threads=count))
            back, restored = seconds(lambda count=count, archive=archive: arzip.decompress(archive, threads=count))
            assert restored == raw
            times[count].append((there, back))
            sizes.add(len(archive))
    [size] = sizes
    medians = {count: [statistics.median(side) for side in zip(*each, strict=True)] for count, each in times.items()}
    return {"bytes": len(raw), "archive": size, "seconds": medians}


def records(raw: bytes, count: int, level: int, threads: int) -> dict[str, Any]:
    """Records a second by compress_many, decompress_many and a loop over `compress`, after the same dictionary."""
    made = [raw[at : at + RECORD_BYTES] for at in range(0, min(len(raw), 2 * count * RECORD_BYTES), RECORD_BYTES)]
    some, others = made[::2], made[1::2]
    known = arzip.train_dictionary(others, DICTIONARY_BYTES)
    arzip.compress(some[0], level, dictionary=known)  # codes the dictionary
    many, archives = seconds(lambda: arzip.compress_many(some, level, dictionary=known, threads=threads))
    back, restored = seconds(lambda: arzip.decompress_many(archives, dictionary=known, threads=threads))
    few = some[: max(1, len(some) // LOOP_SHARE)]
    loop, alone = seconds(lambda: [arzip.compress(record, level, dictionary=known) for record in few])
    assert restored == some and alone == archives[: len(few)]
    rates = {"compress_many": len(some) / many, "decompress_many": len(some) / back, "loop": len(few) / loop}
    return {"records": len(some), "threads": threads} | {name: round(rate, 1) for name, rate in rates.items()}


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--levels", default="1,6", help="levels", show_default=True)
@click.option("--threads", default="", help="numbers of threads; the first is what others are compared with [1,cores]")
@click.option("--rounds", default=3, show_default=True)
@click.option("--records", "count", default=2000, help="records; 0: none", show_default=True)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="write the figures there as JSON")
def main(file: Path, levels: str, threads: str, rounds: int, count: int, output: Path | None) -> None:
    """What more cores bring, on FILE."""
    raw, cores = file.read_bytes(), os.cpu_count() or 1
    counts = numbers(threads) if threads else [1, cores]
    facts: dict[str, Any] = {"cores": cores, "levels": {}}
    for level in numbers(levels):
        found = facts["levels"][level] = scaling(raw, level, counts, rounds)
        first = found["seconds"][counts[0]]
        for number, each in found["seconds"].items():
            there, back = (f"{now:.2f} s ({before / now:.2f} times)" for before, now in zip(first, each, strict=True))
            click.echo(f"-{level}, {number} threads: there {there}, back {back}")
    if count:
        facts["records"] = records(raw, count, 6, max(counts))
        click.echo(f"records a second at -6: {facts['records']}")
    if output:
        output.write_text(json.dumps(facts, indent=1), "utf-8")


if __name__ == "__main__":
    main()
