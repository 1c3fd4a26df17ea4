"""Stands in for arzip.codec in the tests of the command: zlib, with faults to order. Never shipped.

Content that begins with b"fail:" makes compress fail half-way in the way that follows: damaged, memory, bug, slow.
"""

from __future__ import annotations

import sys
import time
import zlib
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import BinaryIO

from arzip.codec.options import Evaluation, Options, Summary
from arzip.errors import DamagedError

MAGIC = b"STUB"


Progress = Callable[[int, int], None] | None


def compress(source: BinaryIO, sink: BinaryIO, options: Options, progress: Progress = None) -> Summary:
    raw = source.read()
    archive = MAGIC + bytes([options.level]) + zlib.compress(raw)
    sink.write(archive[: len(archive) // 2])
    if progress:
        progress(len(raw) // 2, len(archive) // 2)
    if raw.startswith(b"fail:"):
        _fail(raw[5:].split()[0])
    sink.write(archive[len(archive) // 2 :])
    return Summary(len(raw), len(archive), 1)


def decompress(source: BinaryIO, sink: BinaryIO, options: Options, progress: Progress = None) -> Summary:
    archive = source.read()
    try:
        if not archive.startswith(MAGIC):
            raise zlib.error
        raw = zlib.decompress(archive[len(MAGIC) + 1 :])
    except zlib.error:
        raise DamagedError("block 1 is damaged", 1) from None
    sink.write(raw)
    return Summary(len(raw), len(archive), 1)


@dataclass(frozen=True)
class Missing:
    start: int
    size: int | None


@dataclass(frozen=True)
class Recovery:
    raw_bytes: int
    archive_bytes: int
    blocks: int
    missing: tuple[Missing, ...] = ()
    models: tuple[str, ...] = ()


def salvage(
    source: BinaryIO, sink: BinaryIO, options: Options, progress: Progress = None, zeros: bool = False
) -> Recovery:
    sink.write(b"what is whole" + bytes(5) * zeros)
    gaps = (Missing(13, 5), Missing(18, None), *(Missing(100 * i, 1) for i in range(1, 9)))
    return Recovery(13, len(source.read()), 1, gaps, ("base",))


def evaluate(source: BinaryIO, options: Options, progress: Progress = None) -> Evaluation:
    raw = source.read()
    return Evaluation(len(raw), len(zlib.compress(raw)), 2.0 * len(raw))


def _fail(how: bytes) -> None:
    if how == b"damaged":
        raise DamagedError("it was\nnot to be")
    if how == b"memory":
        raise MemoryError
    if how == b"bug":
        raise IndexError("a bug")
    print("half-way", file=sys.stderr, flush=True)
    time.sleep(60)


def on_first_compile(tell: Callable[[], None]) -> AbstractContextManager[None]:
    """Nothing is compiled here."""
    return nullcontext()
