"""Bytes -> blocks -> archive, and back: `compress`, `decompress`, `evaluate`; api/recovery.py has `salvage`.

Blocks are coded side by side on several threads. Must not know the file system, nor how one block is coded.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import BinaryIO, NamedTuple

from arzip import block_codec, levels, memory
from arzip.block_codec import Coded
from arzip.engine.backend import OnCosts
from arzip.engine.devices import Devices
from arzip.engine.engine import Engine, open_engine
from arzip.engine.records import RecordEngine
from arzip.errors import DamagedError, DictionaryMissingError, LimitError, ModelError
from arzip.format import stream
from arzip.format.opened_head import OpenedHead
from arzip.format.records import Frame, dictionary_digest, split_fields
from arzip.format.stream import Block, Event, Member, Writable
from arzip.jit.compile_events import on_first_compile as on_first_compile  # for those who drive the codec
from arzip.media import array_detect, detect
from arzip.media.array_headers import FoundArray
from arzip.media.headers import Found
from arzip.preprocess import opened
from arzip.system.workers import Workers, free_bytes
from arzip.weights import registry

Progress = Callable[[int, int], None]
Piece = tuple[bytes, block_codec.AnyLayout | None]  # of a stream: a block, and how samples lie in it
BATCH_BLOCKS = 132  # of a GPU at a time: as many as a large one has multiprocessors
WAITING_BYTES = 64 << 20  # of this machine's memory, for a wide block that waits for a GPU


@dataclass(frozen=True)
class Options:
    """How to work. `level`, `model`, `wide`, `opens`, `block_bytes` and `dictionary` change the archive; decoding needs
    the last alone.

    wide: blocks of many lanes with a stream each, made for GPUs, which every device codes alike. opens: whether deflate
    streams (in zip, docx, png, pdf, gz ..) are opened. threads: 0 for as many as there are cores. device: what codes
    wide blocks: "auto" (the GPUs that are at hand, else the CPU), "cpu" or "cuda". Other blocks are the CPU's.
    block_bytes: the maximum size of a block; 0 for the level's. memory_bytes: what the process may take: fewer blocks
    are worked on at a time, and one that takes more is refused; 0 for no limit. max_output: bytes that decoding may
    make; negative: any number. dictionary: what each block of one lane starts after, up to MAX_DICTIONARY_BYTES; b"":
    nothing.
    """

    level: int = levels.DEFAULT
    model: str | None = None
    device: str = "auto"
    threads: int = 0
    wide: bool = False
    opens: bool = True
    block_bytes: int = 0
    memory_bytes: int = 0
    max_output: int = -1
    dictionary: bytes = b""


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
    with Workers(options.threads) as workers, open_devices(options, wide, workers) as devices:
        encoder = Encoder(sink, options, workers, progress, on_costs, devices)
        for coded in workers.map(encoder.encode, encoder.pieces(source), encoder.share_of_memory):
            encoder.write(coded)
        return encoder.finish()


class Carried(NamedTuple):
    """What the parts of a stream that have been cut say of the next one. samples, array: of a file that goes on."""

    has_begun: bool = False
    samples: Found | None = None
    array: FoundArray | None = None


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
        self._level = levels.level(options.level, options.wide, options.block_bytes)
        self._has_windows = not (self._level.wide or options.block_bytes)  # else repeats make no block longer
        self._opens, self._workers, self._on_costs = options.opens, workers, on_costs
        path = registry.find(options.model or self._level.model)
        self._engine = cached_engine(path, workers.threads, options.dictionary).on(self._devices)
        self._memory_bytes, self._basic_bytes = (
            options.memory_bytes,
            memory.PROGRAM_BYTES + registry.loading_bytes(path),
        )
        self._window_bytes = 0  # of the part of the stream that is being split; 0: none was
        self._splitter = detect.Splitter(self._level.pictures, self._level.light)
        self._arrays = array_detect.Splitter(self._level.pictures, self._level.light)
        self._fields = self._engine.digest + dictionary_digest(options.dictionary)
        self._writer = stream.Writer(sink, *split_fields(self._fields))
        self._meter = _ProgressMeter(workers, progress)
        self._raw_bytes = self._blocks = self._refused = 0
        self._heads: list[OpenedHead] = []

    @property
    def block_bytes(self) -> int:
        """Size of each part of the stream, but the last, that `split` takes: it makes blocks of it."""
        return levels.WINDOW_BYTES if self._has_windows else self._level.block_bytes

    def pieces(self, source: BinaryIO) -> Iterator[Piece]:
        """What `split` makes of a whole stream."""
        for raw in _read_blocks(source, self.block_bytes):
            yield from self.split(raw)
            del raw  # before the next one is read

    def share_of_memory(self, piece: Piece) -> float:
        """How much of the memory that the limit leaves for blocks a piece takes. Raises LimitError."""
        if not self._memory_bytes:
            return 0.0
        raw, layout = piece
        may_open = self._opens and opened.may_open(raw)
        row = getattr(layout, "width", 0) * getattr(layout, "channels", 0)  # of a picture
        needed = memory.coding_bytes(self._level, len(raw), may_open, layout is not None, row)
        budget = memory.Budget(self._memory_bytes, self._basic_bytes + self._window_bytes)
        hint = "; smaller blocks (-b) take less" + (", and --no-open does" if may_open else "")
        return budget.share(needed, f"compressing a block of {len(raw):,} bytes", hint)

    @property
    def carried(self) -> Carried:
        """What of the stream so far decides how `split` cuts the next part.

        An Encoder that is given another one's goes on as that one would. Nothing else crosses the parts of a stream.
        """
        return Carried(bool(self._window_bytes), self._splitter.carried, self._arrays.carried)

    @carried.setter
    def carried(self, carried: Carried) -> None:
        self._window_bytes = int(carried.has_begun)
        self._splitter.carried, self._arrays.carried = carried.samples, carried.array

    @property
    def fields(self) -> bytes:
        """What the archive's header says of model and dictionary."""
        return self._fields

    def split(self, raw: bytes) -> Iterator[Piece]:
        """Blocks of the next part of the stream, cut around samples; each piece with the layout of its samples."""
        is_first, self._window_bytes = not self._window_bytes, len(raw)
        sizes = levels.block_sizes(len(raw), self._level, is_first and self._has_windows)
        repeated = block_codec.repeated_share(raw, self._level) if len(sizes) > 1 else 0.0
        if repeated >= levels.ALL_REPEATED_SHARE:
            yield raw, None
            return
        if repeated >= levels.REPEATED_SHARE:
            sizes = [len(raw)]
        for block in (raw[end - size : end] for size, end in zip(sizes, accumulate(sizes), strict=True)):
            for piece in self._splitter.split(block) if self._level.sound else [(block, None)]:
                yield from self._cut_arrays(*piece)

    def _cut_arrays(self, raw: bytes, layout: block_codec.AnyLayout | None) -> list[Piece]:
        """A piece as it is, or cut around arrays, and around what has no header if a short probe is for it."""
        if layout is not None or not self._level.arrays:
            self._arrays.carried = None  # no array goes on behind something else
            return [(raw, layout)]

        def probe(guess: bytes, layouts: Sequence[block_codec.AnyLayout]) -> block_codec.AnyLayout | None:
            size = block_codec.GUESS_PROBE_BYTES
            return block_codec.cheapest(self._engine, guess, layouts, self._level, self._workers, size)

        return self._arrays.split(raw, probe)

    def encode(self, piece: Piece) -> Coded:
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


