"""The kernels rebuild what the plain-Python reading of the spec rebuilds."""

from __future__ import annotations

import gzip
import io
import random
import struct
import zipfile
import zlib
from pathlib import Path

import pytest
from reference.decoder.deflate import rebuild
from reference.decoder.opened import Recipe, close_parts

import arzip
from arzip.preprocess.recompress import coding, estimating, streams
from arzip.preprocess.recompress.inflate import inflate, pad
from arzip.preprocess.recompress.opening import open_streams
from arzip.preprocess.recompress.packer import Packer

CODE = b"".join(path.read_bytes() for path in sorted(Path(arzip.__file__).parent.glob("*.py")))
assert len(CODE) > 7000, "the texts below are parts of it"
TEXTS = {
    "code": CODE[:6000],
    "noise": random.Random(1).randbytes(700),
    "runs": b"".join(bytes([i % 7]) * (i * i % 300) for i in range(60)),
    "mixed": CODE[:1500] + random.Random(2).randbytes(200) + CODE[200:2500],
}


def deflate(text: bytes, level: int, memory: int = 8, strategy: int = 0, flush: int | None = None) -> bytes:
    packer = zlib.compressobj(level, zlib.DEFLATED, -15, memory, strategy)
    middle = len(text) // 3
    first = packer.compress(text[:middle]) + (packer.flush(flush) if flush is not None else b"")
    return first + packer.compress(text[middle:]) + packer.flush()


def check(stream_list: list[bytes]) -> int:
    """Open streams with shared models, have both sides rebuild them; how many had deviations."""
    models, own, shared = coding.new_models(), coding.new_models(), {}
    deviating = 0
    for stream in stream_list:
        inflated = inflate(pad(stream), 0, 1 << 20)
        stream = stream[: (inflated.end_bit + 7) // 8]
        kept = streams.open_stream(stream, inflated, 15, estimating.Guesses(), models)
        assert kept is not None
        text = bytes(inflated.text)
        assert streams.close(text, kept, own, len(stream)) == stream
        assert rebuild(text, tuple(kept.packer), kept.is_cut, kept.deviations, shared) == stream
        deviating += bool(kept.deviations)
    return deviating


@pytest.mark.parametrize("name", TEXTS)
def test_streams_of_zlib_are_rebuilt_alike(name: str) -> None:
    text = TEXTS[name]
    check([deflate(text, level) for level in (1, 3, 4, 6, 9)] + [deflate(text, 6, 1), deflate(text, 2, 3)])
    check([deflate(text, 6, 8, strategy) for strategy in range(1, 5)])


@pytest.mark.parametrize("name", TEXTS)
def test_streams_as_excel_packs_them_are_rebuilt_alike(name: str) -> None:
    exact = streams.close(TEXTS[name], streams.Kept(Packer(10), False, b""), coding.new_models(), 1 << 20)
    assert check([exact]) == 0


def test_streams_with_deviations_are_rebuilt_alike() -> None:
    flushed = [
        deflate(TEXTS[name], level, 8, 0, flush)
        for name in ("code", "mixed")
        for level in (1, 6)
        for flush in (zlib.Z_SYNC_FLUSH, zlib.Z_FULL_FLUSH, zlib.Z_PARTIAL_FLUSH)
    ]
    cut = [deflate(TEXTS["code"], 6)[:1200], deflate(TEXTS["mixed"], 1)[:700]]
    halves = [deflate(TEXTS["code"], 1, 8, 0, zlib.Z_FULL_FLUSH)[:-2]]
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    halves.append(packer.compress(CODE[:3000]) + packer.flush(zlib.Z_FULL_FLUSH) + deflate(CODE[3000:7000], 9))
    assert check(flushed + cut + halves + [deflate(TEXTS["noise"], 0)]) > 8


class Pipe(io.BytesIO):
    """What can't seek: zip members then have data descriptors."""

    def seekable(self) -> bool:
        return False

    def seek(self, *arguments: int) -> int:
        raise io.UnsupportedOperation

    tell = seek


def spelt(text: bytes) -> bytes:
    """A block of literals a and b, whose header spells zeros as repeats of the zero before, as zopfli does."""
    bits: list[int] = []

    def put(value: int, count: int) -> None:
        bits.extend(value >> i & 1 for i in range(count))

    def put_code(code: int, count: int) -> None:
        bits.extend(code >> i & 1 for i in reversed(range(count)))

    sizes = {symbol: 4 if symbol < 13 else 5 for symbol in range(19)}
    put(1 | 2 << 1, 3)
    put(0, 5), put(0, 5), put(15, 4)
    for symbol in (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15):
        put(sizes[symbol], 3)
    for symbol, extra, extra_bits in [
        (18, 80, 7),
        (16, 3, 2),
        (1, 0, 0),
        (2, 0, 0),
        (18, 8, 7),
        (18, 127, 7),
        (2, 0, 0),
        (0, 0, 0),
    ]:
        put_code(symbol if symbol < 13 else symbol - 13 + 26, sizes[symbol])
        put(extra, extra_bits)
    for byte in text:
        put_code(*((0, 1) if byte == ord("a") else (2, 2)))
    put_code(3, 2)
    return bytes(sum(bit << i for i, bit in enumerate(bits[at : at + 8])) for at in range(0, len(bits), 8))


def test_zeros_spelt_as_repeats_are_rebuilt() -> None:
    source = random.Random(5)
    text = bytes(source.choice(b"aab") for _ in range(3000))
    stream = spelt(text)
    assert zlib.decompress(stream, -15) == text
    assert check([stream]) == 1


def zip_of(members: dict[str, bytes], pipe: bool = False) -> bytes:
    """pipe: members have data descriptors."""
    out = Pipe() if pipe else io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(
                zipfile.ZipInfo(name), content, zipfile.ZIP_STORED if name == "s" else zipfile.ZIP_DEFLATED
            )
    return out.getvalue()


def png_of(payload: bytes, piece: int) -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    data = b"".join(chunk(b"IDAT", payload[at : at + piece]) for at in range(0, len(payload), piece))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 40, 30, 8, 2, 0, 0, 0))
        + data
        + chunk(b"IEND", b"")
    )


ZIP = zip_of({"a": CODE[:2000], "folder/b": CODE[2000:3500], "s": b"stored"})
CONTAINERS = {
    "zip": b"before" + ZIP,
    "zip with descriptors": zip_of({"a": CODE[:2000], "b": CODE[2000:3500]}, pipe=True),
    "wrong checks": ZIP[:14] + b"\1\2\3\4" + ZIP[18:] + zlib.compress(CODE[:900])[:-4] + b"oops",
    "gzip members": gzip.compress(CODE[:1500], mtime=0) + gzip.compress(CODE[:1200], 1, mtime=0),
    "png": png_of(zlib.compress(TEXTS["runs"]), 100) + png_of(zlib.compress(TEXTS["mixed"])[:-1] + b"!", 1 << 20),
    "nested": gzip.compress(zip_of({"x.zip": ZIP, "p.png": png_of(zlib.compress(TEXTS["runs"]), 90)}), mtime=0),
    "deviations": b"\x78\x9c" + deflate(CODE[:2500], 6, flush=zlib.Z_SYNC_FLUSH) + gzip.compress(CODE[:1800])[:700],
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_containers_are_closed_alike(name: str) -> None:
    data = CONTAINERS[name]
    opened = open_streams(data)
    assert opened is not None
    assert close_parts(Recipe(opened.recipe, opened.deviations), opened.contents, len(data)) == data
