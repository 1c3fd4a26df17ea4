"""docs/FORMAT.md, 'Container': members, headers, frames, end records."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .errors import NotAnArchive, Truncated, Unsupported, require
from .parts import Parts, crc16, pack_varint

MAGIC = bytes.fromhex("8f415a0d0a1a")
VERSION = 1
EMPTY_END = bytes.fromhex("08f860")
MARK = bytes.fromhex("5a418f1a")
METHODS = {
    1: "stored",
    2: "network",
    3: "memory",
    4: "network + memory",
    5: "the same, repeats taken out",
    6: "opened",
    7: "memory, repeats taken out",
}
MAX_RAW_BYTES = 1 << 26
MAX_LANES, MAX_WIDE_LANES = 64, 256
CODED_EXCESS = 1024


@dataclass
class Header:
    """What a member needs beside the archive: digests of 4 bytes, or b"" where it names none."""

    model: bytes
    dictionary: bytes


@dataclass
class Frame:
    """What stands before a payload."""

    method: int
    is_single: bool
    lanes: int
    profile: int
    is_wide: bool
    filter: int
    raw_bytes: int
    coded_bytes: int
    raw_check: int


Decode = Callable[[Frame, bytes, Header], bytes]  # frame, payload, header -> raw bytes


def read_header(source: Parts) -> Header:
    start = source.at
    magic = source.data[start : start + 6]
    if magic != MAGIC[: len(magic)] or not magic:
        raise NotAnArchive("wrong magic")
    source.take(6)
    version, flags = source.byte(), source.byte()
    words = flags & 3
    fields = source.take(4 * words)
    checked = source.data[start : source.at]
    require(source.number(2) == crc16(checked), "the header's check is wrong")
    if version != VERSION or flags >> 2 or words > 2:
        raise Unsupported("a version, a feature or a header of other readers")
    return Header(fields[:4], fields[4:])


def read_frame(source: Parts, start: int, head: int) -> Frame:
    """A frame that began at `start`, after its head."""
    method, is_single, lanes = head & 7, bool(head >> 3 & 1), head >> 4
    require(method, "a frame without a method")
    profile_byte = 0 if method == 1 else source.byte()
    raw_bytes = source.varint()
    coded_bytes = raw_bytes if method == 1 else source.varint()
    raw_check = source.number(4)
    checked = source.data[start : source.at]
    require(source.number(2) == crc16(checked), "a frame's check is wrong")
    if method not in METHODS:
        raise Unsupported("a method of other readers")
    is_wide = bool(profile_byte >> 3 & 1)
    most_lanes = MAX_WIDE_LANES if is_wide else MAX_LANES
    require(lanes == 0 if method == 1 else 1 <= lanes <= most_lanes, "lanes")
    require(1 <= raw_bytes <= MAX_RAW_BYTES and coded_bytes <= raw_bytes + CODED_EXCESS, "sizes")
    return Frame(
        method,
        is_single,
        lanes,
        profile_byte & 7,
        is_wide,
        profile_byte >> 4,
        raw_bytes,
        coded_bytes,
        raw_check,
    )


def end_record(index: list[tuple[int, int]], content_check: bytes) -> bytes:
    """Of a member of two or more blocks. index: size of frame and payload, raw size of each."""
    start = b"\0" + pack_varint(len(index))
    start += b"".join(pack_varint(size) + pack_varint(raw) for size, raw in index) + content_check
    start += (len(start) + 12).to_bytes(4, "little")
    return start + zlib.crc32(start).to_bytes(4, "little") + MARK


def read_member(source: Parts, decode: Decode) -> Iterator[bytes]:
    """The raw bytes of a member, block by block."""
    header = read_header(source)
    index: list[tuple[int, int]] = []
    content = hashlib.blake2b(digest_size=8)
    while True:
        start = source.at
        if source.data[start : start + 1] == b"\0":
            require(len(index) >= 2, "an end record after fewer than two blocks")
            check_end(source, end_record(index, content.digest()))
            return
        if not index and source.data[start : start + 1] == EMPTY_END[:1]:
            check_end(source, EMPTY_END)
            return
        frame = read_frame(source, start, source.varint())
        require(not (frame.is_single and index), "a single block after others")
        raw = decode(frame, source.take(frame.coded_bytes), header)
        require(len(raw) == frame.raw_bytes and zlib.crc32(raw) == frame.raw_check, "the raw check is wrong")
        index.append((source.at - start, len(raw)))
        content.update(raw)
        yield raw
        if frame.is_single:
            return


def check_end(source: Parts, record: bytes) -> None:
    """The record that the writer must have written here."""
    there = source.data[source.at : source.at + len(record)]
    if len(there) < len(record) and record.startswith(there):
        raise Truncated("the file ends in an end record")
    require(there == record, "another end record than that of these blocks")
    source.take(len(record))


def read(data: bytes, decode: Decode) -> Iterator[bytes]:
    """What an archive stands for, block by block."""
    source = Parts(data, error=Truncated)
    if not data:
        raise NotAnArchive("an empty file")
    while not source.is_empty():
        yield from read_member(source, decode)
