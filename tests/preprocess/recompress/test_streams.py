"""One deflate stream: what must be kept beside its text, and that it comes back."""

from __future__ import annotations

import random
import shutil
import subprocess
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import arzip
from arzip.preprocess.recompress import coding, estimating, replay, streams
from arzip.preprocess.recompress.inflate import BROKEN, COMPLETE, inflate, pad
from arzip.preprocess.recompress.packer import Packer, parameters, parse

SOURCE = Path(arzip.__file__).parent
LIMIT = 1 << 24


def sample_text(size: int = 60_000) -> bytes:
    """Real source text with some numbers and noise in it."""
    rng = np.random.default_rng(5)
    code = b"".join(path.read_bytes() for path in sorted(SOURCE.rglob("*.py")))[: size * 3 // 4]
    assert len(code) == size * 3 // 4
    table = b"".join(b"%d,%d\n" % (i, i * i % 977) for i in range(size // 80))
    return code + rng.bytes(size // 50) + table + bytes(size // 20)


TEXT = sample_text()


def deflate(text: bytes, level: int = 6, memory: int = 8, strategy: int = zlib.Z_DEFAULT_STRATEGY) -> bytes:
    packer = zlib.compressobj(level, zlib.DEFLATED, -15, memory, strategy)
    return packer.compress(text) + packer.flush()


def kept_of(stream: bytes, guesses: tuple[Packer, ...] = ()) -> streams.Kept | None:
    """What is kept of a stream; it has come back from that, by fresh models."""
    inflated = inflate(pad(stream), 0, LIMIT)
    end = (inflated.end_bit + 7) // 8
    seen = estimating.Guesses()
    for packer in reversed(guesses):
        seen.add(packer, True)
    kept = streams.open_stream(stream[:end], inflated, 15, seen, coding.new_models())
    if kept is not None:
        assert streams.close(bytes(inflated.text), kept, coding.new_models(), end) == stream[:end]
    return kept


def deviation_bytes(stream: bytes) -> int:
    kept = kept_of(stream)
    assert kept is not None
    return len(kept.deviations)


@pytest.mark.parametrize("level", range(10))
def test_zlib_streams_need_no_deviations(level: int) -> None:
    assert deviation_bytes(deflate(TEXT, level)) <= (8 if level == 0 else 0)


def test_streams_as_excel_packs_them_need_no_deviations() -> None:
    """Level 10 makes streams that zlib reads and none of its levels writes."""
    packer = Packer(10)
    stream = streams.close(TEXT, streams.Kept(packer, False, b""), coding.new_models(), LIMIT)
    assert zlib.decompress(stream, -15) == TEXT
    assert stream not in [deflate(TEXT, level) for level in range(1, 10)]
    assert kept_of(stream) == (packer, False, b"")


@pytest.mark.parametrize("memory", range(1, 10))
@pytest.mark.parametrize("level", [1, 6, 9])
def test_every_memory_level_is_recognised(memory: int, level: int) -> None:
    assert deviation_bytes(deflate(TEXT, level, memory)) == 0


@pytest.mark.parametrize("strategy", [zlib.Z_FILTERED, zlib.Z_HUFFMAN_ONLY, zlib.Z_RLE, zlib.Z_FIXED])
@pytest.mark.parametrize("level", [1, 6, 9])
def test_every_strategy_is_recognised(strategy: int, level: int) -> None:
    assert deviation_bytes(deflate(TEXT, level, strategy=strategy)) == 0


@pytest.mark.skipif(shutil.which("gzip") is None, reason="no gzip at hand")
@pytest.mark.parametrize("level", [1, 2, 3, 6, 9])
def test_blocks_of_gnu_gzip_end_by_its_own_rule(level: int) -> None:
    text = b"".join(b"%d %d\n" % (i * i % 9973, i % 7) for i in range(60_000))
    packed = subprocess.run(["gzip", f"-{level}n"], input=text, capture_output=True, check=True).stdout
    assert deviation_bytes(packed[10:-8]) == 0


def test_flushed_streams_cost_a_few_bytes() -> None:
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    stream = packer.compress(TEXT) + packer.flush(zlib.Z_SYNC_FLUSH) + packer.flush()
    assert 0 < deviation_bytes(stream) <= 8


def test_small_and_odd_texts_come_back() -> None:
    for text in (b"a", b"ab" * 3, bytes(1000), bytes(range(256)), b"abc" * 20_000, random.Random(3).randbytes(70_000)):
        for level in range(10):
            assert kept_of(deflate(text, level)) is not None


def test_a_cut_stream_comes_back_up_to_its_last_token() -> None:
    stream = deflate(TEXT)
    for size in (900, 4_001, len(stream) - 1):
        kept = kept_of(stream[:size])
        assert kept is not None and kept.is_cut
        assert len(kept.deviations) < 120  # the codes of the block that has no end


def test_a_stream_with_tokens_of_its_own_choice_is_corrected() -> None:
    """Half of the text by level 1, the rest by level 9: neither level predicts it all."""
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    first = packer.compress(TEXT[:30_000]) + packer.flush(zlib.Z_FULL_FLUSH)
    stream = first + deflate(TEXT[30_000:], 9)
    kept = kept_of(stream)
    assert kept is not None and 0 < len(kept.deviations) < len(stream) // 6


def test_broken_streams_are_read_as_far_as_they_are_sound() -> None:
    stream = bytearray(deflate(TEXT))
    stream[len(stream) // 2] ^= 0x10
    inflated = inflate(pad(bytes(stream)), 0, LIMIT)
    assert inflated.status == BROKEN or bytes(inflated.text) != TEXT
    assert inflate(pad(deflate(TEXT)), 0, LIMIT).status == COMPLETE


def test_damaged_streams_never_come_back_wrong() -> None:
    rng = random.Random(7)
    for _ in range(120):
        stream = bytearray(deflate(TEXT[: rng.randrange(100, 6000)], rng.randrange(10)))
        for _ in range(rng.randrange(1, 4)):
            stream[rng.randrange(len(stream))] ^= 1 << rng.randrange(8)
        kept_of(bytes(stream[: rng.randrange(50, len(stream) + 1)]))


def test_random_deviations_end_in_an_error_or_a_bounded_stream() -> None:
    rng = random.Random(11)
    for _ in range(200):
        packer = Packer(rng.randrange(1, 10), rng.randrange(1, 10), strategy=rng.randrange(5), family=rng.randrange(4))
        kept = streams.Kept(packer, rng.random() < 0.3, rng.randbytes(rng.randrange(1, 60)))
        with suppress(ValueError):
            assert len(streams.close(TEXT[: rng.randrange(3000)], kept, coding.new_models(), 4000)) <= 4000


def test_packers_are_compared_as_one_by_one() -> None:
    """Counts are right as far as they matter: the fewest, equals of it, and the marks of its blocks."""
    packer = zlib.compressobj(5, zlib.DEFLATED, -15)
    parts = [packer.compress(TEXT[at : at + 7000]) + packer.flush(zlib.Z_SYNC_FLUSH) for at in range(0, 28_000, 7000)]
    inflated = inflate(pad(b"".join(parts) + packer.flush()), 0, LIMIT)
    packers = [Packer(level) for level in (9, 1, 5, 6, 5)] + [Packer(5, memory=7)]
    alone = [estimating._measure(inflated, [each], 0, estimating.MANY) for each in packers]
    counts, early = estimating._measure(inflated, packers, 0, estimating.MANY)
    fewest = min(int(each[0][0]) for each in alone)
    assert fewest > 0 and counts.min() == fewest
    assert [count == fewest for count in counts] == [each[0][0] == fewest for each in alone]
    assert list(early) == list(alone[2][1]) and early.any()
    counts, early = estimating._measure(inflated, packers, 0, fewest - 1)
    assert (counts >= fewest).all() and not early.any()


def test_comparing_ends_with_a_packer_that_is_right() -> None:
    inflated = inflate(pad(deflate(TEXT, 4)), 0, LIMIT)
    counts, early = estimating._measure(inflated, [Packer(level) for level in (6, 4, 5)], 0, estimating.MANY)
    assert 0 < counts[0] < estimating.MANY and counts[1] == 0 and counts[2] == estimating.MANY and not early.any()


def test_packers_survive_their_bytes() -> None:
    packer = Packer(9, 4, 12, 3, 1, 2)
    assert parse(packer.pack()) == packer
    assert parameters(packer).dtype == np.int64
    for bad in (b"\xff\xff\xff", b"\x0b\x78\x00", b"\x06\x70\x00", b"\x06\x7a\x00", b"\x56\x78\x00", b"\x06\x78\x08"):
        with pytest.raises(ValueError, match="packer"):
            parse(bad)


def whole_runs(monkeypatch: pytest.MonkeyPatch, stream: bytes, text: bytes, guesses: tuple[Packer, ...] = ()) -> int:
    """How often a stream is followed from end to end, by each packer, until what is kept of it is known."""
    runs, replay_all = [0], replay.replay

    def counting(followed: NDArray[np.uint8], *others: Any) -> Any:
        before = others[5].copy()
        result = replay_all(followed, *others)
        tried = int((others[5] != before).sum()) if others[6][0] == coding.MEASURE else 1
        runs[0] += tried if len(followed) == len(text) else 0
        return result

    inflated, seen = inflate(pad(stream), 0, LIMIT), estimating.Guesses()
    for packer in reversed(guesses):
        seen.add(packer, True)
    with monkeypatch.context() as patch:
        patch.setattr(replay, "replay", counting)
        kept = streams.open_stream(stream, inflated, 15, seen, coding.new_models())
    assert kept is not None and kept.deviations == b""
    assert streams.close(text, kept, coding.new_models(), LIMIT) == stream
    return runs[0]


@pytest.mark.parametrize("level", [1, 6, 9])
def test_a_long_stream_of_zlib_is_followed_from_end_to_end_once(level: int, monkeypatch: pytest.MonkeyPatch) -> None:
    text = sample_text(400_000)
    assert whole_runs(monkeypatch, deflate(text, level), text) == 1


def test_a_stream_of_a_packer_seen_before_is_followed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    text = TEXT[:9000]
    assert whole_runs(monkeypatch, deflate(text, 8), text, (Packer(8), Packer(6))) == 1


def test_a_long_stream_unlike_those_of_zlib_is_followed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """zlib's levels are measured on its front only: hashes of 4 bytes, as Node's packer has."""
    text = sample_text(400_000)
    stream = streams.close(text, streams.Kept(Packer(9, 9, family=1), False, b""), coding.new_models(), LIMIT)
    assert whole_runs(monkeypatch, stream, text) == 1


def test_a_stream_that_changes_behind_its_front_is_kept_with_deviations() -> None:
    """What is right on the front is tried once, then measured."""
    text = sample_text(400_000)
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    stream = packer.compress(text[:390_000]) + packer.flush(zlib.Z_FULL_FLUSH) + packer.compress(text[390_000:])
    assert 0 < deviation_bytes(stream + packer.flush()) <= 60