def packed(coded: Coded) -> tuple[Frame, bytes]:
    """Frame and payload of a block, which is stored if coding it saves nothing."""
    if len(coded.payload) >= len(coded.raw):
        return stream.stored_frame(coded.raw), coded.raw
    return stream.coded_frame(coded.raw, *coded[1:5]), coded.payload


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
        self._engines = _Engines(options, workers, self._devices)
        self.engine_of = self._engines.of
        self._workers, self._memory_bytes = workers, options.memory_bytes
        self.meter = _ProgressMeter(workers, progress)

    def decode(self, block: Block, fields: bytes) -> bytes:
        """The raw bytes of a block, not yet checked; but what a GPU made of it is, and if it is wrong, the CPU tries.

        fields: of its archive's header. Raises the errors of arzip.errors.
        """
        self.share_of_memory(block, fields)
        devices, workers = self._devices, self._workers
        with devices.bringing_blocks():
            before, fault = devices.blocks, None
            try:
                raw = block_codec.decode(block, fields, self.engine_of, workers, self.meter.on_bytes)
                if not block.frame.wide or stream.is_sound(block, raw) or devices.blocks == before:
                    return raw
            except DamagedError as error:
                if not block.frame.wide or devices.blocks == before:
                    raise
                fault = error
            raw = block_codec.decode(block, fields, self.engine_of, workers, lambda _: workers.check(), False)
            if stream.is_sound(block, raw):
                devices.faults.append(f"block {block.number} was wrong on {devices.name}, right on the CPU")
            elif fault:
                raise fault
            return raw

    def share_of_memory(self, block: Block, fields: bytes) -> float:
        """How much of the memory that the limit leaves for blocks this one takes. Raises LimitError."""
        if not self._memory_bytes:
            return 0.0
        digest, _ = split_fields(fields)
        model_bytes = self._engines.loading_bytes(digest) if digest else 0
        budget = memory.Budget(self._memory_bytes, memory.PROGRAM_BYTES + model_bytes)
        return budget.share(memory.decoding_bytes(block.frame, block.payload), f"decoding block {block.number}")


