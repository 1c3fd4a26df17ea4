"""PNGs whose rows are unfiltered: in every form, against plain Python, in archives, damaged."""

from __future__ import annotations

import random
import struct
import zlib
from contextlib import suppress
from dataclasses import replace
from itertools import cycle

import numpy as np
import pytest
from helpers import check_roundtrip, compress, decompress, words
from reference.decoder.opened import Recipe, close_parts
from reference.decoder.picture import decode_apart
from reference.decoder.rows import filtered, text_of

from arzip.block_codec import picture_forms
from arzip.codec import Options
from arzip.errors import ArzipError
from arzip.media import picture_series
from arzip.media.picture_series import Shape
from arzip.preprocess import opened
from arzip.preprocess.recompress import recipe, rows
from arzip.preprocess.recompress.closing import close_streams
from arzip.preprocess.recompress.opening import Opened, open_streams
from arzip.preprocess.recompress.recipe import FILTERED

COLORS = {1: 0, 2: 4, 3: 2, 4: 6}


def values_of(height: int, row: int, seed: int = 0) -> list[bytes]:
    rng, (y, x) = np.random.default_rng(seed), np.mgrid[:height, :row]
    values = 90 + 60 * np.sin(x / 19) + 40 * np.cos(y / 7 + x / 43) + rng.normal(0, 2, (height, row))
    values[height // 2 :, : row // 3] = 50
    return [bytes(line) for line in np.clip(values, 0, 255).astype(np.uint8)]


def text_with(height: int, width: int, channels: int, filters: str = "01234", seed: int = 0) -> bytes:
    """Filtered rows."""
    values, kinds = values_of(height, width * channels, seed), cycle(map(int, filters))
    return b"".join(
        bytes([kind]) + filtered(values, y, channels, kind) for y, kind in zip(range(height), kinds, strict=False)
    )


def png(text: bytes, height: int, width: int, channels: int, depth: int = 8, color: int | None = None) -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    about = struct.pack(">IIBBBBB", width, height, depth, COLORS[channels] if color is None else color, 0, 0, 0)
    head = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", about)
    return head + chunk(b"IDAT", zlib.compress(text, 9)) + chunk(b"IEND", b"")


def must_open(data: bytes, form: int) -> Opened:
    """A file opened with its pictures in a form, where they can have it, and closed by both sides."""
    found = open_streams(data, choose=lambda picture: min(form, picture.channels))
    assert found is not None
    apart = [picture.values for picture in found.apart]
    assert close_streams(found.recipe, found.deviations, found.contents, len(data), apart=apart) == data
    assert close_parts(Recipe(found.recipe, found.deviations), found.contents, len(data), apart) == data
    return found


@pytest.mark.parametrize("pixel", [1, 2, 3, 4, 6, 8])
def test_rows_are_those_of_plain_python(pixel: int) -> None:
    text = text_with(23, 17, pixel, "0123444441112")
    row = 17 * pixel + 1
    found = rows.unfilter(text, row, pixel)
    assert found is not None
    values, filters, guessed = found
    assert b"".join(values_of(23, 17 * pixel)) == values
    assert text_of(filters, values, row, pixel, guessed) == text
    assert rows.filter_again(values, filters, row, pixel, guessed) == text
    for other in (False, True):
        again = rows.filter_again(values, filters, row, pixel, other)
        assert again == text_of(filters, values, row, pixel, other)


def test_filters_of_the_smallest_sums_cost_nothing() -> None:
    values = b"".join(values_of(40, 60))
    text = text_of(bytes(40), values, 61, 3, True)
    assert len({text[at] for at in range(0, len(text), 61)}) > 1
    assert rows.unfilter(text, 61, 3) == (values, bytes(40), True)


def test_what_has_no_rows_stays_filtered() -> None:
    text = text_with(10, 10, 3)
    assert rows.unfilter(text[:-1], 31, 3) is None
    assert rows.unfilter(text, 0, 3) is None
    assert rows.unfilter(b"\5" + text[1:], 31, 3) is None
    for bad in (b"\5" + text[1:], text[:-1]):
        assert must_open(png(bad, 10, 10, 3), 3).apart == []


@pytest.mark.parametrize("form", [FILTERED, 0, 4])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_pictures_are_closed_from_every_form(form: int, channels: int) -> None:
    data = b"before" + png(text_with(20, 13, channels), 20, 13, channels) + zlib.compress(words(300)) + b"behind"
    found = must_open(data, form)
    assert [len(picture.values) for picture in found.apart] == ([20 * 13 * channels] if form > 0 else [])
    assert [stream.kind for stream in found.streams] == ["png", "zlib"]


@pytest.mark.parametrize(("depth", "color", "pixel"), [(4, 3, 1), (16, 2, 6), (16, 0, 2), (1, 0, 1), (16, 6, 8)])
def test_other_depths_are_rows_of_bytes(depth: int, color: int, pixel: int) -> None:
    data = png(text_with(20, 13, pixel, "0124"), 20, 13 if depth == 16 else 13 * 8 // depth, 1, depth, color)
    assert must_open(data, 0).segments[2].data == b"".join(values_of(20, 13 * pixel))
    must_open(data, 4)


def test_series_of_pictures_are_those_of_plain_python() -> None:
    shapes = [Shape(8 * 9 * c, c, 9) for c in (3, 1, 3, 2)] + [Shape(5 * 30, 3, 10)]
    values = [
        b"".join(values_of(shape.size // 9 // shape.channels, 9 * shape.channels, k)) for k, shape in enumerate(shapes)
    ]
    values[-1] = values[0][:150]
    stream = picture_series.encode(zip(values, shapes, strict=True), lambda done: None)
    assert picture_series.decode(stream, shapes, lambda done: None) == values
    assert decode_apart(stream, [tuple(shape) for shape in shapes]) == values


PNGS = png(text_with(40, 50, 3, "444414"), 40, 50, 3) + words(200) + png(text_with(30, 31, 4, "40", 1), 30, 31, 4)


@pytest.mark.parametrize("level", [1, 6, 7])
@pytest.mark.parametrize("form", [None, FILTERED, 0, 4])
def test_archives_of_pictures_come_back(
    level: int, form: int | None, options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    if form is not None:
        monkeypatch.setattr(picture_forms.PictureForms, "__call__", lambda self, picture: min(form, picture.channels))
    check_roundtrip(PNGS, replace(options, level=level))


def test_unfiltered_pictures_are_smaller(options: Options, monkeypatch: pytest.MonkeyPatch) -> None:
    options = replace(options, level=7)
    size = len(check_roundtrip(PNGS, options))
    monkeypatch.setattr(picture_forms.PictureForms, "__call__", lambda self, picture: FILTERED)
    assert size < 0.95 * len(compress(PNGS, options))


def test_changed_bytes_of_pictures_never_give_wrong_bytes(options: Options) -> None:
    options, raw = replace(options, level=7), png(text_with(12, 14, 3, "41"), 12, 14, 3) + words(40)
    archive, rng = compress(raw, options), random.Random(1)
    for at in range(20, len(archive)):
        changed = archive[:at] + bytes([archive[at] ^ 1 << rng.randrange(8)]) + archive[at + 1 :]
        with suppress(ArzipError):
            assert decompress(changed, options) == raw


def test_damaged_forms_end_in_an_error_or_in_bounds() -> None:
    rng, found = random.Random(9), must_open(PNGS, 4)
    apart = [picture.values for picture in found.apart]
    for _ in range(600):
        packed = bytearray(found.recipe)
        for _ in range(rng.randrange(1, 3)):
            packed[rng.randrange(len(packed))] = rng.randrange(256)
        with suppress(ValueError):
            parts = (bytes(packed), found.deviations, found.contents)
            assert len(close_streams(*parts, len(PNGS), apart=apart)) == len(PNGS)


def test_pictures_that_are_too_large_are_refused() -> None:
    entry = recipe.Entry(0, recipe.PNG, size=1 << 27, zlib_header=b"\x78\x9c", row_bytes=1 << 13, pixel_bytes=1, form=1)
    writer = recipe.Writer()
    writer.numbers(0, 0)
    writer.level([entry])
    block = opened.OpenedBlock(bytes(writer.out), [], b"", len(writer.out), 1, 0, 9, 0, [], [])
    head = block.head(True, True, False, 5)
    with pytest.raises(ValueError, match="large"):
        opened.apart_of(head, b"", block.joined, 1000)
