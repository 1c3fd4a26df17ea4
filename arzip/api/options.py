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
    dictionary: bytes

    def options(self) -> Options:
        """The codec's options."""
        from arzip.codec import Options

        return Options(self.level, self.model, "auto", self.threads, self.wide, self.opens, dictionary=self.dictionary)


def check(
    level: Any = levels.DEFAULT,
    *,
    model: Any = None,
    threads: Any = 0,
    wide: bool = False,
    opens: bool = True,
    dictionary: Any = None,
) -> Arguments:
    """Raises TypeError on arguments of wrong types; ValueError on a level or a number of threads that there isn't, on a
    dictionary that is too long, and on one for wide blocks.
    """
    level, threads = operator.index(level), operator.index(threads)
    if not 1 <= level <= MAX_LEVEL:
        raise ValueError(f"level {level}: levels are 1 .. {MAX_LEVEL}")
    if threads < 0:
        raise ValueError(f"{threads} threads: 0 is for as many as there are cores")
    known = b"" if dictionary is None else as_bytes(dictionary)
    if len(known) > MAX_DICTIONARY_BYTES:
        raise ValueError(f"a dictionary has at most {MAX_DICTIONARY_BYTES:,} bytes, not {len(known):,}")
    if known and wide:
        raise ValueError("wide blocks start from nothing: a dictionary is no use to them")
    return Arguments(level, None if model is None else os.fsdecode(model), threads, bool(wide), bool(opens), known)


def as_bytes(data: Any) -> bytes:
    """The bytes of any object with a contiguous buffer. Raises TypeError."""
    if isinstance(data, bytes):
        return data
    return memoryview(data).cast("B").tobytes()
