"""The container keeps its promises: small, bounded, and no damage goes unseen. Needs no model: payloads are made up."""

from __future__ import annotations

import io
import os
import random
import subprocess
import sys
import threading
import tracemalloc
import zlib
from dataclasses import replace
from enum import IntEnum
from hashlib import blake2b
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arzip.errors import ArzipError, DamagedError, NotAnArchiveError, TruncatedError, UnsupportedError
from arzip.format import records, varint
from arzip.format.records import (
    DIGEST_BYTES,
    EMPTY_END,
    MAGIC,
    MAX_BLOCK_BYTES,
    MAX_LANES,
    MAX_WIDE_LANES,
    VERSION,
    End,
    Frame,
    Header,
    Method,
)
from arzip.format.salvage import find_end, salvage
from arzip.format.stream import Block, Member, Readable, Verifier, Writer, list_members, read_events

DIGEST = bytes(range(0xA0, 0xA0 + DIGEST_BYTES))
HELLO, WORLD, ZEROS = b"hello, ", b"world\n", bytes(130)


def fake_encode(raw: bytes) -> bytes:
    """A codec for tests, in which every changed bit of the payload changes a raw one."""
    return bytes(byte ^ 0x5A for byte in raw)


def fake_decode(block: Block) -> bytes:
    return block.payload if block.frame.method is Method.STORED else fake_encode(block.payload)


def archive(*raws: bytes, method: Method = Method.STORED, digest: bytes = b"") -> bytes:
    sink = io.BytesIO()
    writer = Writer(sink, digest)
    for raw in raws:
        if method is Method.STORED:
            writer.write_stored(raw)
        else:
            writer.write_coded(raw, fake_encode(raw), method, 60, 7)
    writer.finish()
    assert writer.bytes_written == len(sink.getvalue())
    return sink.getvalue()


def mixed_archive() -> bytes:
    """Three blocks, stored and coded, with a model digest: every kind of record."""
    sink = io.BytesIO()
    writer = Writer(sink, DIGEST)
    writer.write_stored(HELLO)
    writer.write_coded(ZEROS, fake_encode(ZEROS), Method.MIXED, 16, 0)
    writer.write_stored(WORLD)
    writer.finish()
    return sink.getvalue()


def decode_source(source: Readable) -> bytes:
    verifier, out = Verifier(), b""
    for event in read_events(source):
        raw = fake_decode(event) if isinstance(event, Block) else b""
        verifier.check(event, raw)
        out += raw
    return out


def decode(data: bytes) -> bytes:
    return decode_source(io.BytesIO(data))


def rechecked_header(data: bytes) -> bytes:
    return data + records.crc16(data).to_bytes(2, "little")


SMALL = {
    "empty": archive(),
    "stored": archive(HELLO),
    "coded": archive(ZEROS, method=Method.NETWORK, digest=DIGEST),
    "mixed": mixed_archive(),
    "two members": archive(HELLO) + archive(HELLO, WORLD),
}
small_archives = pytest.mark.parametrize("data", SMALL.values(), ids=SMALL.keys())


# ---------------------------------------------------------------------------------------------------------- records


@given(st.integers(0, (1 << 28) - 1))
def test_varint_roundtrips(value: int) -> None:
    packed = varint.pack_varint(value)
    assert varint.parse_varint(packed, 0) == (value, len(packed))


@pytest.mark.parametrize("data", [b"\x80\x00", b"\xff\x80\x00", b"\x80\x80\x80\x80\x01", b"\xff" * 9])
def test_varint_longer_than_need_be_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        varint.parse_varint(data, 0)


@pytest.mark.parametrize("digests", [(), (DIGEST,), (DIGEST, b"dict")])
def test_header_roundtrips(digests: tuple[bytes, ...]) -> None:
    packed = Header(*digests).pack()
    assert Header.parse(packed + b"more") == (Header(*digests), len(packed))
    assert len(packed) == 10 + 4 * len(digests) <= records.HEADER_MAX_BYTES
    assert records.split_fields(Header(*digests).fields) == (*digests, b"", b"")[:2]


