"""Containers in any bytes: found, opened, and closed to the very same bytes."""

from __future__ import annotations

import gzip
import io
import random
import struct
import zipfile
import zlib
from contextlib import suppress

import numpy as np
import pytest

from arzip.preprocess.recompress import recipe, wrapping
from arzip.preprocess.recompress.closing import close_streams
from arzip.preprocess.recompress.opening import Budget, Opened, open_streams

TEXT = b"".join(b"line %d of a text, %d squared is %d\n" % (i, i, i * i) for i in range(900))
NOISE = random.Random(2).randbytes(3000)


def opened(data: bytes, budget: Budget | None = None) -> Opened | None:
    """The opened file; it was closed again from recipe and contents alone."""
    found = open_streams(data, budget)
    if found is not None:
        assert close_streams(found.recipe, found.deviations, found.contents, len(data)) == data
    return found


def must_open(data: bytes, streams: int) -> Opened:
    found = opened(data)
    assert found is not None
    assert len(found.streams) == streams
    return found


def zip_of(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return out.getvalue()


class Pipe(io.RawIOBase):
    """What can't seek: zip members then have data descriptors."""

    def __init__(self) -> None:
        self.data = b""

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        self.data += bytes(data)  # type: ignore[call-overload]
        return len(bytes(data))  # type: ignore[call-overload]


def png_of(rows: bytes, width: int, height: int, piece: int, strategy: int = zlib.Z_FILTERED) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 15, 8, strategy)
    payload = packer.compress(rows) + packer.flush()

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    data = b"".join(chunk(b"IDAT", payload[at : at + piece]) for at in range(0, len(payload), piece))
    return wrapping.PNG_SIGNATURE + head + data + chunk(b"IEND", b"")


