"""What jobs have in common: results in order, the report. Must not know how tasks are run."""

from __future__ import annotations

import dataclasses
from contextlib import ExitStack
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Protocol

from arzip.cluster import locations
from arzip.cluster.journal import Journal
from arzip.cluster.tasks import Decoded, Encoded, Range, Result, Task
from arzip.format.records import Frame

Counts = tuple[int, int, int, int]


@dataclass
class Report:
    """What was done. raw_bytes, archive_bytes, blocks, opened: as in the codec's Summary, summed over all files.

    failed: name and reason of each file that came to nothing; retried: a line for each task that was done again;
    reused_blocks: those of an earlier run, reused_files: the small files of one.
    """

    raw_bytes: int = 0
    archive_bytes: int = 0
    blocks: int = 0
    files: int = 0
    opened: tuple[int, int, int, int] = (0, 0, 0, 0)
    failed: list[tuple[str, str]] = field(default_factory=list)
    retried: list[str] = field(default_factory=list)
    reused_blocks: int = 0
    reused_files: int = 0

    def add(self, raw_bytes: int, archive_bytes: int, blocks: int, files: int = 1) -> None:
        """Count files."""
        self.raw_bytes += raw_bytes
        self.archive_bytes += archive_bytes
        self.blocks += blocks
        self.files += files


class Job(Protocol):
    """The tasks of one output, or of several. name: of what it is made from."""

    name: str

    def next_task(self) -> Task | None:
        """What can be done now; None: nothing, until `take` was called."""

    def take(self, task: Task, result: Result) -> None:
        """The result of a task. Raises ArzipError where it can't be used."""

    def is_complete(self) -> bool:
        """Whether all results were taken; `finish` is called then."""

    def finish(self, report: Report) -> None:
        """Publish the output, add to the report. Raises ArzipError."""

    def abort(self) -> None:
        """Publish nothing. The journal stays."""


class InOrder:
    """Numbered results, taken in order; those that come early are in the journal, or else in memory."""

    def __init__(self, journal: Journal | None, name: str) -> None:
        self._journal, self._source, self._key = journal, name, key_of(name)
        self._kept: dict[int, Any] = {}
        self.next = 0

    def name(self, key: int) -> str:
        """What a record is called."""
        return f"block-{self._key}-{key:016x}"

    def close(self, sizes: tuple[int, int, int]) -> None:
        """All is done, and the output published. sizes: raw bytes, archive bytes, blocks."""
        if self._journal is not None:
            self._journal.put(f"done-{self._key}", {"files": {self._source: sizes}})
            self._journal.remove(f"block-{self._key}")

    def put(self, number: int, key: int, result: Encoded | Decoded) -> None:
        """Keep a result. key: what its record in the journal is called by."""
        if self._journal is None:
            self._kept[number] = result
            return
        body = result.payload if isinstance(result, Encoded) else result.raw
        opened = result.opened if isinstance(result, Encoded) else ()
        self._journal.put(self.name(key), {"frame": result.frame.pack().hex(), "opened": opened}, body)
        self._kept[number] = result if number == self.next else None

    def is_recorded(self, key: int) -> bool:
        """Whether an earlier run has left a result."""
        return self._journal is not None and self._journal.has(self.name(key))

    def recorded(self, number: int) -> None:
        """The result of this number lies in the journal."""
        self._kept[number] = None

    def pop(self, key: int, decoded: bool) -> tuple[bool, Encoded | Decoded | None]:
        """Whether the next result is there, and it; None if its record is broken."""
        if self.next not in self._kept:
            return False, None
        result = self._kept.pop(self.next)
        if result is None:
            result = self._load(key, decoded)
        if result is not None:
            self.next += 1
        return True, result

    def _load(self, key: int, decoded: bool) -> Encoded | Decoded | None:
        found = self._journal.get(self.name(key)) if self._journal else None
        if found is None:
            return None
        frame, _ = Frame.parse(bytes.fromhex(found[0]["frame"]))
        return Decoded(frame, found[1]) if decoded else Encoded(frame, found[1], tuple(found[0]["opened"]))


def range_of(name: str, start: int, size: int, fetch: bool = True) -> Range:
    """A range of a file; with its bytes if only this process can open it."""
    found = Range(name, start, size)
    return with_data(found) if fetch else found


def with_data(found: Range) -> Range:
    if not locations.is_private(found.name):
        return found
    return dataclasses.replace(found, data=locations.read_range(found.name, found.start, found.size))


def key_of(name: str) -> str:
    """What a file is called by in a journal."""
    return blake2b(name.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()


def add_counts(one: Counts, other: Counts) -> Counts:
    """The sums."""
    return one[0] + other[0], one[1] + other[1], one[2] + other[2], one[3] + other[3]


class _AbortedError(Exception):
    """Ends an output that isn't to be published."""


def abort(stack: ExitStack) -> None:
    """Leave an output as if an error had been raised: it isn't published."""
    try:
        with stack:
            raise _AbortedError
    except _AbortedError:
        pass
