"""Pictures: kernels against plain Python, files found in streams, archives of all of it."""

from __future__ import annotations

import io
import re
import struct
import tracemalloc
from typing import Any

import numpy as np
import pytest
from helpers import check_roundtrip, compress, count_blocks, english
from reference.decoder.picture import decode_picture

from arzip import block_codec, codec
from arzip.codec import Options
from arzip.errors import DamagedError
from arzip.format import stream
from arzip.format.records import Frame, Method
from arzip.format.stream import Block
from arzip.media import detect, picture_payload
from arzip.media.picture_payload import PictureLayout

Image = np.ndarray[Any, np.dtype[np.uint8]]


def scene(height: int, width: int, channels: int, seed: int = 0) -> Image:
    """A picture (H, W, C) of slopes, noise, a flat part and an edge."""
    rng, (y, x) = np.random.default_rng(seed), np.mgrid[:height, :width]
    values = 90 + 60 * np.sin(x / 9) + 40 * np.cos(y / 7 + x / 23)
    values = values[..., None] + 12 * np.arange(channels) + rng.normal(0, 2, (height, width, channels))
    values[height // 2 :, : width // 3] = np.arange(channels) * 50
    values[: height // 4, 2 * width // 3 :] += 70
    return np.clip(values, 0, 255).astype(np.uint8)


def deep(image: Image, kind: str = ">u2") -> Any:
    """The scene in 16 bits, noise in the last four."""
    noise = np.random.default_rng(5).integers(0, 16, image.shape)
    return (image.astype(np.int64) * 200 + noise - (20000 if "i" in kind else 0)).astype(kind)


def bmp(image: Image) -> bytes:
    height, width, channels = image.shape
    row = (width * channels + 3) // 4 * 4
    start = 54 + (1024 if channels == 1 else 0)
    head = struct.pack("<2sIHHI", b"BM", start + row * height, 0, 0, start)
    head += struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8 * channels, 0, row * height, 0, 0, 0, 0)
    rows = np.zeros((height, row), np.uint8)
    rows[:, : width * channels] = image.reshape(height, -1)
    return head + (np.repeat(np.arange(256, dtype=np.uint8), 4).tobytes() if channels == 1 else b"") + rows.tobytes()


def pnm(image: Image) -> bytes:
    height, width, channels = image.shape
    top = 256**image.itemsize - 1
    return b"P%d\n# made here\n%d %d\n%d\n" % (6 if channels == 3 else 5, width, height, top) + image.tobytes()


def targa(image: Image) -> bytes:
    height, width, channels = image.shape
    kind, bits = 3 if channels == 1 else 2, 8 * channels
    return struct.pack("<BBBHHBHHHHBB", 0, 0, kind, 0, 0, 0, 0, 0, width, height, bits, 32) + image.tobytes()


def tiff(image: Image, order: str) -> bytes:
    height, width, channels = image.shape
    size, half = image.nbytes, image[: height // 2].nbytes
    body = image.tobytes()
    at = 8 + size
    fields = [(256, width), (257, height), (259, 1), (262, 2), (277, channels), (284, 1)]
    entries = [struct.pack(order + "HHII", tag, 4, 1, value) for tag, value in fields]
    table = at + 2 + 12 * (len(fields) + 3) + 4
    entries.append(struct.pack(order + "HHII", 258, 3, channels, table))
    entries.append(struct.pack(order + "HHII", 273, 4, 2, table + 8))
    entries.append(struct.pack(order + "HHII", 279, 4, 2, table + 16))
    extra = struct.pack(f"{order}{channels}H", *[8 * image.itemsize] * channels).ljust(8, b"\0")
    extra += struct.pack(order + "4I", 8, 8 + half, half, size - half)
    mark = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", at)
    return mark + body + struct.pack(order + "H", len(entries)) + b"".join(sorted(entries)) + bytes(4) + extra


def npy(image: Image) -> bytes:
    sink = io.BytesIO()
    np.save(sink, image[..., 0] if image.shape[-1] == 1 else image)
    return sink.getvalue()


FILES = {
    "bmp": bmp(scene(70, 59, 3)),
    "bmp of bytes": bmp(scene(80, 90, 1)),
    "bmp of words": bmp(scene(50, 60, 4)),
    "ppm": pnm(scene(70, 60, 3)),
    "pgm": pnm(scene(90, 101, 1)),
    "tiff": tiff(scene(60, 61, 3), "<"),
    "tiff, most significant byte first": tiff(scene(60, 61, 3), ">"),
    "npy": npy(scene(70, 60, 3)),
    "npy, one channel": npy(scene(90, 80, 1)),
    "targa": targa(scene(60, 70, 3)),
    "targa of bytes": targa(scene(90, 80, 1)),
    "ppm of words": pnm(deep(scene(60, 50, 3))),
    "pgm of words": pnm(deep(scene(60, 70, 1))),
    "tiff of words": tiff(deep(scene(50, 60, 3), "<u2"), "<"),
    "tiff of words, most significant byte first": tiff(deep(scene(40, 61, 3)), ">"),
    "npy of words": npy(deep(scene(50, 60, 3), "<u2")),
    "npy of words, most significant byte first": npy(deep(scene(70, 60, 1))),
    "npy of signed words": npy(deep(scene(70, 60, 1), "<i2")),
    "npy of planes": npy(np.concatenate([deep(scene(20, 60, 1), "<u2").reshape(1, 20, 60)] * 4)[..., None]),
}

LAYOUTS = [
    PictureLayout(0, 0, 1, 13, 0),
    PictureLayout(3, 2, 3, 7, 3),
    PictureLayout(1, 0, 4, 5, 0),
    PictureLayout(0, 0, 2, 6, 0),
    PictureLayout(0, 1, 3, 1, 1),
    PictureLayout(0, 0, 3, 7, 0, light=True),
    PictureLayout(0, 0, 1, 13, 1, light=True),
    PictureLayout(2, 1, 1, 11, 3, 2),
    PictureLayout(0, 0, 3, 7, 0, 2, big_endian=True),
    PictureLayout(0, 0, 2, 9, 0, 2, signed=True, light=True),
    PictureLayout(0, 0, 3, 8, 2, 2, big_endian=True, signed=True, light=True),
]


def rows(layout: PictureLayout, pixels: int, seed: int = 0) -> bytes:
    """The raw bytes of a block of so many pixels; the last row may be cut off."""
    height = -(-pixels // layout.width)
    image = scene(height, layout.width, layout.channels, seed).reshape(-1, layout.channels)[:pixels]
    values = deep(image, "<u2") if layout.sample_bytes > 1 else image.astype(np.uint16)
    size = pixels // layout.width * (layout.row_bytes + layout.padding) + pixels % layout.width * layout.pixel_bytes
    return b"h" * layout.head + picture_payload.pack(values, size, layout) + b"t" * layout.tail


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_kernels_agree_with_plain_python_bit_for_bit(layout: PictureLayout) -> None:
    raw = rows(layout, 60)
    coded = picture_payload.encode(raw, layout, lambda _: None)
    assert decode_picture(coded, len(raw)) == raw


def tiles(height: int, width: int, channels: int) -> Image:
    """A picture (H, W, C) of a pattern of noise that repeats, with some pixels of its own."""
    rng = np.random.default_rng(3)
    pattern = rng.integers(0, 256, (5, 9, channels), np.uint8)
    values = np.tile(pattern, (height // 5 + 1, width // 9 + 1, 1))[:height, :width]
    spots = rng.random((height, width)) < 0.03
    values[spots] = rng.integers(0, 256, (int(spots.sum()), channels), np.uint8)
    return values


@pytest.mark.parametrize("layout", [PictureLayout(0, 0, 3, 25, 0), PictureLayout(0, 0, 1, 40, 0, light=True)], ids=str)
def test_repeats_are_found_as_by_plain_python(layout: PictureLayout) -> None:
    raw = tiles(16, layout.width, layout.channels).tobytes()
    coded = picture_payload.encode(raw, layout, lambda _: None)
    assert decode_picture(coded, len(raw)) == raw
    larger = tiles(80, layout.width, layout.channels).tobytes()
    assert len(picture_payload.encode(larger, layout, lambda _: None)) < 0.25 * len(larger)


@pytest.mark.parametrize("layout", [*LAYOUTS, PictureLayout(0, 0, 3, 200, 0)], ids=str)
def test_pixels_come_back(layout: PictureLayout) -> None:
    raw, done = rows(layout, 3010), []
    coded = picture_payload.encode(raw, layout, done.append)
    assert sum(done) == len(raw)
    assert picture_payload.decode(coded, len(raw), done.append) == raw
    assert sum(done) == 2 * len(raw)
    noise = np.random.default_rng(1).integers(0, 256, len(raw), np.uint8).tobytes()
    plain = layout._replace(padding=0, head=0, tail=len(raw) % layout.pixel_bytes)
    coded = picture_payload.encode(noise, plain, done.append)
    assert picture_payload.decode(coded, len(raw), done.append) == noise
    assert len(coded) < 1.05 * len(raw) + 100


def test_costs_are_those_of_the_stream() -> None:
    layout, costs = PictureLayout(0, 0, 3, 50, 0), []
    raw = rows(layout, 2000)
    coded = picture_payload.encode(raw, layout, lambda _: None, lambda c: costs.append(c))
    assert abs(sum(float(c.sum()) for c in costs) / 8 - len(coded) + len(layout.pack())) < 10


def test_flat_pictures_cost_almost_nothing() -> None:
    raw = bytes([10, 200, 30]) * 20000
    assert len(picture_payload.encode(raw, PictureLayout(0, 0, 3, 200, 0), lambda _: None)) < 400


BROKEN = [
    b"",
    b"\0\0\3",
    b"\0\0\3\x80",
    b"\0\0\5\5\0",
    b"\0\0\3\0\0",
    b"\0\0\3\5\0",
    b"\x09\0\1\1\0",
    b"\0\0\1\x80\x80\x03\0",
    b"\0\0\x81\5\0",  # bit 7
    b"\0\0\x21\5\0",  # most significant byte first, of one byte
    b"\0\0\x41\5\0",  # signed, of one byte
    b"\1\0\x11\5\0a",  # half a value
    b"\0\0\x13\3\0",  # no whole pixel
]


@pytest.mark.parametrize("payload", BROKEN)
def test_a_layout_that_does_not_fit_raises(payload: bytes) -> None:
    with pytest.raises(ValueError):
        picture_payload.decode(payload, 10, lambda _: None)


@pytest.mark.parametrize("name", FILES)
def test_files_are_found_and_their_layout_is_right(name: str) -> None:
    raw = FILES[name]
    pieces = detect.Splitter().split(raw)
    assert b"".join(piece for piece, _ in pieces) == raw
    [(piece, layout)] = [(piece, layout) for piece, layout in pieces if layout is not None]
    assert isinstance(layout, PictureLayout)
    coded = picture_payload.encode(piece, layout, lambda _: None)
    assert len(coded) < 0.6 * len(piece)
    assert picture_payload.decode(coded, len(piece), lambda _: None) == piece


def test_padding_behind_the_only_row_takes_no_memory() -> None:
    """A layout may claim 256 MiB of it."""
    layout = PictureLayout(0, 0, 1, 1, (1 << 28) - 1)
    pixel = np.full((1, 1), 7, np.uint8)
    tracemalloc.start()
    assert picture_payload.pack(pixel, 1, layout) == b"\7"
    assert picture_payload.pack(pixel, 100, layout._replace(padding=99)) == b"\7" + bytes(99)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20


def with_height(name: str, height: int) -> bytes:
    """A file whose header names another height."""
    raw = bytearray(FILES[name])
    if name == "bmp":
        raw[22:26] = struct.pack("<i", height)
        return bytes(raw)
    return re.sub(rb"\n(\d+) \d+\n", rb"\n\1 %d\n" % height, bytes(raw), count=1)


@pytest.mark.parametrize("name", ["bmp", "ppm", "ppm of words"])
@pytest.mark.parametrize("height", [30, 500])
def test_rows_are_found_whatever_height_the_header_names(name: str, height: int) -> None:
    raw = with_height(name, height)
    assert raw != FILES[name]
    [(_, layout), *rest] = detect.Splitter().split(raw)
    assert isinstance(layout, PictureLayout) and not rest


def test_rows_end_where_text_begins() -> None:
    text = english(20000)
    pieces = detect.Splitter().split(with_height("ppm", 30) + text)
    assert pieces[0][1] is not None and pieces[-1][1] is None and len(pieces[-1][0]) > 18000


def test_a_bitmap_without_a_height_goes_to_the_end() -> None:
    [(_, layout)] = detect.Splitter().split(with_height("bmp", 0))
    assert isinstance(layout, PictureLayout)


def test_a_picture_goes_on_in_the_next_block() -> None:
    splitter, raw, cut = detect.Splitter(), FILES["ppm"], 6000
    pieces = [*splitter.split(raw[:cut]), *splitter.split(raw[cut:])]
    assert b"".join(piece for piece, _ in pieces) == raw
    assert [layout.width for _, layout in pieces if isinstance(layout, PictureLayout)] == [60, 60]


def test_padding_that_is_not_zero_is_no_padding() -> None:
    raw = bytearray(FILES["bmp"])
    raw[54 + 3 * 59] = 1
    assert detect.Splitter().split(bytes(raw)) == [(bytes(raw), None)]


def test_rows_end_where_padding_is_not_zero() -> None:
    raw = bytearray(FILES["bmp"])
    raw[54 + 180 * 50 + 3 * 59] = 1
    pieces = detect.Splitter().split(bytes(raw))
    assert b"".join(piece for piece, _ in pieces) == raw
    assert [len(piece) for piece, layout in pieces if layout is not None] == [54 + 180 * 50]


def test_rows_that_go_on_alike_end_where_padding_is_not_zero() -> None:
    raw = bytearray(with_height("bmp", 30))
    raw[54 + 180 * 50 + 3 * 59] = 1
    [(piece, layout), *_] = detect.Splitter().split(bytes(raw))
    assert isinstance(layout, PictureLayout)
    assert picture_payload.unpack(piece[layout.head : len(piece) - layout.tail], layout).size == 50 * 59 * 3


def test_headers_with_wild_numbers_are_nothing() -> None:
    rng, files = np.random.default_rng(3), list(FILES.values())
    for _ in range(500):
        raw = bytearray(files[rng.integers(len(files))])
        for at in rng.integers(0, 60, 3):
            raw[at] = rng.integers(256)
        assert b"".join(piece for piece, _ in detect.Splitter().split(bytes(raw))) == raw


def test_archive_of_pictures_between_texts_is_restored(options: Options) -> None:
    raw = english(3000) + FILES["bmp"] + english(2000) + FILES["pgm"][:-777] + english(500)
    archive = check_roundtrip(raw, Options(9, options.model))
    profiles = [(f.method, f.cm_profile) for m in stream.list_members(io.BytesIO(archive)) for f in m.frames]
    assert profiles.count((Method.MEMORY, picture_payload.PROFILE)) >= 1


@pytest.mark.parametrize("name", ["ppm", "ppm of words"])
def test_archive_of_a_light_level_is_larger_than_that_of_a_slow_one_and_far_below_bytes(
    name: str, options: Options
) -> None:
    sizes = {level: len(check_roundtrip(FILES[name], Options(level, options.model))) for level in (3, 6, 9)}
    assert sizes[9] < sizes[6] < 0.9 * sizes[3]


def test_layouts_of_light_levels_are_light() -> None:
    [(_, layout)] = detect.Splitter(light=True).split(FILES["ppm of words"])
    assert isinstance(layout, PictureLayout) and layout.light and layout.sample_bytes == 2


def test_archive_of_one_picture_is_one_block(options: Options) -> None:
    archive = check_roundtrip(FILES["ppm"], Options(9, options.model))
    assert count_blocks(archive, options) == 1


def test_damaged_picture_raises(options: Options) -> None:
    archive = bytearray(compress(FILES["ppm"], Options(9, options.model)))
    archive[len(archive) // 2] ^= 8
    with pytest.raises(DamagedError):
        codec.decompress(io.BytesIO(bytes(archive)), io.BytesIO(), options)


@pytest.mark.parametrize(("lanes", "profile_byte"), [(2, 4), (1, 4 | 1 << 4)])
def test_a_frame_that_a_picture_cannot_have_raises(lanes: int, profile_byte: int) -> None:
    frame = Frame(Method.MEMORY, lanes, profile_byte, 100, 10, 0)
    with pytest.raises(DamagedError):
        block_codec.decode(Block(1, 0, frame, bytes(10)), b"1234", lambda _: None, None, lambda _: None)  # type: ignore
