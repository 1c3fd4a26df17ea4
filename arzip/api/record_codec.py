"""Many short records -> an archive each, and back: batches of records side by side on threads.

Must not know the file system, nor how one block is coded.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Sequence

from arzip import block_codec, codec, levels
from arzip.codec import Decoder, Options
from arzip.engine.engine import Engine
from arzip.engine.records import RecordEngine
from arzip.format import stream
from arzip.format.stream import Block
from arzip.levels import Level
from arzip.media import detect
from arzip.system.workers import Workers
from arzip.weights import registry

BATCH = 24  # records that the network predicts for at once: more read its weights less often, but fill the caches


class _OfThread(threading.local):
    """The engines of a thread, by the digest of their model."""

    def __init__(self) -> None:
        self.engines: dict[bytes, RecordEngine] = {}

    def engine(self, shared: Engine) -> RecordEngine:
        if shared.digest not in self.engines:
            self.engines[shared.digest] = RecordEngine(shared)
        return self.engines[shared.digest]


def compress_records(raws: Sequence[bytes], options: Options) -> list[bytes]:
    """The archive that `codec.compress` makes of each record. Raises as it does."""
    level = levels.level(options.level, options.wide)
    archives: dict[int, bytes] = {}
    batches = _batches(raws, level)
    with Workers(options.threads) as workers:
        path = registry.find(options.model or level.model)
        shared, local = codec.cached_engine(path, options.device, workers.threads), _OfThread()

        def encode(numbers: list[int]) -> list[bytes]:
            engine, members = local.engine(shared), [raws[number] for number in numbers]
            coded = block_codec.encode_records(engine, members, level, workers, options.opens)
            return [_archive(engine.digest, block) for block in coded]

        for numbers, made in zip(batches, workers.map(encode, batches), strict=True):
            archives.update(zip(numbers, made, strict=True))
    for number in set(range(len(raws))) - archives.keys():
        sink = io.BytesIO()
        codec.compress(io.BytesIO(raws[number]), sink, options)
        archives[number] = sink.getvalue()
    return [archives[number] for number in range(len(raws))]


def _batches(raws: Sequence[bytes], level: Level) -> list[list[int]]:
    """The numbers of records that become one short block, in batches of records of similar length."""
    short = [number for number, raw in enumerate(raws) if 0 < len(raw) <= levels.SHORT_BYTES and _is_plain(raw, level)]
    short.sort(key=lambda number: len(raws[number]))
    return [short[at : at + BATCH] for at in range(0, len(short), BATCH)]


def _is_plain(raw: bytes, level: Level) -> bool:
    """Whether the record is one block without sound or pictures."""
    return not level.sound or detect.Splitter(level.pictures).split(raw) == [(raw, None)]


def _archive(digest: bytes, coded: block_codec.Coded) -> bytes:
    sink = io.BytesIO()
    writer = stream.Writer(sink, digest)
    codec.write_block(writer, coded)
    writer.finish()
    return sink.getvalue()


def decompress_records(archives: Sequence[bytes], options: Options) -> list[bytes]:
    """What `codec.decompress` makes of each archive. Raises as it does, the errors of the first faulty archive."""
    with Workers(options.threads) as workers:
        decoder, local = Decoder(options, workers), _OfThread()

        def engine_of(digest: bytes) -> Engine:
            return local.engine(decoder.engine_of(digest))

        def decode(archive: bytes) -> bytes:
            return _decode(archive, engine_of, workers)

        return list(workers.map(decode, archives))


def _decode(archive: bytes, engine_of: Callable[[bytes], Engine], workers: Workers) -> bytes:
    parts, verifier = [], stream.Verifier()
    for event, digest in stream.with_digest(stream.read_events(io.BytesIO(archive))):
        raw = b""
        if isinstance(event, Block):
            raw = block_codec.decode(event, digest, engine_of, workers, lambda _: workers.check())
            parts.append(raw)
        verifier.check(event, raw)
    return b"".join(parts)
