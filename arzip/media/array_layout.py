"""How an array of numbers lies in a block: what stands before the stream of its payload.

Normative text: docs/FORMAT.md, 'Arrays'. Must not know how items are coded.
"""

from __future__ import annotations

from typing import NamedTuple

from arzip.format.varint import pack_varint, parse_varint
from arzip.media import array_values

MAX_PARTS, MAX_DROP, MAX_UNIT, UNIT_BIAS = 1 << 12, 28, 1 << 12, 64
FIXED_BYTES = 5
Part = tuple[int, int, int]  # items; items a row, 1: no rows; items a plane, 0: no planes


class ArrayLayout(NamedTuple):
    """Where the items of a block lie, and how. head, tail: bytes before and after them, at most 255 each.

    kind: class of the numbers, size: bytes of each, see array_values. smooth: whether items are predicted. plain: how
    many nibbles of each item, the lowest, nothing is known of. unit, drop: of fixed point and of the predictor's
    inputs. parts: see Part.
    """

    head: int
    tail: int
    kind: int
    size: int
    big_endian: bool
    parts: tuple[Part, ...]
    smooth: bool = False
    plain: int = 0
    unit: int = 0
    drop: int = 0

    def pack(self) -> bytes:
        """Five bytes and varints: 'Arrays' in docs/FORMAT.md."""
        form = self.size.bit_length() - 1 | self.kind << 2 | self.big_endian << 4 | self.smooth << 5
        out = [bytes([self.head, self.tail, form, self.plain, self.drop]), pack_varint(self.unit + UNIT_BIAS)]
        out.append(pack_varint(len(self.parts)))
        out += [pack_varint(number) for part in self.parts for number in part]
        return b"".join(out)

    def check(self, items_bytes: int) -> None:
        """Raises ValueError unless so many bytes of items may lie so."""
        items = sum(part[0] for part in self.parts)
        if not array_values.is_known(self.kind, self.size) or items * self.size != items_bytes or items < 1:
            raise ValueError("other items")
        if self.plain > 2 * self.size or self.drop > MAX_DROP or self.unit + UNIT_BIAS > MAX_UNIT:
            raise ValueError("unknown layout")
        if any(part[0] < 1 or not 1 <= part[1] <= part[0] or part[2] > part[0] for part in self.parts):
            raise ValueError("no rows")


def parse(payload: bytes, raw_bytes: int) -> tuple[ArrayLayout, bytes, bytes, bytes]:
    """The layout of a block of raw_bytes, its head, its tail and its stream. Raises ValueError if they don't fit."""
    if len(payload) < FIXED_BYTES:
        raise ValueError("no layout")
    head, tail, form, plain, drop = payload[:FIXED_BYTES]
    try:
        unit, at = parse_varint(payload, FIXED_BYTES)
        count, at = parse_varint(payload, at)
        if form > 63 or not 1 <= count <= MAX_PARTS:
            raise ValueError("unknown layout")
        parts = []
        for _ in range(count):
            items, at = parse_varint(payload, at)
            row, at = parse_varint(payload, at)
            plane, at = parse_varint(payload, at)
            parts.append((items, row, plane))
    except IndexError as error:
        raise ValueError("no layout") from error
    big_endian, smooth = bool(form >> 4 & 1), bool(form >> 5 & 1)
    order = tuple(parts), smooth, plain, unit - UNIT_BIAS, drop
    layout = ArrayLayout(head, tail, form >> 2 & 3, 1 << (form & 3), big_endian, *order)
    layout.check(raw_bytes - head - tail)
    if len(payload) < at + head + tail:
        raise ValueError("no items")
    return layout, payload[at : at + head], payload[at + head : at + head + tail], payload[at + head + tail :]
