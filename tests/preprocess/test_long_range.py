"""Long repeats: what is taken out is found again, and lists that don't fit are refused."""

from __future__ import annotations

import io
import random
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from helpers import check_roundtrip, decompress, harmless_changes, words
from hypothesis import given, settings
from hypothesis import strategies as st

from arzip import levels
from arzip.codec import Options
from arzip.errors import ArzipError, DamagedError
from arzip.format import stream
from arzip.format.records import Header, Method
from arzip.levels import Level
from arzip.preprocess import long_range
from arzip.preprocess.long_range import MIN_MATCH_BYTES, LongMatch

NOISE = random.Random(5).randbytes(40_000)


def check(raw: bytes) -> list[LongMatch]:
    """The matches that were found, which go in and out of their list and of the block."""
    matches = long_range.find(raw)
    rest = long_range.extract(raw, matches)
    assert long_range.restore(rest, matches) == raw
    data = long_range.pack(matches)
    assert long_range.parse(data + b"stream", len(raw)) == (matches, len(data))
    assert len(rest) == len(raw) - sum(match.size for match in matches)
    return matches


def test_a_repeat_is_found_to_the_byte() -> None:
    [match] = check(NOISE[:9000] + NOISE[1234:5678] + NOISE[20_000:20_100])
    assert match == LongMatch(9000, 5678 - 1234, 9000 - 1234)


def test_copies_of_copies_are_taken_from_the_first() -> None:
    matches = check(NOISE[:3000] * 4)
    assert long_range.extract(NOISE[:3000] * 4, matches) == NOISE[:3000]


@pytest.mark.parametrize("raw", [b"", b"a", bytes(5), NOISE, words(100_000), NOISE[:MIN_MATCH_BYTES] + NOISE[:400]])
def test_what_hardly_repeats_is_left_alone(raw: bytes) -> None:
    assert check(raw) == []


def test_runs_fold_up() -> None:
    assert len(long_range.extract(bytes(1 << 20), check(bytes(1 << 20)))) <= 2 * MIN_MATCH_BYTES


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30_000), st.integers(0, 4000)), max_size=12), st.integers(0, 255))
def test_any_pieces_come_back(pieces: list[tuple[int, int]], value: int) -> None:
    check(b"".join(NOISE[at : at + size] + bytes([value]) * (size % 7) for at, size in pieces))


@pytest.mark.parametrize(
    "matches",
    [
        [LongMatch(10, 0, 5)],  # nothing
        [LongMatch(10, 6, 5)],  # overlaps itself
        [LongMatch(10, 5, 11)],  # from before the block
        [LongMatch(90, 20, 30)],  # beyond its end
        [LongMatch(50, 20, 50), LongMatch(25, 20, 20)],
    ],
)
def test_list_that_does_not_fit_is_refused(matches: list[LongMatch]) -> None:
    with pytest.raises(ValueError, match="fit"):
        long_range.parse(long_range.pack(matches), 100)


def test_a_list_of_many_matches_takes_a_few_bytes_for_each() -> None:
    """A million in 3 MB once took 367 MB."""
    count = 50_000
    data = long_range.pack([LongMatch(1, 1, 1), *[LongMatch(0, 1, 1)] * (count - 1)])
    tracemalloc.start()
    matches, at = long_range.parse(data, count + 1)
    raw = long_range.restore(b"a", matches)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (len(matches), at, raw) == (count, len(data), b"a" * (count + 1))
    assert matches[-1] == LongMatch(0, 1, 1) and matches[:2] == [LongMatch(1, 1, 1), LongMatch(0, 1, 1)]
    assert peak < 20 * count


@pytest.mark.parametrize("data", [b"", b"\x05", b"\x01\x80", b"\xff\xff\xff\xff\xff"])
def test_list_that_ends_early_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        long_range.parse(data, 100)


TWICE = words(30_000) + NOISE[:300] + words(30_000)


