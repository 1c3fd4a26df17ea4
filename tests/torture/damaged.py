"""Archives that are damaged, opened and salvaged in this process."""

from __future__ import annotations

import io
import random
import time
from pathlib import Path

from trials import TEXT, Row

from arzip import codec
from arzip.api import recovery
from arzip.codec import Options
from arzip.errors import ArzipError

GOLDEN_SHARE = 0.02  # of damaged archives


def small_archives() -> list[tuple[str, bytes, bytes]]:
    """Name, archive, raw bytes."""
    noise = random.Random(1).randbytes(400)
    options = Options(level=1, threads=1)
    made = []
    for name, raw in (("level 1", TEXT[:600]), ("stored", noise), ("empty", b""), ("one byte", b"x")):
        sink = io.BytesIO()
        codec.compress(io.BytesIO(raw), sink, options)
        made.append((name, sink.getvalue(), raw))
    joined = [made[1], made[0], made[3]]
    made.append(("members", b"".join(m[1] for m in joined), b"".join(m[2] for m in joined)))
    from arzip.format.stream import Writer

    sink, parts = io.BytesIO(), [noise[i : i + 50] for i in range(0, 400, 50)]
    writer = Writer(sink, made[0][1][8:12])
    for part in parts:
        writer.write_stored(part)
    writer.finish()
    made.append(("blocks", sink.getvalue(), noise))
    return made


# of every kind of block that is decoded by a kernel of its own; what takes long is left out
GOLDEN = (
    "arm64-3",
    "array-6",
    "copies-1",
    "packed-excel-1",
    "packed-1",
    "picture-6",
    "sound-6",
    "text-6",
    "wide-text-1",
)


def all_archives() -> tuple[list[tuple[str, bytes, bytes]], list[float]]:
    """Small archives and golden ones, and how often each is taken: those that are decoded in milliseconds rarely."""
    small = small_archives()
    golden = []
    for name in GOLDEN:
        archive, sink = (Path(__file__).parents[1] / "golden" / "good" / f"{name}.arz").read_bytes(), io.BytesIO()
        codec.decompress(io.BytesIO(archive), sink, Options(threads=1))
        golden.append((name, archive, sink.getvalue()))
    return small + golden, [1, 8, 2, 1, 3, 8, *[GOLDEN_SHARE * 23 / len(golden)] * len(golden)]


def damage(source: random.Random, data: bytes) -> bytes:
    """One accident: a bit, a byte, bytes lost, put in, moved; the end cut off."""
    at, kind = source.randrange(len(data)), source.randrange(8)
    other = source.randrange(len(data))
    if kind < 3:
        return data[:at] + bytes([data[at] ^ 1 << source.randrange(8)]) + data[at + 1 :]
    if kind == 3:
        return data[:at]
    if kind == 4:
        return data[:at] + data[at + source.randint(1, 9) :]
    if kind == 5:
        return data[:at] + source.randbytes(source.randint(1, 9)) + data[at:]
    if kind == 6:
        return data[:at] + source.choice([b"\0", b"\xff"]) * source.randint(1, 16) + data[at + 16 :]
    first, second = sorted((at, other))
    return data[:first] + data[second:] + data[first:second]


def accidents(first: int, count: int, deadline: float) -> tuple[Row, Row]:
    """Damaged archives opened and salvaged in this process."""
    opened, saved, (archives, weights) = Row(), Row(), all_archives()
    options = Options(threads=1)
    for number in range(first, first + count):
        if time.monotonic() > deadline:
            break
        source = random.Random(number)
        name, archive, raw = source.choices(archives, weights)[0]
        broken = damage(source, archive)
        sink, start = io.BytesIO(), time.monotonic()
        opened.trials += 1
        try:
            codec.decompress(io.BytesIO(broken), sink, options)
            # success is right if the bytes are, and where the end of a member was hit: what is left is an archive
            whole = {raw[:i] for i in range(len(raw) + 1)} if name == "members" else {raw}
            if sink.getvalue() not in whole:
                opened.silent += 1
                opened.note(f"accident {number} of {name}: other bytes")
        except ArzipError as error:
            if "\n" in str(error):
                opened.tracebacks += 1
        except Exception as error:
            opened.tracebacks += 1
            opened.note(f"accident {number} of {name}: {error!r}")
        opened.hangs += time.monotonic() - start > 60
        if number % 10 == 0 and name != "members":
            saved.trials += 1
            sink = io.BytesIO()
            try:
                recovery.salvage(io.BytesIO(broken), sink, options)
                size = 50 if name == "blocks" else len(raw) or 1
                parts = {raw[i : i + size] for i in range(0, len(raw), size)}
                got = sink.getvalue()
                if any(got[i : i + size] not in parts for i in range(0, len(got), size)):
                    saved.silent += 1
                    saved.note(f"salvage {number} of {name}: bytes that never were")
            except ArzipError:
                pass
            except Exception as error:
                saved.tracebacks += 1
                saved.note(f"salvage {number} of {name}: {error!r}")
    return opened, saved
