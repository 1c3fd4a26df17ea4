"""Salvage finds every whole block, and says where in the original it stands. Payloads are made up."""

from __future__ import annotations

import io
import random
import time
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arzip.format.parts import Part, find_parts, payload_of
from arzip.format.records import END_MARK, End, Frame, Header, Method
from arzip.format.salvage import salvage
from arzip.format.stream import Block, Writer, read_events

DIGEST = b"\xa1\xa2\xa3\xa4"
Found = tuple[bytes | None, int | None]


def archive(*raws: bytes, digest: bytes = DIGEST, method: Method = Method.MEMORY) -> bytes:
    """An archive with frames as of level 1, whose profile byte is 0; what is coded is the bytes themselves."""
    sink = io.BytesIO()
    writer = Writer(sink, digest)
    for raw in raws:
        if method is Method.STORED:
            writer.write_stored(raw)
        else:
            writer.write_coded(raw, raw, method, 1, 0)
    writer.finish()
    return sink.getvalue()


def offsets(data: bytes) -> list[int]:
    return [event.offset for event in read_events(io.BytesIO(data)) if isinstance(event, Block)]


def payload_of_block(data: bytes, number: int) -> tuple[int, int]:
    """Where the payload of a block begins and ends, in a whole archive."""
    block = [event for event in read_events(io.BytesIO(data)) if isinstance(event, Block)][number]
    start = block.offset + len(block.frame.pack())
    return start, start + len(block.payload)


def decoded(data: bytes, part: Part) -> bytes | None:
    if part.block is None:
        return None
    raw = payload_of(data, part.block)
    sound = len(raw) == part.block.frame.raw_bytes and zlib.crc32(raw) == part.block.frame.raw_check
    return raw if sound else None


def parts(data: bytes) -> list[Found]:
    """Of each part its bytes, if they are whole, and its size; what is neither whole nor in the index is left out."""
    found = [(decoded(data, part), part.raw_bytes, part.is_stray) for part in find_parts(data)]
    return [(raw, size) for raw, size, is_stray in found if raw is not None or not is_stray]


def blocks(seed: int, sizes: tuple[int, int] = (50, 400), count: int = 6) -> list[bytes]:
    source = random.Random(seed)
    return [source.randbytes(source.randint(*sizes)) for _ in range(count)]


def expected(raws: list[bytes], lost: set[int]) -> list[Found]:
    return [(None if i in lost else raw, len(raw)) for i, raw in enumerate(raws)]


# ----------------------------------------------------------------------------------------------------- what is found


@pytest.mark.parametrize("seed", range(100))
def test_a_lost_byte_costs_one_block_also_where_frames_begin_with_a_profile_byte_of_0(seed: int) -> None:
    raws = blocks(seed)
    data = archive(*raws)
    source = random.Random(seed)
    lost = source.randrange(6)
    at = source.randrange(*payload_of_block(data, lost))
    assert parts(data[:at] + data[at + 1 :]) == expected(raws, {lost})


def test_an_end_record_is_one_only_if_all_of_it_is_right() -> None:
    raws = blocks(1)
    data = archive(*raws)
    [end] = [record for record in salvage(data) if isinstance(record, End)]
    assert [raw for _, raw in end.sizes] == [len(raw) for raw in raws]
    for at in range(payload_of_block(data, -1)[1], len(data)):
        damaged = data[:at] + bytes([data[at] ^ 16]) + data[at + 1 :]
        assert not any(isinstance(record, End) for record in salvage(damaged))


def test_many_marks_and_zeros_take_linear_time() -> None:
    record = End(((9, 1),) * 2, bytes(8)).pack()
    hostile = bytes(25_000) + (b"\0" + END_MARK) * 5_000 + (record[:-12] + b"\xff\xff\0\0" + record[-8:]) * 1_250
    start = time.process_time()
    assert list(salvage(hostile)) == [] == find_parts(hostile)
    assert time.process_time() - start < 3


# ---------------------------------------------------------------------------------------------- where it belongs


