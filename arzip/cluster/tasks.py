"""What workers are asked to do and what they answer. Only data, which travels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from arzip.codec import Carried
from arzip.format.records import Frame


@dataclass(frozen=True)
class Range:
    """Bytes of a file: where they lie, or, of files that workers can't open, the bytes."""

    name: str
    start: int
    size: int
    data: bytes | None = None


@dataclass(frozen=True)
class Cut:
    """Cut a window of a stream into blocks: a multiple of `Encoder.block_bytes`, or the end of the stream.

    carried: what `Encoder.carried` is before it.
    """

    window: Range
    carried: Carried


@dataclass(frozen=True)
class CutResult:
    """pieces: size in bytes and layout of each block of the window; carried: what `Encoder.carried` is behind it."""

    pieces: tuple[tuple[int, Any], ...]
    carried: Carried


@dataclass(frozen=True)
class Encode:
    """Code a block. layout: of its samples, as a cut says."""

    raw: Range
    layout: Any


@dataclass(frozen=True)
class Encoded:
    """A block: frame and payload; opened: its deflate streams, bytes of them, those corrected, those refused."""

    frame: Frame
    payload: bytes
    opened: tuple[int, int, int, int]


@dataclass(frozen=True)
class Decode:
    """Decode a block. record: its frame and payload; fields: of its header."""

    record: Range
    number: int
    fields: bytes


@dataclass(frozen=True)
class Decoded:
    """The bytes of a block, which agree with its frame."""

    frame: Frame
    raw: bytes


@dataclass(frozen=True)
class Small:
    """A file that one worker does alone. source: name, or all of it; target: None to test an archive."""

    source: Range
    target: str | None
    overwrite: bool


@dataclass(frozen=True)
class Batch:
    """Compress or decompress small files, one after the other."""

    files: tuple[Small, ...]
    of_archives: bool


@dataclass(frozen=True)
class SmallResult:
    """What became of a small file. fault: "" if all is well; skipped: that isn't one but a choice.

    data: what is to be written to a target that workers can't open.
    """

    name: str
    raw_bytes: int = 0
    archive_bytes: int = 0
    blocks: int = 0
    fault: str = ""
    data: bytes | None = None


Task = Cut | Encode | Decode | Batch
Result = CutResult | Encoded | Decoded | tuple[SmallResult, ...]


@dataclass(frozen=True)
class Failure:
    """A task that came to nothing. lost: its worker or its result is gone, and the task may be innocent."""

    error: Exception
    where: str
    lost: bool


@dataclass(frozen=True)
class Greeting:
    """What a worker says of itself. fields: of the headers that it codes for; block_bytes: as of `Encoder`; slots:
    tasks that it takes at a time.
    """

    version: str
    fields: bytes
    block_bytes: int
    node: str
    slots: int


def raw_bytes_of(task: Task, result: Result) -> int:
    """How many raw bytes have been coded."""
    if isinstance(task, Encode):
        return task.raw.size
    if isinstance(result, Decoded):
        return len(result.raw)
    return sum(each.raw_bytes for each in result) if isinstance(result, tuple) else 0