coded_frames = st.builds(
    Frame,
    method=st.sampled_from([Method.NETWORK, Method.MEMORY, Method.MIXED]),
    lanes=st.integers(1, MAX_LANES),
    profile_byte=st.integers(0, 255),
    raw_bytes=st.integers(1, MAX_BLOCK_BYTES),
    coded_bytes=st.integers(0, MAX_BLOCK_BYTES),
    raw_check=st.integers(0, 2**32 - 1),
    single_block=st.booleans(),
).map(lambda frame: replace(frame, coded_bytes=min(frame.coded_bytes, frame.raw_bytes)))
stored_frames = coded_frames.map(
    lambda frame: replace(frame, method=Method.STORED, lanes=0, profile_byte=0, coded_bytes=frame.raw_bytes)
)


@given(coded_frames | stored_frames)
def test_frame_roundtrips(frame: Frame) -> None:
    packed = frame.pack()
    assert Frame.parse(packed + b"payload") == (frame, len(packed))
    assert len(packed) <= records.FRAME_MAX_BYTES


@given(coded_frames | stored_frames, st.integers(0, 17), st.integers(0, 7))
def test_frame_with_a_flipped_bit_is_never_taken_for_right(frame: Frame, at: int, bit: int) -> None:
    packed = bytearray(frame.pack())
    packed[at % len(packed)] ^= 1 << bit
    try:
        parsed, _ = Frame.parse(bytes(packed) + bytes(8))
    except ArzipError:
        return
    # A flip that makes a field longer moves the check: 1 in 65536 of these may pass, and then meets the raw check.
    assert parsed != frame


@given(
    st.lists(st.tuples(st.integers(1, 1 << 27), st.integers(1, MAX_BLOCK_BYTES)), min_size=2),
    st.binary(min_size=8, max_size=8),
)
def test_end_record_roundtrips(sizes: list[tuple[int, int]], whole: bytes) -> None:
    end = End(tuple(sizes), whole)
    assert End.parse(end.pack()) == end


# ---------------------------------------------------------------------------------------------------------- archives


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=5), st.sampled_from(Method))
def test_archive_roundtrips(raws: list[bytes], method: Method) -> None:
    assert decode(archive(*raws, method=method, digest=DIGEST)) == b"".join(raws)


@given(st.lists(st.lists(st.binary(min_size=1, max_size=9), max_size=3), min_size=1, max_size=4))
def test_concatenated_archives_decode_to_the_concatenation(members: list[list[bytes]]) -> None:
    data = b"".join(archive(*raws) for raws in members)
    assert decode(data) == b"".join(b"".join(raws) for raws in members)
    assert len(list(list_members(io.BytesIO(data)))) == len(members)


def test_blocks_are_numbered_through_all_members() -> None:
    events = read_events(io.BytesIO(SMALL["two members"]))
    assert [event.number for event in events if isinstance(event, Block)] == [1, 2, 3]


def test_pipe_with_short_reads_decodes() -> None:
    data = SMALL["two members"] + mixed_archive()

    class Drip:
        """Gives 1 to 3 bytes a read, and can't seek."""

        def __init__(self) -> None:
            self.rest = data

        def read(self, size: int, /) -> bytes:
            piece, self.rest = (
                self.rest[: min(size, 1 + len(self.rest) % 3)],
                self.rest[min(size, 1 + len(self.rest) % 3) :],
            )
            return piece

    assert decode_source(Drip()) == decode(data)


def test_real_pipe_lists() -> None:
    data = archive(os.urandom(200_000), HELLO)
    read_end, write_end = os.pipe()

    def feed() -> None:
        with os.fdopen(write_end, "wb") as sink:
            sink.write(data)

    thread = threading.Thread(target=feed)
    thread.start()
    with os.fdopen(read_end, "rb") as source:
        (member,) = list_members(source)
    thread.join()
    assert (member.raw_bytes, member.archive_bytes) == (200_007, len(data))


