"""The payload of a block of an array of numbers: what stands before the stream, and the stream.

Normative text: docs/FORMAT.md, 'Arrays'. Must not know frames.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from arzip.media import array_bits, array_choice, array_model, array_values, sample_stream
from arzip.media.array_layout import ArrayLayout, parse
from arzip.media.array_values import MANTISSA, SIGNED, UNSIGNED
from arzip.media.sample_stream import OnBytes, OnCosts

PROFILE = 6


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
