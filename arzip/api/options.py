"""Checks what callers pass, and makes the codec's options of it."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

from arzip import levels

if TYPE_CHECKING:
    from arzip.codec import Options

MAX_LEVEL = len(levels.LEVELS)


def check_level(level: Any) -> int:
    """The level as an int. Raises TypeError if it is no integer, ValueError if it isn't 1 .. 9."""
    number = operator.index(level)
    if not 1 <= number <= MAX_LEVEL:
        raise ValueError(f"level {number}: levels are 1 .. {MAX_LEVEL}")
    return number


def check_threads(threads: Any) -> int:
    """The number of threads as an int. Raises TypeError if it is no integer, ValueError if it is below 0."""
    number = operator.index(threads)
    if number < 0:
        raise ValueError(f"{number} threads: 0 is for as many as there are cores")
    return number


def check_model(model: Any) -> str | None:
    """The name or path of a model, or None. Raises TypeError."""
    import os

    return None if model is None else os.fsdecode(model)


def make_options(level: Any, model: Any, threads: Any, wide: bool = False, opens: bool = True) -> Options:
    """The options of the codec. Raises TypeError and ValueError."""
    checked = check_level(level), check_model(model), check_threads(threads)
    from arzip.codec import Options

    return Options(checked[0], checked[1], "auto", checked[2], bool(wide), bool(opens))


def as_bytes(data: Any) -> bytes:
    """The bytes of any object with a contiguous buffer. Raises TypeError."""
    if isinstance(data, bytes):
        return data
    return memoryview(data).cast("B").tobytes()
