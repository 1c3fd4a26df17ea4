"""Archives made and read piece by piece: `ArzipCompressor`, `ArzipDecompressor`."""

from __future__ import annotations

import io
import os
import threading
from collections import deque
from typing import TYPE_CHECKING, Any, NoReturn

from arzip.api.options import as_bytes, check
from arzip.format.pieces import MemberReader
from arzip.format.records import Header
from arzip.format.stream import Block, Member, Verifier
from arzip.levels import DEFAULT

if TYPE_CHECKING:
    from concurrent.futures import Future

    from typing_extensions import Buffer

    from arzip.block_codec import Coded
    from arzip.codec import Decoder, Encoder
    from arzip.system.workers import Workers


class _Unpicklable:
    def __reduce__(self) -> NoReturn:
        raise TypeError(f"cannot pickle {type(self).__name__!r} object")


class ArzipCompressor(_Unpicklable):
    """Makes one archive of data that arrives in pieces: the bytes that `compress` makes of all of it.

    level, model, threads, wide, opens, block_size, dictionary: as of `compress`; raises as it does, but for a missing
    model only when the first data arrives. Holds at most threads + 1 blocks (up to 64 MiB each) and what is coded of
    them.
    Methods may be called from several threads; each call waits for the one before it.

    >>> compressor = ArzipCompressor(level=1)
    >>> archive = compressor.compress(b"spam ") + compressor.compress(b"spam ") + compressor.flush()
    >>> from arzip import compress
    >>> archive == compress(b"spam spam ", level=1)
    True
    """

    def __init__(
        self,
        level: int = DEFAULT,
        *,
        model: str | os.PathLike[str] | None = None,
        threads: int = 0,
        wide: bool = False,
        opens: bool = True,
        block_size: int = 0,
        dictionary: Buffer | None = None,
    ) -> None:
        choices: dict[str, Any] = {"wide": wide, "opens": opens, "block_size": block_size, "dictionary": dictionary}
        self._given = check(level, model=model, threads=threads, **choices)
        self._lock = threading.Lock()
        self._flushed = False
        self._sink = io.BytesIO()
        self._ahead = bytearray()  # of the next block
        self._coding: deque[Future[Coded]] = deque()
        self._workers: Workers | None = None
        self._encoder: Encoder | None = None

    def compress(self, data: Buffer) -> bytes:
        """Add bytes; returns what of the archive is complete, often nothing. Raises ValueError after `flush`."""
        piece = as_bytes(data)
        with self._lock:
            if self._flushed:
                raise ValueError("Compressor has been flushed")
            encoder = self._start()
            self._ahead += piece
            while len(self._ahead) >= encoder.block_bytes:
                block = bytes(self._ahead[: encoder.block_bytes])
                del self._ahead[: encoder.block_bytes]
                self._code(block)
            return self._taken()

    def flush(self) -> bytes:
        """End the archive; returns the rest of it. Raises ValueError when called once more."""
        with self._lock:
            if self._flushed:
                raise ValueError("Repeated call to flush()")
            encoder = self._start()
            self._flushed = True
            try:
                if self._ahead:
                    self._code(bytes(self._ahead))
                self._write(0)
                encoder.finish()
                return self._taken()
            finally:
                self._stop()

    def _start(self) -> Encoder:
        if self._encoder is None:
            from arzip.codec import Encoder
            from arzip.system.workers import Workers

            self._workers = Workers(self._given.threads)
            self._encoder = Encoder(self._sink, self._given.options(), self._workers)
        return self._encoder

    def _code(self, block: bytes) -> None:
        """Have a block coded, and write those that are; waits while more blocks than threads are being coded."""
        assert self._encoder and self._workers
        for piece in self._encoder.split(block):
            self._coding.append(self._workers.submit(self._encoder.encode, piece))
            self._write(self._workers.threads)

    def _write(self, waiting: int) -> None:
        """Write blocks in order: those that are coded, and so many that no more than `waiting` are left."""
        assert self._encoder
        while self._coding and (len(self._coding) > waiting or self._coding[0].done()):
            self._encoder.write(self._coding.popleft().result())

    def _taken(self) -> bytes:
        done = self._sink.getvalue()
        self._sink.seek(0)
        self._sink.truncate()
        return done

    def _stop(self) -> None:
        """Cancel what is being coded, and let the model go."""
        if self._workers is not None:
            self._workers.__exit__(None, None, None)
        self._workers = self._encoder = None
        self._coding.clear()
        self._ahead.clear()

    def __del__(self) -> None:
        if getattr(self, "_workers", None) is not None:
            self._stop()


