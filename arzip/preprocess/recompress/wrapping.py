"""What stands around a stream's text in each kind of container, and what of it follows from the text.

Must not know how deflate streams are rebuilt. Code for both ways stands side by side: `match_*` look at a file that is
opened, the others write one that is closed.
"""

from __future__ import annotations

import struct
from binascii import crc32
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

LOCAL, CENTRAL, SIGNATURE = b"PK\3\4", b"PK\1\2", b"PK\7\10"
LOCAL_BYTES, CENTRAL_BYTES = 30, 46
SIZES = struct.Struct("<III")  # of a zip member: CRC-32, size of the stream, size of the text
_WIDE = struct.Struct("<IQQ")
_PAIR = struct.Struct("<HH")
DEFLATED = 8
Take = Callable[[int], bytes]  # the next so many untouched bytes


class Member(NamedTuple):
    """A zip member: what a directory says of it, and the place behind it."""

    sizes: bytes
    end: int


ADLER_BASE, ADLER_PIECE = 65521, 1 << 16


def adler32(data: bytes) -> int:
    """Adler-32 (RFC 1950)."""
    low, high = 1, 0
    for at in range(0, len(data), ADLER_PIECE):
        piece = np.frombuffer(data, np.uint8, min(ADLER_PIECE, len(data) - at), at).astype(np.int64)
        high = (high + piece.size * low + int((piece * np.arange(piece.size, 0, -1)).sum())) % ADLER_BASE
        low = (low + int(piece.sum())) % ADLER_BASE
    return high << 16 | low


def trailer(kind_is_gzip: bool, text: bytes) -> bytes:
    """The check behind a gzip or zlib stream."""
    if kind_is_gzip:
        return struct.pack("<II", crc32(text), len(text) & 0xFFFFFFFF)
    return struct.pack(">I", adler32(text))


def descriptor(form: int, text: bytes, stream_bytes: int) -> bytes:
    """A zip data descriptor: form 0 none, 1 and 2 without and with a signature, 3 and 4 the same with wide sizes."""
    if form == 0:
        return b""
    record = SIZES if form < 3 else _WIDE
    return (b"" if form % 2 else SIGNATURE) + record.pack(crc32(text), stream_bytes, len(text))


def match_descriptor(data: bytes, at: int, text: bytes, stream_bytes: int) -> int:
    """The form of the descriptor that stands at a place, 0 if none does."""
    for form in (4, 3, 2, 1):
        if data.startswith(descriptor(form, text, stream_bytes), at):
            return form
    return 0


def local_rest(header: bytes) -> int:
    """Bytes of name and extra field behind a local header of LOCAL_BYTES."""
    return sum(_PAIR.unpack_from(header, 26))


def stored_member(data: bytes | bytearray, at: int) -> Member | None:
    """The member whose local header stands at a place, as that says; None: it says nothing."""
    header = bytes(data[at : at + LOCAL_BYTES])
    if len(header) < LOCAL_BYTES or not header.startswith(LOCAL) or header[6] & 8:
        return None
    return Member(header[14:26], at + LOCAL_BYTES + local_rest(header) + SIZES.unpack(header[14:26])[1])


def central_entry(data: bytes | bytearray, at: int, member: Member, base: int, kept: bytes, rest: Take) -> bytes:
    """The directory's entry for the member at a place.

    kept: its 14 bytes that don't follow from the member; rest: the extra field and the comment, by their size.
    """
    local = bytes(data[at : at + LOCAL_BYTES])
    name_bytes = _PAIR.unpack_from(local, 26)[0]
    name = bytes(data[at + LOCAL_BYTES : at + LOCAL_BYTES + name_bytes])
    entry = CENTRAL + kept[:2] + local[4:14] + member.sizes + local[26:28] + kept[2:] + struct.pack("<I", at - base)
    return entry + name + rest(sum(_PAIR.unpack_from(kept, 2)))


KEPT_BYTES = 14


def match_central(data: bytes, at: int, place: int, member: Member, base: int) -> tuple[bytes, int] | None:
    """What must be kept of the directory's entry at `at`, if it follows from the member at a place; and its end."""
    kept = data[at + 4 : at + 6] + data[at + 30 : at + 42]
    if len(kept) < KEPT_BYTES or not data.startswith(CENTRAL, at):
        return None
    name_bytes = _PAIR.unpack_from(data, place + 26)[0]
    start = at + CENTRAL_BYTES + name_bytes
    extra = data[start : start + sum(_PAIR.unpack_from(kept, 2))]
    try:
        entry = central_entry(data, place, member, base, kept, lambda size: extra)
    except struct.error:
        return None
    return (kept + extra, at + len(entry)) if data.startswith(entry, at) else None


def chunk(payload: bytes) -> bytes:
    """A PNG IDAT chunk."""
    return struct.pack(">I", len(payload)) + b"IDAT" + payload + struct.pack(">I", crc32(b"IDAT" + payload))


class Chain(NamedTuple):
    """A chain of IDAT chunks: their sizes, their payloads joined, the place behind them, bytes a row and a pixel."""

    sizes: list[int]
    payload: bytes
    end: int
    row_bytes: int
    pixel_bytes: int


PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


def match_png(data: bytes, at: int) -> tuple[int, Chain] | None:
    """Where the first chain of IDAT chunks of the picture at a place begins, and the chain; None: none is sound."""
    here = at + len(PNG_SIGNATURE)
    if data[here + 4 : here + 8] != b"IHDR":
        return None
    width, _, depth, color, _, _, interlaced = struct.unpack_from(">IIBBBBB", data + bytes(32), here + 8)
    while (name := data[here + 4 : here + 8]) != b"IDAT":
        if len(name) < 4 or name == b"IEND":
            return None
        here += 12 + int.from_bytes(data[here : here + 4], "big")
    first, sizes, pieces = here, [], []
    while data[here + 4 : here + 8] == b"IDAT":
        size = int.from_bytes(data[here : here + 4], "big")
        piece = data[here + 8 : here + 8 + size]
        if not data.startswith(chunk(piece), here):
            break
        sizes.append(size)
        pieces.append(piece)
        here += 12 + size
    bits = depth * _CHANNELS.get(color, 1)
    row_bytes = 0 if interlaced or width * bits > 1 << 27 else (width * bits + 7) // 8 + 1
    return first, Chain(sizes, b"".join(pieces), here, row_bytes, (bits + 7) // 8)


def png_chunks(sizes: list[int], payload: bytes) -> bytes:
    """The payload in chunks of these sizes, and one of what is left. Raises ValueError if that is negative."""
    out, at = [], 0
    for size in sizes:
        if at + size > len(payload):
            raise ValueError("chunks that are larger than their stream")
        out.append(chunk(payload[at : at + size]))
        at += size
    return b"".join([*out, chunk(payload[at:])])


def gzip_header_end(data: bytes, at: int) -> int:
    """The place behind the gzip header at a place; -1 if there is none."""
    flags, here = data[at + 3 : at + 4], at + 10
    if not flags or flags[0] >= 32:
        return -1
    if flags[0] & 4:
        here += 2 + int.from_bytes(data[here : here + 2], "little")
    for bit in (8, 16):
        if flags[0] & bit:
            here = data.find(b"\0", here) + 1
            if here == 0:
                return -1
    return here + (2 if flags[0] & 2 else 0)
