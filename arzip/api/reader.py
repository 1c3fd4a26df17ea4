"""Archives as a seekable stream of raw bytes: decodes a block when it is needed, and by the index only that."""

from __future__ import annotations

import io
from bisect import bisect_right
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from arzip.errors import ArzipError, DamagedError
from arzip.format import index
from arzip.format.records import Header
from arzip.format.stream import Block, Event, Verifier, list_events, read_block, read_events, with_fields
from arzip.system.workers import Workers

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from arzip.api.options import Arguments
    from arzip.codec import Decoder


class _Entry(NamedTuple):
    """A block in the index: its first raw byte, offset of its frame, its number, its header's fields, its raw bytes."""

    start: int
    offset: int
    number: int
    fields: bytes
    raw_bytes: int


class BlockReader(io.RawIOBase):
    """The raw bytes of the archives that follow in `source`, an open binary file, which stays open.

    Until the first seek, everything is checked, as the command does; after it, each block by its own check. A fault is
    raised when reading arrives there. decoded_blocks: how many have been decoded so far.
    """

    def __init__(self, source: Any, given: Arguments) -> None:
        self._source = source
        self._base = source.tell() if source.seekable() else 0  # where the archives begin
        self._events = with_fields(read_events(self._source))
        self._verifier = Verifier()
        self._block, self._start = b"", 0  # the decoded block, and the position of its first byte
        self._position = 0
        self._index: list[_Entry] | None = None
        self._size = 0  # of all blocks in the index
        self._index_fault: ArzipError | None = None  # behind these
        self._fault: Exception | None = None  # behind the decoded block
        self._workers = Workers(given.threads)
        self._given = given
        self._decoder: Decoder | None = None
        self.decoded_blocks = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return bool(self._source.seekable())

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Buffer, /) -> int:
        with memoryview(buffer) as view, view.cast("B") as wanted:
            while self._position >= self._start + len(self._block):
                if not self._decode_next():
                    return 0
            here = self._position - self._start
            size = min(len(wanted), len(self._block) - here)
            wanted[:size] = self._block[here : here + size]
        self._position += size
        return size

    def readall(self) -> bytes:
        """Everything that is left; blocks are decoded side by side."""
        if self._position >= self._start + len(self._block) and not self._decode_next():
            return b""
        parts = [self._block[max(self._position - self._start, 0) :]]
        self._start += len(self._block)
        self._block = b""
        for raw in self._decoded(side_by_side=True):
            self._start += len(raw)
            parts.append(raw)
        self._position = self._start
        return b"".join(parts)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move to an offset from the start, from here, or from the end; beyond both ends, to these. Decodes nothing."""
        if whence not in (io.SEEK_SET, io.SEEK_CUR, io.SEEK_END):
            raise ValueError(f"Invalid value for whence: {whence}")
        target = max(offset + (self._position if whence == io.SEEK_CUR else 0), 0)
        if whence == io.SEEK_END or not self._start <= target <= self._start + len(self._block):
            target = self._move(offset, whence, target)
        self._position = target
        return target

    def _move(self, offset: int, whence: int, target: int) -> int:
        """Make ready to read from elsewhere than the decoded block; returns the position there."""
        if self._index is None:
            self._index = list(self._list_blocks())
        if whence == io.SEEK_END:
            if self._index_fault is not None:
                raise self._index_fault
            target = max(self._size + offset, 0)
        target = min(target, self._size)
        self._fault = None
        if target == 0:
            self._source.seek(self._base)
            self._events, self._start, self._block = with_fields(read_events(self._source)), 0, b""
            return target
        number = bisect_right(self._index, target, key=lambda entry: entry.start) - 1
        if target == self._size:
            number = len(self._index)
        start = self._index[number].start if number < len(self._index) else self._size
        if self._start != start or not self._block:
            self._start, self._block = start, b""
        self._events = self._by_index(self._index[number + bool(self._block) :])
        return target

    def _by_index(self, entries: list[_Entry]) -> Iterator[tuple[Event, bytes]]:
        """Blocks from anywhere, with the fields of their headers; then the fault that the index ends with, if any."""
        for entry in entries:
            self._source.seek(self._base + entry.offset)
            block = read_block(self._source, entry.number)
            if block.frame.raw_bytes != entry.raw_bytes:
                raise DamagedError(f"block {entry.number} is not as long as the end record says", entry.number)
            yield block, entry.fields
        if self._index_fault is not None:
            raise self._index_fault

    def _list_blocks(self) -> Iterator[_Entry]:
        """The index, read from the end record, or from the frames alone. A fault ends it."""
        try:
            by_end = index.index_by_end(self._source) if self._base == 0 else None
        except ArzipError:
            by_end = None  # the frames say more
        if by_end is not None:
            for entry in by_end[0]:
                yield _Entry(self._size, entry.offset, entry.number, entry.fields, entry.raw_bytes)
                self._size += entry.raw_bytes
            return
        self._source.seek(self._base)
        fields = b""
        try:
            for event in list_events(self._source):
                if isinstance(event, Header):
                    fields = event.fields
                elif isinstance(event, Block):
                    yield _Entry(self._size, event.offset, event.number, fields, event.frame.raw_bytes)
                    self._size += event.frame.raw_bytes
        except ArzipError as error:
            self._index_fault = error

    def _decode_next(self) -> bool:
        """Go on to the next block; False at the end. A fault is raised again when it is asked again."""
        for raw in self._decoded(side_by_side=False):
            self._start += len(self._block)
            self._block = raw
            return True
        return False

    def _decoded(self, side_by_side: bool) -> Iterator[bytes]:
        """The blocks of the events that are left, decoded and checked."""
        if self._fault is not None:
            raise self._fault
        decoder = self._open_decoder()
        from arzip.codec import decode_events

        workers = self._workers if side_by_side else None
        try:
            for event, raw in decode_events(self._events, decoder, workers, self._verifier):
                if isinstance(event, Block):
                    self.decoded_blocks += 1
                    yield raw
        except Exception as error:
            self._fault = error
            raise

    def _open_decoder(self) -> Decoder:
        if self._decoder is None:
            from arzip.codec import Decoder

            self._decoder = Decoder(self._given.options(), self._workers)
        return self._decoder

    def close(self) -> None:
        if not self.closed:
            self._workers.__exit__(None, None, None)
            self._block, self._decoder = b"", None
        super().close()
