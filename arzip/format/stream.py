"""Archives as streams of records: write, read, list. Payloads are opaque bytes: must not import code that codes blocks.
Standard library only. See docs/FORMAT.md, 'Container'.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Protocol

from arzip.errors import DamagedError, TruncatedError
from arzip.format.opened_head import OPENED_MAX_BYTES, OpenedHead
from arzip.format.records import (
    CONTENT_CHECK_BYTES,
    EMPTY_END,
    EMPTY_END_HEAD,
    END_HEAD,
    END_MARK,
    FRAME_MAX_BYTES,
    HEADER_MAX_BYTES,
    MAGIC,
    SALVAGE_HINT,
    End,
    Frame,
    Header,
    Method,
)

_PIECE_BYTES = 1 << 20
PICTURE_PROFILE = 4
_END_HEADS = (bytes([END_HEAD]), bytes([EMPTY_END_HEAD]))


class Writable(Protocol):
    """An output whose `write` takes all bytes, as buffered files and BytesIO do."""

    def write(self, data: bytes, /) -> object: ...


class Readable(Protocol):
    """An input whose `read` returns 1 to `size` bytes, b'' at its end: a file, a pipe, a BytesIO."""

    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True)
class Block:
    """`number`: from 1, through all members of a file; `offset`: of its frame, in bytes from where reading began."""

    number: int
    offset: int
    frame: Frame
    payload: bytes


@dataclass(frozen=True)
class Member:
    """One complete archive of a file that may hold several. content_check: BLAKE2b-64; b'' without an end record.

    opened: what the payload of each block says of opened streams; None: none were, or it says nothing sound. starts:
    the first bytes of each payload that says more of what decoding takes; b'' of others.
    """

    header: Header
    offset: int
    archive_bytes: int
    frames: tuple[Frame, ...]
    content_check: bytes
    opened: tuple[OpenedHead | None, ...] = ()
    starts: tuple[bytes, ...] = ()

    @property
    def raw_bytes(self) -> int:
        return sum(frame.raw_bytes for frame in self.frames)


Event = Header | Block | Member


def _sizes(frame: Frame) -> tuple[int, int]:
    return len(frame.pack()) + frame.coded_bytes, frame.raw_bytes


def stored_frame(raw: bytes) -> Frame:
    """The frame of a block of 1 to MAX_BLOCK_BYTES bytes that is stored as it is."""
    return Frame(Method.STORED, 0, 0, len(raw), len(raw), zlib.crc32(raw))


def coded_frame(raw: bytes, payload: bytes, method: Method, lanes: int, profile_byte: int) -> Frame:
    """The frame of a block whose `raw` bytes the codec turned into `payload`; bounds as in Frame."""
    return Frame(method, lanes, profile_byte, len(raw), len(payload), zlib.crc32(raw))


class Writer:
    """Writes one member to `sink`, each block one block late, as the first frame says whether it is the only one."""

    def __init__(self, sink: Writable, digest: bytes = b"", dictionary: bytes = b"") -> None:
        """digest, dictionary: as of Header."""
        self._sink = sink
        self._header = Header(digest, dictionary)
        self._held: tuple[Frame, bytes] | None = None
        self._sizes: list[tuple[int, int]] = []
        self._content_hash = blake2b(digest_size=CONTENT_CHECK_BYTES)
        self.bytes_written = 0

    def write_stored(self, raw: bytes) -> None:
        """Adds a block of 1 to MAX_BLOCK_BYTES bytes as it is."""
        self._content_hash.update(raw)
        self.write_block(stored_frame(raw), raw)

    def write_coded(self, raw: bytes, payload: bytes, method: Method, lanes: int, profile_byte: int) -> None:
        """Adds a block whose `raw` bytes the codec turned into `payload`; bounds as in Frame."""
        self._content_hash.update(raw)
        self.write_block(coded_frame(raw, payload, method, lanes, profile_byte), payload)

    def write_block(self, frame: Frame, payload: bytes) -> None:
        """Adds a block whose raw bytes are elsewhere; `finish` then gets the content check of all of them."""
        assert frame.within_bounds(), frame
        held, self._held = self._held, (frame, payload)
        if held is not None:
            self._put_block(*held)

    def finish(self, content_check: bytes | None = None) -> None:
        """Writes the last block and the end record, if there is one. Call it once; the sink stays open.

        content_check: BLAKE2b-64 of all raw bytes; None: of those that were given to `write_stored` and `write_coded`.
        """
        if self._held is None:
            self._put(self._header.pack() + EMPTY_END)
        elif not self._sizes:
            frame, payload = self._held
            self._put_block(replace(frame, single_block=True), payload)
        else:
            self._put_block(*self._held)
            check = self._content_hash.digest() if content_check is None else content_check
            self._put(End(tuple(self._sizes), check).pack())

    def _put_block(self, frame: Frame, payload: bytes) -> None:
        if not self._sizes:
            self._put(self._header.pack())
        self._put(frame.pack())
        self._put(payload)
        self._sizes.append(_sizes(frame))

    def _put(self, data: bytes) -> None:
        self._sink.write(data)
        self.bytes_written += len(data)


def read_events(source: Readable) -> Iterator[Event]:
    """The events of all members of `source`: Header, its Blocks, Member; the next Header.

    Raises the ArzipErrors of arzip.format.records, each after all events that precede the fault.
    """
    return _events(Window(source), skip_payloads=False)


def with_fields(events: Iterator[Event]) -> Iterator[tuple[Event, bytes]]:
    """Each event with the header fields of the archive it stands in: `Header.fields`."""
    fields = b""
    for event in events:
        if isinstance(event, Header):
            fields = event.fields
        yield event, fields


def is_sound(block: Block, raw: bytes) -> bool:
    """Whether the decoded bytes of a block agree with the check in its frame."""
    return len(raw) == block.frame.raw_bytes and zlib.crc32(raw) == block.frame.raw_check


class Verifier:
    """Compares decoded bytes with the archive's checks. Call `check` with every event of one source, in order."""

    def __init__(self) -> None:
        self._content_hash = blake2b(digest_size=CONTENT_CHECK_BYTES)

    def check(self, event: Event, raw: bytes = b"") -> None:
        """Raises DamagedError unless the checks of the event agree with `raw`, the decoded bytes of a Block."""
        if isinstance(event, Header):
            self._content_hash = blake2b(digest_size=CONTENT_CHECK_BYTES)
        elif isinstance(event, Block):
            if not is_sound(event, raw):
                message = f"block {event.number} is damaged: its bytes don't match their check; {SALVAGE_HINT}"
                raise DamagedError(message, event.number)
            self._content_hash.update(raw)
        elif event.content_check and event.content_check != self._content_hash.digest():
            raise DamagedError(f"each block is whole, but they aren't all there or not in order; {SALVAGE_HINT}")


