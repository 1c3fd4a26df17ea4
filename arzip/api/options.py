"""Checks what callers pass. Imports the codec when its options are made."""

from __future__ import annotations

import operator
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from arzip import levels
from arzip.format.records import MAX_DICTIONARY_BYTES

if TYPE_CHECKING:
    from arzip.codec import Options

MAX_LEVEL = len(levels.LEVELS)


class Arguments(NamedTuple):
    """Arguments that were checked; see `compress`."""

    level: int
    model: str | None
    threads: int
    wide: bool
    opens: bool
    dictionary: bytes = b""
    block_size: int = 0
    memory_bytes: int = 0

    def options(self) -> Options:
        """The codec's options."""
        from arzip.codec import Options

        basic = self.level, self.model, "auto", self.threads, self.wide, self.opens
        return Options(*basic, self.block_size, self.memory_bytes, dictionary=self.dictionary)


def check(
    level: Any = levels.DEFAULT,
    *,
    model: Any = None,
    threads: Any = 0,
    wide: bool = False,
    opens: bool = True,
    block_size: Any = 0,
    dictionary: Any = None,
) -> Arguments:
    """Raises TypeError on arguments of wrong types; ValueError on a level, a number of threads or a block size that
    there isn't, on a dictionary that is too long, and on one for wide blocks.
    """
    level, threads = operator.index(level), operator.index(threads)
    if not 1 <= level <= MAX_LEVEL:
        raise ValueError(f"level {level}: levels are 1 .. {MAX_LEVEL}")
    if threads < 0:
        raise ValueError(f"{threads} threads: 0 is for as many as there are cores")
    block_size = operator.index(block_size)
    if block_size and not levels.MIN_BLOCK_BYTES <= block_size <= levels.MAX_BLOCK_BYTES:
        raise ValueError(
            f"blocks of {block_size} bytes: {levels.MIN_BLOCK_BYTES} .. {levels.MAX_BLOCK_BYTES} can be had"
        )
    known = b"" if dictionary is None else as_bytes(dictionary)
    if len(known) > MAX_DICTIONARY_BYTES:
        raise ValueError(f"a dictionary has at most {MAX_DICTIONARY_BYTES:,} bytes, not {len(known):,}")
    if known and wide:
        raise ValueError("wide blocks start from nothing: a dictionary is no use to them")
    named = None if model is None else os.fsdecode(model)
    return Arguments(level, named, threads, bool(wide), bool(opens), known, block_size)


def as_bytes(data: Any) -> bytes:
    """The bytes of any object with a contiguous buffer. Raises TypeError."""
    if isinstance(data, bytes):
        return data
    return memoryview(data).cast("B").tobytes()
