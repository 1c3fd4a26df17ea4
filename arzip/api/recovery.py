"""What can be had of a damaged archive: its whole blocks, and which parts of the original are missing.

Must not know the file system, nor how one block is coded.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from arzip import levels
from arzip.codec import Decoder, Options, Progress, check_output
from arzip.errors import ArzipError, DamagedError, LimitError, ModelError
from arzip.format import stream
from arzip.format.parts import Part, find_parts, payload_of
from arzip.format.records import DIGEST_BYTES, Method, dictionary_digest
from arzip.format.stream import Writable
from arzip.system.workers import Workers
from arzip.weights import registry

_CHECK_BYTES = 2  # of a header, behind its digest
_ALMOST_BITS = 8  # of 32: digests that differ in fewer are taken for the same, damaged
_ZEROS = bytes(1 << 20)


@dataclass(frozen=True)
class Missing:
    """Bytes of the original that are lost: where they begin and how many they are; None: unknown, perhaps none.

    Where an unknown number is missing, what comes later counts as if none were.
    """

    start: int
    size: int | None


@dataclass(frozen=True)
class Recovery:
    """What was read and written, in bytes, from how many whole blocks; what is missing, in order.

    models: names of those that were found to fit where the header is lost.
    """

    raw_bytes: int
    archive_bytes: int
    blocks: int
    missing: tuple[Missing, ...] = ()
    models: tuple[str, ...] = ()


def salvage(
    source: BinaryIO, sink: Writable, options: Options, progress: Progress | None = None, zeros: bool = False
) -> Recovery:
    """Write every block of a damaged archive that is still whole. Raises ArzipError when there is none.

    zeros: write zeros for the blocks that are not, so that the others keep their places. Where the header is lost, the
    models at hand are tried, first the one that the options name. Raises LimitError beyond the options' max_output.
    """
    data = source.read()
    found = _Found()
    with Workers(options.threads) as workers:
        decoder = Decoder(options, workers, progress)
        attempts = _Attempts(data, decoder, options)
        for part, raw in workers.map(attempts.decode, find_parts(data)):
            end = found.position + (part.raw_bytes or 0 if raw is None else len(raw))
            check_output(end if zeros else found.raw_bytes + len(raw or b""), options.max_output)
            if raw is not None:
                sink.write(raw)
                found.add(len(raw))
            elif not part.is_stray:
                found.miss(part.raw_bytes)
                for size in _pieces(part.raw_bytes or 0) if zeros else ():
                    workers.check()
                    sink.write(_ZEROS[:size])
    if not found.blocks:
        raise attempts.fault
    return Recovery(found.raw_bytes, len(data), found.blocks, tuple(found.missing), tuple(sorted(attempts.fitting)))


class _Found:
    """Adds up what was found and what was not, in order."""

    def __init__(self) -> None:
        self.raw_bytes = self.blocks = self.position = 0
        self.missing: list[Missing] = []

    def add(self, raw_bytes: int) -> None:
        """A whole block."""
        self.blocks += 1
        self.raw_bytes += raw_bytes
        self.position += raw_bytes

    def miss(self, raw_bytes: int | None) -> None:
        """A lost part; adjacent ones of known size become one."""
        last = self.missing[-1] if self.missing else None
        if raw_bytes and last and last.size is not None and last.start + last.size == self.position:
            self.missing[-1] = Missing(last.start, last.size + raw_bytes)
        elif last != Missing(self.position, raw_bytes):
            self.missing.append(Missing(self.position, raw_bytes))
        self.position += raw_bytes or 0


class _Attempts:
    """Decodes what was found, on any thread."""

    def __init__(self, data: bytes, decoder: Decoder, options: Options) -> None:
        self._data, self._decoder = data, decoder
        self._preferred = registry.find(options.model or levels.level(levels.DEFAULT).model)
        self._dictionary = dictionary_digest(options.dictionary)
        self._lock = threading.Lock()
        self._candidates: dict[int, list[tuple[bytes, str]]] = {}  # of members whose header is lost, the best first
        self.fault: ArzipError = DamagedError("nothing can be recovered: no block of the archive is whole")
        self.fitting: set[str] = set()

    def decode(self, part: Part) -> tuple[Part, bytes | None]:
        """A part of the original, and its bytes if they are whole."""
        if part.block is None:
            return part, None
        block = replace(part.block, payload=payload_of(self._data, part.block))
        if len(block.payload) < block.frame.coded_bytes:
            return part, None
        if part.header is not None:
            return part, self._try(block, part.header.fields)
        with self._lock:
            if part.member not in self._candidates:
                self._candidates[part.member] = self._models(block.offset)
            candidates = self._candidates[part.member]
        for digest, name in candidates:
            raw = self._try(block, digest + self._dictionary)
            if raw is not None:
                if block.frame.method is not Method.STORED:
                    self._candidates[part.member] = [(digest, name)]
                    self.fitting.add(name)
                return part, raw
        return part, None

    def _try(self, block: stream.Block, fields: bytes) -> bytes | None:
        try:
            raw = self._decoder.decode(block, fields)
            stream.Verifier().check(block, raw)
            return raw
        except LimitError:
            raise
        except DamagedError:
            return None
        except ArzipError as error:
            self.fault = error
            return None

    def _models(self, offset: int) -> list[tuple[bytes, str]]:
        """Digest and name of each model at hand. First the one that is named, but for some bits, before `offset`, where
        the first block was found; then the preferred one.
        """
        end = max(offset - _CHECK_BYTES - len(self._dictionary), 0)
        there = int.from_bytes(self._data[max(end - DIGEST_BYTES, 0) : end], "little")
        models: dict[bytes, str] = {}
        for path in [self._preferred, *registry.paths()]:
            with suppress(ModelError):
                models.setdefault(registry.file_digest(path), registry.name_of(Path(path)))

        def unlikeliness(digest: bytes) -> int:
            wrong_bits = (int.from_bytes(digest, "little") ^ there).bit_count()
            return wrong_bits if wrong_bits < _ALMOST_BITS else _ALMOST_BITS

        return sorted(models.items(), key=lambda model: unlikeliness(model[0]))  # stable: the preferred one is first


def _pieces(size: int) -> Iterator[int]:
    for at in range(0, size, len(_ZEROS)):
        yield min(len(_ZEROS), size - at)
