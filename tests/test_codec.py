"""Whatever goes in comes out, in any blocks and lanes, on any threads; damage never passes for data."""

from __future__ import annotations

import io
import os
import random
import shutil
import threading
import time
from contextlib import AbstractContextManager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from helpers import Drip, check_roundtrip, compress, count_blocks, decompress, english, harmless_changes, words

from arzip import codec, levels
from arzip.api import recovery
from arzip.codec import Options
from arzip.context_mixing.profile import FAST, FULL, MIDDLE, PROFILES
from arzip.errors import DamagedError, ModelMissingError, NotAnArchiveError, TruncatedError
from arzip.format.records import Method
from arzip.format.stream import Block, list_members, read_events
from arzip.system.workers import Workers
from arzip.weights import registry

SHIPPED = Options(threads=2)
needs_shipped = pytest.mark.skipif(
    all(path.stem != levels.level(levels.DEFAULT).model for path in registry.paths()),
    reason="the weights of the default level are not at hand",
)


def blocks_of(archive: bytes) -> list[Block]:
    return [event for event in read_events(io.BytesIO(archive)) if isinstance(event, Block)]


def methods_of(archive: bytes) -> list[Method]:
    return [block.frame.method for block in blocks_of(archive)]


# ---------------------------------------------------------------------------------------------------- there and back


@pytest.mark.parametrize(
    "raw",
    [b"", b"a", b"\0", bytes(range(256)), bytes(5000), b"\xff" * 5000, b"\x8fAZ\r\n\x1a" * 20],
    ids=["empty", "1 byte", "a zero", "all values", "zeros", "ones", "magic"],
)
def test_special_bytes_come_back(raw: bytes, options: Options) -> None:
    check_roundtrip(raw, options)


def test_text_comes_back_smaller(options: Options) -> None:
    raw = words(30_000)
    archive = check_roundtrip(raw, options)
    assert methods_of(archive) == [Method.MEMORY]  # the tiny model knows nothing: the probe finds that out
    assert len(archive) < 0.75 * len(raw)


@pytest.mark.parametrize("size", [1, 31, 32, 33, 1000, 50_000])
def test_noise_is_stored_and_hardly_grows(size: int, options: Options) -> None:
    raw = random.Random(size).randbytes(size)
    archive = check_roundtrip(raw, options)
    assert methods_of(archive) == [Method.STORED]
    assert len(archive) <= size + 32


def test_archive_of_one_modelled_block_costs_at_most_32_bytes(options: Options) -> None:
    archive = compress(words(20_000), options)
    (block,) = blocks_of(archive)
    assert len(archive) - len(block.payload) <= 32


@pytest.mark.usefixtures("tiny_blocks")
@pytest.mark.parametrize("size", [999, 1000, 1001, 1999, 2000, 2001, 5003])
def test_block_edges_come_back(size: int, options: Options) -> None:
    raw = words(size)
    archive = check_roundtrip(raw, options)
    assert [block.frame.raw_bytes for block in blocks_of(archive)] == [
        min(1000, size - at) for at in range(0, size, 1000)
    ]