def decompress(source: BinaryIO, sink: Writable, options: Options, progress: Progress | None = None) -> Summary:
    """Read archives from `source` to its end and write what they hold.

    Raises the errors of arzip.errors, after all blocks before the fault have been written.
    """
    raw_bytes = archive_bytes = blocks = 0
    with Workers(options.threads) as workers, open_devices(options, False, workers) as devices:
        decoder = Decoder(options, workers, progress, devices)
        events = _within(stream.read_events(source), options.max_output)
        items = _opening(stream.with_fields(events), devices, workers)
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

    items: events, each with the fields of its archive's header. Raises the errors of arzip.errors, after all events
    before the fault.
    """

    def decode(item: tuple[Event, bytes]) -> tuple[Event, bytes]:
        event, fields = item
        return event, decoder.decode(event, fields) if isinstance(event, Block) else b""

    def share(item: tuple[Event, bytes]) -> float:
        event, fields = item
        return decoder.share_of_memory(event, fields) if isinstance(event, Block) else 0.0

    for event, raw in workers.map(decode, items, share) if workers else map(decode, items):
        verifier.check(event, raw)
        yield event, raw


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


def cached_engine(path: Path, threads: int, dictionary: bytes = b"") -> Engine:
    """`open_engine`, or what it returned before for this file: reading it takes longer than coding a short block.

    dictionary: see Options; what an engine has learnt of it is kept, too.
    """
    try:
        version = registry.file_version(path)
    except OSError:
        version = ()  # opening it raises the error
    engine = _opened_engine(path, min(threads, 2), version)
    return _engine_after(engine, dictionary) if dictionary else engine


@functools.lru_cache(maxsize=4)
def _opened_engine(path: Path, threads: int, version: tuple[int, ...]) -> Engine:
    return open_engine(path, threads)


@functools.lru_cache(maxsize=2)
def _engine_after(engine: Engine, dictionary: bytes) -> RecordEngine:
    return RecordEngine(engine, dictionary)


def _within(events: Iterable[Event], max_output: int) -> Iterator[Event]:
    """The events; raises LimitError before a block with which they hold more raw bytes than that."""
    raw_bytes = 0
    for event in events:
        if isinstance(event, Block):
            raw_bytes += event.frame.raw_bytes
            check_output(raw_bytes, max_output)
        yield event


def check_output(raw_bytes: int, max_output: int) -> None:
    """Raises LimitError if it is more than that; negative: any number may be."""
    if 0 <= max_output < raw_bytes:
        raise LimitError(f"it holds more than the {max_output:,} bytes that --max-output allows")


def _opening(items: Iterable[tuple[Event, bytes]], devices: Devices, workers: Workers) -> Iterator[tuple[Event, bytes]]:
    """The items; opens the devices before the first wide block."""
    for event, fields in items:
        if isinstance(event, Block) and event.frame.wide:
            _open(devices, workers)
        yield event, fields


def open_devices(options: Options, wide: bool, workers: Workers) -> Devices:
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
        self._preferred, self._dictionary = options.model, options.dictionary
        self._lock = threading.Lock()
        self._open: dict[bytes, Engine] = {}

    def of(self, fields: bytes) -> Engine:
        """The engine of the model, and after the dictionary, that an archive's header names.

        Raises ModelMissingError, ModelError, DictionaryMissingError.
        """
        with self._lock:
            if fields not in self._open:
                self._open[fields] = self._find(*split_fields(fields)).on(self.devices)
            return self._open[fields]

    def _find(self, digest: bytes, dictionary: bytes) -> Engine:
        if dictionary and dictionary != dictionary_digest(self._dictionary):
            raise DictionaryMissingError(
                f"the archive needs the dictionary with digest {dictionary.hex()}, the file whose SHA-256 begins so: "
                "name it with -D"
            )
        known = self._dictionary if dictionary else b""
        engine = self._likely(digest, known) or cached_engine(self._path(digest), self.workers.threads, known)
        if engine.digest != digest:
            raise ModelError(f"{self._path(digest)}: the model was changed while it was read; try again")
        return engine

    def _likely(self, digest: bytes, dictionary: bytes) -> Engine | None:
        """The engine, if it is that of a file that a hint names: whose digest is then computed once, not twice."""
        path = None if self._preferred else registry.hinted(digest)
        try:
            engine = cached_engine(path, self.workers.threads, dictionary) if path else None
        except ModelError:
            return None
        return engine if engine and engine.digest == digest else None

    def loading_bytes(self, digest: bytes) -> int:
        """Memory that reading this model takes. Raises ModelMissingError."""
        return registry.loading_bytes(self._path(digest))

    def _path(self, digest: bytes) -> Path:
        return registry.find_digest(digest, registry.find(self._preferred) if self._preferred else None)


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
