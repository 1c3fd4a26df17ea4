"""Wide blocks: a stream a lane, as docs/FORMAT.md says, at every profile; damage never passes for data."""

from __future__ import annotations

import io
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny_network
from helpers import check_roundtrip, compress, count_blocks, decompress, harmless_changes, words
from reference.decoder.blocks import MEMORY, NETWORK, REPEATS, Coding, decode_text
from reference.decoder.parts import Parts
from reference.decoder.weights import Model
from spmd.cases import pretrained_tensors, text_of

from arzip import codec, levels
from arzip.api import recovery
from arzip.codec import Options
from arzip.coding import range_coder
from arzip.coding.lane_state import finish_streams, max_stream_bytes, new_wide_state
from arzip.context_mixing import pretrained
from arzip.context_mixing.profile import PROFILES
from arzip.engine.cpu_backend import CpuBackend
from arzip.engine.engine import Engine
from arzip.engine.plan import Plan
from arzip.errors import ArzipError, DamagedError, UnsupportedError
from arzip.format import lane_streams
from arzip.format.records import Header, Method
from arzip.format.stream import Block, list_members, read_events
from arzip.jit.atomics import CAN_YIELD
from arzip.network.config import Weights
from arzip.weights.file import dump_weights

LANES = 5
THREADS = [False, pytest.param(True, marks=pytest.mark.skipif(not CAN_YIELD, reason="no sched_yield here"))]


@pytest.fixture(scope="module")
def weights() -> Weights:
    """A tiny network, and initial states of random values for every profile."""
    tensors = tiny_network.lively()
    for profile in range(len(PROFILES)):
        for network in (False, True):
            tensors |= pretrained.name_tensors(profile, network, pretrained_tensors(profile, 6))
    return tiny_network.weights(tensors)


def quiet(_: int) -> None:
    """Takes the engine's progress."""


def blocks_of(archive: bytes) -> list[Block]:
    return [event for event in read_events(io.BytesIO(archive)) if isinstance(event, Block)]


# ------------------------------------------------------------------------------------------------------------ the spec


def decode_by_the_specification(weights: Weights, streams: list[bytes], raw_bytes: int, plan: Plan) -> bytes:
    """docs/FORMAT.md, 'Wide blocks', by the second decoder."""
    model = Model(dump_weights(weights.config, weights.tensors, weights.metadata))
    parts = NETWORK * plan.use_network | MEMORY * (plan.cm_profile is not None) | REPEATS
    payload = Parts(b"\0" + lane_streams.pack(streams))
    return decode_text(payload, raw_bytes, Coding(plan.lanes, plan.cm_profile or 0, 0, True, parts), model)


@pytest.mark.parametrize("plan", [Plan(LANES, True, None, True), *(Plan(LANES, True, k, True) for k in range(4))])
def test_a_decoder_written_from_the_specification_reads_wide_blocks(weights: Weights, plan: Plan) -> None:
    raw = text_of(123, 1)
    streams = Engine(weights, CpuBackend(weights, False)).encode_wide(raw, plan, quiet)
    assert streams
    assert decode_by_the_specification(weights, streams, len(raw), plan) == raw


@pytest.mark.parametrize("profile", range(4))
def test_a_decoder_written_from_the_specification_reads_wide_blocks_without_a_network(
    weights: Weights, profile: int
) -> None:
    raw, plan = text_of(333, 2), Plan(LANES, False, profile, True)
    streams = Engine(weights, CpuBackend(weights, False)).encode_wide(raw, plan, quiet)
    assert streams
    assert decode_by_the_specification(weights, streams, len(raw), plan) == raw


# ---------------------------------------------------------------------------------------------------- there and back


@pytest.mark.parametrize("two_threads", THREADS)
@pytest.mark.parametrize("profile", [None, 0, 1, 2, 3])
@pytest.mark.parametrize("network", [False, True])
def test_every_profile_comes_back_and_threads_change_nothing(
    weights: Weights, profile: int | None, network: bool, two_threads: bool
) -> None:
    if profile is None and not network:
        return
    plain, engine = (Engine(weights, CpuBackend(weights, two)) for two in (False, two_threads))
    for lanes, size in ((1, 1), (3, 3), (50, 3001), (100, 1999)):
        raw, plan = text_of(size, lanes), Plan(lanes, network, profile, True)
        streams = engine.encode_wide(raw, plan, quiet)
        assert streams == plain.encode_wide(raw, plan, quiet)
        assert streams is not None and len(streams) == lanes
        assert engine.decode_wide(streams, size, plan, quiet) == raw


def test_probabilities_of_one_lane_are_those_of_an_ordinary_block(weights: Weights) -> None:
    raw, engine = text_of(2000, 1), Engine(weights, CpuBackend(weights, False))
    for network, profile in ((True, None), (True, 0), (False, 2)):
        wide = engine.encode_wide(raw, Plan(1, network, profile, True), quiet)
        assert wide == [engine.encode(raw, Plan(1, network, profile), quiet)]


