"""The one round-trip check, and the texts and sources that tests share."""

from __future__ import annotations

import io
import pydoc_data.topics
import random

from arzip import codec
from arzip.codec import Options, Summary
from arzip.errors import ArzipError


def compress(raw: bytes, options: Options) -> bytes:
    sink = io.BytesIO()
    summary = codec.compress(io.BytesIO(raw), sink, options)
    assert (summary.raw_bytes, summary.archive_bytes) == (len(raw), len(sink.getvalue()))
    return sink.getvalue()


def decompress(archive: bytes, options: Options) -> bytes:
    sink = io.BytesIO()
    summary = codec.decompress(io.BytesIO(archive), sink, options)
    assert (summary.raw_bytes, summary.archive_bytes) == (len(sink.getvalue()), len(archive))
    return sink.getvalue()


def check_roundtrip(raw: bytes, options: Options) -> bytes:
    """The archive of `raw`, which came back whole and, whatever it holds, hardly grew."""
    archive = compress(raw, options)
    assert decompress(archive, options) == raw
    assert len(archive) <= len(raw) + 32 + len(raw) // 1000
    return archive


def harmless_changes(raw: bytes, archive: bytes, options: Options, step: int = 1) -> set[int]:
    """Where a changed byte still gives the raw bytes; anywhere else it must give an error of one line, and no bytes.

    step: of how many bytes one is changed.
    """
    source, harmless = random.Random(0), set()
    for at in range(0, len(archive), step):
        for flip in (1 << source.randrange(8), source.randrange(1, 256)):
            sink, changed = io.BytesIO(), archive[:at] + bytes([archive[at] ^ flip]) + archive[at + 1 :]
            try:
                codec.decompress(io.BytesIO(changed), sink, options)
            except ArzipError as error:
                assert "\n" not in str(error)
                assert sink.getvalue() == b""
            else:
                assert sink.getvalue() == raw
                harmless.add(at)
    return harmless


def count_blocks(archive: bytes, options: Options) -> int:
    summary: Summary = codec.decompress(io.BytesIO(archive), io.BytesIO(), options)
    return summary.blocks


def words(size_bytes: int, seed: int = 0) -> bytes:
    """Text of small letters, which the tiny model shrinks."""
    source = random.Random(seed)
    text = b"".join(bytes(source.choices(b"aeinorst", k=source.randint(1, 9))) + b" " for _ in range(size_bytes))
    return text[:size_bytes]


def english(size_bytes: int) -> bytes:
    """English that every Python brings along."""
    return "".join(pydoc_data.topics.topics.values()).encode()[:size_bytes]


class Drip:
    """A source like a pipe: gives a few bytes a read, and can't seek."""

    def __init__(self, data: bytes, most_bytes: int = 700) -> None:
        self._rest = data
        self._random = random.Random(0)
        self._most_bytes = most_bytes

    def read(self, size: int = -1, /) -> bytes:
        size = min(size if size >= 0 else len(self._rest), self._random.randint(1, self._most_bytes))
        piece, self._rest = self._rest[:size], self._rest[size:]
        return piece
