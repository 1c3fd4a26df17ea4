"""Sound: kernels against plain Python, files found in streams, archives of all of it."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import pytest
from helpers import check_roundtrip, compress, count_blocks, english
from reference.decoder.sound import decode_sound

from arzip import block_codec, codec
from arzip.api import recovery
from arzip.codec import Options
from arzip.errors import DamagedError, UnsupportedError
from arzip.format import stream
from arzip.format.records import Frame, Method
from arzip.format.stream import Block
from arzip.media import cdf, detect, payload
from arzip.media.payload import Layout


def tones(frames: int, channels: int, bits: int = 16, seed: int = 0) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Samples (T, C) of a few sines, noise, silence and one burst at full scale; signed."""
    rng, t = np.random.default_rng(seed), np.arange(frames)
    top = 2 ** (bits - 1) - 1
    wave = 0.3 * np.sin(t * 0.05) + 0.1 * np.sin(t * 0.31 + 1) + rng.normal(0, 0.01, frames)
    wave[frames // 3 : frames // 3 + frames // 10] = 0
    wave[frames // 2 : frames // 2 + 20] = rng.choice([-1.0, 1.0], min(20, frames - frames // 2))
    both = np.stack([wave * (0.9 - 0.2 * c) + rng.normal(0, 0.002, frames) for c in range(channels)], 1)
    return np.clip(np.round(both * top), -top - 1, top).astype(np.int64)


def packed(samples: np.ndarray[Any, np.dtype[np.int64]], layout: Layout) -> bytes:
    """The bytes of samples as a layout has them."""
    offset = 0 if layout.signed else 1 << (8 * layout.sample_bytes - 1)
    order = "big" if layout.big_endian else "little"
    return b"".join(
        (int(v) + offset).to_bytes(layout.sample_bytes, order, signed=layout.signed)  # type: ignore[arg-type]
        for v in samples.reshape(-1)
    )


def wav(samples: np.ndarray[Any, np.dtype[np.int64]], sample_bytes: int = 2) -> bytes:
    channels = samples.shape[1]
    body = packed(samples, Layout(0, 0, channels, sample_bytes, False, sample_bytes > 1))
    frame = channels * sample_bytes
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, channels, 44100, 44100 * frame, frame, 8 * sample_bytes)
    return (
        struct.pack("<4sI4s", b"RIFF", 36 + len(body), b"WAVE") + form + struct.pack("<4sI", b"data", len(body)) + body
    )


def aiff(samples: np.ndarray[Any, np.dtype[np.int64]], coding: bytes = b"") -> bytes:
    channels = samples.shape[1]
    body = packed(samples, Layout(0, 0, channels, 2, coding != b"sowt", True))
    about = struct.pack(">HIH", channels, len(samples), 16) + bytes(10) + coding
    rest = struct.pack(">4sI", b"COMM", len(about)) + about + struct.pack(">4sIII", b"SSND", len(body) + 8, 0, 0) + body
    return struct.pack(">4sI4s", b"FORM", 4 + len(rest), b"AIFC" if coding else b"AIFF") + rest


def npy(samples: np.ndarray[Any, np.dtype[np.int64]]) -> bytes:
    sink = io.BytesIO()
    np.save(sink, samples.astype("<i2"))
    return sink.getvalue()


LAYOUTS = [
    Layout(0, 0, 1, 2, False, True),
    Layout(5, 3, 2, 2, True, True),
    Layout(0, 2, 3, 3, False, True),
    Layout(1, 0, 2, 1, False, False),
    Layout(0, 0, 8, 1, False, True),
]


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_kernels_agree_with_plain_python_bit_for_bit(layout: Layout) -> None:
    body = packed(tones(240 // layout.channels, layout.channels, 8 * layout.sample_bytes), layout)
    raw = b"h" * layout.head + body + b"t" * layout.tail
    coded = payload.encode(raw, layout, lambda _: None)
    assert decode_sound(coded, len(raw)) == raw


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("what", ["tones", "noise", "full scale", "silence"])
def test_samples_come_back(layout: Layout, what: str) -> None:
    rng, bits = np.random.default_rng(1), 8 * layout.sample_bytes
    top = 2 ** (bits - 1)
    samples = {
        "tones": tones(9000, layout.channels, bits),
        "noise": rng.integers(-top, top, (2500, layout.channels)),
        "full scale": rng.choice([-top, top - 1], (2500, layout.channels)),
        "silence": np.zeros((2500, layout.channels), np.int64),
    }[what]
    raw = b"h" * layout.head + packed(samples, layout) + b"t" * layout.tail
    ticks: list[int] = []
    coded = payload.encode(raw, layout, ticks.append)
    assert sum(ticks) == len(raw)
    assert payload.decode(coded, len(raw), ticks.append) == raw
    assert sum(ticks) == 2 * len(raw)
    assert len(coded) < len(raw) * 1.02 + 60
    if what == "silence":
        assert len(coded) < 100 + 50 * layout.channels


def test_costs_are_those_of_the_stream() -> None:
    layout, costs = LAYOUTS[0], []
    raw = packed(tones(5000, 1), layout)
    coded = payload.encode(raw, layout, lambda _: None, lambda c: costs.append(c))
    assert abs(sum(float(c.sum()) for c in costs) / 8 - len(coded) + payload.FIXED_BYTES) < 10
    assert sum(c.size for c in costs) == 8 * len(raw)


def test_the_distribution_is_a_symmetric_one() -> None:
    table = cdf.table()
    assert (np.diff(table) > 0).all() and (table + table[::-1] == 1 << cdf.CDF_BITS).all()


def test_stereo_is_smaller_than_its_channels_apart() -> None:
    both = tones(8000, 2)
    both[:, 1] = both[:, 0] + np.random.default_rng(2).integers(-3, 4, 8000)
    sizes = [
        len(payload.encode(packed(part, layout), layout, lambda _: None))
        for part, layout in (
            (both, LAYOUTS[1]._replace(head=0, tail=0)),
            *((both[:, c : c + 1], LAYOUTS[0]) for c in (0, 1)),
        )
    ]
    assert sizes[0] < 0.8 * (sizes[1] + sizes[2])


@pytest.mark.parametrize(
    "payload_", [b"", b"\0\0", b"\0\0\x80", b"\0\0\x18", b"\4\0\x08abc", b"\0\0\x09", b"\xff\xff\x08"]
)
def test_a_layout_that_does_not_fit_raises(payload_: bytes) -> None:
    with pytest.raises(ValueError):
        payload.decode(payload_, 10, lambda _: None)


FILES = {
    "wav": wav(tones(9000, 2)),
    "mono": wav(tones(9000, 1)),
    "8 bit": wav(tones(9000, 2, 8), 1),
    "24 bit": wav(tones(5000, 2, 24), 3),
    "aiff": aiff(tones(9000, 2)),
    "sowt": aiff(tones(9000, 1), b"sowt"),
    "npy": npy(tones(9000, 2)),
}


@pytest.mark.parametrize("name", FILES)
def test_files_are_found_and_their_layout_is_right(name: str) -> None:
    raw = FILES[name]
    [(piece, layout)] = detect.Splitter().split(raw)
    assert piece == raw and layout is not None
    assert len(payload.encode(raw, layout, lambda _: None)) < 0.9 * len(raw)


def test_files_are_cut_out_of_what_is_around_them() -> None:
    text = english(3000)
    raw = text + FILES["wav"] + FILES["aiff"] + text[:100] + FILES["mono"] + text
    pieces = detect.Splitter().split(raw)
    assert b"".join(piece for piece, _ in pieces) == raw
    assert [layout is not None for _, layout in pieces] == [False, True, True, True, False]


def test_a_file_goes_on_in_the_next_block() -> None:
    raw = b"x" * 1000 + FILES["24 bit"] + english(2000)
    for size in (9001, 12000, 20011):
        splitter = detect.Splitter()
        pieces = [piece for at in range(0, len(raw), size) for piece in splitter.split(raw[at : at + size])]
        assert b"".join(piece for piece, _ in pieces) == raw
        samples = [(piece, layout) for piece, layout in pieces if layout is not None]
        assert (
            sum(len(piece) - layout.head - layout.tail for piece, layout in samples) > 25000
        )  # pieces of a file below MIN_BYTES aren't worth it
        for piece, layout in samples:  # in step with the frames: else noise
            assert len(payload.encode(piece, layout, lambda _: None)) < 0.8 * len(piece)


@pytest.mark.parametrize("raw", [b"RIFF", b"RIFF\0\0\0\0WAVE", wav(tones(9000, 2))[:44], b"\x93NUMPY\1\0\xff\xff{"])
def test_broken_headers_are_nothing(raw: bytes) -> None:
    assert detect.Splitter().split(raw) == [(raw, None)]


def test_headers_with_wild_numbers_are_nothing() -> None:
    rng = np.random.default_rng(3)
    for _ in range(300):
        raw = bytearray(FILES["wav"][:6000] if rng.integers(2) else FILES["aiff"][:6000])
        for at in rng.integers(0, 60, 4):
            raw[at] = rng.integers(256)
        pieces = detect.Splitter().split(bytes(raw))
        assert b"".join(piece for piece, _ in pieces) == raw


@pytest.mark.parametrize("level", [4, 9])
def test_archive_of_sound_between_texts_is_restored(options: Options, level: int) -> None:
    raw = english(3000) + FILES["wav"] + english(2000) + FILES["8 bit"][:-777] + english(500)
    archive = check_roundtrip(raw, Options(level, options.model))
    profiles = [(f.method, f.cm_profile) for m in stream.list_members(io.BytesIO(archive)) for f in m.frames]
    assert profiles.count((Method.MEMORY, payload.PROFILE)) == 2


def test_archive_of_one_file_of_sound_is_one_block(options: Options) -> None:
    archive = check_roundtrip(FILES["wav"], Options(6, options.model))
    assert count_blocks(archive, options) == 1


def test_fast_levels_leave_sound_alone(options: Options) -> None:
    archive = compress(FILES["wav"], Options(1, options.model))
    [member] = stream.list_members(io.BytesIO(archive))
    assert member.frames[0].cm_profile != payload.PROFILE


def test_what_only_looks_like_sound_is_coded_as_anything_else(options: Options) -> None:
    text = english(20000)
    raw = FILES["wav"][:40] + struct.pack("<I", len(text)) + text
    archive = check_roundtrip(raw, Options(6, options.model))
    [member] = stream.list_members(io.BytesIO(archive))
    assert all(frame.cm_profile != payload.PROFILE for frame in member.frames)


def test_damaged_sound_raises_and_the_rest_is_salvaged(options: Options) -> None:
    text = english(4000)
    raw = text + FILES["wav"] + text
    archive = bytearray(compress(raw, Options(6, options.model)))
    blocks = [event for event in stream.read_events(io.BytesIO(bytes(archive))) if isinstance(event, Block)]
    assert [block.frame.cm_profile == payload.PROFILE for block in blocks] == [False, True, False]
    archive[blocks[1].offset + len(blocks[1].payload) // 2] ^= 8
    with pytest.raises(DamagedError):
        codec.decompress(io.BytesIO(bytes(archive)), io.BytesIO(), options)
    sink = io.BytesIO()
    recovery.salvage(io.BytesIO(bytes(archive)), sink, options)
    assert sink.getvalue() == text + FILES["wav"][:44] + text  # the header lies in the block before


@pytest.mark.parametrize(("lanes", "profile_byte"), [(2, 5), (1, 5 | 1 << 4)])
def test_a_frame_that_sound_cannot_have_raises(lanes: int, profile_byte: int) -> None:
    frame = Frame(Method.MEMORY, lanes, profile_byte, 100, 10, 0)
    with pytest.raises(DamagedError):
        block_codec.decode(Block(1, 0, frame, bytes(10)), b"1234", lambda _: None, None, lambda _: None)  # type: ignore


def test_profiles_that_are_no_ones_yet_raise() -> None:
    frame = Frame(Method.MIXED, 1, 5, 100, 10, 0)
    with pytest.raises(UnsupportedError):
        block_codec.decode(Block(1, 0, frame, bytes(10)), b"1234", lambda _: None, None, lambda _: None)  # type: ignore