def test_listing_agrees_with_reading_and_leaves_payloads_alone() -> None:
    data = bytearray(mixed_archive())
    frames = [event.frame for event in all_events(bytes(data)) if isinstance(event, Block)]
    (member,) = list_members(io.BytesIO(data))
    assert list(member.frames) == frames
    assert (member.header.digest, member.offset, member.archive_bytes) == (DIGEST, 0, len(data))
    assert member.raw_bytes == len(HELLO + ZEROS + WORLD)
    at = data.index(HELLO)
    data[at] ^= 1
    assert list(list_members(io.BytesIO(data))) == [member]


def all_events(data: bytes) -> list[object]:
    return list(read_events(io.BytesIO(data)))


def test_bytes_are_those_of_the_spec() -> None:
    """docs/FORMAT.md, by hand: if this fails, the format has changed, and the version must."""
    plain, with_model = "8f415a0d0a1a 01 00 2478", "8f415a0d0a1a 01 01 a0a1a2a3 aea9"
    assert records.crc16(b"123456789") == 0x29B1
    assert archive() == bytes.fromhex(plain + "08 f860")
    lone = "09 07 99 56 ea 11 c9 05"
    assert archive(HELLO) == bytes.fromhex(plain + lone) + HELLO
    assert archive(ZEROS, method=Method.MIXED, digest=DIGEST).startswith(
        bytes.fromhex(with_model + "cc07 07 8201 8201" + zlib.crc32(ZEROS).to_bytes(4, "little").hex())
    )
    assert archive(b"a", b"b").endswith(
        bytes.fromhex("00 02 0901 0901" + blake2b(b"ab", digest_size=8).hexdigest() + "1a000000")
        + zlib.crc32(archive(b"a", b"b")[-26:-8]).to_bytes(4, "little")
        + bytes.fromhex("5a418f1a")
    )


def test_only_the_standard_library_is_imported() -> None:
    code = "import sys, arzip.format.stream, arzip.format.salvage; "
    code += "sys.exit(bool({'numpy', 'torch', 'numba'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# ---------------------------------------------------------------------------------------------------------- overhead


@pytest.mark.parametrize(("raw_bytes", "bar"), [(1, 30), (127, 30), (50_000, 30), ((1 << 21) - 1, 30), (64 << 20, 32)])
def test_one_coded_block_costs_at_most_32_bytes(raw_bytes: int, bar: int) -> None:
    raw, sink = bytes(raw_bytes), io.BytesIO()
    writer = Writer(sink, DIGEST)
    writer.write_coded(raw, raw, Method.MIXED, MAX_WIDE_LANES, 255)
    writer.finish()
    assert writer.bytes_written - raw_bytes <= bar


@pytest.mark.parametrize(("raw_bytes", "bar"), [(1, 18), (50_000, 20), (64 << 20, 21)])
def test_one_stored_block_costs_at_most_21_bytes(raw_bytes: int, bar: int) -> None:
    assert len(archive(bytes(raw_bytes))) - raw_bytes <= bar
    assert len(archive(bytes(raw_bytes), digest=DIGEST)) - raw_bytes <= bar + DIGEST_BYTES


def test_archive_of_nothing_takes_13_bytes() -> None:
    assert len(archive()) == 13
    assert len(archive(digest=DIGEST)) == 17


def test_overhead_is_what_the_specification_says() -> None:
    sizes = [1, 127, 128, (1 << 14) - 1, 1 << 14, (1 << 21) - 1, 1 << 21, 64 << 20]
    stored = {len(archive(bytes(size))) - size for size in sizes}
    lines = " ".join((Path(__file__).parents[2] / "docs" / "FORMAT.md").read_text("utf-8").split())
    assert f"A stored block: {min(stored)} to {max(stored)} bytes" in lines
    with_digest = f"{min(stored) + DIGEST_BYTES} to {max(stored) + DIGEST_BYTES}"
    assert f"with a model digest, which arzip always writes, {with_digest}." in lines
    assert f"No data: {len(archive())}, with a digest {len(archive(digest=DIGEST))}" in lines
    end = End(((1, 1),) * 2, bytes(8)).pack()
    assert len(end) - 4 - 1 + varint.VARINT_MAX_BYTES == 25 and "at most 14 + 25 for header and end record" in lines
    assert records.FRAME_MAX_BYTES - 1 + 2 * varint.VARINT_MAX_BYTES == 26 and "and 26 a block" in lines


