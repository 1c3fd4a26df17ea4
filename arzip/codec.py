"""Bytes -> blocks -> archive, and back: `compress`, `decompress`, `salvage`, `evaluate`.

Blocks are coded side by side on several threads. Must not know the file system, nor how one block is coded.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from arzip import block_codec, levels
from arzip.block_codec import Coded
from arzip.engine.backend import OnCosts
from arzip.engine.engine import Engine, open_engine
from arzip.errors import ArzipError, DamagedError, ModelError
from arzip.format import stream
from arzip.format.opened_head import OpenedHead
from arzip.format.records import Header
from arzip.format.salvage import salvage as find_blocks
from arzip.format.stream import Block, Event, Member, Writable
from arzip.jit.compile_events import on_first_compile as on_first_compile  # for those who drive the codec
from arzip.media import detect
from arzip.system.workers import Workers
from arzip.weights import registry

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Options:
    """How to work. Only `level`, `model`, `wide` and `opens` change the archive; decoding needs none of them.

    wide: blocks of many lanes with a stream each, made for GPUs, which every device codes alike. opens: whether deflate
    streams (in zip, docx, png, pdf, gz ..) are opened. threads: 0 for as many as there are cores. device: "auto" (the
    CPU: measured faster at our lane counts), "cpu" or "cuda".
    """

    level: int = levels.DEFAULT
    model: str | None = None
    device: str = "auto"
    threads: int = 0
    wide: bool = False
    opens: bool = True


@dataclass(frozen=True)
class Summary:
    """What was read and written, in bytes, and in how many blocks.

    Of compressing: how many deflate streams were opened, how many bytes their blocks then had, and how many of the
    streams needed corrections, and how many streams of these blocks were too long for the level.
    """

    raw_bytes: int
    archive_bytes: int
    blocks: int
    opened_streams: int = 0
    opened_bytes: int = 0
    corrected_streams: int = 0
    refused_streams: int = 0


@dataclass(frozen=True)
class Evaluation:
    """The size of a real archive, and the sum of -log2 p over its coded bits."""

    raw_bytes: int
    archive_bytes: int
    model_bits: float


def compress(source: BinaryIO, sink: Writable, options: Options, progress: Progress | None = None) -> Summary:
    """Read `source` to its end and write one archive of it. `progress` gets raw and archive bytes so far.

    Raises ModelError when the model that the options name can't be had.
    """
    return _compress(source, sink, options, progress, None)


def evaluate(source: BinaryIO, options: Options, progress: Progress | None = None) -> Evaluation:
    """Compress `source`, discard the archive, return the sum of -log2 p of its bits. Raises as `compress` does."""
    bits: list[float] = []
    summary = _compress(source, _NullSink(), options, progress, lambda costs: bits.append(float(costs.sum())))
    return Evaluation(summary.raw_bytes, summary.archive_bytes, sum(bits))


def _compress(
    source: BinaryIO, sink: Writable, options: Options, progress: Progress | None, on_costs: OnCosts | None
) -> Summary:
    level = levels.level(options.level, options.wide)
    raw_bytes = blocks = 0
    heads: list[OpenedHead] = []
    refused = 0
    with Workers(options.threads) as workers:
        engine = open_engine(registry.find(options.model or level.model), options.device, workers.threads)
        writer = stream.Writer(sink, engine.digest)
        meter = _ProgressMeter(workers, progress)

        def encode(piece: detect.Piece) -> Coded:
            raw, layout = piece
            if layout and block_codec.is_worthwhile(engine, raw, layout, level, workers):
                return block_codec.encode_media(raw, layout, workers, meter.on_bytes, on_costs)
            return block_codec.encode(engine, raw, level, workers, meter.on_bytes, on_costs, options.opens)

        for block in workers.map(encode, _read_pieces(source, level)):
            raw_bytes += len(block.raw)
            blocks += 1
            if len(block.payload) < len(block.raw):
                writer.write_coded(block.raw, block.payload, block.method, block.lanes, block.profile_byte)
                heads += [block.opened] if block.opened else []
                refused += block.refused
            else:
                writer.write_stored(block.raw)
            meter.archive_bytes = writer.bytes_written
        writer.finish()
    streams, corrected = sum(head.streams for head in heads), sum(head.corrected for head in heads)
    opened_bytes = sum(head.contents_bytes for head in heads)
    return Summary(raw_bytes, writer.bytes_written, blocks, streams, opened_bytes, corrected, refused)


def decompress(source: BinaryIO, sink: Writable, options: Options, progress: Progress | None = None) -> Summary:
    """Read archives from `source` to its end and write what they hold.

    Raises the errors of arzip.errors, after all blocks before the fault have been written.
    """
    verifier = stream.Verifier()
    raw_bytes = archive_bytes = blocks = 0
    with Workers(options.threads) as workers:
        engines = _Engines(options, workers)
        meter = _ProgressMeter(workers, progress)

        def decode(item: tuple[Event, bytes]) -> tuple[Event, bytes]:
            event, digest = item
            if not isinstance(event, Block):
                return event, b""
            return event, block_codec.decode(event, digest, engines.with_digest, workers, meter.on_bytes)

        for event, raw in workers.map(decode, _with_digest(stream.read_events(source))):
            verifier.check(event, raw)
            if isinstance(event, Block):
                sink.write(raw)
                raw_bytes += len(raw)
                blocks += 1
            elif isinstance(event, Member):
                archive_bytes += event.archive_bytes
                meter.archive_bytes = archive_bytes
    return Summary(raw_bytes, archive_bytes, blocks)


def salvage(source: BinaryIO, sink: Writable, options: Options, progress: Progress | None = None) -> Summary:
    """Write every block of a damaged archive that is still whole. Raises ArzipError when there is none.

    Where the header is lost, the model is taken to be the one that the options name, or the default.
    """
    data = source.read()
    raw_bytes = blocks = 0
    fault: ArzipError = DamagedError("nothing can be recovered: no block of the archive is whole")
    digest = registry.file_digest(registry.find(options.model or levels.level(levels.DEFAULT).model))
    with Workers(options.threads) as workers:
        engines = _Engines(options, workers)
        meter = _ProgressMeter(workers, progress)
        for event in find_blocks(data):
            if isinstance(event, Header):
                digest = event.digest
                continue
            try:
                raw = block_codec.decode(event, digest, engines.with_digest, workers, meter.on_bytes)
                stream.Verifier().check(event, raw)
            except DamagedError:
                continue
            except ArzipError as error:
                fault = error
                continue
            sink.write(raw)
            raw_bytes += len(raw)
            blocks += 1
    if not blocks:
        raise fault
    return Summary(raw_bytes, len(data), blocks)


def _read_blocks(source: BinaryIO, block_bytes: int) -> Iterator[bytes]:
    """Blocks of a stream of any length; a pipe's short reads are joined."""
    while True:
        pieces, missing = [], block_bytes
        while missing and (piece := source.read(missing)):
            pieces.append(piece)
            missing -= len(piece)
        if pieces:
            yield b"".join(pieces)
        if missing:
            return


