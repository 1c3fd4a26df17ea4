"""Many short records -> blocks, in an archive each or all in one, and back: batches of records side by side on threads.

Must not know the file system, nor how one block is coded.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator, Sequence

from arzip import block_codec, codec, levels
from arzip.block_codec import Coded
from arzip.codec import Decoder, Options
from arzip.engine.records import RecordEngine
from arzip.format import stream
from arzip.format.records import MAX_BLOCK_BYTES, dictionary_digest
from arzip.format.stream import Block, Event
from arzip.levels import Level
from arzip.media import detect
from arzip.system.workers import Workers
from arzip.weights import registry

BATCH = 24  # records that the network predicts for at once: more read its weights less often, but fill the caches
Item = tuple[Block, bytes]  # with the fields of its archive's header


class _Encoder:
    """Codes records by these options on these threads, which it lets go when the context is left."""

    def __init__(self, options: Options) -> None:
        self.level, self._opens = levels.level(options.level, options.wide), options.opens
        self.workers = Workers(options.threads)
        path = registry.find(options.model or self.level.model)
        engine = codec.cached_engine(path, self.workers.threads, options.dictionary)
        self.engine = engine if isinstance(engine, RecordEngine) else RecordEngine(engine)
        self._dictionary = dictionary_digest(options.dictionary)

    def __enter__(self) -> _Encoder:
        self.workers.__enter__()
        return self

    def __exit__(self, *fault: object) -> None:
        self.workers.__exit__(None, None, None)

    def short(self, raws: Sequence[bytes]) -> Iterator[tuple[int, Coded]]:
        """Number and block of each record that becomes one short block."""
        batches = _batches(raws, self.level)

        def encode(numbers: list[int]) -> list[Coded]:
            members = [raws[number] for number in numbers]
            return block_codec.encode_records(self.engine, members, self.level, self.workers, self._opens)

        for numbers, made in zip(batches, self.workers.map(encode, batches), strict=True):
            yield from zip(numbers, made, strict=True)

    def one_block(self, raw: bytes) -> Coded:
        """The block that a record of any length becomes."""
        return block_codec.encode(
            self.engine, raw, self.level, self.workers, lambda _: self.workers.check(), None, self._opens
        )

    def writer(self, sink: stream.Writable) -> stream.Writer:
        """Writes an archive of such blocks."""
        return stream.Writer(sink, self.engine.digest, self._dictionary)


def compress_records(raws: Sequence[bytes], options: Options) -> list[bytes]:
    """The archive that `codec.compress` makes of each record. Raises as it does."""
    archives: dict[int, bytes] = {}
    with _Encoder(options) as encoder:
        for number, coded in encoder.short(raws):
            sink = io.BytesIO()
            writer = encoder.writer(sink)
            codec.write_block(writer, coded)
            writer.finish()
            archives[number] = sink.getvalue()
    for number in set(range(len(raws))) - archives.keys():
        sink = io.BytesIO()
        codec.compress(io.BytesIO(raws[number]), sink, options)
        archives[number] = sink.getvalue()
    return [archives[number] for number in range(len(raws))]


def compress_batch(raws: Sequence[bytes], options: Options) -> bytes:
    """One archive with a block for each record; an empty record ends it, and is an empty one. Raises as `compress`
    does, and ValueError on a record above MAX_BLOCK_BYTES.
    """
    if any(len(raw) > MAX_BLOCK_BYTES for raw in raws):
        raise ValueError(f"a record of a batch has at most {MAX_BLOCK_BYTES} bytes")
    sink = io.BytesIO()
    with _Encoder(options) as encoder:
        blocks = dict(encoder.short(raws))
        others = [number for number, raw in enumerate(raws) if raw and number not in blocks]
        coded = encoder.workers.map(lambda number: encoder.one_block(raws[number]), others)
        blocks.update(zip(others, coded, strict=True))
        writer = None
        for number, raw in enumerate(raws):
            if raw:
                writer = writer or encoder.writer(sink)
                codec.write_block(writer, blocks[number])
                continue
            if writer:
                writer.finish()
                writer = None
            stream.Writer(sink).finish()
        if writer:
            writer.finish()
    return sink.getvalue()


def _batches(raws: Sequence[bytes], level: Level) -> list[list[int]]:
    """The numbers of records that become one short block, in batches of records of similar length."""
    short = [number for number, raw in enumerate(raws) if 0 < len(raw) <= levels.SHORT_BYTES and _is_plain(raw, level)]
    short.sort(key=lambda number: len(raws[number]))
    return [short[at : at + BATCH] for at in range(0, len(short), BATCH)]


def _is_plain(raw: bytes, level: Level) -> bool:
    """Whether the record is one block without sound or pictures."""
    return not level.sound or detect.Splitter(level.pictures).split(raw) == [(raw, None)]


def decompress_records(archives: Sequence[bytes], options: Options) -> list[bytes]:
    """What `codec.decompress` makes of each archive. Raises as it does, the errors of the first faulty archive."""
    parsed = [_parse(archive) for archive in archives]
    items = [item for events, _ in parsed for item in events]
    blocks: list[Item] = [(event, fields) for event, fields in items if isinstance(event, Block)]
    decoded, raws = iter(decode_blocks(blocks, options)), []
    for events, fault in parsed:
        verifier, parts = stream.Verifier(), list[bytes]()
        for event, _ in events:
            raw = next(decoded) if isinstance(event, Block) else b""
            if isinstance(raw, Exception):
                raise raw
            verifier.check(event, raw)
            parts.append(raw)
        if fault is not None:
            raise fault
        raws.append(b"".join(parts))
    return raws


def _parse(archive: bytes) -> tuple[list[tuple[Event, bytes]], Exception | None]:
    """The events of an archive, with the fields of its headers, and the fault that ends them."""
    events = list[tuple[Event, bytes]]()
    try:
        for item in stream.with_fields(stream.read_events(io.BytesIO(archive))):
            events.append(item)
    except Exception as fault:
        return events, fault
    return events, None


def decode_checked(items: Sequence[Item], options: Options) -> list[bytes]:
    """The raw bytes of each block. Raises the errors of arzip.errors, of the first faulty block."""
    raws = []
    for (block, _), raw in zip(items, decode_blocks(items, options), strict=True):
        if isinstance(raw, Exception):
            raise raw
        stream.Verifier().check(block, raw)
        raws.append(raw)
    return raws


def decode_blocks(items: Sequence[Item], options: Options) -> list[bytes | Exception]:
    """The raw bytes of each block, not yet checked, or what decoding raised."""
    order = sorted(range(len(items)), key=lambda number: items[number][0].frame.raw_bytes)  # alike ones share tables
    with Workers(options.threads) as workers:
        decoder, engines, lock = Decoder(options, workers), dict[bytes, RecordEngine](), threading.Lock()

        def engine_of(fields: bytes) -> RecordEngine:
            with lock:
                if fields not in engines:
                    found = decoder.engine_of(fields)
                    engines[fields] = found if isinstance(found, RecordEngine) else RecordEngine(found)
                return engines[fields]

        def decode(number: int) -> bytes | Exception:
            block, fields = items[number]
            try:
                return block_codec.decode(block, fields, engine_of, workers, lambda _: workers.check())
            except Exception as fault:
                return fault

        found = dict(zip(order, workers.map(decode, order), strict=True))
    return [found[number] for number in range(len(items))]
