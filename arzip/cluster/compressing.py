"""A file to an archive: windows are cut into blocks, blocks are coded, frames are written in order."""

from __future__ import annotations

from collections import deque
from contextlib import ExitStack
from typing import Any, Protocol

from arzip.cluster import locations
from arzip.cluster.jobs import InOrder, Report, abort, add_counts, range_of, with_data
from arzip.cluster.journal import Journal
from arzip.cluster.tasks import Cut, CutResult, Encode, Encoded, Range, Result, Task
from arzip.cluster.worker import ContentHash
from arzip.codec import Carried
from arzip.format import stream
from arzip.format.records import split_fields

WINDOW_BYTES = 64 << 20  # that a worker cuts into blocks at a time


class Hash(Protocol):
    """The content check of a stream; see arzip.cluster.worker.ContentHash."""

    def update(self, part: Range, check: int) -> None: ...
    def digest(self) -> bytes: ...
    def close(self) -> None: ...


class DriverHash:
    """A Hash of a file that only this process can open."""

    def __init__(self) -> None:
        self._hash = ContentHash()

    def update(self, part: Range, check: int) -> None:
        self._hash.update([(with_data(part), check)])

    def digest(self) -> bytes:
        return self._hash.digest()

    def close(self) -> None:
        """Nothing is held."""


class CompressJob:
    """One archive of one file, block by block.

    size: of the source in bytes; block_bytes: as of `Encoder`; fields: of the header; content_hash: of the source.
    """

    def __init__(
        self,
        name: str,
        target: str,
        size: int,
        block_bytes: int,
        fields: bytes,
        journal: Journal,
        content_hash: Hash,
        overwrite: bool,
    ) -> None:
        self.name, self._size = name, size
        self._window_bytes = max(1, WINDOW_BYTES // block_bytes) * block_bytes
        self._hash = content_hash
        self._stack = ExitStack()
        self._sink = self._stack.enter_context(locations.writing(target, name, overwrite))
        self._writer = stream.Writer(self._sink, *split_fields(fields))
        self._results = InOrder(journal, name)
        self._starts = range(0, size, self._window_bytes)
        self._cuts: dict[int, tuple[Carried, CutResult]] = {}  # of windows whose turn has not come
        self._asked = self._confirmed = 0  # windows
        self._carried = Carried()
        self._recut: deque[int] = deque()
        self._blocks: list[tuple[int, int]] = []  # start and size of each
        self._waiting: deque[tuple[int, Any]] = deque()  # number and layout of those to be coded
        self._numbers: dict[int, int] = {}  # start -> number
        self._layouts: dict[int, Any] = {}  # of those that aren't written
        self._opened = (0, 0, 0, 0)
        self._reused = 0

    def next_task(self) -> Task | None:
        if self._waiting:
            number, layout = self._waiting.popleft()
            return Encode(range_of(self.name, *self._blocks[number]), layout)
        if self._recut:
            return self._cut(self._recut.popleft())
        if self._asked < len(self._starts):
            self._asked += 1
            return self._cut(self._asked - 1)
        return None

    def _cut(self, window: int) -> Cut:
        start = self._starts[window]
        carried = self._carried if window == self._confirmed else Carried(has_begun=True)
        return Cut(range_of(self.name, start, min(self._window_bytes, self._size - start)), carried)

    def take(self, task: Task, result: Result) -> None:
        if isinstance(task, Cut):
            assert isinstance(result, CutResult)
            self._cuts[task.window.start // self._window_bytes] = task.carried, result
            self._confirm()
        else:
            assert isinstance(task, Encode) and isinstance(result, Encoded)
            self._results.put(self._numbers[task.raw.start], task.raw.start, result)
        self._write()

    def _confirm(self) -> None:
        """Take the blocks of windows in order. A window that was cut as if no samples went on, though they do, is
        cut again.
        """
        while self._confirmed in self._cuts:
            carried, cut = self._cuts.pop(self._confirmed)
            if carried != self._carried:
                self._recut.append(self._confirmed)
                return
            start = self._starts[self._confirmed]
            for size, layout in cut.pieces:
                number = len(self._blocks)
                self._blocks.append((start, size))
                self._numbers[start], self._layouts[number] = number, layout
                if self._results.is_recorded(start):
                    self._results.recorded(number)
                    self._reused += 1
                else:
                    self._waiting.append((number, layout))
                start += size
            self._confirmed, self._carried = self._confirmed + 1, cut.carried

    def _write(self) -> None:
        while self._results.next < len(self._blocks):
            number = self._results.next
            start, size = self._blocks[number]
            there, result = self._results.pop(start, decoded=False)
            if not there:
                return
            if result is None:  # its record is broken
                self._reused -= 1
                self._waiting.appendleft((number, self._layouts[number]))
                return
            assert isinstance(result, Encoded)
            self._hash.update(range_of(self.name, start, size, fetch=False), result.frame.raw_check)
            self._writer.write_block(result.frame, result.payload)
            self._opened = add_counts(self._opened, result.opened)
            del self._numbers[start], self._layouts[number]

    def is_complete(self) -> bool:
        return self._confirmed == len(self._starts) and self._results.next == len(self._blocks)

    def finish(self, report: Report) -> None:
        self._writer.finish(self._hash.digest() if self._blocks else b"")
        self._hash.close()
        self._stack.close()
        sizes = self._size, self._writer.bytes_written, len(self._blocks)
        self._results.close(sizes)
        report.add(*sizes)
        report.opened = add_counts(report.opened, self._opened)
        report.reused_blocks += self._reused

    def abort(self) -> None:
        self._hash.close()
        abort(self._stack)
