"""One archive, of a stream that comes in parts: pieces, blocks, frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import BinaryIO, NamedTuple

from arzip import block_codec, levels, memory
from arzip.block_codec import Coded
from arzip.codec.engines import cached_engine
from arzip.codec.options import Options, Progress, Summary
from arzip.codec.progress import ProgressMeter
from arzip.engine.backend import OnCosts
from arzip.engine.devices import Devices
from arzip.format import stream
from arzip.format.opened_head import OpenedHead
from arzip.format.records import Frame, dictionary_digest, split_fields
from arzip.format.stream import Writable
from arzip.media import array_detect, detect
from arzip.media.array_headers import FoundArray
from arzip.media.headers import Found
from arzip.preprocess import opened
from arzip.system.workers import Workers
from arzip.weights import registry

Piece = tuple[bytes, block_codec.AnyLayout | None]  # of a stream: a block, and how samples lie in it


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
        pictures = self._level.pictures, self._level.light
        self._splitter = detect.Splitter(*pictures)
        self._arrays = array_detect.Splitter(*pictures, self._level.bitmaps)
        self._fields = self._engine.digest + dictionary_digest(options.dictionary)
        self._writer = stream.Writer(sink, *split_fields(self._fields))
        self._meter = ProgressMeter(workers, progress)
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
            return block_codec.guessed(self._engine, guess, layouts, self._level, self._workers)

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