def list_members(source: Readable) -> Iterator[Member]:
    """The members of `source`, by their frames alone: seeks over payloads or reads through. Checks no raw bytes."""
    return (event for event in list_events(source) if isinstance(event, Member))


class Window:
    """A source with look-ahead and a byte count, which reads or skips in pieces."""

    def __init__(self, source: Readable) -> None:
        self._source = source
        self._ahead = b""
        self.offset = 0

    def peek(self, size: int) -> bytes:
        """The next `size` bytes, fewer only at the end, left in place."""
        while len(self._ahead) < size and (piece := self._source.read(size - len(self._ahead))):
            self._ahead += piece
        return self._ahead[:size]

    def read(self, size: int) -> bytes:
        """The next `size` bytes, fewer only at the end. Never holds more than there are, whatever `size` says."""
        pieces, self._ahead = [self._ahead[:size]], self._ahead[size:]
        missing = size - len(pieces[0])
        while missing and (piece := self._source.read(min(missing, _PIECE_BYTES))):
            pieces.append(piece)
            missing -= len(piece)
        self.offset += size - missing
        return b"".join(pieces)

    def skip(self, size: int) -> int:
        """Skips `size` bytes, or to the end, by seeking if the source can; returns the number of bytes skipped."""
        before = self.offset
        if isinstance(self._source, io.IOBase) and self._source.seekable():
            here = self._source.tell() - len(self._ahead)
            there = min(here + size, self._source.seek(0, io.SEEK_END))
            self.offset += self._source.seek(there) - here
            self._ahead = b""
        else:
            while self.read(min(size - self.offset + before, _PIECE_BYTES)):
                pass
        return self.offset - before


