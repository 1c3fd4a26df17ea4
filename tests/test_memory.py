"""The memory that is named before anything is decoded or coded, held to what is taken; limits of memory and output."""

from __future__ import annotations

import gzip
import io
import os
import re
import struct
import subprocess
import sys
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers import compress, english, words

import arzip
from arzip import codec, levels, memory
from arzip.api import recovery
from arzip.cli import tables
from arzip.codec import Options
from arzip.context_mixing import state
from arzip.context_mixing.profile import PROFILES
from arzip.errors import DamagedError, LimitError
from arzip.format.opened_head import OpenedHead
from arzip.format.records import FRAME_MAX_BYTES, Frame, Header, Method, crc16
from arzip.format.stream import Member
from arzip.format.varint import pack_varint
from arzip.media import picture
from arzip.weights import registry


@pytest.mark.parametrize("number", range(len(PROFILES)))
@pytest.mark.parametrize(("lanes", "size"), [(1, 1), (1, 300_000), (24, 1 << 20)])
def test_tables_are_as_large_as_context_mixing_makes_them(number: int, lanes: int, size: int) -> None:
    profile = PROFILES[number]
    made = state.create(profile, np.zeros(lanes, np.int64), size)
    allocated = sum(array.nbytes for name, array in made._asdict().items() if name != "text")
    named = memory.tables_bytes(profile, lanes, size)
    assert 0.95 * allocated - 300_000 < named <= allocated


@pytest.mark.parametrize("channels", picture.ORDERS)
def test_a_row_of_pixels_takes_no_more_than_is_named(channels: int) -> None:
    made = picture.create(1000, picture.Set(channels))
    arrays = [array for array in made if isinstance(array, np.ndarray)]
    assert sum(array.nbytes for array in arrays) <= memory.ROW_BYTES * 1000 * channels + (1 << 20)


# Prints the peak of a command's memory. A process of its own: one begins with the memory of the one that starts it.
PEAK = """
import os, sys
pid = os.spawnv(os.P_NOWAIT, sys.argv[1], sys.argv[1:])
_, status, usage = os.wait4(pid, 0)
print(usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024))
sys.exit(os.waitstatus_to_exitcode(status))
"""