@pytest.fixture
def archive(options: Options, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """One of a text that stands twice in a block of several lanes."""
    monkeypatch.setattr(levels, "LEVELS", (Level(1 << 20, levels.ALWAYS, 7, levels.FAST, levels.FAST),) * 9)
    monkeypatch.setattr(levels, "LANE_BYTES", 4000)
    archive = check_roundtrip(TWICE, options)
    [block] = [event for event in stream.read_events(io.BytesIO(archive)) if isinstance(event, stream.Block)]
    assert (block.frame.method, block.frame.lanes) == (Method.REPEATS, 7)
    return archive


def test_archive_pays_for_a_repeat_once(archive: bytes, options: Options) -> None:
    assert len(archive) < len(check_roundtrip(words(30_000) + NOISE[:300], options)) + 20


def test_flipped_bytes_never_pass(archive: bytes, options: Options) -> None:
    places = [*range(40), *np.random.default_rng(0).integers(40, len(archive) - 1, 5)]
    for at in places:
        with pytest.raises(ArzipError):
            decompress(archive[:at] + bytes([archive[at] ^ 0x21]) + archive[at + 1 :], options)


def test_frame_with_more_lanes_than_the_rest_has_bytes_is_damaged(
    archive: bytes, options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("arzip.format.records.MAX_LANES", 65_535)
    [block] = [event for event in stream.read_events(io.BytesIO(archive)) if isinstance(event, stream.Block)]
    size = Header.parse(archive)[1]
    frame = replace(block.frame, lanes=60_000)
    with pytest.raises(DamagedError, match="doesn't fit"):
        decompress(archive[:size] + frame.pack() + block.payload, options)


def only_block(archive: bytes) -> stream.Block:
    [block] = [event for event in stream.read_events(io.BytesIO(archive)) if isinstance(event, stream.Block)]
    return block


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Level 1 with blocks of 100,000 bytes."""
    level = Level(100_000, levels.NEVER, 1, levels.FAST, levels.FAST, min_repeat=1024)
    monkeypatch.setattr(levels, "LEVELS", (level,) * 9)


@pytest.mark.usefixtures("alone")
def test_zeros_are_one_block_of_a_few_bytes(options: Options) -> None:
    archive = check_roundtrip(bytes(3_000_000), options)
    block = only_block(archive)
    assert (block.frame.method, block.frame.lanes) == (Method.MEMORY_REPEATS, 1)
    assert len(archive) < 150


@pytest.mark.usefixtures("alone")
def test_copies_beyond_a_block_cost_little_more_than_one(options: Options) -> None:
    once = words(60_000) + NOISE[:1500]
    archive = check_roundtrip(once * 5, options)
    assert only_block(archive).frame.method is Method.MEMORY_REPEATS
    assert len(archive) < len(check_roundtrip(once, options)) + 40


@pytest.mark.usefixtures("alone")
def test_what_repeats_little_is_cut_as_ever(options: Options) -> None:
    raw = words(250_000) + NOISE[:2000] + words(3000, 1) + NOISE[:2000]
    events = list(stream.read_events(io.BytesIO(check_roundtrip(raw, options))))
    frames = [event.frame for event in events if isinstance(event, stream.Block)]
    assert [frame.raw_bytes for frame in frames] == [100_000, 100_000, len(raw) - 200_000]
    assert {frame.method for frame in frames} <= {Method.MEMORY, Method.MEMORY_REPEATS}


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize(("rest_bytes", "method"), [(20_000, Method.MEMORY_REPEATS), (30_000, Method.MEMORY)])
def test_repeats_of_a_small_share_of_a_lane_are_kept(options: Options, rest_bytes: int, method: Method) -> None:
    repeat = NOISE[:4000]  # an eighth of 32,000 bytes
    raw = repeat + words(rest_bytes) + repeat
    assert only_block(check_roundtrip(raw, options)).frame.method is method


@pytest.mark.usefixtures("alone")
def test_changed_bytes_of_a_lane_with_repeats_are_noticed(options: Options) -> None:
    raw = (words(1600) + NOISE[:900]) * 2
    archive = check_roundtrip(raw, options)
    assert only_block(archive).frame.method is Method.MEMORY_REPEATS
    assert harmless_changes(raw, archive, options, 7) <= {len(archive) - 1}


def test_short_blocks_keep_their_repeats(options: Options) -> None:
    raw = NOISE[:2000] * 2
    assert only_block(check_roundtrip(raw, options)).frame.method is not Method.MEMORY_REPEATS
