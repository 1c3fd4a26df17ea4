"""Pictures and sound without headers: found by statistics, restored, and nothing found where nothing is."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import check_roundtrip, english

from arzip.codec import Options
from arzip.format import stream
from arzip.format.records import Method
from arzip.media import array_detect, headerless, payload, picture_payload
from arzip.media.payload import Layout
from arzip.media.picture_payload import PictureLayout


def tones(frames: int, channels: int) -> bytes:
    """16-bit samples of two sines and noise, little-endian."""
    rng, t = np.random.default_rng(0), np.arange(frames)
    wave = 9000 * np.sin(t * 0.05) + 3000 * np.sin(t * 0.31 + 1) + rng.normal(0, 300, frames)
    return (
        np.stack([wave * (0.9 - 0.4 * c) + rng.normal(0, 60, frames) for c in range(channels)], 1)
        .astype("<i2")
        .tobytes()
    )


def cut_open(channels: int, width: int, padding: int = 0, height: int = 200) -> bytes:
    """A picture's rows, of slopes, noise and a flat part, from the middle of one on."""
    rng, (y, x) = np.random.default_rng(0), np.mgrid[:height, :width]
    values = (90 + 60 * np.sin(x / 9) + 40 * np.cos(y / 7 + x / 23))[..., None] + 12 * np.arange(channels)
    values += rng.normal(0, 2, (height, width, channels))
    values[height // 2 :, : width // 3] = np.arange(channels) * 50
    rows = np.clip(values, 0, 255).astype(np.uint8).reshape(height, -1)
    rows = np.pad(rows, ((0, 0), (0, padding)))
    return rows.tobytes()[333:]


PICTURES = {
    "grey": (cut_open(1, 301), (1, 301, 0)),
    "three channels": (cut_open(3, 211), (3, 211, 0)),
    "four channels": (cut_open(4, 120), (4, 120, 0)),
    "padded rows": (cut_open(3, 211, 2), (3, 211, 2)),
}
SOUND = {
    "mono": (tones(60000, 1), (1, 2, False, True)),
    "stereo": (tones(30000, 2), (2, 2, False, True)),
}


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_are_found(name: str) -> None:
    raw, about = PICTURES[name]
    [(start, stop, [layout])] = headerless.find(raw, True)
    assert isinstance(layout, PictureLayout)
    assert (layout.channels, layout.width, layout.padding) == about
    row = layout.width * layout.channels + layout.padding
    assert (start + 333) % row % layout.channels == 0 and start < row and len(raw) - stop < 4
    assert headerless.find(raw, False) == []


def page(row: int, height: int) -> bytes:
    """Rows of eight pixels a byte: slanting strokes of differing thickness on an empty page."""
    rng, x = np.random.default_rng(0), np.arange(8 * row)
    ink = np.zeros((height, 8 * row), bool)
    for _ in range(row):
        left, top, thick, slope = *rng.integers((0, 0, 2), (8 * row, height, 9)), rng.normal(0, 0.7)
        for y in range(max(0, top - 24), min(height, top + 25)):
            ink[y] |= abs(x - left - slope * (y - top)) < thick
    return np.packbits(ink, axis=1).tobytes()


@pytest.mark.parametrize("row", [90, 216])
def test_pages_of_a_bit_a_pixel_are_found(row: int) -> None:
    [(start, stop, [layout])] = headerless.find(page(row, 700), True, light=True)
    assert (start, stop, layout) == (0, 700 * row, PictureLayout(0, 0, 1, row, 0))
    assert headerless.find(page(row, 700), True, bitmaps=False) == []


def test_a_page_of_a_bit_a_pixel_is_restored(options: Options) -> None:
    archive = check_roundtrip(page(90, 300), Options(6, options.model))
    [block] = [event for event in stream.read_events(io.BytesIO(archive)) if isinstance(event, stream.Block)]
    assert block.frame.cm_profile == picture_payload.PROFILE


@pytest.mark.parametrize("name", SOUND)
def test_sound_is_found(name: str) -> None:
    raw, about = SOUND[name]
    [(start, stop, [layout, *_])] = headerless.find(raw, True)
    assert isinstance(layout, Layout)
    assert layout[2:] == about and start == 0 and stop == len(raw)


PROGRAM = Path(sys.executable).resolve().read_bytes()[: 1 << 19]


@pytest.mark.parametrize("raw", [english(100000), bytes(100000), np.random.default_rng(1).bytes(100000), b"{}", b""])
def test_nothing_is_found_where_nothing_is(raw: bytes) -> None:
    assert headerless.find(raw, True) == []


def test_a_guess_that_the_probe_refuses_cuts_nothing() -> None:
    raw, _ = PICTURES["grey"]
    asked: list[int] = []

    def refuse(piece: bytes, _: object) -> None:
        asked.append(len(piece))

    assert array_detect.Splitter().split(raw, refuse) == [(raw, None)]
    assert len(asked) == 1


def test_pieces_of_a_program_are_all_of_it() -> None:
    pieces = array_detect.Splitter().split(PROGRAM, lambda _, layouts: layouts[0])
    assert b"".join(piece for piece, _ in pieces) == PROGRAM


@pytest.mark.parametrize("name", ["three channels", "stereo"])
def test_archive_of_what_has_no_header_is_restored(options: Options, name: str) -> None:
    raw, _ = (PICTURES | SOUND)[name]
    raw = raw[:50000]
    archive = check_roundtrip(raw, Options(9, options.model))
    frames = [(f.method, f.cm_profile) for m in stream.list_members(io.BytesIO(archive)) for f in m.frames]
    profile = payload.PROFILE if name == "stereo" else picture_payload.PROFILE
    assert (Method.MEMORY, profile) in frames


def shift_register(size: int, taps: tuple[int, int]) -> bytes:
    """The bits of a linear feedback shift register as letters a and b."""
    bits = [1] * max(taps)
    for _ in range(size):
        bits.append(bits[-taps[0]] ^ bits[-taps[1]])
    return bytes(97 + bit for bit in bits[max(taps) :])


def automaton(size: int, width: int) -> bytes:
    """Rows of a cellular automaton of four letters, each the sum of two above and the one before, with errors."""
    rng, cells = np.random.default_rng(0), list(np.random.default_rng(1).integers(0, 4, width + 1))
    for wrong in rng.random(size) < 0.02:
        cells.append((cells[-1] + 3 * cells[-width] + wrong) % 4)
    return bytes(b"acgt"[cell] for cell in cells[width + 1 :])


@pytest.mark.parametrize(
    ("raw", "width"),
    [(shift_register(300_000, (1, 20)), 20), (shift_register(100_000, (1, 7)), 7), (automaton(100_000, 333), 333)],
)
def test_rows_of_few_letters_are_found(raw: bytes, width: int) -> None:
    [(start, stop, [layout])] = headerless.find(raw, True)
    assert (start, stop, layout) == (0, len(raw), PictureLayout(0, 0, 1, width, 0))


def test_letters_by_chance_are_no_rows() -> None:
    rng = np.random.default_rng(0)
    for letters in (2, 3, 4):
        assert headerless.find(bytes(rng.integers(97, 97 + letters, 200_000).astype(np.uint8)), True) == []


def test_a_shift_register_takes_a_few_bytes(options: Options) -> None:
    """300,000 letters, of which no 20 stand there twice, once took 37,045 bytes; xz -9 makes 25,664 of them."""
    assert len(check_roundtrip(shift_register(40_000, (1, 20)), Options(6, options.model))) < 100
