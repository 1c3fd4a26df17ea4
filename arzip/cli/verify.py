"""--verify: what was written is read back, decoded and compared with what was read, before success is reported.

Imports the codec late.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any, BinaryIO

from arzip.errors import OutputError
from arzip.system import files
from arzip.system.outputs import OutputFile

if TYPE_CHECKING:
    from arzip.codec import Options

_PIECE_BYTES = 1 << 20


class HashedSource:
    """An input that digests what is read of it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.hash = blake2b()

    def read(self, size: int = -1) -> bytes:
        """As the input's."""
        data = self._stream.read(size)
        self.hash.update(data)
        return data


class HashedSink:
    """An output, or none, that digests what is written."""

    def __init__(self, sink: Any = None) -> None:
        self._sink = sink
        self.hash = blake2b()

    def write(self, data: bytes, /) -> int:
        """As the output's."""
        self.hash.update(data)
        if self._sink is not None:
            self._sink.write(data)
        return len(data)


def archive(sink: OutputFile, digest: bytes, options: Options) -> None:
    """Decode the archive that was written. Raises OutputError unless it holds what has this digest."""
    from arzip import codec

    sink.finish()
    found = HashedSink()
    with sink.read_back() as written:
        codec.decompress(written, found, options)
    _compare(found.hash.digest(), digest, sink.label)


def content(sink: OutputFile, digest: bytes) -> None:
    """Read the file that was written. Raises OutputError unless it has this digest."""
    sink.finish()
    with sink.read_back() as written:
        _compare(_digest(written), digest, sink.label)


def source(opened: files.InputFile, digest: bytes) -> None:
    """Read a source once more. Raises SkippedError if it has another digest than before."""
    with open(opened.name, "rb") as again:
        if _digest(again) != digest:
            raise files.SkippedError("has changed while it was read; --rm keeps it")


def _digest(stream: BinaryIO) -> bytes:
    found = HashedSource(stream)
    while found.read(_PIECE_BYTES):
        pass
    return found.hash.digest()


def _compare(found: bytes, wanted: bytes, label: str) -> None:
    if found != wanted:
        raise OutputError(f"{label}: what was written isn't what was to be written: faulty memory or disk?")
