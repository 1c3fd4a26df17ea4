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
from arzip.engine.backend import OnBytes, OnCosts
from arzip.engine.devices import Devices
from arzip.engine.engine import Engine, open_engine
from arzip.errors import ArzipError, DamagedError, ModelError
from arzip.format import stream
from arzip.format.opened_head import OpenedHead
from arzip.format.records import Header
from arzip.format.salvage import salvage as find_blocks
from arzip.format.stream import Block, Event, Member, Writable
from arzip.jit.compile_events import on_first_compile as on_first_compile  # for those who drive the codec
from arzip.media import detect
from arzip.system.workers import Workers, free_bytes
from arzip.weights import registry

Progress = Callable[[int, int], None]
BATCH_BLOCKS = 132  # of a GPU at a time: as many as a large one has multiprocessors
WAITING_BYTES = 64 << 20  # of this machine's memory, for a wide block that waits for a GPU


@dataclass(frozen=True)
class Options:
    """How to work. Only `level`, `model`, `wide` and `opens` change the archive; decoding needs none of them.

    wide: blocks of many lanes with a stream each, made for GPUs, which every device codes alike. opens: whether deflate
    streams (in zip, docx, png, pdf, gz ..) are opened. threads: 0 for as many as there are cores. device: what codes
    wide blocks: "auto" (the GPUs that are at hand, else the CPU), "cpu" or "cuda". Other blocks are the CPU's.
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
    streams needed corrections, and how many streams of these blocks were too long for the level. device: what was there
    for wide blocks, "" if there were none; device_blocks: how many of them a GPU coded. faults: of GPUs that failed, a
    line each; the CPU took over.
    """

    raw_bytes: int
    archive_bytes: int
    blocks: int
    opened_streams: int = 0
    opened_bytes: int = 0
    corrected_streams: int = 0
    refused_streams: int = 0
    device: str = ""
    device_blocks: int = 0
    faults: tuple[str, ...] = ()


@dataclass(frozen=True)
class Evaluation:
    """The size of a real archive, and the sum of -log2 p over its coded bits."""

    raw_bytes: int
    archive_bytes: int
    model_bits: float


def compress(source: BinaryIO, sink: Writable, options: Options, progress: Progress | None = None) -> Summary:
    """Read `source` to its end and write one archive of it. `progress` gets raw and archive bytes so far.

    Raises ModelError when the model that the options name can't be had, UnsupportedError when the device can't.
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
    wide = options.wide and on_costs is None  # costs are the CPU's
    with Workers(options.threads) as workers, _open_devices(options, wide, workers) as devices:
        engine = open_engine(registry.find(options.model or level.model), workers.threads, devices)
        writer = stream.Writer(sink, engine.digest)
        meter = _ProgressMeter(workers, progress)

        def encode(piece: detect.Piece) -> Coded:
            raw, layout = piece
            with devices.bringing_blocks():
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
    found = devices.name, devices.blocks, tuple(devices.faults)
    return Summary(raw_bytes, writer.bytes_written, blocks, streams, opened_bytes, corrected, refused, *found)


def decompress(source: BinaryIO, sink: Writable, options: Options, progress: Progress | None = None) -> Summary:
    """Read archives from `source` to its end and write what they hold.

    Raises the errors of arzip.errors, after all blocks before the fault have been written.
    """
    verifier = stream.Verifier()
    raw_bytes = archive_bytes = blocks = 0
    with Workers(options.threads) as workers, _open_devices(options, False, workers) as devices:
        engines = _Engines(options, workers, devices)
        meter = _ProgressMeter(workers, progress)

        def decode(item: tuple[Event, bytes]) -> tuple[Event, bytes]:
            event, digest = item
            if not isinstance(event, Block):
                return event, b""
            return event, _decode(event, digest, engines, meter.on_bytes)

        for event, raw in workers.map(decode, _prepared(stream.read_events(source), devices, workers)):
            verifier.check(event, raw)
            if isinstance(event, Block):
                sink.write(raw)
                raw_bytes += len(raw)
                blocks += 1
            elif isinstance(event, Member):
                archive_bytes += event.archive_bytes
                meter.archive_bytes = archive_bytes
    found = {"device": devices.name, "device_blocks": devices.blocks, "faults": tuple(devices.faults)}
    return Summary(raw_bytes, archive_bytes, blocks, **found)  # type: ignore[arg-type]


def _decode(block: Block, digest: bytes, engines: _Engines, on_bytes: OnBytes) -> bytes:
    """The raw bytes of a block, not yet checked; but what a GPU made of it is, and if it is wrong, the CPU tries."""
    devices, workers = engines.devices, engines.workers
    with devices.bringing_blocks():
        before, fault = devices.blocks, None
        try:
            raw = block_codec.decode(block, digest, engines.with_digest, workers, on_bytes)
            if not block.frame.wide or stream.is_sound(block, raw) or devices.blocks == before:
                return raw
        except DamagedError as error:
            if not block.frame.wide or devices.blocks == before:
                raise
            fault = error
        raw = block_codec.decode(block, digest, engines.with_digest, workers, lambda _: workers.check(), False)
        if stream.is_sound(block, raw):
            devices.faults.append(f"block {block.number} was wrong on {devices.name}, right on the CPU")
        elif fault:
            raise fault
        return raw


def salvage(source: BinaryIO, sink: Writable, options: Options, progress: Progress | None = None) -> Summary:
    """Write every block of a damaged archive that is still whole. Raises ArzipError when there is none.

    Where the header is lost, the model is taken to be the one that the options name, or the default.
    """
    data = source.read()
    raw_bytes = blocks = 0
    fault: ArzipError = DamagedError("nothing can be recovered: no block of the archive is whole")
    digest = registry.file_digest(registry.find(options.model or levels.level(levels.DEFAULT).model))
    with Workers(options.threads) as workers, Devices("cpu") as devices:
        engines = _Engines(options, workers, devices)
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


def _prepared(events: Iterator[Event], devices: Devices, workers: Workers) -> Iterator[tuple[Event, bytes]]:
    """Each event with the model digest of the archive it stands in; opens the devices before the first wide block."""
    digest = b""
    for event in events:
        if isinstance(event, Header):
            digest = event.digest
        if isinstance(event, Block) and event.frame.wide:
            _open(devices, workers)
        yield event, digest


def _open_devices(options: Options, wide: bool, workers: Workers) -> Devices:
    """The devices of a run, open if blocks will be wide or a GPU is asked for. Raises UnsupportedError."""
    devices = Devices(options.device)
    if wide or options.device == "cuda":
        _open(devices, workers)
    return devices


def _open(devices: Devices, workers: Workers) -> None:
    workers.look_ahead(devices.open(min(BATCH_BLOCKS, free_bytes() // (2 * WAITING_BYTES))))


class _NullSink:
    def write(self, data: bytes, /) -> object:
        return len(data)


class _Engines:
    """The engines that archives ask for, each opened once, by whichever thread comes first."""

    def __init__(self, options: Options, workers: Workers, devices: Devices) -> None:
        self.workers, self.devices = workers, devices
        self._preferred = options.model
        self._lock = threading.Lock()
        self._open: dict[bytes, Engine] = {}

    def with_digest(self, digest: bytes) -> Engine:
        """The engine of the model that an archive names. Raises ModelMissingError, ModelError."""
        with self._lock:
            if digest not in self._open:
                path = registry.find_digest(digest, registry.find(self._preferred) if self._preferred else None)
                engine = open_engine(path, self.workers.threads, self.devices)
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
