"""What a damaged archive still holds: its index, and every block that is whole. Knows bytes and records, not how blocks
are coded. Standard library only. See docs/FORMAT.md, 'Container'.
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

# What a header or a frame may begin with: the first byte of the magic, or a head whose low bits are a method.
_STARTS = (byte for byte in range(256) if byte == MAGIC[0] or 1 <= byte & 7 <= max(Method))
_START = re.compile(b"[%s]" % b"".join(b"\\x%02x" % byte for byte in _STARTS))


def find_end(file: BinaryIO) -> tuple[int, End] | None:
    """(offset, record) of the end record that the seekable `file` ends with; None if it ends with none.

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

    The payload may be damaged still: the codec decodes it and checks. Where frames don't follow one another, tries
    each byte, and there wants a record after the payload too, because 16 bits of check alone would find ghosts.
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
        # Bytes lost inside a payload move the next frame into it: then look there. Not into stored bytes that are
        # whole: an archive in them is no part of this one.
        whole = frame.method is Method.STORED and zlib.crc32(payload) == frame.raw_check
        at, in_step = (end, True) if followed or whole else (start, False)


def _try_header(data: bytes | mmap, at: int) -> tuple[Header, int] | None:
    try:
        return Header.parse(data[at : at + HEADER_MAX_BYTES])
    except ArzipError:
        return None


def _try_frame(data: bytes | mmap, at: int) -> tuple[Frame, int] | None:
    """The frame at `at` and where its payload begins, if that is there to its end."""
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
