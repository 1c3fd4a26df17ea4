"""Headers that are wrong: where samples end, and how they lie, is seen by the samples."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from helpers import check_roundtrip, english

from arzip.codec import Options
from arzip.media import detect, doubts, ends
from arzip.media.headers import Found
from arzip.media.picture_payload import PictureLayout

HUGE = 1 << 31
JSON = b"".join(b'{"id": %d, "name": "%x", "ok": true},\n' % (i * i, i << i % 31) for i in range(300))
FRAMES, WIDTH, HEIGHT = 20000, 130, 160


def tones(channels: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Samples (T, C) within +-0.5: sines of other pitches in each channel, and noise."""
    rng, t = np.random.default_rng(1), np.arange(FRAMES)
    pitches = 0.05 + 0.07 * np.arange(channels)
    return np.stack([0.4 * np.sin(t * pitch) + rng.normal(0, 0.003, FRAMES) for pitch in pitches], 1)


def sound(channels: int, sample_bytes: int) -> bytes:
    values = np.round(tones(channels) * 256**sample_bytes / 2).astype("<i4").reshape(-1) + 128 * (sample_bytes == 1)
    return values.astype("<i4").view(np.uint8).reshape(-1, 4)[:, :sample_bytes].tobytes()


def picture(channels: int, sample_bytes: int = 1) -> bytes:
    """Rows of blobs, noise and an edge, most significant byte first."""
    rng, (y, x) = np.random.default_rng(2), np.mgrid[:HEIGHT, :WIDTH]
    rough = rng.normal(0, 3, (HEIGHT, WIDTH, channels))
    for row in range(1, HEIGHT):
        rough[row] += 0.9 * rough[row - 1]
    for column in range(1, WIDTH):
        rough[:, column] += 0.9 * rough[:, column - 1]
    values = 100 + 50 * np.sin(x / 9 + y / 31) + 20 * (x > WIDTH // 3)
    values = values[..., None] + 9 * np.arange(channels) + rough
    return np.clip(values * 256 ** (sample_bytes - 1), 0, 256**sample_bytes - 1).astype(f">u{sample_bytes}").tobytes()


def wav(samples: bytes, channels: int, sample_bytes: int, size: int) -> bytes:
    frame = channels * sample_bytes
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, channels, 44100, 44100 * frame, frame, 8 * sample_bytes)
    return struct.pack("<4sI4s", b"RIFF", 36 + size, b"WAVE") + form + struct.pack("<4sI", b"data", size) + samples


def pnm(rows: bytes, channels: int, width: int, height: int, sample_bytes: int = 1) -> bytes:
    top = 256**sample_bytes - 1
    return b"P%d\n%d %d\n%d\n" % (6 if channels == 3 else 5, width, height, top) + rows


TOO_LARGE = {
    **{f"sound of {8 * size} bits": wav(sound(2, size), 2, size, HUGE) for size in (1, 2, 3)},
    **{f"picture of {8 * size} bits": pnm(picture(3, size), 3, WIDTH, 50000, size) for size in (1, 2)},
    "grey picture": pnm(picture(1), 1, WIDTH, 50000),
}


@pytest.mark.parametrize("behind", [english(30000), english(3000), JSON])
@pytest.mark.parametrize("name", TOO_LARGE)
def test_samples_end_where_text_begins_whatever_size_the_header_names(name: str, behind: bytes) -> None:
    raw = TOO_LARGE[name] + behind
    pieces = detect.Splitter().split(raw)
    assert b"".join(piece for piece, _ in pieces) == raw
    (_, layout), (rest, nothing) = pieces
    assert layout is not None and nothing is None
    assert abs(len(rest) - len(behind)) < 400


@pytest.mark.parametrize("name", TOO_LARGE)
def test_samples_that_go_on_are_all_taken(name: str) -> None:
    [(piece, layout)] = detect.Splitter().split(TOO_LARGE[name])
    assert layout is not None and len(piece) == len(TOO_LARGE[name])


def test_zeros_and_noise_are_no_end() -> None:
    quiet = sound(2, 2)[:40000]
    for behind in (bytes(20000), np.random.default_rng(0).bytes(20000)):
        assert ends.end(quiet + behind, Found(0, HUGE, 2, 2, False, True)) == 60000


WRONG = {
    "too narrow": (pnm(picture(3), 3, WIDTH - 47, HEIGHT), (3, WIDTH)),
    "twice the width": (pnm(picture(3), 3, WIDTH * 2, HEIGHT // 2), (3, WIDTH)),
    "far too wide": (pnm(picture(3), 3, 999, HEIGHT), (3, WIDTH)),
    "colours named as grey": (pnm(picture(3), 1, WIDTH, HEIGHT), (3, WIDTH)),
    "grey named as colours": (pnm(picture(1), 3, WIDTH, HEIGHT), (1, WIDTH)),
}


@pytest.mark.parametrize("name", WRONG)
def test_rows_are_those_of_the_picture_not_of_its_header(name: str) -> None:
    raw, about = WRONG[name]
    [(_, layout)] = detect.Splitter().split(raw)
    assert isinstance(layout, PictureLayout) and (layout.channels, layout.width) == about


@pytest.mark.parametrize("truth", [(1, 2), (2, 2), (1, 1), (2, 1)])
@pytest.mark.parametrize("named", [(1, 2), (2, 2), (1, 1), (2, 1)])
def test_frames_are_those_of_the_sound_not_of_its_header(truth: tuple[int, int], named: tuple[int, int]) -> None:
    samples = sound(*truth)
    found = doubts.corrected(samples, Found(0, len(samples), *named, False, named[1] > 1))
    assert found.sample_bytes == truth[1]
    assert found.channels == truth[0] or truth[0] == 1  # two channels of one are no loss


def test_right_headers_are_believed() -> None:
    noise = np.random.default_rng(0).bytes(60000)
    for found in (Found(0, 60000, 3, 1, width=100), Found(0, 60000, 2, 2, False, True), Found(0, 60000, 2, 3)):
        assert doubts.corrected(noise, found) == found
        assert doubts.corrected(bytes(60000), found) == found


def test_archive_of_a_wrong_header_is_nearly_as_short(options: Options) -> None:
    sizes = [
        len(check_roundtrip(pnm(picture(3), 3, w, HEIGHT), Options(6, options.model))) for w in (WIDTH, WIDTH + 40)
    ]
    assert sizes[1] < 1.03 * sizes[0]


def test_archive_of_sound_that_text_follows_is_restored(options: Options) -> None:
    sizes = []
    for size in (len(sound(2, 2)), HUGE):
        raw = wav(sound(2, 2), 2, 2, size) + english(9000)
        sizes.append(len(check_roundtrip(raw, Options(6, options.model))))
    assert sizes[1] < 1.01 * sizes[0]
