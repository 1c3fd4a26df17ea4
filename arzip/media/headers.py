"""Headers of uncompressed sound and pictures: WAV, AIFF, AIFF-C; BMP, PGM and PPM, TIFF, Targa; NumPy's arrays.

Each reader takes a block and where the file begins in it; it returns where the samples are, or None, or raises what
`struct` and indices raise. Must not know how they are coded.
"""

from __future__ import annotations

import ast
import math
import re
import struct
from typing import NamedTuple

UNKNOWN = 1 << 40  # size of what was recorded without an end: all that follows
MAX_TRACKS, MAX_PIXEL = 8, 4  # values that an array's last axis may hold of sound and of a pixel


class Found(NamedTuple):
    """Samples in a block: where their first byte is, their size in bytes, and how they lie.

    width: pixels a row of a picture, 0 of sound; padding: bytes after each row.
    """

    start: int
    size: int
    channels: int
    sample_bytes: int
    big_endian: bool = False
    signed: bool = False
    width: int = 0
    padding: int = 0


def _picture(start: int, channels: int, width: int, height: int, row_bytes: int) -> Found:
    return Found(start, row_bytes * height, channels, 1, width=width, padding=row_bytes - width * channels)


def _rows(start: int, channels: int, width: int, height: int, values: str) -> Found:
    """Rows without padding; values: NumPy's name of their type."""
    sample_bytes, big_endian = int(values[2]), values[0] == ">"
    size = width * height * channels * sample_bytes
    return Found(start, size, channels, sample_bytes, big_endian, values[1] == "i", width)


def wave(raw: bytes, at: int) -> Found | None:
    channels = sample_bytes = 0
    position = at + 12
    while True:
        name, size = struct.unpack_from("<4sI", raw, position)
        position += 8
        if name == b"fmt ":
            tag, channels, _, _, frame, bits = struct.unpack_from("<HHIIHH", raw, position)
            sample_bytes = bits // 8
            if tag == 0xFFFE:  # the real one follows
                tag = struct.unpack_from("<H", raw, position + 24)[0]
            if tag != 1 or bits % 8 or frame != channels * sample_bytes:
                return None
        elif name == b"data":
            return Found(position, size or UNKNOWN, channels, sample_bytes, False, sample_bytes > 1)
        position += size + size % 2


