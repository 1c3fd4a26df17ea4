"""Archives of files that hold deflate streams: opened, modelled, closed to the very same bytes; damage is an error."""

from __future__ import annotations

import gzip
import io
import os
import random
import struct
import time
import zipfile
import zlib
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from helpers import Drip, check_roundtrip, compress, decompress, words
from hypothesis import given, settings
from hypothesis import strategies as st

from arzip import cli, codec, levels, planner
from arzip.api import recovery
from arzip.block_codec import encoding
from arzip.codec import Options
from arzip.errors import ArzipError, DamagedError
from arzip.format import opened_head, records
from arzip.format.opened_head import OpenedHead, max_opened_bytes
from arzip.format.records import Method
from arzip.format.stream import Block, list_members, read_events
from arzip.format.varint import pack_varint
from arzip.preprocess import opened
from arzip.preprocess.opened import OpenedBlock

NOISE = random.Random(3).randbytes(5000)


def zip_of(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return out.getvalue()


PACKED = zip_of({"a.txt": words(20_000), "b/c.txt": words(9_000, seed=1), "noise": NOISE[:300]})
FLUSHED = zlib.compressobj()
FLUSHED_STREAM = FLUSHED.compress(words(3000)) + FLUSHED.flush(zlib.Z_SYNC_FLUSH) + FLUSHED.compress(words(2000, 7))
FLUSHED_STREAM += FLUSHED.flush()


def blocks_of(archive: bytes) -> list[Block]:
    return [event for event in read_events(io.BytesIO(archive)) if isinstance(event, Block)]


def head_of(archive: bytes, block: int = 0) -> OpenedHead:
    (member,) = list_members(io.BytesIO(archive))
    head = member.opened[block]
    assert head is not None
    return head


# ---------------------------------------------------------------------------------------------------- there and back


@pytest.mark.parametrize("level", range(1, 10))
def test_every_level_opens(level: int, options: Options) -> None:
    options = replace(options, level=level)
    archive = check_roundtrip(PACKED, options)
    assert [block.frame.method for block in blocks_of(archive)] == [Method.OPENED]
    assert len(archive) < 0.9 * len(compress(PACKED, replace(options, opens=False)))


def test_streams_are_counted(options: Options) -> None:
    archive = io.BytesIO()
    summary = codec.compress(io.BytesIO(PACKED + FLUSHED_STREAM), archive, options)
    head = head_of(archive.getvalue())
    assert (summary.opened_streams, summary.corrected_streams) == (head.streams, head.corrected) == (4, 1)
    assert summary.opened_bytes == head.contents_bytes
    assert decompress(archive.getvalue(), options) == PACKED + FLUSHED_STREAM


def test_what_is_told_not_to_open_stays_closed(options: Options) -> None:
    archive = check_roundtrip(PACKED, replace(options, opens=False))
    assert all(block.frame.method is not Method.OPENED for block in blocks_of(archive))


@pytest.mark.parametrize(
    "raw", [words(30_000), NOISE, words(500) + NOISE, b"PK\3\4" * 900, b"x\x9c" * 900, bytes(range(256)) * 40]
)
def test_files_without_streams_are_coded_as_ever(raw: bytes, options: Options) -> None:
    assert compress(raw, options) == compress(raw, replace(options, opens=False))


CASES = {
    "a stream of noise": gzip.compress(NOISE, mtime=0),
    "short streams": b"".join(zlib.compress(words(60, seed)) + b"-" for seed in range(40)),
    "one short stream": words(3000) + zlib.compress(words(300, 4)),
    "stored blocks": zlib.compress(words(6000), 0),
    "a cut gzip": gzip.compress(words(9000), mtime=0)[:1500],
    "members": gzip.compress(words(4000), mtime=0) + gzip.compress(words(2000, 3), 1, mtime=0),
    "nested": gzip.compress(zip_of({"x.docx": zip_of({"word.xml": words(8000)})}), mtime=0),
    "cut zip": PACKED[:-700],
    "damaged zip": PACKED[:900] + b"\xff" + PACKED[901:],
    "flushed": FLUSHED_STREAM,
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("level", [1, 6])
def test_nothing_grows_by_being_opened(name: str, level: int, options: Options) -> None:
    options = replace(options, level=level)
    archive = check_roundtrip(CASES[name], options)
    assert len(archive) <= len(compress(CASES[name], replace(options, opens=False))) + 16


SAMPLED = {
    **CASES,
    "a table": gzip.compress(
        b"".join(struct.pack("<HI", 1000 + k, k % 7 * 65536 + k) for k in range(9000)), 1, mtime=0
    ),
    "stored members": zip_of({str(k): random.Random(k).randbytes(9000) + words(300, k) for k in range(6)}),
}


@pytest.mark.parametrize("name", SAMPLED)
def test_blocks_that_samples_judge_do_not_grow(name: str, options: Options, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "SMALL_BYTES", 0)
    options = replace(options, level=1)
    archive = check_roundtrip(SAMPLED[name], options)
    assert len(archive) <= len(compress(SAMPLED[name], replace(options, opens=False))) + 16


def test_samples_judge_what_is_clear(options: Options, monkeypatch: pytest.MonkeyPatch) -> None:
    judged: list[bool] = []
    judge = planner.is_surely_less
    monkeypatch.setattr(encoding, "SMALL_BYTES", 0)
    monkeypatch.setattr(planner, "is_surely_less", lambda *parts: judged.append(judge(*parts)) or judged[-1])
    lines = b"".join(b"%d lines of a log, the square %d\n" % (k, k * k) for k in range(2000))
    for raw in (gzip.compress(lines, mtime=0), CASES["a stream of noise"]):
        compress(raw, replace(options, level=1))
    assert judged == [True, False]


@pytest.mark.usefixtures("tiny_blocks")
def test_streams_cut_by_blocks_come_back_on_any_threads(options: Options) -> None:
    raw = PACKED[:6000] + zlib.compress(words(700)) + words(400) + CASES["members"]
    one = check_roundtrip(raw, options)
    assert check_roundtrip(raw, replace(options, threads=2)) == one
    assert Method.OPENED in {block.frame.method for block in blocks_of(one)}
    sink = io.BytesIO()
    codec.compress(Drip(raw), sink, options)  # type: ignore[arg-type]
    assert sink.getvalue() == one


@pytest.mark.usefixtures("tiny_blocks")
def test_salvage_recovers_opened_blocks(options: Options) -> None:
    raw = b"".join(zlib.compress(words(2600, seed))[:1000].ljust(1000, b".") for seed in range(4))
    archive = bytearray(compress(raw, options))
    blocks = blocks_of(bytes(archive))
    assert [block.frame.method for block in blocks] == 4 * [Method.OPENED]
    archive[blocks[1].offset + 60] ^= 1
    sink = io.BytesIO()
    recovery.salvage(io.BytesIO(bytes(archive)), sink, options)
    assert sink.getvalue() == raw[:1000] + raw[2000:]


def test_what_repeats_is_taken_out_of_one_lane(options: Options) -> None:
    raw = gzip.compress(words(5000) + bytes(400_000) + words(5000, 2), mtime=0)
    archive = check_roundtrip(raw, replace(options, level=4))
    assert head_of(archive).repeats
    assert blocks_of(archive)[0].frame.lanes == 1


def test_progress_and_evaluation_are_those_of_the_block(options: Options) -> None:
    seen: list[tuple[int, int]] = []
    archive = io.BytesIO()
    codec.compress(io.BytesIO(PACKED), archive, options, lambda *now: seen.append(now))
    assert seen[-1][0] == len(PACKED) and seen == sorted(seen)
    back: list[tuple[int, int]] = []
    codec.decompress(io.BytesIO(archive.getvalue()), io.BytesIO(), options, lambda *now: back.append(now))
    assert back[-1][0] == len(PACKED)
    evaluation = codec.evaluate(io.BytesIO(PACKED), options)
    assert evaluation.archive_bytes == len(archive.getvalue())
    assert abs(evaluation.model_bits / 8 - len(blocks_of(archive.getvalue())[0].payload)) < 40


def test_decoding_calls_no_deflate(options: Options, monkeypatch: pytest.MonkeyPatch) -> None:
    archives = {raw: compress(raw, options) for raw in (PACKED, CASES["nested"], FLUSHED_STREAM)}
    decompress(archives[PACKED], options)

    def refuse(*arguments: object, **keywords: object) -> None:
        raise AssertionError("zlib was called")

    for name in ("compress", "decompress", "compressobj", "decompressobj", "adler32"):
        monkeypatch.setattr(zlib, name, refuse)
    for raw, archive in archives.items():
        assert decompress(archive, options) == raw


# --------------------------------------------------------------------------------------------------------------- bombs


@pytest.mark.parametrize("megabytes", [30, 300])
def test_bombs_come_back_in_short_time(megabytes: int, options: Options) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    raw = b"".join(packer.compress(bytes(1 << 20)) for _ in range(megabytes)) + packer.flush()
    check_roundtrip(raw[:50], replace(options, level=1))
    start = time.monotonic()
    check_roundtrip(raw, replace(options, level=1))
    assert time.monotonic() - start < 120


def test_nested_bombs_come_back(options: Options) -> None:
    inner = zip_of({"0": bytes(20_000_000)})
    middle = zip_of({str(i): inner for i in range(16)})
    check_roundtrip(zip_of({str(i): middle for i in range(16)}), replace(options, level=1))


def test_a_level_opens_only_what_it_may() -> None:
    streams = b"".join(zlib.compress(words(5000, seed) + random.Random(seed).randbytes(500)) for seed in range(8))
    whole = opened.open_block(streams, 1 << 20)
    part = opened.open_block(streams, 36_000)
    assert whole is not None and whole.streams == 8
    assert part is not None and 0 < part.streams < 8 and part.rest_bytes <= 36_000
    assert part.refused > 0
    assert opened.open_block(streams, 100) is None


# -------------------------------------------------------------------------------------------------------------- damage


def test_changed_byte_of_an_opened_block_never_gives_wrong_bytes(options: Options) -> None:
    raw = zip_of({"a": words(900), "b": zlib.compress(words(700, 1))}) + FLUSHED_STREAM[:-9]
    options = replace(options, level=1)
    archive = compress(raw, options)
    assert head_of(archive).corrected > 0
    source = random.Random(0)
    step = 1 if os.environ.get("ARZIP_LONG_TESTS") else 6  # beyond the heads and what describes the streams
    for at in [*range(150), *range(150, len(archive), step)]:
        changed = archive[:at] + bytes([archive[at] ^ 1 << source.randrange(8)]) + archive[at + 1 :]
        sink = io.BytesIO()
        try:
            codec.decompress(io.BytesIO(changed), sink, options)
        except ArzipError:
            assert sink.getvalue() == b""
        else:
            assert sink.getvalue() == raw


def hostile(recipe: bytes, deviations: bytes, contents: bytes, streams: int, corrected: int) -> OpenedBlock:
    return OpenedBlock(recipe + contents, [], deviations, len(recipe), streams, corrected, 1, 0, [], [])


def archive_of(raw: bytes, block: OpenedBlock, options: Options) -> bytes:
    """An archive with a payload that says what `block` says."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opened, "open_block", lambda *arguments: block)
        patch.setattr(planner, "is_surely_less", lambda *arguments: True)
        patch.setattr(encoding, "SMALL_BYTES", 0)
        return compress(raw, options)


@settings(max_examples=60)
@given(st.binary(max_size=60), st.binary(max_size=20), st.binary(max_size=400), st.integers(0, 3), st.integers(0, 3))
def test_random_recipes_are_refused(
    tiny_model: Path, recipe: bytes, deviations: bytes, contents: bytes, streams: int, corrected: int
) -> None:
    options = Options(level=1, model=str(tiny_model), threads=1)
    if corrected == 0 or len(deviations) < corrected:
        corrected, deviations = 0, b""
    if recipe + contents == b"":
        return
    raw = os.urandom(600)
    archive = archive_of(raw, hostile(recipe, deviations, contents, streams, corrected), options)
    if blocks_of(archive)[0].frame.method is Method.OPENED:
        with pytest.raises(DamagedError, match="block 1"):
            decompress(archive, options)


def many(count: int) -> bytes:
    """A recipe's beginning: no skeleton, no plain, so many entries."""
    return b"\0\0" + pack_varint(count)


HOSTILE = {
    "countless entries": many((1 << 28) - 1) + b"\0\0\x7f" * 50,
    "entries that are too many": many(300_000) + b"\0\0\x28" * 20_000,
    "countless chunks": many(2) + 2 * (b"\0\x04\x28\x78\x9c\0\0" + pack_varint(2 << 20) + pack_varint(0)),
    "countless directory entries": many(1) + b"\0\5" + pack_varint((1 << 28) - 1) + b"\0\0",
    "a text of 200 MB": many(1) + b"\0\0" + pack_varint(200_000_000),
    "texts of 300 MB": many(2) + 2 * (b"\0\0" + pack_varint(150_000_000)),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_recipes_end_in_an_error(name: str, options: Options) -> None:
    block = hostile(HOSTILE[name], b"", b"", HOSTILE[name].count(b"\0\0\x28"), 0)
    archive = archive_of(os.urandom(100_000), block, replace(options, level=1))
    start = time.monotonic()
    with pytest.raises(DamagedError):
        decompress(archive, options)
    assert time.monotonic() - start < 60


def test_damaged_opened_blocks_of_random_changes_end_in_an_error_or_come_back() -> None:
    """What a recipe of changed bytes makes of changed contents is refused or has the block's size."""
    source = random.Random(5)
    block = opened.open_block(PACKED + FLUSHED_STREAM, 1 << 20)
    assert block is not None
    head = block.head(True, True, False)
    for _ in range(600):
        joined, deviations = bytearray(block.joined), bytearray(block.deviations)
        for _ in range(source.randrange(1, 4)):
            joined[source.randrange(block.recipe_bytes + 40)] = source.randrange(256)
            deviations[source.randrange(len(deviations))] ^= source.randrange(256)
        with suppress(ValueError):
            made = opened.close_block(head, bytes(deviations), bytes(joined), 9000)
            assert len(made) == 9000


@pytest.mark.parametrize(
    "numbers",
    [
        (0, 5, 1, 0),  # neither network nor memory
        (8 * 5 + 3, 1 << 27, 1, 0),  # too much
        (8 * 5 + 3, (1 << 20) + 256 * 100 - 4, 1, 0),  # too much for the block
        (8 * 5 + 3, 10, 1, 2, 9),  # more corrected than there are
        (8 * 5 + 3, 10, 3, 2, 1),  # deviations of no bytes
        (8 * 5 + 3, 10),
    ],
)
def test_heads_out_of_bounds_are_refused(numbers: tuple[int, ...]) -> None:
    with pytest.raises(ValueError):
        OpenedHead.parse(b"".join(map(pack_varint, numbers)), 100)


@given(st.builds(OpenedHead, st.just(True), st.booleans(), st.booleans(), *4 * [st.integers(0, 1 << 19)], st.just(0)))
def test_heads_come_back(head: OpenedHead) -> None:
    head = replace(head, corrected=min(head.corrected, head.streams), contents_bytes=head.contents_bytes + 1)
    head = replace(head, deviation_bytes=head.corrected)
    assert OpenedHead.parse(head.pack() + b"rest", 1 << 20) == (head, len(head.pack()))
    assert len(head.pack()) <= opened_head.OPENED_MAX_BYTES


def test_bounds_of_opened_blocks() -> None:
    assert max_opened_bytes(1) == (1 << 20) + 256
    assert max_opened_bytes(records.MAX_BLOCK_BYTES) == 1 << 27


# ---------------------------------------------------------------------------------------------------------- the command


@pytest.fixture
def packed_file(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A file in the current folder, and the options that name the model."""
    monkeypatch.chdir(tmp_path)
    Path("packed.bin").write_bytes(PACKED + FLUSHED_STREAM)
    return ["-m", str(tiny_model), "packed.bin"]


def test_list_shows_opened_streams(packed_file: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["-v", *packed_file]) == 0
    assert "opened 4 deflate streams (3 exact, 1 corrected)" in capfd.readouterr().err
    assert cli.main(["list", "-v", "packed.bin.arz"]) == 0
    out = capfd.readouterr().out
    assert "opened" in out.splitlines()[1] and "3 streams exact, 1 corrected" in out.splitlines()[2]


def test_no_open_leaves_streams_closed(packed_file: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["-v", "--no-open", *packed_file]) == 0
    assert "opened" not in capfd.readouterr().err
    closed = os.path.getsize("packed.bin.arz")
    assert cli.main(["eval", "--json", "--no-open", *packed_file]) == 0
    assert f'"archive_bytes": {closed}' in capfd.readouterr().out


def test_levels_budget_grows_with_the_block() -> None:
    level = levels.level(6)
    assert levels.max_opened(0, level) == levels.OPENED_FREE_BYTES
    assert levels.max_opened(1000, level) == levels.OPENED_FREE_BYTES + 1000 * level.opened_ratio
