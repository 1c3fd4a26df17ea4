"""Where the blocks of a seekable file lie: by the end record if it tells all, else by the frames. Must not import code
that decodes blocks. Standard library only. See docs/FORMAT.md, 'Container'.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import BinaryIO

from arzip.errors import DamagedError
from arzip.format.records import HEADER_MAX_BYTES, Header
from arzip.format.salvage import find_end
from arzip.format.stream import Block, Event, Member, list_events


@dataclass(frozen=True)
class Entry:
    """A block. number: from 1; offset: of its frame; span_bytes: of frame and payload; fields: of its header."""

    number: int
    offset: int
    span_bytes: int
    raw_bytes: int
    fields: bytes


Events = dict[int, list[Event]]  # headers and members before a block, counted from 0


def read_index(file: BinaryIO) -> tuple[list[Entry], Events, int]:
    """The blocks of all members of a file, the events between them, and its size. Raises as `list_events` does.

    A file of one member is read by its end record, from its end and its first bytes; others are read frame by frame.
    """
    by_end = index_by_end(file)
    if by_end is not None:
        return by_end
    file.seek(0)
    entries: list[Entry] = []
    events: Events = {}
    size, fields = 0, b""
    for event in list_events(file):
        if isinstance(event, Block):
            span = len(event.frame.pack()) + event.frame.coded_bytes
            entries.append(Entry(event.number, event.offset, span, event.frame.raw_bytes, fields))
            continue
        events.setdefault(len(entries), []).append(event)
        if isinstance(event, Header):
            fields = event.fields
        else:
            size += event.archive_bytes
    return entries, events, size


def index_by_end(file: BinaryIO) -> tuple[list[Entry], Events, int] | None:
    """As `read_index`; None if the file isn't one member with an end record. Raises DamagedError."""
    found = find_end(file)
    if found is None:
        return None
    end_offset, end = found
    offsets = end.block_offsets(end_offset)
    file.seek(0)
    header, size = Header.parse(file.read(HEADER_MAX_BYTES))
    if not offsets or offsets[0] != size:
        return None
    entries = [
        Entry(number, offset, span, raw, header.fields)
        for number, (offset, (span, raw)) in enumerate(zip(offsets, end.sizes, strict=True), 1)
    ]
    if any(entry.raw_bytes < 1 or entry.span_bytes < 1 for entry in entries):
        raise DamagedError("the end record names a block without bytes")
    file_bytes = file.seek(0, io.SEEK_END)
    member = Member(header, 0, file_bytes, (), end.content_check)
    return entries, {0: [header], len(entries): [member]}, file_bytes
