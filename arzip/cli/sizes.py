"""Values of options: sizes with suffixes, as xz and zstd take them, and ranges of bytes."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

import click

_SIZE = re.compile(r"([0-9]+)(?:([kmgt])(?:i?b|i)?)?", re.IGNORECASE)
_SHIFTS = {"": 0, "k": 10, "m": 20, "g": 30, "t": 40}


def parse_size(text: str) -> int:
    """Bytes of "8MiB", "8M", "8388608" ..: suffixes are powers of 1024, as in xz. Raises ValueError."""
    found = _SIZE.fullmatch(text.strip())
    if not found:
        raise ValueError(f"{text!r} is no size: 4096, 512KiB, 8M ..")
    return int(found[1]) << _SHIFTS[(found[2] or "").lower()]


class ByteRange(NamedTuple):
    """`length` bytes from `start`; None: to the end."""

    start: int
    length: int | None


def size_between(first: int = 0, last: int | None = None) -> Callable[..., int | None]:
    """A callback for an option whose value is a size from `first` to `last` bytes (None: any), or isn't given."""

    def callback(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
        if value is None:
            return None
        try:
            size = parse_size(value)
        except ValueError as error:
            raise click.BadParameter(str(error), ctx, param) from error
        if size < first or (last is not None and size > last):
            bounds = f"{first:,} bytes or more" if last is None else f"{first:,} to {last:,} bytes"
            raise click.BadParameter(f"{value} is out of bounds: {bounds}", ctx, param)
        return size

    return callback


def byte_range(ctx: click.Context, param: click.Parameter, value: str | None) -> ByteRange | None:
    """A callback for an option whose value is START:LEN, two sizes; without LEN: to the end."""
    if value is None:
        return None
    start, colon, length = value.partition(":")
    try:
        if not colon:
            raise ValueError("no colon")
        return ByteRange(parse_size(start), parse_size(length) if length else None)
    except ValueError as error:
        message = f"{value!r} is no range: START:LEN in bytes, as 1000:200, 4MiB:64KiB or 1000:"
        raise click.BadParameter(message, ctx, param) from error
