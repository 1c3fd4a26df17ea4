"""An archive to a file, or to nowhere: blocks are decoded by the index, their bytes are written in order."""

from __future__ import annotations

from collections import deque
from contextlib import ExitStack

from arzip.cluster import locations
from arzip.cluster.jobs import InOrder, Report, abort, range_of
from arzip.cluster.journal import Journal
from arzip.cluster.tasks import Decode, Decoded, Result, Task
from arzip.errors import DamagedError
from arzip.format import index, stream
from arzip.format.stream import Block

MAX_AHEAD = 64  # results kept in memory until those before them are there, where there is no journal


class DecompressJob:
    """What the archives of one file hold, block by block. target: None to check it only; then journal is None, too."""

    def __init__(self, name: str, target: str | None, journal: Journal | None, overwrite: bool) -> None:
        self.name = name
        with locations.reading(name) as file:
            self._entries, self._events, self._archive_bytes = index.read_index(file)
        self._stack = ExitStack()
        self._sink = self._stack.enter_context(locations.writing(target, name, overwrite)) if target else None
        self._results = InOrder(journal, name)
        self._limited = journal is None
        self._verifier = stream.Verifier()
        self._waiting = deque[int]()
        self._reused = self._raw_bytes = 0
        for number, entry in enumerate(self._entries):
            if self._results.is_recorded(entry.offset):
                self._results.recorded(number)
                self._reused += 1
            else:
                self._waiting.append(number)
        self._numbers = {entry.offset: number for number, entry in enumerate(self._entries)}
        self._write()

    def next_task(self) -> Task | None:
        if not self._waiting or (self._limited and self._waiting[0] >= self._results.next + MAX_AHEAD):
            return None
        entry = self._entries[self._waiting.popleft()]
        return Decode(range_of(self.name, entry.offset, entry.span_bytes), entry.number, entry.fields)

    def take(self, task: Task, result: Result) -> None:
        assert isinstance(task, Decode) and isinstance(result, Decoded)
        offset = task.record.start
        self._results.put(self._numbers[offset], offset, result)
        self._write()

    def _write(self) -> None:
        while self._results.next < len(self._entries):
            number = self._results.next
            entry = self._entries[number]
            there, result = self._results.pop(entry.offset, decoded=True)
            if not there:
                return
            if result is None:
                self._reused -= 1
                self._waiting.appendleft(number)
                return
            assert isinstance(result, Decoded)
            if len(result.raw) != entry.raw_bytes:
                raise DamagedError(f"block {entry.number} is not as long as the index says", entry.number)
            for event in self._events.get(number, ()):
                self._verifier.check(event)
            self._verifier.check(Block(entry.number, entry.offset, result.frame, b""), result.raw)
            self._raw_bytes += len(result.raw)
            if self._sink is not None:
                self._sink.write(result.raw)

    def is_complete(self) -> bool:
        return self._results.next == len(self._entries)

    def finish(self, report: Report) -> None:
        for event in self._events.get(len(self._entries), ()):
            self._verifier.check(event)
        self._stack.close()
        sizes = self._raw_bytes, self._archive_bytes, len(self._entries)
        self._results.close(sizes)
        report.add(*sizes)
        report.reused_blocks += self._reused

    def abort(self) -> None:
        abort(self._stack)