@pytest.mark.parametrize("size", [None, 100])  # blocks of any size, and all of one
@pytest.mark.parametrize("seed", range(30))
def test_an_index_tells_the_place_of_each_block(seed: int, size: int | None) -> None:
    source = random.Random(seed)
    raws = blocks(seed, (size, size) if size else (50, 400))
    data = archive(*raws)
    starts = [*offsets(data), payload_of_block(data, -1)[1]]
    first, last = sorted(source.sample(range(6), 2))
    flipped = bytearray(data)
    for lost in (first, last):
        flipped[source.randrange(starts[lost], starts[lost + 1])] ^= 0x10
    assert parts(bytes(flipped)) == expected(raws, {first, last})
    begin = source.randrange(starts[first], starts[first + 1])
    end = source.randrange(starts[last] + 1, starts[last + 1])
    assert parts(data[:begin] + data[end:]) == expected(raws, set(range(first, last + 1)))
    assert parts(data[:begin] + source.randbytes(40) + data[begin:]) == expected(raws, {first})


def test_without_a_header_the_index_still_tells_all() -> None:
    raws = blocks(7)
    data = archive(*raws)
    for damaged in (bytes(5) + data[5:], data[14:], data[20:]):
        found = find_parts(damaged)
        assert parts(damaged) == expected(raws, {0} if damaged == data[20:] else set())
        assert all(part.header is None for part in found)


def test_a_frame_tells_the_size_of_a_block_that_is_cut_off() -> None:
    raws = blocks(3)
    data = archive(*raws)
    assert parts(data[: offsets(data)[2] + 30]) == [*expected(raws[:3], {2}), (None, None)]
    assert parts(data[: offsets(data)[2] + 3]) == [*expected(raws[:2], set()), (None, None)]
    assert parts(data[: offsets(data)[2]]) == [*expected(raws[:2], set()), (None, None)]


def test_without_an_index_a_gap_is_of_unknown_size() -> None:
    raws = blocks(4)
    data = archive(*raws)[:-3]
    starts = offsets(archive(*raws))
    damaged = data[: starts[2] + 2] + data[starts[2] + 3 :]  # a byte of a frame is lost
    unknown = (None, None)
    assert parts(damaged) == [*expected(raws[:2], set()), unknown, *expected(raws[3:], set()), unknown]


def test_members_are_told_apart() -> None:
    raws, one, others = blocks(5), b"lone" * 20, blocks(6)
    whole = archive(*raws) + archive(one, digest=b"abcd") + archive() + archive(*others, digest=b"efgh")
    found = find_parts(whole)
    assert [raw for raw, _ in parts(whole)] == [*raws, one, *others]
    assert [part.header for part in found] == [Header(DIGEST)] * 6 + [Header(b"abcd")] + [Header(b"efgh")] * 6
    assert len({part.member for part in found}) == 3
    second = whole.index(b"abcd")
    damaged = whole[:second] + b"x" + whole[second + 1 :]
    headers = [part.header for part in find_parts(damaged)]
    assert headers == [Header(DIGEST)] * 6 + [None] + [Header(b"efgh")] * 6
    assert parts(damaged) == parts(whole)


def test_blocks_that_the_index_does_not_have_are_strays() -> None:
    mine, foreign = blocks(8), b"of another archive" * 10
    data = archive(*mine)
    frame = Frame(Method.STORED, 0, 0, len(foreign), len(foreign), zlib.crc32(foreign))
    at = offsets(data)[3]
    joined = data[:at] + frame.pack() + foreign + data[at:]
    assert [(part.raw_bytes, part.is_stray) for part in find_parts(joined)] == [
        *((len(raw), False) for raw in mine[:3]),
        (len(foreign), True),
        *((len(raw), False) for raw in mine[3:]),
    ]


@given(st.lists(st.binary(min_size=1, max_size=60), max_size=5), st.randoms(use_true_random=False), st.integers(0, 6))
def test_of_any_damage_true_blocks_come_in_order(raws: list[bytes], source: random.Random, cuts: int) -> None:
    data = archive(*raws) + archive(*raws, method=Method.STORED)
    for _ in range(cuts):
        at = source.randrange(len(data) + 1)
        data = data[:at] + source.randbytes(source.randrange(3)) + data[at + source.randrange(3) :]
    whole = iter([*raws, *raws])
    assert all(raw in whole for raw, _ in parts(data) if raw is not None)