def _read_pieces(source: BinaryIO, level: levels.Level) -> Iterator[detect.Piece]:
    """Blocks of a stream; those with samples are cut around them, and have the layout of the samples."""
    splitter = detect.Splitter(level.pictures)
    for raw in _read_blocks(source, level.block_bytes):
        yield from splitter.split(raw) if level.sound else [(raw, None)]


def _with_digest(events: Iterator[Event]) -> Iterator[tuple[Event, bytes]]:
    """Each event with the model digest of the archive it stands in."""
    digest = b""
    for event in events:
        if isinstance(event, Header):
            digest = event.digest
        yield event, digest


class _NullSink:
    def write(self, data: bytes, /) -> object:
        return len(data)


class _Engines:
    """The engines that archives ask for, each opened once, by whichever thread comes first."""

    def __init__(self, options: Options, workers: Workers) -> None:
        self.workers = workers
        self._device = options.device
        self._preferred = options.model
        self._lock = threading.Lock()
        self._open: dict[bytes, Engine] = {}

    def with_digest(self, digest: bytes) -> Engine:
        """The engine of the model that an archive names. Raises ModelMissingError, ModelError."""
        with self._lock:
            if digest not in self._open:
                path = registry.find_digest(digest, registry.find(self._preferred) if self._preferred else None)
                engine = open_engine(path, self._device, self.workers.threads)
                if engine.digest != digest:
                    raise ModelError(f"{path}: the model was changed while it was read; try again")
                self._open[digest] = engine
            return self._open[digest]


class _ProgressMeter:
    """Progress, added up over the threads; every call also asks whether the work is still wanted."""

    def __init__(self, workers: Workers, report: Progress | None) -> None:
        self._workers = workers
        self._report = report
        self._lock = threading.Lock()
        self._raw_bytes = 0
        self.archive_bytes = 0

    def on_bytes(self, raw_bytes: int) -> None:
        """So many raw bytes more have been coded."""
        self._workers.check()
        if self._report is not None:
            with self._lock:
                self._raw_bytes += raw_bytes
                self._report(self._raw_bytes, self.archive_bytes)
