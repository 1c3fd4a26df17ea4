"""The payload of a block of sound: what stands before the stream, and the stream.

Normative text: docs/FORMAT.md, 'Sound'. Must not know frames.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from arzip.coding import range_coder
from arzip.media import samples, sound, sound_bits

OnBytes = Callable[[int], None]
OnCosts = Callable[[NDArray[np.float64]], None]
PROFILE = 5
CHUNK_BYTES = 1 << 16
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
    registers = range_coder.init_encoder()
    stream = np.zeros(0, np.uint32)

    def reserve(bits: int) -> NDArray[np.uint32]:
        nonlocal stream
        words = int(registers[range_coder.NEXT]) + range_coder.words_needed(bits)
        if stream.size < words:
            stream = np.concatenate([stream, np.zeros(words, np.uint32)])
        return stream

    _run(body, layout, registers, reserve, False, on_bytes, on_costs)
    on_bytes(layout.head + layout.tail)
    return layout.pack() + raw[: layout.head] + raw[end:] + range_coder.finish(registers, stream)


def middle(raw: bytes, layout: Layout, sample_bytes: int) -> tuple[bytes, Layout]:
    """At most so many bytes of whole frames from the middle of a block, and their layout."""
    frame, size = layout.channels * layout.sample_bytes, len(raw) - layout.head - layout.tail
    taken = min(size, sample_bytes // frame * frame)
    start = layout.head + (size - taken) // 2 // frame * frame
    return raw[start : start + taken], layout._replace(head=0, tail=0)


def decode(payload: bytes, raw_bytes: int, on_bytes: OnBytes) -> bytes:
    """The block of a payload; other bytes if the stream is damaged. Raises ValueError if the layout doesn't fit."""
    layout, head, tail, coded = parse(payload, raw_bytes)
    frames = (raw_bytes - layout.head - layout.tail) // (layout.channels * layout.sample_bytes)
    body, stream = np.zeros((frames, layout.channels), np.int32), range_coder.words(coded)
    _run(body, layout, range_coder.init_decoder(stream), lambda _: stream, True, on_bytes, None)
    on_bytes(layout.head + layout.tail)
    return head + samples.pack(body, layout.sample_bytes, layout.big_endian, layout.signed) + tail


def _run(
    body: NDArray[np.int32],
    layout: Layout,
    registers: NDArray[np.uint64],
    reserve: Callable[[int], NDArray[np.uint32]],
    decoding: bool,
    on_bytes: OnBytes,
    on_costs: OnCosts | None,
) -> None:
    """Code all frames; reserve(bits): the stream, with room for so many more bits."""
    width, frame = 8 * layout.sample_bytes, layout.channels * layout.sample_bytes
    state, bits, end = sound.create(layout.channels, width), sound_bits.create(), sound.LONGEST
    step = max(1, CHUNK_BYTES // frame)
    for first in range(0, len(body), step):
        last = min(first + step, len(body))
        n = (last - first) * 8 * frame
        stream, coded = reserve(n), np.zeros(n if on_costs else 0, np.int64)
        end = sound_bits.code(body, first, last, end, state, bits, width, registers, stream, decoding, coded)
        if on_costs:
            on_costs(range_coder.bit_costs((coded & 1).astype(np.uint8), (coded >> 1).astype(np.uint32)))
        on_bytes((last - first) * frame)
