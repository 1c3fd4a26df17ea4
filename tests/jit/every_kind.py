"""every_kind.py LEVELS [KIND]...: small data of every kind there and back; digests, and whether numba came in."""

from __future__ import annotations

import gzip
import hashlib
import io
import itertools
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
from helpers import english

import arzip
from arzip import compress_many, decompress_many
from arzip.codec import Options, compress, decompress


def wave() -> bytes:
    """A WAV of two sines."""
    time = np.arange(3000)
    frames = np.stack([9000 * np.sin(time / 30), 5000 * np.cos(time / 17)], 1).astype("<i2").tobytes()
    fmt = struct.pack("<8sIHHIIHH", b"WAVEfmt ", 16, 1, 2, 44100, 176400, 4, 16)
    return struct.pack("<4sI", b"RIFF", 36 + len(frames)) + fmt + struct.pack("<4sI", b"data", len(frames)) + frames


def picture(scale: int = 1) -> bytes:
    """A PPM of a slope with noise, of 16 bits if scale is more than 1."""
    noise = np.random.default_rng(1).integers(0, 9, (40, 48, 3))
    slope = np.add.outer(np.arange(40), np.arange(48))[:, :, None]
    values = (scale * (slope + noise)).astype(">u2" if scale > 1 else np.uint8)
    return b"P6\n48 40\n%d\n" % (255 * scale) + values.tobytes()


def array() -> bytes:
    """An .npy of a slope with noise."""
    noise = np.random.default_rng(2).normal(0, 0.01, (40, 60))
    sink = io.BytesIO()
    np.save(sink, (np.add.outer(np.arange(40), np.arange(60)) + noise).astype("<f4"))
    return sink.getvalue()


def png() -> bytes:
    """A PNG of the picture's slope, its rows filtered by the byte to the left."""
    rows = np.add.outer(np.arange(64), np.arange(64)).astype(np.uint8)
    filtered = np.diff(rows, axis=1, prepend=np.uint8(0)).astype(np.uint8)
    data = zlib.compress(np.insert(filtered, 0, 1, axis=1).tobytes(), 9)
    chunks = ((b"IHDR", struct.pack(">2I5B", 64, 64, 8, 0, 0, 0, 0)), (b"IDAT", data), (b"IEND", b""))
    parts = (
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


samples = {
    "png": png(),
    "short": english(3000),
    "lanes": english(40000),
    "repeats": english(6000) * 8,
    "gzip": gzip.compress(english(9000), mtime=0),
    "wave": wave(),
    "picture": picture(),
    "array": array(),
    "picture of 16 bits": picture(257),
    "program": Path(sys.executable).resolve().read_bytes()[4096:40000],
}
for level, (name, data) in itertools.product(map(int, sys.argv[1]), samples.items()):
    if sys.argv[2:] and name not in sys.argv[2:]:
        continue
    for wide in (False, True)[: 1 + (name == "lanes")]:
        archive, back = io.BytesIO(), io.BytesIO()
        compress(io.BytesIO(data), archive, Options(level=level, threads=2, wide=wide))
        decompress(io.BytesIO(archive.getvalue()), back, Options(threads=2))
        assert back.getvalue() == data
        print(name, level, wide, hashlib.sha256(archive.getvalue()).hexdigest())
for level in map(int, sys.argv[1] if not sys.argv[2:] else ""):
    records = [english(size) for size in (40, 300, 900, 0)]
    archives = compress_many(records, level)
    assert decompress_many(archives) == records
    known = english(2000)
    after = compress_many(records, level, dictionary=known)
    assert decompress_many(after, dictionary=known) == records
    longer = arzip.compress(9 * known, level, dictionary=known)
    assert arzip.decompress(longer, dictionary=known) == 9 * known
    print("records", level, hashlib.sha256(b"".join(archives + after)).hexdigest())
print("numba" in sys.modules)