# ------------------------------------------------------------------------------------------------------------ damage


@small_archives
def test_any_changed_byte_is_seen(data: bytes) -> None:
    for at in range(len(data)):
        for flip in range(1, 256):
            damaged = data[:at] + bytes([data[at] ^ flip]) + data[at + 1 :]
            with pytest.raises(ArzipError):
                decode(damaged)


@small_archives
def test_any_truncation_is_seen(data: bytes) -> None:
    boundaries = {member.offset + member.archive_bytes for member in list_members(io.BytesIO(data))}
    with pytest.raises(NotAnArchiveError, match="empty"):
        decode(b"")
    for end in set(range(1, len(data))) - boundaries:
        with pytest.raises(TruncatedError):
            decode(data[:end])
        with pytest.raises(TruncatedError):
            list(list_members(io.BytesIO(data[:end])))


def test_messages_are_one_line_and_name_the_block() -> None:
    data = archive(HELLO, WORLD)
    with pytest.raises(TruncatedError, match=r"ends inside block 2; .*--salvage$") as truncated:
        decode(data[: data.index(WORLD) + 1])
    with pytest.raises(DamagedError, match=r"block 2 is damaged: its bytes .*--salvage$") as damaged:
        decode(data.replace(WORLD, b"World\n"))
    assert (truncated.value.block, damaged.value.block) == (2, 2)


@pytest.mark.parametrize("order", [(1, 0, 2), (0, 2), (0, 1), (0, 1, 1, 2), (2, 1, 0)])
def test_reordered_dropped_or_repeated_blocks_are_seen(order: tuple[int, ...]) -> None:
    data = archive(b"abc", b"def", b"ghi")
    found = find_end(io.BytesIO(data))
    assert found is not None
    end_offset, end = found
    starts = [*end.block_offsets(end_offset), end_offset]
    blocks = [data[starts[i] : starts[i + 1]] for i in range(3)]
    with pytest.raises(DamagedError, match=r"end record|not in order"):
        decode(data[: starts[0]] + b"".join(blocks[i] for i in order) + data[end_offset:])


def test_trailing_garbage_is_refused_after_all_members() -> None:
    events = read_events(io.BytesIO(archive(HELLO) + bytes(512)))
    next(events)
    assert isinstance(next(events), Block)
    assert isinstance(next(events), Member)
    with pytest.raises(DamagedError, match=r"^512 bytes of trailing garbage"):
        next(events)


def test_a_lone_block_after_others_is_refused() -> None:
    frame = Frame(Method.STORED, 0, 0, 7, 7, zlib.crc32(HELLO))
    data = Header().pack() + frame.pack() + HELLO + replace(frame, single_block=True).pack() + HELLO
    with pytest.raises(DamagedError, match="alone"):
        decode(data)
    with pytest.raises(DamagedError):
        decode(Header().pack() + frame.pack() + HELLO + EMPTY_END)


@pytest.mark.parametrize("raws", [[], [HELLO]])
def test_an_end_record_of_fewer_than_two_blocks_is_refused(raws: list[bytes]) -> None:
    """What the format forbids: an empty member has a record of its own, a single block says that it is one."""
    frames = [Frame(Method.STORED, 0, 0, len(raw), len(raw), zlib.crc32(raw)) for raw in raws]
    end = End(tuple((len(frame.pack()) + frame.raw_bytes, frame.raw_bytes) for frame in frames), blake2b_of(raws))
    data = Header().pack() + b"".join(f.pack() + raw for f, raw in zip(frames, raws, strict=True)) + end.pack()
    for read in (decode, lambda data: list(list_members(io.BytesIO(data))), lambda data: find_end(io.BytesIO(data))):
        with pytest.raises(DamagedError, match="end record"):
            read(data)


