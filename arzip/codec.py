"""Bytes -> blocks -> archive, and back: `compress`, `decompress`, `salvage`, `evaluate`.

Blocks are coded side by side on several threads. Must not know the file system, nor how one block is coded.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from arzip import block_codec, levels
from arzip.block_codec import Coded
from arzip.engine.backend import OnCosts
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
    wide = options.wide and on_costs is None  # costs are the CPU's
    with Workers(options.threads) as workers, _open_devices(options, wide, workers) as devices:
        encoder = Encoder(sink, options, workers, progress, on_costs, devices)
        pieces = (piece for raw in _read_blocks(source, encoder.block_bytes) for piece in encoder.split(raw))
        for coded in workers.map(encoder.encode, pieces):
            encoder.write(coded)
        return encoder.finish()


class Encoder:
    """Makes one archive: `split` each block of block_bytes of a stream, `encode` its pieces, on any thread, `write`
    them in order, `finish`. Arguments as of `compress` and `evaluate`; raises as they do.
    """

    def __init__(
        self,
        sink: Writable,
        options: Options,
        workers: Workers,
        progress: Progress | None = None,
        on_costs: OnCosts | None = None,
        devices: Devices | None = None,
    ) -> None:
        self._devices = devices or Devices("cpu")
        self._level = levels.level(options.level, options.wide)
        self._opens, self._workers, self._on_costs = options.opens, workers, on_costs
        path = registry.find(options.model or self._level.model)
        self._engine = cached_engine(path, workers.threads).on(self._devices)
        self._splitter = detect.Splitter(self._level.pictures, self._level.light)
        self._writer = stream.Writer(sink, self._engine.digest)
        self._meter = _ProgressMeter(workers, progress)
        self._raw_bytes = self._blocks = self._refused = 0
        self._heads: list[OpenedHead] = []

    @property
    def block_bytes(self) -> int:
        """Size of each part of the stream, but the last, that `split` takes: it makes blocks of it."""
        return self._level.block_bytes if self._level.wide else levels.WINDOW_BYTES

    def split(self, raw: bytes) -> list[detect.Piece]:
        """Blocks of the next part of the stream, cut around samples; each piece with the layout of its samples."""
        size, pieces = self._level.block_bytes, list[detect.Piece]()
        repeated = block_codec.repeated_share(raw, self._level) if len(raw) > size else 0.0
        if repeated >= levels.ALL_REPEATED_SHARE:
            return [(raw, None)]
        if repeated >= levels.REPEATED_SHARE:
            size = len(raw)
        for block in (raw[at : at + size] for at in range(0, len(raw), size)):
            pieces += self._splitter.split(block) if self._level.sound else [(block, None)]
        return pieces

    def encode(self, piece: detect.Piece) -> Coded:
        """The block that a piece becomes."""
        (raw, layout), level, workers = piece, self._level, self._workers
        engine, reports = self._engine, (self._meter.on_bytes, self._on_costs)
        with self._devices.bringing_blocks():
            if layout and block_codec.is_worthwhile(engine, raw, layout, level, workers):
                return block_codec.encode_media(raw, layout, workers, *reports)
            return block_codec.encode(engine, raw, level, workers, *reports, self._opens)

    def write(self, coded: Coded) -> None:
        """Add a block to the archive, stored if coding it saves nothing."""
        self._raw_bytes += len(coded.raw)
        self._blocks += 1
        if write_block(self._writer, coded):
            self._heads += [coded.opened] if coded.opened else []
            self._refused += coded.refused
        self._meter.archive_bytes = self._writer.bytes_written

    def finish(self) -> Summary:
        """Write what ends the archive."""
        self._writer.finish()
        streams = sum(head.streams for head in self._heads)
        corrected = sum(head.corrected for head in self._heads)
        opened_bytes = sum(head.contents_bytes for head in self._heads)
        sizes = self._raw_bytes, self._writer.bytes_written, self._blocks
        found = self._devices.name, self._devices.blocks, tuple(self._devices.faults)
        return Summary(*sizes, streams, opened_bytes, corrected, self._refused, *found)


def write_block(writer: stream.Writer, coded: Coded) -> bool:
    """Add a block, stored if coding it saves nothing; returns whether it is coded."""
    if len(coded.payload) >= len(coded.raw):
        writer.write_stored(coded.raw)
        return False
    writer.write_coded(coded.raw, coded.payload, coded.method, coded.lanes, coded.profile_byte)
    return True


class Decoder:
    """Decodes blocks, of any archives and in any order, on any thread. Arguments as of `decompress`.

    devices: the GPUs that wide blocks may be decoded by; None for the CPU alone.
    """

    def __init__(
        self, options: Options, workers: Workers, progress: Progress | None = None, devices: Devices | None = None
    ) -> None:
        self._devices = devices or Devices("cpu")
        self.engine_of = _Engines(options, workers, self._devices).with_digest
        self._workers = workers
        self.meter = _ProgressMeter(workers, progress)

    def decode(self, block: Block, digest: bytes) -> bytes:
        """The raw bytes of a block, not yet checked; but what a GPU made of it is, and if it is wrong, the CPU tries.

        digest: of the model that its archive names. Raises the errors of arzip.errors.
        """
        devices, workers = self._devices, self._workers
        with devices.bringing_blocks():
            before, fault = devices.blocks, None
            try:
                raw = block_codec.decode(block, digest, self.engine_of, workers, self.meter.on_bytes)
                if not block.frame.wide or stream.is_sound(block, raw) or devices.blocks == before:
                    return raw
            except DamagedError as error:
                if not block.frame.wide or devices.blocks == before:
                    raise
                fault = error
            raw = block_codec.decode(block, digest, self.engine_of, workers, lambda _: workers.check(), False)
            if stream.is_sound(block, raw):
                devices.faults.append(f"block {block.number} was wrong on {devices.name}, right on the CPU")
            elif fault:
                raise fault
            return raw


def decompress(source: BinaryIO, sink: Writable, options: Options, progress: Progress | None = None) -> Summary:
    """Read archives from `source` to its end and write what they hold.

    Raises the errors of arzip.errors, after all blocks before the fault have been written.
    """
    raw_bytes = archive_bytes = blocks = 0
    with Workers(options.threads) as workers, _open_devices(options, False, workers) as devices:
        decoder = Decoder(options, workers, progress, devices)
        items = _opening(stream.with_digest(stream.read_events(source)), devices, workers)
        for event, raw in decode_events(items, decoder, workers, stream.Verifier()):
            if isinstance(event, Block):
                sink.write(raw)
                raw_bytes += len(raw)
                blocks += 1
            elif isinstance(event, Member):
                archive_bytes += event.archive_bytes
                decoder.meter.archive_bytes = archive_bytes
    found = {"device": devices.name, "device_blocks": devices.blocks, "faults": tuple(devices.faults)}
    return Summary(raw_bytes, archive_bytes, blocks, **found)  # type: ignore[arg-type]


def decode_events(
    items: Iterable[tuple[Event, bytes]], decoder: Decoder, workers: Workers | None, verifier: stream.Verifier
) -> Iterator[tuple[Event, bytes]]:
    """Each event, in order, with the checked raw bytes of a Block; blocks are decoded side by side by workers.

    items: events, each with the digest of its archive's model. Raises the errors of arzip.errors, after all events
    before the fault.
    """

    def decode(item: tuple[Event, bytes]) -> tuple[Event, bytes]:
        event, digest = item
        return event, decoder.decode(event, digest) if isinstance(event, Block) else b""

    for event, raw in workers.map(decode, items) if workers else map(decode, items):
        verifier.check(event, raw)
        yield event, raw


def salvage(source: BinaryIO, sink: Writable, options: Options, progress: Progress | None = None) -> Summary:
    """Write every block of a damaged archive that is still whole. Raises ArzipError when there is none.

    Where the header is lost, the model is taken to be the one that the options name, or the default.
    """
    data = source.read()
    raw_bytes = blocks = 0
    fault: ArzipError = DamagedError("nothing can be recovered: no block of the archive is whole")
    digest = registry.file_digest(registry.find(options.model or levels.level(levels.DEFAULT).model))
    with Workers(options.threads) as workers:
        decoder = Decoder(options, workers, progress)
        for event in find_blocks(data):
            if isinstance(event, Header):
                digest = event.digest
                continue
            try:
                raw = decoder.decode(event, digest)
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


def cached_engine(path: Path, threads: int) -> Engine:
    """`open_engine`, or what it returned before for this file: reading it takes longer than coding a short block."""
    try:
        status = path.stat()
        version: tuple[int, ...] = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
    except OSError:
        version = ()  # opening it raises the error
    return _opened_engine(path, min(threads, 2), version)


@functools.lru_cache(maxsize=4)
def _opened_engine(path: Path, threads: int, version: tuple[int, ...]) -> Engine:
    return open_engine(path, threads)


def _opening(items: Iterable[tuple[Event, bytes]], devices: Devices, workers: Workers) -> Iterator[tuple[Event, bytes]]:
    """The items; opens the devices before the first wide block."""
    for event, digest in items:
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
                engine = cached_engine(path, self.workers.threads).on(self.devices)
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
