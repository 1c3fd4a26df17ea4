"""Finds uncompressed sound by the headers of its files, anywhere in a block: WAV, AIFF, AIFF-C, NumPy's int16 arrays.

Must not know how it is coded.
"""

from __future__ import annotations

import ast
import re
import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

from arzip.media.payload import MAX_CHANNELS, MAX_EDGE, MAX_SAMPLE_BYTES, Layout

MIN_BYTES = 4096  # of samples: what is shorter is not worth a block of its own


class Found(NamedTuple):
    """Samples in a block: where their first byte is, their size in bytes, and how they lie."""

    start: int
    size: int
    channels: int
    sample_bytes: int
    big_endian: bool
    signed: bool


_MAGIC = re.compile(rb"RIFF....WAVE|FORM....AIF[FC]|\x93NUMPY[\1\2]\0", re.DOTALL)


class Splitter:
    """Cuts the blocks of one stream, in order, where samples begin and end."""

    def __init__(self) -> None:
        self._rest: Found | None = None  # what of a file is to come: `start` bytes into the next block

    def split(self, raw: bytes) -> list[tuple[bytes, Layout | None]]:
        """`raw`, cut before and after the samples of each file of sound, each piece with the layout of its samples.

        Up to MAX_EDGE bytes beside samples stay with them: a header, or what follows.
        """
        pieces: list[tuple[bytes, Layout | None]] = []
        done, found = 0, list(scan(raw, self._rest))
        self._rest = None
        for i, (start, size, *kind) in enumerate(found):
            frame = kind[0] * kind[1]
            there = min(size, len(raw) - start)
            if there < size:
                self._rest = Found(-(len(raw) - start) % frame, size - (len(raw) - start), *kind)
            head, end = start - done, start + there - there % frame
            following = found[i + 1].start if i + 1 < len(found) else len(raw)
            if head > MAX_EDGE:
                pieces.append((raw[done:start], None))
                head = 0
            tail = following - end if following - end <= MAX_EDGE else 0
            pieces.append((raw[start - head : end + tail], Layout(head, tail, *kind)))
            done = end + tail
        if done < len(raw) or not pieces:
            pieces.append((raw[done:], None))
        return pieces


def scan(raw: bytes, rest: Found | None = None) -> Iterator[Found]:
    """The sound in a block, in order; the last one may be cut off. rest: what began in the block before it."""
    done = 0
    if rest is not None and _is_worthwhile(rest, len(raw)):
        yield rest
        done = min(rest.start + rest.size, len(raw))
    for match in _MAGIC.finditer(raw):
        at = match.start()
        if at < done:
            continue
        try:
            found = _READERS[raw[at]](raw, at)
        except (struct.error, IndexError, ValueError, KeyError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
        if found is not None and _is_worthwhile(found, len(raw)):
            yield found
            done = min(found.start + found.size, len(raw))


def _is_worthwhile(found: Found, raw_bytes: int) -> bool:
    """Whether samples are of a known kind, and enough of them are there."""
    known = 1 <= found.channels <= MAX_CHANNELS and 1 <= found.sample_bytes <= MAX_SAMPLE_BYTES
    return known and min(found.size, raw_bytes - found.start) >= MIN_BYTES


def _wave(raw: bytes, at: int) -> Found | None:
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
            return Found(position, size, channels, sample_bytes, False, sample_bytes > 1)
        position += size + size % 2


def _aiff(raw: bytes, at: int) -> Found | None:
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


def _numpy(raw: bytes, at: int) -> Found | None:
    fields = "<I" if raw[at + 6] == 2 else "<H"
    text = at + 8 + struct.calcsize(fields)
    start = text + struct.unpack_from(fields, raw, at + 8)[0]
    about = ast.literal_eval(raw[text : min(start, text + 1000)].decode("latin-1"))
    kind, shape = about["descr"], about["shape"]
    if kind not in ("<i2", ">i2") or len(shape) not in (1, 2) or about["fortran_order"]:
        return None
    channels = shape[1] if len(shape) == 2 else 1
    return Found(start, 2 * channels * shape[0], channels, 2, kind[0] == ">", True)


_READERS: dict[int, Callable[[bytes, int], Found | None]] = {ord("R"): _wave, ord("F"): _aiff, 0x93: _numpy}
