"""The payload of a block of sound: what stands before the stream, and the stream.

Normative text: docs/FORMAT.md, 'Sound'. Must not know frames.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from arzip.media import sample_stream, samples, sound, sound_bits
from arzip.media.sample_stream import OnBytes, OnCosts

PROFILE = 5
MAX_CHANNELS, MAX_SAMPLE_BYTES, MAX_EDGE = 8, 3, 255
FIXED_BYTES = 3


class Layout(NamedTuple):
    """Where the samples of a block lie, and how. head, tail: bytes before and after them, at most MAX_EDGE each.

    channels: 1 to 8; sample_bytes: 1 to 3. big_endian, signed: of each sample.
    """

    head: int
    tail: int
    channels: int
    sample_bytes: int
    big_endian: bool
    signed: bool

    def pack(self) -> bytes:
        """Three bytes: head, tail, and the rest as bits."""
        rest = self.channels - 1 | self.sample_bytes - 1 << 3 | self.big_endian << 5 | self.signed << 6
        return bytes([self.head, self.tail, rest])


def parse(payload: bytes, raw_bytes: int) -> tuple[Layout, bytes, bytes, bytes]:
    """The layout of a block of raw_bytes, its head, its tail and its stream. Raises ValueError if they don't fit."""
    if len(payload) < FIXED_BYTES:
        raise ValueError("no layout")
    head, tail, rest = payload[:FIXED_BYTES]
    layout = Layout(head, tail, (rest & 7) + 1, (rest >> 3 & 3) + 1, bool(rest >> 5 & 1), bool(rest >> 6 & 1))
    size = raw_bytes - head - tail
    if rest > 127 or layout.sample_bytes > MAX_SAMPLE_BYTES or len(payload) < FIXED_BYTES + head + tail:
        raise ValueError("unknown layout")
    if size <= 0 or size % (layout.channels * layout.sample_bytes):
        raise ValueError("no whole frames")
    start = FIXED_BYTES + head
    return layout, payload[FIXED_BYTES:start], payload[start : start + tail], payload[start + tail :]


def encode(raw: bytes, layout: Layout, on_bytes: OnBytes, on_costs: OnCosts | None = None) -> bytes:
    """A block's payload. After each chunk on_bytes gets its raw bytes, on_costs its bits' -log2 p (n,)."""
    end = len(raw) - layout.tail
    body = samples.unpack(
        raw[layout.head : end], layout.channels, layout.sample_bytes, layout.big_endian, layout.signed
    )
    frame = layout.channels * layout.sample_bytes
    stream = sample_stream.encode(len(body), frame, _coder(body, layout), on_bytes, on_costs)
    on_bytes(layout.head + layout.tail)
    return layout.pack() + raw[: layout.head] + raw[end:] + stream


def middle(raw: bytes, layout: Layout, sample_bytes: int) -> tuple[bytes, Layout]:
    """At most so many bytes of whole frames from the middle of a block, and their layout."""
    frame, size = layout.channels * layout.sample_bytes, len(raw) - layout.head - layout.tail
    taken = min(size, sample_bytes // frame * frame)
    start = layout.head + (size - taken) // 2 // frame * frame
    return raw[start : start + taken], layout._replace(head=0, tail=0)


def decode(payload: bytes, raw_bytes: int, on_bytes: OnBytes) -> bytes:
    """The block of a payload; other bytes if the stream is damaged. Raises ValueError if the layout doesn't fit."""
    layout, head, tail, coded = parse(payload, raw_bytes)
    frame = layout.channels * layout.sample_bytes
    body = np.zeros(((raw_bytes - layout.head - layout.tail) // frame, layout.channels), np.int32)
    sample_stream.decode(coded, len(body), frame, _coder(body, layout), on_bytes)
    on_bytes(layout.head + layout.tail)
    return head + samples.pack(body, layout.sample_bytes, layout.big_endian, layout.signed) + tail


def _coder(body: NDArray[np.int32], layout: Layout) -> sample_stream.Code:
    """What codes frames of body (T, C) one after another."""
    width, end = 8 * layout.sample_bytes, sound.LONGEST
    state, bits = sound.create(layout.channels, width), sound_bits.create()

    def code(first: int, last: int, registers: Any, stream: Any, decoding: bool, coded: Any) -> None:
        nonlocal end
        end = sound_bits.code(body, first, last, end, state, bits, width, registers, stream, decoding, coded)

    return code
