"""What archives of 1 MB to 1 PB cost on a cluster: measured a block at each level, the rest modelled.

    python benchmarks/scale.py measure benchmarks/DATE-CPU.json        # a block at each level, as make bench has it
    python benchmarks/scale.py index                                   # what an index of many blocks costs
    python benchmarks/scale.py tables docs/scale.json                  # the tables of docs/SCALE.md, between its marks
    python benchmarks/scale.py plot docs/scale.json                    # docs/scale.png; needs arzip[plot]

What is measured goes to docs/scale.json.
"""

from __future__ import annotations

import argparse
import io
import json
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from arzip import levels
from arzip.format.records import End

ROOT = Path(__file__).resolve().parents[1]
PAGE, PICTURE = ROOT / "docs" / "SCALE.md", ROOT / "docs" / "scale.png"
BEGIN, END = "<!-- scale:begin -->", "<!-- scale:end -->"
BLOCK_FILE, FIRST_WITH_NETWORK = "book1", 5
CORE_HOUR, GPU_HOUR = 0.04, 4.00  # US dollars, on demand, as large clouds ask; --core-hour, --gpu-hour for others
SIZES = (1e6, 1e9, 1e12, 1e15)
CORES = (2, 64, 1024, 16384)
START_SECONDS = 8.0  # a cluster that is there: connecting, starting workers, loading kernels and a model


def measured_blocks(path: Path) -> list[dict[str, Any]]:
    """A block at each level, from a result of `arzip bench`: medians of whole processes, peak memory in MB.

    From -5 on a process kept up to both cores of that machine busy: its seconds count twice.
    """
    rows = []
    for row in json.loads(path.read_text("utf-8"))["rows"]:
        if row["codec"] == "arzip" and row["file"] == BLOCK_FILE:
            level = int(row["level"])
            cores = 2 if level >= FIRST_WITH_NETWORK else 1
            seconds = {f"{verb}_seconds": cores * median(row[f"{verb}_seconds"]) for verb in ("compress", "decompress")}
            peak = max(row["compress_memory_bytes"], row["decompress_memory_bytes"]) // 10**6
            sizes = {"raw_bytes": row["raw_bytes"], "archive_bytes": row["packed_bytes"], "peak_mb": peak}
            rows.append({"level": level, **sizes, **{key: round(value, 3) for key, value in seconds.items()}})
    return sorted(rows, key=lambda row: int(row["level"]))


def measure_index(blocks: int) -> dict[str, Any]:
    """Seconds, bytes and memory of an end record of so many blocks."""
    end = End(((400_000, 8 << 20),) * blocks, bytes(8))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    packed = end.pack()
    middle = time.process_time()
    found = End.parse(packed)
    seconds = time.process_time() - middle
    assert found == end
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
    times = {"pack_seconds": round(middle - start, 2), "parse_seconds": round(seconds, 2)}
    return {"blocks": blocks, "bytes": len(packed), **times, "memory_mb": peak}


def measure_rates() -> dict[str, float]:
    """Bytes a second of hashing and of cutting windows of text at -6."""
    import hashlib
    import zlib

    from arzip import codec
    from arzip.system.workers import Workers

    raw = (ROOT / "docs" / "FORMAT.md").read_bytes()
    raw = b"".join(bytes([number]) + raw for number in range(200))
    start = time.process_time()
    hashlib.blake2b(raw, digest_size=8), zlib.crc32(raw)
    hashed = time.process_time() - start
    source = bytes(raw[:3_000_000])
    with Workers(1) as workers:
        encoder = codec.Encoder(io.BytesIO(), codec.Options(level=6, threads=1), workers)
        list(encoder.split(source[:100_000]))
        start = time.process_time()
        list(encoder.split(source))
        cut = time.process_time() - start
    return {"hash_rate": round(len(raw) / hashed), "cut_rate": round(len(source) / cut)}


def rate(row: dict[str, Any], verb: str) -> float:
    """Bytes a second and core."""
    return float(row["raw_bytes"] / row[f"{verb}_seconds"])