class ArzipDecompressor(_Unpicklable):
    """Reads one archive that arrives in pieces of any size.

    model, threads, dictionary: as of `decompress`. eof: whether the archive has ended, and all its bytes have been
    returned. unused_data: the bytes after its end, where another archive may begin. needs_input: False while more bytes
    can be returned without new data. Holds the decoded block, the payload of the next one, and what it was
    given ahead of it. Methods may be called from several threads; each call waits for the one before it.

    >>> from arzip import compress
    >>> decompressor = ArzipDecompressor()
    >>> decompressor.decompress(compress(b"spam " * 5, level=1) + b"rest", max_length=7)
    b'spam sp'
    >>> decompressor.eof, decompressor.needs_input
    (False, False)
    >>> decompressor.decompress(b"")
    b'am spam spam spam '
    >>> decompressor.eof, decompressor.unused_data
    (True, b'rest')
    """

    def __init__(
        self, *, model: str | os.PathLike[str] | None = None, threads: int = 0, dictionary: Buffer | None = None
    ) -> None:
        self._given = check(model=model, threads=threads, dictionary=dictionary)
        self._lock = threading.Lock()
        self._reader = MemberReader()
        self._verifier = Verifier()
        self._fields = b""  # of the header
        self._event: Header | Block | None = None  # read, but not used yet
        self._decoder: Decoder | None = None
        self._decoded = memoryview(b"")
        self._fault: Exception | None = None
        self._starved = True  # what has come is used up
        self.eof = False
        self.unused_data = b""

    @property
    def needs_input(self) -> bool:
        """Whether `decompress` returns nothing more without new data."""
        return not self.eof and not self._decoded and self._starved

    def decompress(self, data: Buffer, max_length: int = -1) -> bytes:
        """Add bytes of the archive; returns what is decoded of it, at most max_length bytes if that is not negative.

        Raises EOFError after the end, and ArzipErrors as `decompress` does; after one, every call raises it again.
        """
        piece = as_bytes(data)
        with self._lock:
            if self.eof:
                raise EOFError("Already at end of stream")
            if self._fault is not None:
                raise self._fault
            self._reader.feed(piece)
            try:
                return self._read(max_length)
            except Exception as error:
                self._fault = error
                raise

    def _read(self, max_length: int) -> bytes:
        parts: list[memoryview] = []
        missing = max_length  # negative: no limit
        while missing:
            if not self._decoded and not self._decode_next():
                break
            part = self._decoded if missing < 0 else self._decoded[:missing]
            self._decoded = self._decoded[len(part) :]
            missing -= len(part) if missing > 0 else 0
            parts.append(part)
        if max_length > 0 and not missing and not self._decoded:
            self._look_ahead()  # the end may be there already
        return b"".join(parts)

    def _decode_next(self) -> bool:
        """Decode the next block; False at the end, or if more data is needed for it."""
        while (event := self._look_ahead()) is not None:
            self._event = None
            if isinstance(event, Block):
                self._decoded = memoryview(self._decode(event))
                return True
            self._fields = event.fields
            self._verifier.check(event)
        return False

    def _look_ahead(self) -> Header | Block | None:
        """The next event, left in place; None at the end, or if it isn't there yet."""
        if self._event is None and not self.eof:
            event = self._reader.next_event()
            self._starved = event is None
            if isinstance(event, Member):
                self._verifier.check(event)
                self.eof, self.unused_data = True, self._reader.rest
                self._reader, self._decoder = MemberReader(), None
            else:
                self._event = event
        return self._event

    def _decode(self, block: Block) -> bytes:
        if self._decoder is None:
            from arzip.codec import Decoder
            from arzip.system.workers import Workers

            self._decoder = Decoder(self._given.options(), Workers(self._given.threads))
        raw = self._decoder.decode(block, self._fields)
        self._verifier.check(block, raw)
        return raw
