"""The payload of a wide block: a stream for each lane, the sizes of all but the last before them.

Bytes in, bytes out; standard library only. See docs/FORMAT.md, 'Wide blocks'.
"""

from __future__ import annotations

from collections.abc import Sequence

from arzip.format.varint import pack_varint, parse_varint


def pack(streams: Sequence[bytes]) -> bytes:
    """The payload of a block whose lanes have these streams (one at least)."""
    return b"".join([*(pack_varint(len(stream)) for stream in streams[:-1]), *streams])


def parse(data: bytes, lanes: int) -> list[bytes]:
    """The streams of a payload, one a lane. Raises ValueError if their sizes don't fit into it."""
    sizes, at = [], 0
    try:
        for _ in range(lanes - 1):
            size, at = parse_varint(data, at)
            sizes.append(size)
    except IndexError as error:
        raise ValueError("no list of sizes") from error
    last = len(data) - at - sum(sizes)
    if last < 0:
        raise ValueError("streams that are more than the payload")
    streams = []
    for size in [*sizes, last]:
        streams.append(data[at : at + size])
        at += size
    return streams
