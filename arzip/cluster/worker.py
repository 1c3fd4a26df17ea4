"""What runs on the machines of a cluster: tasks in, results out; keeps kernels and models loaded.

Must not know how it is reached.
"""

from __future__ import annotations

import io
import platform
import threading
from hashlib import blake2b
from typing import Any
from zlib import crc32

from arzip import codec
from arzip.cluster import locations
from arzip.cluster.tasks import (
    Batch,
    Cut,
    CutResult,
    Decode,
    Decoded,
    Encode,
    Encoded,
    Greeting,
    Range,
    Result,
    Small,
    SmallResult,
    Task,
)
from arzip.codec import Options
from arzip.errors import ArzipError, DamagedError
from arzip.format.records import CONTENT_CHECK_BYTES, SALVAGE_HINT
from arzip.format.stream import is_sound, read_block
from arzip.system.workers import Workers, free_bytes
from arzip.version import __version__

PIECE_BYTES = 8 << 20  # that are read and hashed at a time


class Worker:
    """Does one task after the other, or several at a time if it has a GPU. Tasks raise ArzipError and OSError."""

    def __init__(self, options: Options, encodes: bool, on_gpu: bool) -> None:
        self._options = options
        self._lock = threading.Lock()
        self._coded_bytes = self._small_bytes = 0
        self._workers = Workers(options.threads)
        self._devices = codec.open_devices(options, on_gpu, self._workers)
        self._decoder = codec.Decoder(options, self._workers, self._on_progress, self._devices)
        self._encoder: codec.Encoder | None = None
        if encodes:
            progress = self._on_progress
            self._encoder = codec.Encoder(_Null(), options, self._workers, progress, devices=self._devices)
        self._slots = max(1, min(codec.BATCH_BLOCKS, free_bytes() // (2 * codec.WAITING_BYTES))) if on_gpu else 1

    def hello(self) -> Greeting:
        """What this worker is."""
        model = (self._encoder.fields, self._encoder.block_bytes) if self._encoder else (b"", 0)
        return Greeting(__version__, *model, platform.node(), self._slots)

    def done_bytes(self) -> int:
        """Raw bytes that have been coded so far."""
        return self._coded_bytes + self._small_bytes

    def run(self, task: Task) -> Result:
        """Do a task."""
        if isinstance(task, Cut):
            return self._cut(task)
        if isinstance(task, Encode):
            return self._encode(task)
        if isinstance(task, Decode):
            return self._decode(task)
        assert isinstance(task, Batch), task
        return tuple(self._small(small, task.of_archives) for small in task.files)

    def _cut(self, task: Cut) -> CutResult:
        assert self._encoder is not None
        raw, size = fetch(task.window), self._encoder.block_bytes
        pieces: list[tuple[int, Any]] = []
        with self._lock:
            self._encoder.carried = task.carried
            for at in range(0, len(raw), size):
                pieces += [(len(piece), layout) for piece, layout in self._encoder.split(raw[at : at + size])]
            return CutResult(tuple(pieces), self._encoder.carried)

    def _encode(self, task: Encode) -> Encoded:
        assert self._encoder is not None
        coded = self._encoder.encode((fetch(task.raw), task.layout))
        frame, payload = codec.packed(coded)
        head = coded.opened if payload is coded.payload else None
        counts = (head.streams, head.contents_bytes, head.corrected, coded.refused) if head else (0, 0, 0, 0)
        return Encoded(frame, payload, counts)

    def _decode(self, task: Decode) -> Decoded:
        block = read_block(io.BytesIO(fetch(task.record)), task.number)
        if len(block.frame.pack()) + block.frame.coded_bytes != task.record.size:
            raise DamagedError(f"block {task.number} is not as long as the index says; {SALVAGE_HINT}", task.number)
        raw = self._decoder.decode(block, task.fields)
        if not is_sound(block, raw):
            message = f"block {task.number} is damaged: its bytes don't match their check; {SALVAGE_HINT}"
            raise DamagedError(message, task.number)
        return Decoded(block.frame, raw)

    def _small(self, small: Small, of_archive: bool) -> SmallResult:
        """Do a small file; a fault of the file or its output is part of the result."""
        name, target = small.source.name, small.target
        try:
            source, sink = io.BytesIO(_whole(small.source)), io.BytesIO()
            verb = codec.decompress if of_archive else codec.compress
            summary = verb(source, sink, self._options, None)
            self._add(summary.raw_bytes)
            sizes = summary.raw_bytes, summary.archive_bytes, summary.blocks
            if target is None:
                return SmallResult(name, *sizes)
            if locations.is_private(target):
                return SmallResult(name, *sizes, data=sink.getvalue())
            locations.make_folder_of(target)
            with locations.writing(target, name, small.overwrite) as file:
                file.write(sink.getvalue())
            return SmallResult(name, *sizes)
        except (ArzipError, OSError) as error:
            return SmallResult(name, fault=str(error) or type(error).__name__)

    def _on_progress(self, raw_bytes: int, archive_bytes: int) -> None:
        self._coded_bytes = raw_bytes

    def _add(self, raw_bytes: int) -> None:
        with self._lock:
            self._small_bytes += raw_bytes


class ContentHash:
    """BLAKE2b-64 of a stream, whose parts come in order and must have the CRC-32 that the coded blocks say."""

    def __init__(self) -> None:
        self._hash = blake2b(digest_size=CONTENT_CHECK_BYTES)

    def update(self, parts: list[tuple[Range, int]]) -> None:
        """Read the next parts. Raises ArzipError if one has changed, OSError."""
        for part, check in parts:
            found = 0
            for at in range(0, part.size, PIECE_BYTES):
                piece = fetch(_within(part, at, min(PIECE_BYTES, part.size - at)))
                found = crc32(piece, found)
                self._hash.update(piece)
            if found != check:
                raise ArzipError(
                    f"has changed since its blocks were coded, at byte {part.start:,}; begin anew, without --resume"
                )

    def digest(self) -> bytes:
        """Of all parts so far."""
        return self._hash.digest()


def fetch(part: Range) -> bytes:
    """The bytes of a range."""
    return locations.read_range(part.name, part.start, part.size) if part.data is None else part.data


def _within(part: Range, at: int, size: int) -> Range:
    data = None if part.data is None else part.data[at : at + size]
    return Range(part.name, part.start + at, size, data)


def _whole(source: Range) -> bytes:
    """All of a small file, which may have grown since it was listed."""
    if source.data is not None:
        return source.data
    with locations.reading(source.name) as file:
        data: bytes = file.read()
        return data


class _Null:
    def write(self, data: bytes, /) -> Any:
        return len(data)