class Parser:
    """The events of the members of a window, one by one. After an error nothing has changed but the window."""

    def __init__(self, window: Window, skip_payloads: bool) -> None:
        self._window = window
        self._skip_payloads = skip_payloads
        self._number = self._offset = 0
        self._header: Header | None = None  # of the member that is being read
        self._frames: list[Frame] = []
        self._heads: list[OpenedHead | None] = []
        self._starts: list[bytes] = []

    def next_event(self) -> Event | None:
        """The next event; None where the window ends after a member. Raises ArzipErrors."""
        if self._header is not None:
            return self._next_in_member(self._header)
        if self._window.offset and not self._window.peek(1):
            return None
        offset = self._window.offset
        self._header = _next_header(self._window)
        self._offset, self._frames, self._heads, self._starts = offset, [], [], []
        return self._header

    def _next_in_member(self, header: Header) -> Block | Member:
        frames, heads = self._frames, self._heads
        alone = bool(frames) and frames[0].single_block
        if not alone and self._window.peek(1) not in _END_HEADS:
            block = _next_block(self._window, self._number + 1, self._skip_payloads)
            if block.frame.single_block and frames:
                message = f"block {block.number} says it is alone, but others come before it; {SALVAGE_HINT}"
                raise DamagedError(message, block.number)
            self._number = block.number
            frames.append(block.frame)
            heads.append(_opened_head(block))
            self._starts.append(block.payload[:OPENED_MAX_BYTES] if _says_more(block.frame) else b"")
            return block
        content_check = b"" if alone else _next_end(self._window, frames)
        size = self._window.offset - self._offset
        self._header = None
        return Member(header, self._offset, size, tuple(frames), content_check, tuple(heads), tuple(self._starts))


def _events(window: Window, skip_payloads: bool) -> Iterator[Event]:
    parser = Parser(window, skip_payloads)
    while (event := parser.next_event()) is not None:
        yield event


def list_events(source: Readable) -> Iterator[Event]:
    """As `read_events`, but the payloads of Blocks are skipped, as by `list_members`."""
    return _events(Window(source), skip_payloads=True)


def read_block(source: Readable, number: int) -> Block:
    """The block, whose number the caller knows, that `source` stands at. Raises as `read_events` does."""
    return _next_block(Window(source), number, skip_payload=False)


def _says_more(frame: Frame) -> bool:
    """Whether the payload says more than the frame of what decoding takes: sizes of what is opened, or of pictures."""
    return frame.method is Method.OPENED or (frame.method is Method.MEMORY and frame.cm_profile == PICTURE_PROFILE)


def _opened_head(block: Block) -> OpenedHead | None:
    if block.frame.method is not Method.OPENED:
        return None
    try:
        return OpenedHead.parse(block.payload[:OPENED_MAX_BYTES], block.frame.raw_bytes)[0]
    except ValueError:
        return None  # decoding raises the error


def _next_header(window: Window) -> Header:
    data = window.peek(HEADER_MAX_BYTES)
    if window.offset and not data.startswith(MAGIC) and not MAGIC.startswith(data):
        end = window.offset
        trailing = window.skip(1 << 62)
        raise DamagedError(f"{trailing} bytes of trailing garbage: cut the archive off after its first {end} bytes")
    header, size = Header.parse(data)
    window.read(size)
    return header


def _next_block(window: Window, number: int, skip_payload: bool) -> Block:
    offset = window.offset
    if not window.peek(1):
        raise TruncatedError(f"truncated: the archive ends before block {number} or its end record; {SALVAGE_HINT}")
    frame, size = Frame.parse(window.peek(FRAME_MAX_BYTES), number)
    window.read(size)
    if skip_payload:
        payload = window.peek(min(frame.coded_bytes, OPENED_MAX_BYTES)) if _says_more(frame) else b""
        there = window.skip(frame.coded_bytes)
    else:
        payload = window.read(frame.coded_bytes)
        there = len(payload)
    if there < frame.coded_bytes:
        raise TruncatedError(f"truncated: the archive ends inside block {number}; {SALVAGE_HINT}", number)
    return Block(number, offset, frame, payload)


def _next_end(window: Window, frames: list[Frame]) -> bytes:
    """The content check, from an end record that agrees with `frames`; b'' from that of an empty archive.

    Reads only as many bytes as the expected record has, so a forged size costs no memory.
    """
    empty = window.peek(1)[0] == EMPTY_END_HEAD
    expected = EMPTY_END if empty else End(tuple(map(_sizes, frames)), bytes(CONTENT_CHECK_BYTES)).pack()
    record = window.read(len(expected))
    if len(record) < len(expected) and not record.endswith(END_MARK):
        raise TruncatedError(f"truncated: the archive ends inside its end record; {SALVAGE_HINT}")
    end = End((), b"") if record == EMPTY_END else End.parse(record)
    if end.sizes != tuple(map(_sizes, frames)):
        raise DamagedError(f"the end record doesn't match the blocks before it; {SALVAGE_HINT}")
    return end.content_check