def test_costs_are_those_of_the_streams(weights: Weights) -> None:
    raw, plan, costs = text_of(20_000, 3), Plan(40, True, 0, True), []
    streams = Engine(weights, CpuBackend(weights, True)).encode_wide(raw, plan, quiet, costs.append)
    assert streams
    spent, bits = 8 * sum(map(len, streams)), float(sum(part.sum() for part in costs))
    assert bits <= spent <= bits + 16 * len(streams)


def test_lane_that_costs_too_much_is_given_up(weights: Weights) -> None:
    """A stream that fills its room ends there, one that is just too long is seen when it is whole."""
    for bits, given_up in ((8, False), (3000, True), (8 * 200, True)):
        block = new_wide_state(np.zeros(200, np.uint8), 2, (True, True), None)
        room = block.stream.shape[1]
        for _ in range(bits):
            if block.registers[1, range_coder.NEXT] < room:
                range_coder.encode_bit(block.registers[1], block.stream[1], 1, 1)
        assert (finish_streams(block) is None) == given_up


def test_stream_that_is_too_long_is_refused() -> None:
    streams = [bytes(max_stream_bytes(4)), b""]
    new_wide_state(np.zeros(7, np.uint8), 2, (True, True), streams)
    with pytest.raises(ValueError, match="too long"):
        new_wide_state(np.zeros(7, np.uint8), 2, (True, True), streams[::-1])


# ------------------------------------------------------------------------------------------------------------- payloads


@pytest.mark.parametrize("streams", [[b""], [b"", b""], [b"abc"], [b"a", b"", bytes(300)], [bytes(20_000), b"z"]])
def test_streams_come_back_from_their_payload(streams: list[bytes]) -> None:
    assert lane_streams.parse(lane_streams.pack(streams), len(streams)) == streams


@pytest.mark.parametrize("data", [b"", b"\x05ab", b"\x80\x00ab", b"\xff\xff\xff\xff\x01", b"\x80"])
def test_sizes_that_do_not_fit_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        lane_streams.parse(data, 2)


# ------------------------------------------------------------------------------------------------------------- archives


