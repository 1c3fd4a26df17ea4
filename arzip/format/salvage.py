"""Salvage from a damaged archive: its index, and all blocks that are intact. Must not import code that decodes
blocks. Standard library only. See docs/FORMAT.md, 'Container'.
"""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Iterator
from mmap import mmap
from typing import BinaryIO

from arzip.errors import ArzipError
from arzip.format.records import (
    CONTENT_CHECK_BYTES,
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


def salvage(data: bytes | mmap) -> Iterator[Header | Block]:
    """Every header of a damaged archive, and every block whose frame is right and whose payload is there, numbered.

    The payload may still be damaged: the codec decodes and checks it. Where no frame follows, tries each byte, and
    requires a record after the payload too, because 16 bits of check alone would give false positives.
    """
    at, number, in_step = 0, 0, True
    while start_like := _START.search(data, at):
        if start_like.start() > at:
            at, in_step = start_like.start(), False
        header = _try_header(data, at)
        if header:
            yield header[0]
            at, in_step = at + header[1], True
            continue
        found = _try_frame(data, at)
        if found is None:
            at, in_step = at + 1, False
            continue
        frame, start = found
        end = start + frame.coded_bytes
        followed = _is_boundary(data, end)
        if not in_step and not followed:
            at += 1
            continue
        number += 1
        payload = data[start:end]
        yield Block(number, at, frame, payload)
        # If bytes of a payload are lost, the next frame lies inside it: search there. But not in intact stored
        # bytes: an archive stored in them is not part of this one.
        whole = frame.method is Method.STORED and zlib.crc32(payload) == frame.raw_check
        at, in_step = (end, True) if followed or whole else (start, False)


def _try_header(data: bytes | mmap, at: int) -> tuple[Header, int] | None:
    try:
        return Header.parse(data[at : at + HEADER_MAX_BYTES])
    except ArzipError:
        return None


def _try_frame(data: bytes | mmap, at: int) -> tuple[Frame, int] | None:
    """The frame at `at` and the offset of its payload; None unless all of the payload is there."""
    try:
        frame, frame_bytes = Frame.parse(data[at : at + FRAME_MAX_BYTES])
    except ArzipError:
        return None
    return (frame, at + frame_bytes) if at + frame_bytes + frame.coded_bytes <= len(data) else None


def _is_boundary(data: bytes | mmap, at: int) -> bool:
    """Whether a payload could end at `at`: before the end of the data, an end record, a header or a frame."""
    if at + FRAME_MAX_BYTES >= len(data) or data[at] == END_HEAD or _try_header(data, at) is not None:
        return True
    try:
        Frame.parse(data[at : at + FRAME_MAX_BYTES])
    except ArzipError:
        return False
    return True