def run(*args: str, code: int = 0) -> tuple[int, str]:
    """The peak of arzip's memory, in bytes, and what it says."""
    command = [sys.executable, "-m", "arzip", *args]
    environment = {**os.environ, "PYTHONPATH": str(Path(arzip.__file__).parent.parent)}
    done = subprocess.run(
        [sys.executable, "-c", PEAK, *command], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr
    return int(done.stdout.split()[-1]), done.stderr


def wav(frames: int) -> bytes:
    time = np.arange(frames)
    body = np.stack([9000 * np.sin(time / 30), 5000 * np.cos(time / 17)], 1).astype("<i2").tobytes()
    fmt = struct.pack("<8sIHHIIHH", b"WAVEfmt ", 16, 1, 2, 44100, 176400, 4, 16)
    return struct.pack("<4sI", b"RIFF", 36 + len(body)) + fmt + struct.pack("<4sI", b"data", len(body)) + body


def pixels(width: int, height: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    noise = np.random.default_rng(1).integers(0, 9, (height, width, 3))
    return ((np.add.outer(np.arange(height), np.arange(width)) // 8)[:, :, None] + noise).astype(np.uint8)


def ppm(width: int, height: int) -> bytes:
    return b"P6\n%d %d\n255\n" % (width, height) + pixels(width, height).tobytes()


def png(width: int, height: int) -> bytes:
    rows = pixels(width, height).reshape(height, -1)
    data = zlib.compress(np.insert(rows, 0, 0, axis=1).tobytes(), 6)
    head = struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", data), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


KINDS = {
    "text-1": (["-1"], lambda: english(600_000)),
    "blocks-1": (["-1", "-b64k"], lambda: english(300_000)),
    "text-6": (["-6"], lambda: english(150_000)),
    "text-9": (["-9"], lambda: english(24_000)),
    "wide-6": (["-6", "--wide"], lambda: english(150_000)),
    "sound-6": (["-6"], lambda: wav(30_000)),
    "picture-9": (["-9"], lambda: ppm(1200, 20)),
    "opened-6": (["-6"], lambda: gzip.compress(words(400_000), 6, mtime=0)),
    "png-9": (["-9"], lambda: png(400, 24)),
    "stored": (["-1"], lambda: np.random.default_rng(1).bytes(3 << 20)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_no_more_is_taken_than_is_named(kind: str, tmp_path: Path) -> None:
    flags, make = KINDS[kind]
    raw, archive = tmp_path / "raw", tmp_path / "raw.arz"
    raw.write_bytes(make())
    _, said = run(*flags, "-T1", "-M1", str(raw), code=1)  # says what coding takes
    found = re.search(r"takes ([0-9,]+) MiB of memory; the limit is 0 MiB", said)
    assert found, said
    coding = int(found[1].replace(",", "")) << 20
    assert run(*flags, "-T1", f"-M{coding}", str(raw))[0] <= coding
    named = tables.archive_rows(str(archive))[0]["memory_bytes"]
    peak, _ = run("-t", "-T1", f"-M{named}", str(archive))
    assert 0.15 * named < peak <= named


def test_a_limit_that_is_too_low_refuses_before_it_allocates(tmp_path: Path) -> None:
    archive = tmp_path / "raw.arz"
    archive.write_bytes(compress(english(300_000), Options(4, threads=1)))
    peak, said = run("-t", "-M200MiB", str(archive), code=1)
    assert "decoding block 1 takes" in said and "the limit is 200 MiB" in said
    assert peak < 100 << 20


def test_a_limit_means_fewer_blocks_at_a_time(options: Options) -> None:
    limited = Options(1, options.model, threads=4, block_bytes=4096)
    raw = words(40_000)
    archive = compress(raw, limited)
    basic = memory.PROGRAM_BYTES + registry.loading_bytes(Path(options.model or ""))
    choices = levels.level(1, block_bytes=4096)
    room = basic + len(raw) + memory.coding_bytes(choices, 4096, False)
    tight = replace(limited, memory_bytes=room)  # for one block
    assert compress(raw, tight) == archive
    sink = io.BytesIO()
    codec.decompress(io.BytesIO(archive), sink, tight)
    assert sink.getvalue() == raw
    for memory_bytes in (1, basic):
        with pytest.raises(LimitError, match="smaller blocks"):
            compress(raw, replace(limited, memory_bytes=memory_bytes))
        with pytest.raises(LimitError, match="decoding block 1"):
            codec.decompress(io.BytesIO(archive), io.BytesIO(), replace(limited, memory_bytes=memory_bytes))


def test_output_ends_before_the_block_that_is_too_much(options: Options) -> None:
    raw = words(20_000)
    archive = compress(raw, Options(1, options.model, threads=1, block_bytes=4096))
    for allowed, written in ((20_000, 20_000), (19_999, 16_384), (4096, 4096), (0, 0)):
        sink, limited = io.BytesIO(), Options(model=options.model, max_output=allowed)
        if allowed < len(raw):
            with pytest.raises(LimitError, match="--max-output"):
                codec.decompress(io.BytesIO(archive), sink, limited)
            with pytest.raises(LimitError, match="--max-output"):
                recovery.salvage(io.BytesIO(archive), io.BytesIO(), limited)
        else:
            codec.decompress(io.BytesIO(archive), sink, limited)
        assert sink.getvalue() == raw[:written]


@pytest.mark.parametrize(("lanes", "profile_byte"), [(65, 3), (65535, 3), (257, 11), (65535, 11)])
def test_a_frame_of_many_lanes_is_refused(lanes: int, profile_byte: int, options: Options) -> None:
    """A hostile frame of 28 bytes took 17 GB."""
    raw = pack_varint(lanes)
    fields = pack_varint(lanes << 4 | 1 << 3 | Method.MEMORY) + bytes([profile_byte]) + raw + b"\0" + bytes(4)
    digest = registry.file_digest(Path(options.model or ""))
    archive = Header(digest).pack() + fields + crc16(fields).to_bytes(2, "little")
    assert len(fields) < FRAME_MAX_BYTES
    with pytest.raises(DamagedError, match="out of bounds"):
        codec.decompress(io.BytesIO(archive), io.BytesIO(), options)
    with pytest.raises(DamagedError, match="nothing can be recovered"):
        recovery.salvage(io.BytesIO(archive), io.BytesIO(), options)


def frame(method: Method, size: int, cm_profile: int = 0) -> Frame:
    return Frame(method, 1, cm_profile, size, size, 0)


def test_the_largest_block_counts() -> None:
    blocks = (frame(Method.MEMORY, 1000, 3), frame(Method.STORED, 1 << 20), frame(Method.MEMORY, 5 << 20, 3))
    member = Member(Header(bytes(4)), 0, 0, blocks, b"", (None,) * 3, (b"",) * 3)
    named = memory.member_bytes(member, 7)
    assert named == memory.PROGRAM_BYTES + 7 + memory.decoding_bytes(blocks[2], b"") + 4 * (5 << 20)
    assert memory.member_bytes(Member(Header(), 0, 0, (), b""), 0) == memory.PROGRAM_BYTES


def test_opened_contents_and_samples_count() -> None:
    head = OpenedHead(True, True, False, 100, 9 << 20, 1, 0, 0)
    opened = frame(Method.OPENED, 1 << 20, 1)
    plain = memory.decoding_bytes(frame(Method.MIXED, 9 << 20, 1), b"")
    assert memory.decoding_bytes(opened, head.pack()) > plain - (9 << 20) * 4
    network = memory.decoding_bytes(frame(Method.NETWORK, 1 << 20), b"")
    assert network < memory.decoding_bytes(frame(Method.MIXED, 1 << 20), b"")
    sound = memory.decoding_bytes(frame(Method.MEMORY, 1 << 20, 5), b"")
    assert sound > memory.MEDIA_TABLES_BYTES
    wide_row = bytes([0, 0, 3]) + pack_varint(5000) + b"\0"
    assert memory.decoding_bytes(frame(Method.MEMORY, 1 << 20, 4), wide_row) == sound + 15_000 * memory.ROW_BYTES