def seconds_of(size: float, cores: int, row: dict[str, Any], archives: int, found: dict[str, Any]) -> float:
    """Wall time of compressing so many bytes into so many archives.

    Blocks are coded by as many cores as there are blocks; each archive is hashed by one reader.
    """
    block = levels.LEVELS[row["level"] - 1].block_bytes
    blocks = max(1.0, size / block)
    busy = min(cores, blocks)
    each = min(size, block) / rate(row, "compress")
    waves = -(-blocks // busy) if blocks < 1e6 else blocks / busy
    cutting = size / found["rates"]["cut_rate"] / min(cores, max(1.0, size / levels.WINDOW_BYTES))
    hashing = size / archives / found["rates"]["hash_rate"]
    return START_SECONDS + max(waves * each + cutting, hashing)


def money(size: float, row: dict[str, Any], found: dict[str, Any], core_hour: float) -> float:
    """Dollars of CPU time: coding, cutting and hashing."""
    seconds = size / rate(row, "compress") + size / found["rates"]["cut_rate"] + size / found["rates"]["hash_rate"]
    return seconds / 3600 * core_hour


def shown(seconds: float) -> str:
    """A time in the unit that suits it."""
    for unit, name in ((86400 * 365.25, "years"), (86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 1.5 * unit:
            return f"{seconds / unit:,.1f} {name}"
    return f"{seconds:,.0f} s"


def named(size: float) -> str:
    """E.g. 1 TB."""
    return {1e6: "1 MB", 1e9: "1 GB", 1e12: "1 TB", 1e15: "1 PB"}[size]


def tables(found: dict[str, Any], core_hour: float, gpu_hour: float) -> Iterator[str]:
    """The lines of docs/SCALE.md between its marks."""
    rows = found["blocks"]
    size, where = f"{rows[0]['raw_bytes']:,} bytes of {found['file']}", found["machine"]
    yield f"Measured: {where}; {size}, one block, seconds of a core.\n"
    yield "| level | bytes | compress, KB/s and core | decompress | worker's memory, MB | full block, MiB | its time |"
    yield "|---|--:|--:|--:|--:|--:|--:|"
    for row in rows:
        block = levels.LEVELS[row["level"] - 1].block_bytes
        speeds = f"{rate(row, 'compress') / 1e3:,.0f} | {rate(row, 'decompress') / 1e3:,.0f}"
        whole = shown(block / rate(row, "compress"))
        sizes = f"{row['archive_bytes']:,} | {speeds} | {row['peak_mb']:,} | {block / (1 << 20):g} | {whole}"
        yield f"| -{row['level']} | {sizes} |"
    hashed, cut = (found["rates"][name] / 1e6 for name in ("hash_rate", "cut_rate"))
    yield f"\nA core hashes {hashed:,.0f} MB/s, and cuts {cut:,.0f} MB/s of text at -6."
    yield f"\nModelled, dollars: compressing, at {core_hour:.2f} a core hour (decompressing costs about the same).\n"
    yield "| level | " + " | ".join(map(named, SIZES)) + " | GPU pays from |"
    yield "|---|" + "--:|" * (len(SIZES) + 1)
    for row in rows:
        prices = (f"{money(size, row, found, core_hour):,.{2 if size < 1e12 else 0}f}" for size in SIZES)
        pays = rate(row, "compress") * gpu_hour / core_hour / 1e6
        yield f"| -{row['level']} | {' | '.join(prices)} | {pays:,.0f} MB/s |"
    yield "\nModelled, time: compressing one archive, or (1 TB and 1 PB) 1,000 archives side by side.\n"
    yield "| level | cores | " + " | ".join(map(named, SIZES)) + " |"
    yield "|---|--:|" + "--:|" * len(SIZES)
    for row in rows:
        if row["level"] in (1, 6, 9):
            for cores in CORES:
                times = (seconds_of(size, cores, row, 1000 if size >= 1e12 else 1, found) for size in SIZES)
                yield f"| -{row['level']} | {cores:,} | {' | '.join(map(shown, times))} |"
    yield "\nMeasured: end records, packed and parsed in Python.\n"
    yield "| blocks | index, bytes | pack | parse | memory, MB |"
    yield "|--:|--:|--:|--:|--:|"
    for row in found["index"]:
        times = f"{row['pack_seconds']:.2f} s | {row['parse_seconds']:.2f} s"
        yield f"| {row['blocks']:,} | {row['bytes']:,} | {times} | {row['memory_mb']:,} |"


def write_tables(found: dict[str, Any], core_hour: float, gpu_hour: float) -> str:
    """The page with the tables between its marks."""
    page = PAGE.read_text("utf-8")
    before, rest = page.split(BEGIN)
    after = rest.split(END)[1]
    return before + BEGIN + "\n" + "\n".join(tables(found, core_hour, gpu_hour)) + "\n" + END + after


def plot(found: dict[str, Any]) -> None:
    """Write docs/scale.png: time against size, for cores and levels."""
    from arzip.system import figures
    from arzip.system.files import write_whole

    figure = figures.new_figure((9, 4.5))
    sizes = [10 ** (6 + k / 4) for k in range(37)]
    for axes, level in zip(figure.subplots(1, 2, sharey=True), (1, 6), strict=True):
        row = next(row for row in found["blocks"] if row["level"] == level)
        for cores in CORES:
            axes.loglog(sizes, [seconds_of(size, cores, row, 1, found) for size in sizes], label=f"{cores:,} cores")
        axes.set(title=f"-{level}, one archive", xlabel="bytes")
        axes.grid(alpha=0.3)
        axes.legend()
    figure.axes[0].set(ylabel="seconds")
    write_whole(PICTURE, figures.png(figure, 110))


def update(path: Path, **fields: Any) -> None:
    """Put fields into a JSON file."""
    found = json.loads(path.read_text("utf-8")) if path.exists() else {}
    path.write_text(json.dumps(found | fields, indent=1) + "\n", "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["measure", "index", "tables", "plot"])
    parser.add_argument("file", nargs="?", type=Path)
    parser.add_argument("--core-hour", type=float, default=CORE_HOUR)
    parser.add_argument("--gpu-hour", type=float, default=GPU_HOUR)
    parser.add_argument("--check", action="store_true", help="of tables: exit code 1 if the page has others")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "docs" / "scale.json")
    given = parser.parse_args()
    if given.what == "measure":
        rows, machine = measured_blocks(given.file), json.loads(given.file.read_text("utf-8"))["machine"]
        where = f"{machine['cores']} cores of {machine['cpu']}, {machine['date']}"
        update(given.output, blocks=rows, file=BLOCK_FILE, machine=where, rates=measure_rates())
    elif given.what == "index":
        update(given.output, index=[measure_index(10**exponent) for exponent in (4, 5, 6)])
    else:
        found = json.loads((given.file or given.output).read_text("utf-8"))
        if given.what == "plot":
            plot(found)
        else:
            page = write_tables(found, given.core_hour, given.gpu_hour)
            if given.check:
                sys.exit(page != PAGE.read_text("utf-8"))
            PAGE.write_text(page, "utf-8")


if __name__ == "__main__":
    main()