@pytest.mark.usefixtures("tiny_blocks")
@pytest.mark.parametrize("size", [15, 16, 17, 31, 32, 33, 47, 48, 49, *range(110, 121), 699, 700, 701, 706, 707])
def test_lane_edges_come_back(size: int, options: Options) -> None:
    archive = check_roundtrip(b"e" * size, options)
    (block,) = blocks_of(archive)
    assert (block.frame.method, block.frame.lanes) == (Method.MIXED, max(1, min(7, size // 16)))


@pytest.mark.usefixtures("tiny_blocks")
@pytest.mark.parametrize("seed", range(5))
def test_mixtures_of_text_and_noise_come_back(seed: int, options: Options) -> None:
    source = random.Random(seed)
    raw = b"".join(source.choice([words, source.randbytes, bytes])(source.randrange(1500)) for _ in range(6))
    check_roundtrip(raw, options)


@pytest.mark.usefixtures("tiny_blocks")
def test_threads_change_nothing(options: Options) -> None:
    raw = words(4000) + os.urandom(1500) + words(4321)
    one = check_roundtrip(raw, options)
    two = check_roundtrip(raw, replace(options, threads=2))
    assert one == two
    assert count_blocks(one, options) == 10


def test_two_runs_give_the_same_archive(options: Options) -> None:
    raw = words(9000)
    assert compress(raw, options) == compress(raw, options)


@pytest.mark.usefixtures("tiny_blocks")
def test_concatenated_archives_come_back_as_the_concatenation(options: Options) -> None:
    parts = [words(2500), b"", os.urandom(40), b"x", words(100)]
    archive = b"".join(compress(part, options) for part in parts)
    assert decompress(archive, options) == b"".join(parts)
    assert decompress(archive, replace(options, threads=3)) == b"".join(parts)


@pytest.mark.usefixtures("tiny_blocks")
def test_short_reads_change_nothing(options: Options) -> None:
    raw = words(3500) + os.urandom(600)
    archive = compress(raw, options)
    sink = io.BytesIO()
    codec.compress(Drip(raw), sink, options)  # type: ignore[arg-type]
    assert sink.getvalue() == archive
    sink = io.BytesIO()
    codec.decompress(Drip(archive), sink, options)  # type: ignore[arg-type]
    assert sink.getvalue() == raw


@pytest.mark.parametrize("level", range(1, 10))
def test_every_level_comes_back_and_decoding_needs_no_level(level: int, options: Options) -> None:
    raw = words(20_000)
    archive = compress(raw, replace(options, level=level))
    assert decompress(archive, options) == raw


# --------------------------------------------------------------------------------------------------- progress, evaluate


@pytest.mark.usefixtures("tiny_blocks")
@pytest.mark.parametrize("threads", [1, 2])
def test_progress_only_grows_and_ends_at_the_total(threads: int, options: Options) -> None:
    raw, options = words(4500) + os.urandom(2222), replace(options, threads=threads)
    archive, back = io.BytesIO(), io.BytesIO()
    coding: list[tuple[int, int]] = []
    decoding: list[tuple[int, int]] = []
    codec.compress(io.BytesIO(raw), archive, options, lambda *now: coding.append(now))
    codec.decompress(io.BytesIO(archive.getvalue()), back, options, lambda *now: decoding.append(now))
    for seen in (coding, decoding):
        assert all(now[0] <= later[0] and now[1] <= later[1] for now, later in pairwise(seen))
        assert seen[-1][0] == len(raw)
        assert seen[-1][1] <= len(archive.getvalue())


@pytest.mark.usefixtures("tiny_blocks")
def test_evaluation_is_that_of_the_real_archive(options: Options) -> None:
    raw = words(9_500)
    evaluation = codec.evaluate(io.BytesIO(raw), replace(options, threads=2))
    archive = compress(raw, options)
    assert (evaluation.raw_bytes, evaluation.archive_bytes) == (len(raw), len(archive))
    payload_bits = sum(8 * len(block.payload) for block in blocks_of(archive))
    assert payload_bits - 16 * 10 <= evaluation.model_bits <= payload_bits + 1


def test_evaluation_of_nothing_is_nothing(options: Options) -> None:
    evaluation = codec.evaluate(io.BytesIO(b""), options)
    assert (evaluation.raw_bytes, evaluation.model_bits) == (0, 0.0)


# --------------------------------------------------------------------------------------------------------------- models


def test_archive_is_decoded_by_a_model_named_by_its_path(options: Options, tiny_model: Path, tmp_path: Path) -> None:
    archive = compress(words(500), options)
    elsewhere = tmp_path / "another_name.safetensors"
    shutil.copy(tiny_model, elsewhere)
    assert decompress(archive, Options(model=str(elsewhere))) == words(500)


def test_archive_finds_its_model_by_digest(options: Options, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = compress(words(500), options)
    monkeypatch.setenv("ARZIP_MODEL_PATH", str(tiny_model.parent))
    assert decompress(archive, Options()) == words(500)


def test_missing_model_is_named_by_its_digest(options: Options, tiny_model: Path) -> None:
    archive = compress(words(500), options)
    sink = io.BytesIO()
    with pytest.raises(ModelMissingError, match=registry.file_digest(tiny_model).hex()) as caught:
        codec.decompress(io.BytesIO(archive), sink, Options())
    assert "\n" not in str(caught.value)
    assert sink.getvalue() == b""


def test_what_is_stored_needs_no_model(options: Options) -> None:
    raw = os.urandom(500)
    assert decompress(compress(raw, options), Options()) == raw


def test_model_that_is_not_there_is_named() -> None:
    for name in ("no-such-model", "no/such/model.safetensors"):
        with pytest.raises(ModelMissingError, match=name):
            compress(b"abc", Options(model=name))


# --------------------------------------------------------------------------------------------------------------- damage


@pytest.fixture(scope="module")
def small(tiny_model: Path) -> tuple[bytes, bytes, Options]:
    """Raw bytes, their archive of one modelled block, and options that decode it."""
    options = Options(level=9, model=str(tiny_model), threads=1)
    raw = words(100)
    archive = compress(raw, options)
    assert methods_of(archive) == [Method.MIXED]
    return raw, archive, options


def test_changed_byte_never_gives_wrong_bytes(small: tuple[bytes, bytes, Options]) -> None:
    raw, archive, options = small
    # only the last bits of a payload may be changed without harm
    assert harmless_changes(raw, archive, options) <= {len(archive) - 1}


def test_every_truncation_raises(small: tuple[bytes, bytes, Options]) -> None:
    _, archive, options = small
    with pytest.raises(NotAnArchiveError):
        decompress(b"", options)
    for size in range(1, len(archive)):
        sink = io.BytesIO()
        with pytest.raises(TruncatedError):
            codec.decompress(io.BytesIO(archive[:size]), sink, options)
        assert sink.getvalue() == b""


@pytest.mark.usefixtures("tiny_blocks")
def test_every_truncation_of_several_blocks_raises_after_the_whole_ones(options: Options) -> None:
    raw = words(3300)
    archive = compress(raw, options)
    ends = [block.offset for block in blocks_of(archive)]
    for size in random.Random(0).sample(range(1, len(archive)), 60):
        sink = io.BytesIO()
        with pytest.raises(TruncatedError):
            codec.decompress(io.BytesIO(archive[:size]), sink, options)
        whole = 1000 * max(sum(end <= size for end in ends) - 1, 0)
        assert sink.getvalue() in (raw[:whole], raw[: whole + 1000])
        assert raw.startswith(sink.getvalue())


@pytest.mark.usefixtures("tiny_blocks")
@pytest.mark.parametrize("threads", [1, 2])
def test_blocks_before_the_damage_are_delivered(threads: int, options: Options) -> None:
    raw = words(5000)
    archive = bytearray(compress(raw, options))
    block = blocks_of(bytes(archive))[3]
    archive[block.offset + 40] ^= 8
    sink = io.BytesIO()
    with pytest.raises(DamagedError, match="block 4") as caught:
        codec.decompress(io.BytesIO(bytes(archive)), sink, replace(options, threads=threads))
    assert caught.value.block == 4
    assert sink.getvalue() == raw[:3000]


@pytest.mark.usefixtures("tiny_blocks")
@pytest.mark.parametrize("lost", range(4))
def test_salvage_recovers_all_other_blocks(lost: int, options: Options) -> None:
    raw = words(2000) + os.urandom(1000) + words(900, seed=1)
    archive = bytearray(compress(raw, options))
    block = blocks_of(bytes(archive))[lost]
    archive[block.offset + 50] ^= 1
    sink, seen = io.BytesIO(), []
    summary = recovery.salvage(io.BytesIO(bytes(archive)), sink, options, lambda *now: seen.append(now))
    assert sink.getvalue() == raw[: 1000 * lost] + raw[1000 * (lost + 1) :]
    assert (summary.raw_bytes, summary.blocks) == (len(sink.getvalue()), 3)
    assert seen


def test_salvage_of_nothing_raises(options: Options) -> None:
    for data in (b"", b"hello", compress(words(100), options)[:60]):
        with pytest.raises(DamagedError, match="nothing can be recovered"):
            recovery.salvage(io.BytesIO(data), io.BytesIO(), options)


def test_levels_name_the_memories_that_the_profiles_are() -> None:
    assert (PROFILES[levels.FAST], PROFILES[levels.FULL], PROFILES[levels.MIDDLE]) == (FAST, FULL, MIDDLE)


# ---------------------------------------------------------------------------------------------------- the shipped model


@needs_shipped
@pytest.mark.parametrize("raw", [b"", b"a", bytes(range(256))], ids=["empty", "1 byte", "all values"])
def test_shipped_model_brings_special_bytes_back(raw: bytes) -> None:
    check_roundtrip(raw, SHIPPED)


@needs_shipped
def test_shipped_model_shrinks_english_to_well_under_half() -> None:
    raw = english(30_000)
    archive = check_roundtrip(raw, SHIPPED)
    assert len(archive) < 0.42 * len(raw)
    (member,) = list_members(io.BytesIO(archive))
    assert member.header.digest == registry.file_digest(registry.find(levels.level(levels.DEFAULT).model))


def test_blocks_are_at_most_as_large_as_asked_for(options: Options) -> None:
    raw = words(20_000) + bytes(10_000)  # repeats make no block longer
    archive = check_roundtrip(raw, replace(options, block_bytes=4096))
    sizes = [block.frame.raw_bytes for block in blocks_of(archive)]
    assert sizes == [4096] * 7 + [len(raw) - 7 * 4096]
    assert archive == check_roundtrip(raw, replace(options, block_bytes=4096, threads=2))


def test_a_short_stream_is_spread_over_threads_and_a_long_one_cut_at_the_block_size() -> None:
    choices = levels.level(1)
    least, size = choices.spread_bytes, choices.block_bytes
    for total in (1, least, 2 * least - 1, 2 * least, 5 * least, 4 * size, 4 * size + 1, 64 << 20):
        whole, later = (levels.block_sizes(total, choices, is_whole) for is_whole in (True, False))
        assert sum(whole) == sum(later) == total
        assert max(whole) <= size and max(whole) - min(whole) < len(whole)
        assert min(whole) >= min(least, total) - 1
        assert len(whole) >= min(levels.SPREAD_BLOCKS, max(total // least, 1))
        assert later[:-1] == [size] * (len(later) - 1)
    assert levels.block_sizes(5 << 20, levels.level(6), True) == [5 << 20]


def test_blocks_beside_each_other_take_a_thread_each_and_one_alone_two(
    options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[int] = []
    hold = Workers.hold

    def noted(self: Workers, threads: int) -> AbstractContextManager[None]:
        held.append(threads)
        return hold(self, threads)

    monkeypatch.setattr(Workers, "hold", noted)
    tiny = levels.Level(4096, levels.ALWAYS, 7, levels.FAST, levels.FAST)
    monkeypatch.setattr(levels, "LEVELS", (tiny,) * 9)
    monkeypatch.setattr(levels, "LANE_BYTES", 16)
    archives = set()
    for crowded in (False, True):
        held.clear()
        monkeypatch.setattr(Workers, "is_crowded", lambda _, crowded=crowded: crowded)
        archives.add(check_roundtrip(words(8192), replace(options, threads=2, block_bytes=4096)))
        assert (2 in held) == (not crowded)
    assert len(archives) == 1


def test_workers_are_crowded_while_there_is_work_for_all() -> None:
    go_on = threading.Event()
    with Workers(2) as workers:
        waiting = [workers.submit(lambda _: go_on.wait(60), None)]
        assert not workers.is_crowded()
        waiting.append(workers.submit(lambda _: go_on.wait(60), None))
        assert workers.is_crowded()
        go_on.set()
        assert all(future.result() for future in waiting)
        assert list(workers.map(lambda item: item, range(9))) == list(range(9))
        assert not workers.is_crowded()


def test_items_that_take_more_than_there_is_wait_for_each_other() -> None:
    most, now, lock = [0.0], [0.0], threading.Lock()

    def work(item: float) -> float:
        with lock:
            now[0] += item
            most[0] = max(most[0], now[0])
        time.sleep(0.002)
        with lock:
            now[0] -= item
        return item

    items = [0.3, 0.3, 0.3, 0.3, 1.5, 0.5, 0.5, 0.6]
    with Workers(8) as workers:
        assert list(workers.map(work, items, lambda item: item)) == items
        assert most[0] == 1.5
        assert list(workers.map(work, items[:4], None)) == items[:4]