def blake2b_of(raws: list[bytes]) -> bytes:
    return blake2b(b"".join(raws), digest_size=8).digest()


# ----------------------------------------------------------------------------------------- strangers and newer archives


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"\x1f\x8b\x08\x00", "1f 8b: gzip"),
        (b"\xfd7zXZ\x00\x00", "xz"),
        (b"\x28\xb5\x2f\xfd$", "zstd"),
        (b"hello", "68 65"),
    ],
)
def test_strangers_are_named(data: bytes, name: str) -> None:
    with pytest.raises(NotAnArchiveError, match=f"it begins with .*{name}"):
        decode(data)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data.replace(b"\r\n", b"\n"),
        lambda data: data.replace(b"\n", b"\r\n"),
        lambda data: b"\x0f" + data[1:],
    ],
)
def test_transfer_as_text_is_named(spoil: object) -> None:
    assert callable(spoil)
    with pytest.raises(DamagedError, match="transfer it again, as binary"):
        decode(spoil(archive(HELLO)))


def test_version_0_is_refused_with_what_to_do() -> None:
    with pytest.raises(UnsupportedError, match="decompress it with the arzip that made it"):
        Header.parse(rechecked_header(MAGIC + bytes([0, 0])))


@pytest.mark.parametrize("words", range(4))
def test_newer_version_is_unsupported_and_a_damaged_one_is_damaged(words: int) -> None:
    header = rechecked_header(MAGIC + bytes([9, words]) + bytes(4 * words))
    with pytest.raises(UnsupportedError, match="newer arzip: format version 9"):
        Header.parse(header + b"whatever comes next in version 9")
    with pytest.raises(DamagedError):
        Header.parse(header[:-1] + bytes([header[-1] ^ 1]))


@pytest.mark.parametrize("bit", range(2, 8))
def test_unknown_feature_is_named(bit: int) -> None:
    with pytest.raises(UnsupportedError, match=f"feature bit {bit}"):
        Header.parse(rechecked_header(MAGIC + bytes([VERSION, 1 << bit])))


