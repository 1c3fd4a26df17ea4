"""What opening brings on real files: python benchmarks/packed_files.py FOLDER [--level N] [--xz] [--max-bytes N].

FOLDER holds a folder for each kind of file (docx, jar ..). Each file is compressed with and without opening, and
restored; a line a kind. Sizes are those of archives that came back byte for byte. Seconds are CPU's: opening
(inflate, estimate, rebuild, compare) and closing. Python's zlib raises while an archive is decoded.
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


def chosen(folder: Path, max_bytes: int, max_file: int) -> list[Path]:
    """Files of a kind by their names, as many as there is room for in so many bytes."""
    total, kept = 0, []
    for path in sorted(folder.iterdir()):
        size = path.stat().st_size
        if path.is_file() and size <= max_file and total + size <= max_bytes:
            total += size
            kept.append(path)
    return kept


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--level", type=int, default=0, help="0: open and close only")
    parser.add_argument("--xz", action="store_true")
    parser.add_argument("--max-bytes", type=int, default=1 << 40, help="of each kind")
    parser.add_argument("--max-file", type=int, default=1 << 40)
    parser.add_argument("--seconds", type=float, default=1e9, help="stop taking files of a kind after so many")
    parser.add_argument("--kinds", default="")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    kinds = arguments.kinds.split(",") if arguments.kinds else sorted(p.name for p in arguments.folder.iterdir())
    for kind in kinds:
        total: dict[str, float] = {"kind": kind}  # type: ignore[dict-item]
        start = time.process_time()
        for path in chosen(arguments.folder / kind, arguments.max_bytes, arguments.max_file):
            if time.process_time() - start > arguments.seconds:
                break
            row = measure(path, arguments.level, arguments.xz)
            for key, value in row.items():
                total[key] = max(total.get(key, 0), value) if key == "larger" else total.get(key, 0) + value
            print(path.name, json.dumps(row), file=sys.stderr, flush=True)
        print(json.dumps(total), flush=True)
        if arguments.out:
            with arguments.out.open("a") as out:
                out.write(json.dumps(total) + "\n")


if __name__ == "__main__":
    main()
