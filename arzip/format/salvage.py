"""Salvage from a damaged archive: its index, all blocks that are intact, and what of the original is missing. Must not
import code that decodes blocks. Standard library only. See docs/FORMAT.md, 'Container'.
"""

from __future__ import annotations

import io
import re
import zlib
from bisect import bisect_left
from collections.abc import Iterator
from mmap import mmap
from typing import BinaryIO

from arzip.errors import ArzipError
from arzip.format.records import (
    CONTENT_CHECK_BYTES,
    EMPTY_END,
    END_HEAD,
    END_MARK,
    END_TRAILER_BYTES,
    FRAME_MAX_BYTES,
    HEADER_MAX_BYTES,
    MAGIC,
    End,
    Frame,
    Header,
    Method,
)
from arzip.format.stream import Block

# First bytes of a header or a frame: that of the magic, or a head whose low bits are a method.
_STARTS = (byte for byte in range(256) if byte == MAGIC[0] or 1 <= byte & 7 <= max(Method))
_START = re.compile(b"[%s]" % b"".join(b"\\x%02x" % byte for byte in _STARTS))
_MARK = re.compile(re.escape(END_MARK))


def find_end(file: BinaryIO) -> tuple[int, End] | None:
    """(offset, record) of the end record at the end of the seekable `file`; None if there is none.

    Archives of one block or none have no such record. Raises DamagedError if there is one and its check is wrong.
    """
    file_bytes = file.seek(0, io.SEEK_END)
    file.seek(max(file_bytes - END_TRAILER_BYTES, 0))
    trailer = file.read(END_TRAILER_BYTES)
    if len(trailer) < END_TRAILER_BYTES or not trailer.endswith(END_MARK):
        return None
    record_bytes = min(int.from_bytes(trailer[CONTENT_CHECK_BYTES : CONTENT_CHECK_BYTES + 4], "little"), file_bytes)
    file.seek(file_bytes - record_bytes)
    return file_bytes - record_bytes, End.parse(file.read(record_bytes))


def salvage(data: bytes | mmap) -> Iterator[Header | Block | End]:
    """Every header and end record of a damaged archive, and every block whose frame is right, numbered, in order.

    Of a payload that the data end in, there is what is there; else all of it, which may still be damaged: the codec
    decodes and checks it. Where no record follows another, tries each byte, and requires a record after the payload
    too, because 16 bits of check alone would give false positives.
    """
    for _, record in salvage_records(data):
        yield record


def salvage_records(data: bytes | mmap) -> Iterator[tuple[int, Header | Block | End]]:
    """As `salvage`, each record with its offset."""
    ends = _EndRecords(data)
    at, number, in_step = 0, 0, True
    while (start := _next_start(data, at, ends)) is not None:
        if start > at:
            at, in_step = start, False
        if end := ends.at(at):
            yield at, end[0]
            at, in_step = at + end[1], True
            continue
        if header := _try_header(data, at):
            yield at, header[0]
            at, in_step = at + header[1], True
            if data[at : at + len(EMPTY_END)] == EMPTY_END:
                yield at, End((), b"")
                at += len(EMPTY_END)
            continue
        found = _try_frame(data, at)
        if found is None:
            at, in_step = at + 1, False
            continue
        frame, start = found
        behind = start + frame.coded_bytes
        followed = _is_end(data, start, behind, ends) or _is_boundary(data, behind, ends)
        if not in_step and not followed:
            at += 1
            continue
        number += 1
        payload = data[start:behind]
        yield at, Block(number, at, frame, payload)
        # If bytes of a payload are lost, the next frame lies inside it: search there. But not in intact stored
        # bytes: an archive stored in them is not part of this one.
        whole = frame.method is Method.STORED and zlib.crc32(payload) == frame.raw_check
        at, in_step = (behind, True) if followed or whole else (start, False)


class _EndRecords:
    """The end records of some data. Each ends with the first mark behind it, so finding all takes linear time."""

    def __init__(self, data: bytes | mmap) -> None:
        self._data = data
        self._sizes: dict[int, int] = {}
        before = 0
        for mark in _MARK.finditer(data):
            end = mark.end()
            size = int.from_bytes(data[end - 12 : end - 8], "little")
            if END_TRAILER_BYTES < size <= end and end - size >= before and data[end - size] == END_HEAD:
                self._sizes[end - size] = size
            before = end - END_TRAILER_BYTES + 1
        self._starts = list(self._sizes)

    def next_start(self, at: int) -> int | None:
        """Where the next one may begin, from `at` on."""
        number = bisect_left(self._starts, at)
        return self._starts[number] if number < len(self._starts) else None

    def at(self, at: int) -> tuple[End, int] | None:
        """The end record at this offset and its size, if there is a right one."""
        size = self._sizes.get(at)
        if not size:
            return None
        try:
            return End.parse(self._data[at : at + size]), size
        except ArzipError:
            return None


def _next_start(data: bytes | mmap, at: int, ends: _EndRecords) -> int | None:
    """The first offset from `at` on where a record may begin."""
    match, end = _START.search(data, at), ends.next_start(at)
    if match is None or (end is not None and end < match.start()):
        return end
    return match.start()


def _try_header(data: bytes | mmap, at: int) -> tuple[Header, int] | None:
    if data[at] != MAGIC[0]:
        return None
    try:
        return Header.parse(data[at : at + HEADER_MAX_BYTES])
    except ArzipError:
        return None


def _try_frame(data: bytes | mmap, at: int) -> tuple[Frame, int] | None:
    """The frame at `at` and the offset of its payload."""
    try:
        frame, frame_bytes = Frame.parse(data[at : at + FRAME_MAX_BYTES])
    except ArzipError:
        return None
    return frame, at + frame_bytes


def _is_end(data: bytes | mmap, start: int, end: int, ends: _EndRecords) -> bool:
    """Whether a payload from `start` to `end` could be the last thing in the data, or nearly: what is left is too
    short to tell, and no end record stands before `end`.
    """
    if not len(data) - FRAME_MAX_BYTES <= end <= len(data):
        return False
    record = ends.next_start(start)
    return record is None or record >= end or ends.at(record) is None


def _is_boundary(data: bytes | mmap, at: int, ends: _EndRecords) -> bool:
    """Whether a payload could end at `at`: before an end record, a header or a frame."""
    return at < len(data) and bool(ends.at(at) or _try_header(data, at) or _try_frame(data, at))