@pytest.mark.parametrize("method", [7])
def test_unknown_method_is_unsupported_only_with_a_right_check(method: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As an arzip says that knows one method less; there is none left that this one doesn't know."""
    fewer = IntEnum("Method", {known.name: known.value for known in Method if known != method})  # type: ignore[misc]
    monkeypatch.setattr("arzip.format.records.Method", fewer)
    fields = bytes([1 << 4 | method, 0, 100, 50, 1, 2, 3, 4])
    with pytest.raises(UnsupportedError, match=f"block 3 needs method {method}"):
        Frame.parse(rechecked_header(fields), block=3)
    with pytest.raises(DamagedError):
        Frame.parse(fields + b"no")


# ------------------------------------------------------------------------------------------------------------- bounds


@pytest.mark.parametrize(
    "fields",
    [
        b"\x01" + varint.pack_varint(MAX_BLOCK_BYTES + 1),
        b"\x01\x00",
        b"\x11\x05",
        bytes([1 << 4 | 2, 0]) + b"\x05" + varint.pack_varint(5 + records.MAX_CODED_EXCESS_BYTES + 1),
        b"\x02\x00\x05\x05",
        varint.pack_varint(MAX_LANES + 1 << 4 | 2) + b"\x00\x05\x05",
        varint.pack_varint(65535 << 4 | 2) + b"\x00\x05\x05",
        varint.pack_varint(MAX_WIDE_LANES + 1 << 4 | 3) + b"\x0b\x05\x05",
    ],
    ids=[
        "raw too long",
        "raw empty",
        "stored with lanes",
        "coded too long",
        "no lanes",
        "lanes",
        "65535",
        "wide lanes",
    ],
)
def test_frame_out_of_bounds_is_refused_even_with_a_right_check(fields: bytes) -> None:
    with pytest.raises(DamagedError, match="out of bounds"):
        Frame.parse(rechecked_header(fields + bytes(4)))


def test_lying_lengths_allocate_nothing() -> None:
    frame = Frame(Method.MIXED, 1, 0, MAX_BLOCK_BYTES, MAX_BLOCK_BYTES, 0)
    liar = Header(DIGEST).pack() + frame.pack() + b"only this"
    end = End(((1, 1),) * 3, bytes(8)).pack()
    long_index = Header().pack() + b"\x00" + varint.pack_varint((1 << 28) - 1) + end[2:]
    tracemalloc.start()
    for data in (liar, long_index):
        for read in (decode, lambda data: list(list_members(io.BytesIO(data))), lambda data: list(salvage(data))):
            try:
                read(data)
            except DamagedError:
                continue
    with pytest.raises(DamagedError):
        find_end(io.BytesIO(end[:-12] + b"\xff\xff\xff\xff" + end[-8:]))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3 << 20


# ----------------------------------------------------------------------------------------------------- index, salvage


@given(st.lists(st.binary(min_size=1, max_size=300), min_size=2, max_size=6))
def test_index_from_the_end_agrees_with_the_frames(raws: list[bytes]) -> None:
    data = archive(b"another member") + archive(*raws, method=Method.MEMORY)
    found = find_end(io.BytesIO(data))
    assert found is not None
    end_offset, end = found
    blocks = [event for event in all_events(data) if isinstance(event, Block)][1:]
    assert end.block_offsets(end_offset) == [block.offset for block in blocks]
    assert [raw for _, raw in end.sizes] == [block.frame.raw_bytes for block in blocks]


def test_archives_without_an_index_say_so() -> None:
    assert find_end(io.BytesIO(archive(HELLO))) is None
    assert find_end(io.BytesIO(archive())) is None


def random_raws(seed: int) -> list[bytes]:
    source = random.Random(seed)
    return [source.randbytes(source.randrange(50, 400)) for _ in range(6)]


def salvaged(data: bytes) -> list[bytes]:
    """The raw bytes of the salvaged blocks that are whole."""
    blocks = [(block.frame, fake_decode(block)) for block in salvage(data) if isinstance(block, Block)]
    return [raw for frame, raw in blocks if len(raw) == frame.raw_bytes and zlib.crc32(raw) == frame.raw_check]


@pytest.mark.parametrize("method", [Method.STORED, Method.MEMORY])
@pytest.mark.parametrize("seed", range(20))
def test_salvage_finds_all_blocks_but_the_damaged(seed: int, method: Method) -> None:
    raws = random_raws(seed)
    data = archive(*raws, method=method) + archive(HELLO)
    assert salvaged(data) == [*raws, HELLO]
    source = random.Random(seed)
    offsets = [block.offset for block in salvage(data) if isinstance(block, Block)]
    lost = source.randrange(6)
    at = source.randrange(offsets[lost], offsets[lost + 1] if lost < 5 else offsets[lost] + 50)
    kept = [raw for i, raw in enumerate(raws) if i != lost] + [HELLO]
    assert salvaged(data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :]) == kept  # changed
    assert salvaged(data[:at] + data[at + 1 :]) == kept  # dropped
    assert salvaged(data[:at] + b"\r" + data[at:])[-len(kept) :] == kept  # put in
    assert salvaged(data[: offsets[4] + 40]) == raws[:4]  # cut off
    assert salvaged(b"\x00" * 20 + data[20:])[-6:] == [*raws[1:], HELLO]  # no header


def test_salvage_takes_nothing_out_of_a_stored_archive_that_is_whole() -> None:
    inner = archive(*random_raws(1))
    data = bytearray(archive(inner, HELLO, WORLD))
    data[data.index(HELLO) - 1] ^= 1
    assert salvaged(bytes(data)) == [inner, WORLD]


@given(st.binary(max_size=400))
def test_any_bytes_give_a_typed_error_or_nothing(junk: bytes) -> None:
    for data in (junk, MAGIC + junk, Header().pack() + junk):
        for read in (decode, lambda data: list(list_members(io.BytesIO(data))), lambda data: list(salvage(data))):
            try:
                read(data)
            except ArzipError:
                continue
