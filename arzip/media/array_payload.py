"""The payload of a block of an array of numbers: what stands before the stream, and the stream.

Normative text: docs/FORMAT.md, 'Arrays'. Must not know frames.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from arzip.format.varint import pack_varint, parse_varint
from arzip.media import array_bits, array_choice, array_model, array_values, sample_stream
from arzip.media.array_values import MANTISSA, SIGNED, UNSIGNED
from arzip.media.sample_stream import OnBytes, OnCosts

PROFILE = 6
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


def encode(raw: bytes, layout: ArrayLayout, on_bytes: OnBytes, on_costs: OnCosts | None = None) -> bytes:
    """A block's payload. After each chunk on_bytes gets its raw bytes, on_costs its bits' -log2 p (n,)."""
    end = len(raw) - layout.tail
    items = array_values.unpack(raw[layout.head : end], layout.kind, layout.size, layout.big_endian)
    layout = array_choice.choose(items, layout)
    stream = sample_stream.encode(len(items), layout.size, _coder(items, layout), on_bytes, on_costs)
    on_bytes(layout.head + layout.tail)
    return layout.pack() + raw[: layout.head] + raw[end:] + stream


def middle(raw: bytes, layout: ArrayLayout, sample_bytes: int) -> tuple[bytes, ArrayLayout]:
    """At most so many bytes of items from the middle of a block, and their layout."""
    items = sum(part[0] for part in layout.parts)
    taken = min(items, sample_bytes // layout.size)
    first = (items - taken) // 2
    parts, begin = [], 0
    for size, row, plane in layout.parts:
        inside = min(begin + size, first + taken) - max(begin, first)
        if inside > 0:
            parts.append((inside, min(row, inside), plane if plane <= inside else 0))
        begin += size
    start = layout.head + first * layout.size
    return raw[start : start + taken * layout.size], layout._replace(head=0, tail=0, parts=tuple(parts))


def decode(payload: bytes, raw_bytes: int, on_bytes: OnBytes) -> bytes:
    """The block of a payload; other bytes if the stream is damaged. Raises ValueError if the layout doesn't fit."""
    layout, head, tail, coded = parse(payload, raw_bytes)
    items = np.zeros((raw_bytes - layout.head - layout.tail) // layout.size, np.int64)
    sample_stream.decode(coded, len(items), layout.size, _coder(items, layout), on_bytes)
    on_bytes(layout.head + layout.tail)
    return head + array_values.pack(items, layout.kind, layout.size, layout.big_endian) + tail


def _coder(items: NDArray[np.int64], layout: ArrayLayout) -> sample_stream.Code:
    """What codes items (n,) one after another."""
    width = 8 * layout.size
    offset = 1 << (width - 1) if layout.kind == UNSIGNED else 0
    mantissa = 0 if layout.kind in (SIGNED, UNSIGNED) else MANTISSA[layout.kind, layout.size]
    form = mantissa, offset, layout.unit, layout.drop, int(layout.smooth), width
    model = array_model.create(form, max(part[1] for part in layout.parts))
    bits = array_bits.create(width, layout.smooth, layout.plain)
    parts = np.array(layout.parts, np.int64)
    parts[:, 0] = np.cumsum(parts[:, 0])
    part = -1

    def code(first: int, last: int, registers: Any, stream: Any, decoding: bool, coded: Any) -> None:
        nonlocal part
        part = array_bits.code(
            items, first, last, parts, part, model, bits, layout.plain, registers, stream, decoding, coded
        )

    return code