@pytest.fixture
def tiny_wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wide blocks of 1000 bytes in up to 20 lanes of at least 16 bytes, at every level."""
    wide = levels.Level(1000, levels.ALWAYS, 20, levels.FAST, levels.FAST, wide=True)
    monkeypatch.setattr(levels, "WIDE_LEVELS", (wide,) * 9)
    monkeypatch.setattr(levels, "WIDE_LANE_BYTES", 16)


@pytest.mark.usefixtures("tiny_wide")
@pytest.mark.parametrize("size", [0, 1, 15, 31, 32, 33, 999, 1000, 1001, 1031, 2032, 5003])
def test_block_and_lane_edges_come_back(size: int, options: Options) -> None:
    archive = check_roundtrip(words(size), replace(options, wide=True))
    for block in blocks_of(archive):
        lanes = max(1, min(20, block.frame.raw_bytes // 16))
        if block.frame.method is not Method.STORED:
            assert (block.frame.method, block.frame.lanes) == (Method.MIXED, lanes)
            assert block.frame.wide == (lanes > 1)


@pytest.mark.usefixtures("tiny_wide")
def test_threads_make_the_same_wide_archive(options: Options) -> None:
    raw, options = words(4000) + os.urandom(1500) + words(4321), replace(options, wide=True)
    one = check_roundtrip(raw, options)
    assert check_roundtrip(raw, replace(options, threads=3)) == one
    assert count_blocks(one, options) == 10


@pytest.mark.parametrize("level", range(1, 10))
def test_every_level_makes_wide_blocks_that_decode_without_options(
    level: int, options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(levels, "WIDE_ALONE_LANE_BYTES", levels.WIDE_LANE_BYTES)  # whatever the probe says
    raw = words(40_000)
    archive = compress(raw, replace(options, level=level, wide=True))
    assert [block.frame.wide for block in blocks_of(archive)] == [True]
    assert decompress(archive, options) == raw


def test_lanes_without_the_network_are_longer_where_the_network_was_refused() -> None:
    size = 1 << 20
    assert levels.lanes_alone(size, levels.level(1, True)) == size // levels.WIDE_LANE_BYTES
    for number in range(5, 10):
        level = levels.level(number, True)
        assert levels.lanes_alone(size, level) == size // levels.WIDE_ALONE_LANE_BYTES
        assert levels.lanes_alone(1 << 30, level) == levels.WIDE_LANES
        assert levels.lanes_alone(1000, level) == levels.lanes_alone(size, levels.level(number)) == 1


def test_short_input_is_no_wide_block(options: Options) -> None:
    archive = compress(words(500), options)
    assert compress(words(500), replace(options, wide=True)) == archive


def test_repeats_between_lanes_are_taken_out(options: Options, monkeypatch: pytest.MonkeyPatch) -> None:
    wide = levels.Level(1 << 20, levels.ALWAYS, 7, levels.FAST, levels.FAST, wide=True)
    for gain, method in ((levels.ALWAYS, Method.REPEATS), (levels.NEVER, Method.MEMORY)):
        monkeypatch.setattr(levels, "WIDE_LEVELS", (replace(wide, min_gain=gain),) * 9)
        once = compress(words(60_000), replace(options, wide=True))
        twice = check_roundtrip(2 * words(60_000), replace(options, wide=True))
        assert len(twice) < len(once) + 50
        [block] = blocks_of(twice)
        assert (block.frame.method, block.frame.wide) == (method, True)


def test_evaluation_of_wide_blocks_is_that_of_the_archive(options: Options, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(levels, "WIDE_ALONE_LANE_BYTES", 1 << 17)
    raw, options = words(300_000), replace(options, wide=True)
    evaluation = codec.evaluate(io.BytesIO(raw), options)
    [block] = blocks_of(compress(raw, options))
    assert block.frame.wide
    more_bits = 8 * len(block.payload) - evaluation.model_bits
    assert 0 <= more_bits <= 32 * block.frame.lanes + 0.001 * evaluation.model_bits


def test_block_with_a_costly_lane_is_coded_in_another_way(options: Options, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("arzip.coding.lane_state.max_stream_bytes", lambda lane_bytes: lane_bytes // 16)
    [block] = blocks_of(check_roundtrip(words(40_000), replace(options, wide=True)))
    assert block.frame.method is Method.MEMORY and not block.frame.wide


# --------------------------------------------------------------------------------------------------------------- damage


@pytest.fixture(scope="module")
def small(tiny_model: Path) -> tuple[bytes, bytes, Options]:
    """Raw bytes, their archive of one wide block in 7 lanes, and options that decode it."""
    options = Options(level=9, model=str(tiny_model), threads=1, wide=True)
    wide = levels.Level(1000, levels.ALWAYS, 7, levels.FAST, levels.FAST, wide=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(levels, "WIDE_LEVELS", (wide,) * 9)
        patch.setattr(levels, "WIDE_LANE_BYTES", 16)
        raw = words(120)
        archive = compress(raw, options)
    [block] = blocks_of(archive)
    assert block.frame.wide and block.frame.lanes == 7
    return raw, archive, options


def test_changed_byte_never_gives_wrong_bytes(small: tuple[bytes, bytes, Options]) -> None:
    raw, archive, options = small
    harmless = harmless_changes(raw, archive, options)
    [block] = blocks_of(archive)
    assert block.payload[0] == 0  # no repeats
    at, ends = len(archive) - len(block.payload) + block.frame.lanes, set()
    for stream in lane_streams.parse(block.payload[1:], block.frame.lanes):
        at += len(stream)
        ends.add(at - 1)
    assert harmless <= ends  # only the last bits of a stream may be changed without harm


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"lanes": 200}, DamagedError, "doesn't fit"),
        ({"lanes": 8}, DamagedError, "block 1 is damaged"),
        ({"lanes": 100}, DamagedError, "block 1 is damaged"),
        ({"profile_byte": 0}, DamagedError, "don't match"),  # not wide
        ({"profile_byte": 8 + 7}, UnsupportedError, "profile 7"),
        ({"profile_byte": 8 + 9 * 16}, UnsupportedError, "filter 9"),
        ({"method": Method.NETWORK, "profile_byte": 8 + 1}, UnsupportedError, "profile 1"),
    ],
)
def test_frame_that_does_not_fit_its_payload_is_refused(
    small: tuple[bytes, bytes, Options], change: dict[str, int], error: type[ArzipError], message: str
) -> None:
    _, archive, options = small
    [block] = blocks_of(archive)
    frame = replace(block.frame, **change)  # type: ignore[arg-type]
    size = Header.parse(archive)[1]
    with pytest.raises(error, match=message):
        decompress(archive[:size] + frame.pack() + block.payload, options)


@pytest.mark.usefixtures("tiny_wide")
@pytest.mark.parametrize("lost", range(3))
def test_salvage_recovers_all_other_wide_blocks(lost: int, options: Options) -> None:
    raw, options = words(2900), replace(options, wide=True)
    archive = bytearray(compress(raw, options))
    archive[blocks_of(bytes(archive))[lost].offset + 60] ^= 1
    sink = io.BytesIO()
    recovery.salvage(io.BytesIO(bytes(archive)), sink, options)
    assert sink.getvalue() == raw[: 1000 * lost] + raw[1000 * (lost + 1) :]


def test_list_says_what_is_wide(small: tuple[bytes, bytes, Options], tmp_path: Path, capsys) -> None:
    from arzip.cli import args, tables

    path = tmp_path / "a.arz"
    path.write_bytes(small[1])
    rows = tables.archive_rows(str(path))
    assert [block["wide"] for block in rows[0]["blocks"]] == [True]
    tables.print_archives(rows, args.Settings(verbose=1))
    assert "wide mixed" in capsys.readouterr().out
    [member] = list_members(io.BytesIO(small[1]))
    assert member.frames[0].wide