def aiff(raw: bytes, at: int) -> Found | None:
    channels = sample_bytes = 0
    big_endian = True
    position = at + 12
    while True:
        name, size = struct.unpack_from(">4sI", raw, position)
        position += 8
        if name == b"COMM":
            channels, _, bits = struct.unpack_from(">HIH", raw, position)
            sample_bytes = -(-bits // 8)
            if raw[at + 8 : at + 12] == b"AIFC":
                coding = raw[position + 18 : position + 22]
                if coding not in (b"NONE", b"twos", b"sowt"):
                    return None
                big_endian = coding != b"sowt"
        elif name == b"SSND":
            offset = struct.unpack_from(">I", raw, position)[0]
            return Found(position + 8 + offset, size - 8 - offset, channels, sample_bytes, big_endian, True)
        position += size + size % 2


def bitmap(raw: bytes, at: int) -> Found | None:
    start, size = struct.unpack_from("<II", raw, at + 10)
    if size == 12:
        width, height, planes, bits = struct.unpack_from("<HHHH", raw, at + 18)
        coding = 0
    else:
        width, height, planes, bits, coding = struct.unpack_from("<iiHHI", raw, at + 18)
    if planes != 1 or bits not in (8, 24, 32) or coding not in (0, 3) or width < 1:
        return None
    row_bytes = (width * bits + 31) // 32 * 4
    return _picture(at + start, bits // 8, width, abs(height) or UNKNOWN // row_bytes, row_bytes)


_PNM = re.compile(rb"P([56])(?:\s+#[^\n]*)*\s+(\d{1,5})\s+(?:#[^\n]*\s+)*(\d{1,5})\s+(?:#[^\n]*\s+)*(\d{1,5})\s")


def pnm(raw: bytes, at: int) -> Found | None:
    match = _PNM.match(raw, at, at + 1024)
    if match is None or int(match[4]) > 65535:
        return None
    values = ">u2" if int(match[4]) > 255 else "|u1"
    return _rows(match.end(), 3 if match[1] == b"6" else 1, int(match[2]), int(match[3]), values)


def targa(raw: bytes, at: int) -> Found | None:
    """A Targa picture has no mark: only a header of which all fits is believed."""
    about = struct.unpack_from("<BBBHHBHHHHBB", raw, at)
    name_bytes, has_map, kind, _, map_size, map_bits, _, _, width, height, bits, flags = about
    if kind not in (1, 2, 3) or has_map != (kind == 1) or flags & 0xC0 or not width or not height:
        return None
    if bits not in ((24, 32) if kind == 2 else (8,)) or (kind != 1 and (map_size or map_bits)):
        return None
    start = at + 18 + name_bytes + map_size * -(-map_bits // 8)
    found = _picture(start, bits // 8, width, height, width * bits // 8)
    return found if start + found.size <= len(raw) else None


_TIFF_CODES = {1: "B", 3: "H", 4: "I"}


def tiff(raw: bytes, at: int) -> Found | None:
    order = "<" if raw[at : at + 2] == b"II" else ">"
    position = at + struct.unpack_from(order + "I", raw, at + 4)[0]
    fields: dict[int, tuple[int, ...]] = {}
    for i in range(struct.unpack_from(order + "H", raw, position)[0]):
        entry = position + 2 + 12 * i
        tag, kind, count = struct.unpack_from(order + "HHI", raw, entry)
        if kind in _TIFF_CODES and count < 1 << 20:
            code, there = f"{order}{count}{_TIFF_CODES[kind]}", entry + 8
            if struct.calcsize(code) > 4:
                there = at + struct.unpack_from(order + "I", raw, there)[0]
            fields[tag] = struct.unpack_from(code, raw, there)
    width, height, channels = fields[256][0], fields[257][0], fields.get(277, (1,))[0]
    offsets, sizes = fields[273], fields[279]
    if set(fields[258]) not in ({8}, {16}) or set(fields.get(339, (1,))) - {1, 2}:
        return None
    if fields.get(259, (1,))[0] != 1 or fields.get(284, (1,))[0] != 1:
        return None
    if any(a + size != b for a, size, b in zip(offsets, sizes, offsets[1:], strict=False)):
        return None
    kind = "i" if fields.get(339, (1,))[0] == 2 else "u"
    values = f"{order}{kind}2" if fields[258][0] == 16 else "|u1"
    return _rows(at + offsets[0], channels, width, height, values)


def numpy_array(raw: bytes, at: int) -> Found | None:
    fields = "<I" if raw[at + 6] == 2 else "<H"
    text = at + 8 + struct.calcsize(fields)
    start = text + struct.unpack_from(fields, raw, at + 8)[0]
    about = ast.literal_eval(raw[text : min(start, text + 1000)].decode("latin-1"))
    kind, shape = about["descr"], about["shape"]
    if about["fortran_order"]:
        return None
    if kind in ("<i2", ">i2") and (len(shape) == 1 or (len(shape) == 2 and shape[1] <= MAX_TRACKS)):
        channels = shape[1] if len(shape) == 2 else 1
        return Found(start, 2 * channels * shape[0], channels, 2, kind[0] == ">", True)
    if kind not in ("|u1", "<u2", ">u2", "<i2", ">i2") or len(shape) not in (2, 3):
        return None
    if len(shape) == 3 and shape[2] <= MAX_PIXEL:
        return _rows(start, shape[2], shape[1], shape[0], kind)
    return _rows(start, 1, shape[-1], math.prod(shape[:-1]), kind)  # planes one below another