def picture(width: int = 90, height: int = 70) -> bytes:
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    pixels = np.stack([x * 2 + y, x * y // 9, (x // 8 + y // 8) * 20], axis=2).astype(np.uint8)
    return b"".join(b"\0" + row.tobytes() for row in pixels)


def test_bytes_without_streams_stay_closed() -> None:
    for data in (b"", b"x", TEXT, NOISE, bytes(5000), b"x\x9c" * 500, b"PK\3\4" * 300, b"\x1f\x8b\x08" * 300):
        assert opened(data) is None


def test_zlib_streams_in_any_bytes_are_opened() -> None:
    data = NOISE + zlib.compress(TEXT) + b"between" + zlib.compress(TEXT[::-1], 9) + NOISE
    found = must_open(data, 2)
    assert found.segments[0].data == NOISE + b"\x78\x9cbetween\x78\xda" + NOISE  # the checksums follow from the texts
    assert found.segments[1].data == TEXT + TEXT[::-1]
    assert len(found.recipe) < 32


def test_gzip_members_are_opened_one_by_one() -> None:
    name = struct.pack("<BBBBIBB", 31, 139, 8, 8 | 16 | 4 | 2, 0, 0, 3) + b"\2\0ab" + b"name\0comment\0" + b"hc"
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    third = name + packer.compress(TEXT) + packer.flush() + struct.pack("<II", zlib.crc32(TEXT), len(TEXT))
    data = gzip.compress(TEXT, 6, mtime=0) + gzip.compress(TEXT[:500], 9, mtime=0) + third + b"garbage"
    found = must_open(data, 3)
    assert len(found.segments[0].data) == 10 + 10 + len(name) + len(b"garbage")


def test_a_wrong_checksum_is_kept() -> None:
    data = gzip.compress(TEXT, mtime=0)[:-8] + b"\1\2\3\4\5\6\7\x08"
    assert must_open(data, 1).segments[0].data.endswith(b"\1\2\3\4\5\6\7\x08")


def test_zip_headers_and_directory_follow_from_the_members() -> None:
    members = {f"folder/file{i}.txt": TEXT[i * 300 :] for i in range(12)} | {"stored.bin": b"short"}
    data = zip_of(members)
    found = must_open(data, 12)
    sizes = b"".join(struct.pack("<I", zlib.crc32(content)) for content in members.values())
    for at in range(0, 48, 4):
        assert sizes[at : at + 4] not in found.segments[0].data
    assert found.segments[0].data.count(b"folder/file7.txt") == 1
    assert found.segments[0].data.count(wrapping.CENTRAL) == 0


def test_zip_data_descriptors_are_opened() -> None:
    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        for i in range(5):
            archive.writestr(f"{i}.txt", TEXT[i * 100 :])
    found = must_open(pipe.data, 5)
    assert found.segments[0].data.count(wrapping.SIGNATURE) == 0
    assert found.segments[0].data.count(wrapping.CENTRAL) == 0


@pytest.mark.parametrize("form", range(5))
def test_every_form_of_descriptor_is_matched(form: int) -> None:
    record = wrapping.descriptor(form, TEXT, 1234)
    assert wrapping.match_descriptor(b"xx" + record + b"yy", 2, TEXT, 1234) == form


def test_wide_zip_members_are_opened() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a", "w", force_zip64=True) as member:
        member.write(TEXT)
    must_open(out.getvalue(), 1)


def test_zip_behind_other_bytes_and_with_a_strange_directory_comes_back() -> None:
    data = zip_of({"a": TEXT, "b": TEXT[::-1]})
    must_open(NOISE + data, 2)
    at = data.index(wrapping.CENTRAL)
    must_open(data[:at] + data[at : at + 20] + b"\xff" + data[at + 21 :], 2)
    must_open(data + data, 4)


def test_chains_of_png_chunks_are_joined() -> None:
    for piece in (1 << 20, 400, 97):
        found = must_open(png_of(picture(), 90, 70, piece), 1)
        assert found.segments[2].data == picture()
        assert (found.segments[2].row_bytes, found.segments[2].pixel_bytes) == (271, 3)
        assert len(found.recipe) < 32


def test_streams_in_front_of_a_picture_s_rows_are_opened() -> None:
    data = png_of(picture(), 90, 70, 400)
    profile = b"iCCPname\0\0" + zlib.compress(TEXT[:3000])
    chunk = struct.pack(">I", len(profile) - 4) + profile + struct.pack(">I", zlib.crc32(profile))
    found = must_open(data[:33] + chunk + data[33:], 2)
    assert [stream.kind for stream in found.streams] == ["zlib", "png"]


def test_png_with_a_wrong_chunk_check_stays_closed() -> None:
    data = bytearray(png_of(picture(), 90, 70, 1 << 20))
    data[-14] ^= 1
    found = opened(bytes(data))
    assert found is None or found.streams[0].kind != "png"


def test_streams_in_streams_are_opened_three_deep() -> None:
    inner = zip_of({"x.txt": TEXT, "y.png": png_of(picture(), 90, 70, 500)})
    middle = zip_of({"inner.zip": inner, "z.txt": TEXT[::-1]})
    found = must_open(gzip.compress(middle, mtime=0), 5)
    assert max(stream.depth for stream in found.streams) == 3
    deeper = must_open(gzip.compress(gzip.compress(middle, mtime=0), mtime=0), 4)
    assert max(stream.depth for stream in deeper.streams) == 3


def test_cut_files_are_opened_up_to_the_cut() -> None:
    data = zip_of({"a": TEXT, "b": TEXT[::-1]})
    second = data.index(wrapping.LOCAL, 4)
    for size in range(len(data) - 1, 2000, -701):
        if not 0 < size - second < 600:
            must_open(data[:size], 2 if size > second + 600 else 1)


def test_a_bomb_stays_closed_beyond_the_budget() -> None:
    bomb = zlib.compress(bytes(3_000_000), 9)
    assert opened(bomb, Budget(1_000_000, 1_000_000, 1 << 24)) is None
    two = opened(bomb + zlib.compress(TEXT), Budget(1_000_000, 1_000_000, 1 << 24))
    assert two is not None and [stream.text_bytes for stream in two.streams] == [len(TEXT)]
    both = opened(bomb + bomb, Budget(4_000_000, 4_000_000, 1 << 24))
    assert both is not None and len(both.streams) == 1


def test_vain_attempts_are_bounded() -> None:
    """Each pair begins a stream of zeros that has no check: what they inflate to is paid from one purse."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    zeros = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_SYNC_FLUSH)
    budget = Budget(1 << 24, 1 << 24, 1 << 20)
    opened(b"\x78\x9c" + (b"\x78\x9c" + zeros) * 20, budget)
    assert budget.failed_bytes > -(1 << 24)


def test_rebuilding_needs_no_zlib(monkeypatch: pytest.MonkeyPatch) -> None:
    data = zip_of({"a": TEXT, "b.gz": gzip.compress(TEXT, mtime=0)}) + png_of(picture(), 90, 70, 300)
    found = open_streams(data)
    assert found is not None

    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("zlib was called")

    for name in ("compress", "decompress", "compressobj", "decompressobj", "adler32", "crc32"):
        monkeypatch.setattr(zlib, name, refuse)
    assert close_streams(found.recipe, found.deviations, found.contents, len(data)) == data


def test_flipped_cut_and_joined_files_come_back() -> None:
    rng = random.Random(4)
    sources = [
        zip_of({"a": TEXT[:4000], "b": TEXT[4000:9000], "c": NOISE}),
        gzip.compress(TEXT[:5000], mtime=0),
        png_of(picture(), 90, 70, 300),
        zlib.compress(TEXT[:3000], 1),
    ]
    for _ in range(150):
        data = bytearray(b"".join(rng.sample(sources, rng.randrange(1, 4))))
        for _ in range(rng.randrange(4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        cut = rng.randrange(len(data)) if rng.random() < 0.5 else len(data)
        opened(bytes(data[:cut]))


def test_damaged_recipes_end_in_an_error_or_in_bounds() -> None:
    rng = random.Random(9)
    data = zip_of({"a": TEXT[:4000], "b": zlib.compress(TEXT[:800])}) + png_of(picture(), 90, 70, 300)
    found = opened(data)
    assert found is not None
    for _ in range(400):
        packed, deviations, contents = bytearray(found.recipe), bytearray(found.deviations), found.contents
        for _ in range(rng.randrange(1, 3)):
            packed[rng.randrange(len(packed))] = rng.randrange(256)
        if rng.random() < 0.2:
            packed = packed[: rng.randrange(len(packed))]
        with suppress(ValueError):
            assert len(close_streams(bytes(packed), bytes(deviations), contents, len(data))) == len(data)


def test_recipes_of_random_bytes_are_refused_or_harmless() -> None:
    rng = random.Random(10)
    for _ in range(2000):
        with suppress(ValueError):
            packed, deviations = rng.randbytes(rng.randrange(1, 40)), rng.randbytes(rng.randrange(20))
            close_streams(packed, deviations, TEXT[: rng.randrange(200)], 1000)


def test_a_recipe_may_not_nest_deeper_than_three() -> None:
    entry = recipe.Entry(0, recipe.RAW, size=recipe.MIN_TEXT, nested=[])
    for _ in range(recipe.MAX_DEPTH):
        entry = recipe.Entry(0, recipe.RAW, size=recipe.MIN_TEXT, nested=[entry])
    writer = recipe.Writer()
    writer.level([entry])
    with pytest.raises(ValueError, match="deep"):
        recipe.Reader(bytes(writer.out)).level()


def test_adler_is_that_of_zlib() -> None:
    for data in (b"", b"a", TEXT, bytes(200_000), b"\xff" * 140_000):
        assert wrapping.adler32(data) == zlib.adler32(data)
