"""What opening brings on real files: python benchmarks/packed_files.py FOLDER [--level N] [--xz] [--rows FILE].

FOLDER holds a folder for each kind of file (docx, jar ..). Each file is compressed with and without opening, and
restored; a line a kind. Sizes are those of archives that came back byte for byte. Seconds are CPU's: opening
(inflate, estimate, rebuild, compare) and closing. Python's zlib raises while an archive is decoded. --rows keeps a row
a file and skips what has one, so that a long measurement is done in parts. Files whose archive is more than ALLOWED
bytes larger than without opening are named at the end, and the status is 1.
"""

from __future__ import annotations

import argparse
import io
import json
import lzma
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from arzip import codec
from arzip.codec import Options
from arzip.preprocess.recompress.closing import close_streams
from arzip.preprocess.recompress.opening import open_streams

ALLOWED = 16  # bytes that opening may cost a file
CALLS = ("compress", "decompress", "compressobj", "decompressobj", "adler32")


def refusal(call: Callable[..., object]) -> Callable[..., object]:
    """What raises in the place of a call of zlib, but where a model's file is unpacked."""

    def refuse(*arguments: object, **options: object) -> object:
        if sys._getframe(1).f_globals["__name__"] == "arzip.weights.file":
            return call(*arguments, **options)
        raise AssertionError("zlib was called")

    return refuse


@contextmanager
def without_zlib() -> Iterator[None]:
    """Inside, inflating and deflating with Python's zlib raises."""
    before = {name: getattr(zlib, name) for name in CALLS}
    for name in CALLS:
        setattr(zlib, name, refusal(before[name]))
    try:
        yield
    finally:
        for name, call in before.items():
            setattr(zlib, name, call)


def archive_of(raw: bytes, options: Options) -> tuple[int, float]:
    """The size of the archive, which came back, and the CPU seconds of making it."""
    sink, back, start = io.BytesIO(), io.BytesIO(), time.process_time()
    codec.compress(io.BytesIO(raw), sink, options)
    seconds = time.process_time() - start
    with without_zlib():
        codec.decompress(io.BytesIO(sink.getvalue()), back, options)
    assert back.getvalue() == raw, "not restored"
    return len(sink.getvalue()), seconds


def measure(path: Path, level: int, xz: bool) -> dict[str, float]:
    """One file's row."""
    raw = path.read_bytes()
    start = time.process_time()
    opened = open_streams(raw)
    opening = time.process_time() - start
    row: dict[str, float] = {"files": 1, "raw": len(raw)}
    if opened is not None:
        start = time.process_time()
        assert close_streams(opened.recipe, opened.deviations, opened.contents, len(raw)) == raw
        row |= {
            "streams": len(opened.streams),
            "exact": sum(not stream.deviation_bytes for stream in opened.streams),
            "deflated": sum(stream.stream_bytes for stream in opened.streams),
            "text": sum(stream.text_bytes for stream in opened.streams),
            "contents": len(opened.contents),
            "deviations": len(opened.deviations),
            "recipe": len(opened.recipe),
            "opening": opening,
            "closing": time.process_time() - start,
        }
    if level:
        row["archive"], row["archive s"] = archive_of(raw, Options(level, threads=1))
        row["closed"], row["closed s"] = archive_of(raw, Options(level, threads=1, opens=False))
        row["larger"] = max(0, row["archive"] - row["closed"])
    if xz:
        row["xz"] = len(lzma.compress(raw, preset=9 | lzma.PRESET_EXTREME))
    return row


def chosen(folder: Path, max_bytes: int, min_file: int, max_file: int) -> list[Path]:
    """Files of a kind by their names, as many as there is room for in so many bytes."""
    total, kept = 0, []
    for path in sorted(folder.iterdir()):
        size = path.stat().st_size
        if path.is_file() and min_file <= size <= max_file and total + size <= max_bytes:
            total += size
            kept.append(path)
    return kept


def read_rows(path: Path | None) -> dict[str, dict[str, float]]:
    """Rows of earlier runs by the files' places."""
    if path is None or not path.exists():
        return {}
    return {str(row.pop("path")): row for row in map(json.loads, path.read_text().splitlines())}


def add_up(kind: str, rows: list[dict[str, float]]) -> dict[str, object]:
    """A kind's line: sums, and the most that a file of it became larger."""
    total: dict[str, object] = {"kind": kind}
    for key in dict.fromkeys(key for row in rows for key in row):
        values = [row.get(key, 0) for row in rows]
        total[key] = max(values) if key == "larger" else sum(values)
    return total


def parsed_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--level", type=int, default=0, help="0: open and close only")
    parser.add_argument("--xz", action="store_true")
    parser.add_argument("--max-bytes", type=int, default=1 << 40, help="of each kind")
    parser.add_argument("--min-file", type=int, default=0)
    parser.add_argument("--max-file", type=int, default=1 << 40)
    parser.add_argument("--seconds", type=float, default=1e9, help="begin no file after so many of CPU time")
    parser.add_argument("--kinds", default="")
    parser.add_argument("--rows", type=Path, help="JSON lines, a file each: read first, then appended to")
    return parser.parse_args()


def main() -> None:
    arguments = parsed_arguments()
    kinds = arguments.kinds.split(",") if arguments.kinds else sorted(p.name for p in arguments.folder.iterdir())
    rows, larger = read_rows(arguments.rows), []
    for kind in kinds:
        found: list[dict[str, float]] = []
        for path in chosen(arguments.folder / kind, arguments.max_bytes, arguments.min_file, arguments.max_file):
            name = str(path.relative_to(arguments.folder))
            if name not in rows:
                if time.process_time() > arguments.seconds:
                    continue
                rows[name] = measure(path, arguments.level, arguments.xz)
                line = json.dumps({"path": name, **rows[name]})
                print(line, file=sys.stderr, flush=True)
                if arguments.rows:
                    with arguments.rows.open("a") as out:
                        out.write(line + "\n")
            found.append(rows[name])
            if rows[name].get("larger", 0) > ALLOWED:
                larger.append(name)
        print(json.dumps(add_up(kind, found)), flush=True)
    if larger:
        sys.exit(f"more than {ALLOWED} bytes larger than without opening: {', '.join(larger)}")


if __name__ == "__main__":
    main()
