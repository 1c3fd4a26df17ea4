"""The payload of a block of a picture: what stands before the stream, and the stream.

Normative text: docs/FORMAT.md, 'Pictures'. Must not know frames.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from arzip.format.varint import pack_varint, parse_varint
from arzip.media import picture, picture_bits, sample_stream
from arzip.media.picture import Set
from arzip.media.sample_stream import OnBytes, OnCosts

PROFILE = 4
MAX_ROW = 1 << 15  # pixels times channels: state of 11 kB each
FIXED_BYTES = 3
BITS = (3, 5, 6)  # of the third byte: light, big-endian, signed
SAMPLE_ROWS = 8  # of a probe, at least


class PictureLayout(NamedTuple):
    """Where the rows of a picture lie in a block. head, tail: bytes before and after them, at most 255 each.

    channels: 1 to 4 values a pixel; width: pixels a row, times channels at most MAX_ROW; padding: bytes after each
    row, all 0. The last row may be cut off after any pixel. sample_bytes: of each value, 1 or 2; big_endian, signed:
    of values of two. light: whether less is done for each value.
    """

    head: int
    tail: int
    channels: int
    width: int
    padding: int
    sample_bytes: int = 1
    big_endian: bool = False
    signed: bool = False
    light: bool = False

    @property
    def pixel_bytes(self) -> int:
        """Of each pixel."""
        return self.channels * self.sample_bytes

    @property
    def row_bytes(self) -> int:
        """Of a row, without padding."""
        return self.width * self.pixel_bytes

    @property
    def kind(self) -> Set:
        """What the predictor knows of it."""
        return Set(self.channels, self.sample_bytes, self.light)

    def pack(self) -> bytes:
        """Three bytes and two varints."""
        about = self.channels | self.light << 3 | (self.sample_bytes - 1) << 4 | self.big_endian << 5 | self.signed << 6
        return bytes([self.head, self.tail, about]) + pack_varint(self.width) + pack_varint(self.padding)

    def pixels_in(self, size: int) -> int:
        """How many pixels so many bytes of rows hold. Raises ValueError if they end elsewhere than behind a pixel."""
        rows, rest = divmod(size, self.row_bytes + self.padding)
        if rest > self.row_bytes or rest % self.pixel_bytes or size <= 0:
            raise ValueError("no whole pixels")
        return rows * self.width + rest // self.pixel_bytes


def unpack(rows: bytes, layout: PictureLayout) -> NDArray[np.uint16]:
    """The pixels (T, C) of rows; signed ones are 2^15 more. Raises ValueError where padding isn't 0."""
    pixels = layout.pixels_in(len(rows))
    used, stride = layout.row_bytes, layout.row_bytes + layout.padding
    count = -(-len(rows) // stride)
    flat = np.zeros(count * stride, np.uint8)
    flat[: len(rows)] = np.frombuffer(rows, np.uint8)
    table = flat.reshape(count, stride)
    if table[:, used:].any():
        raise ValueError("padding")
    values = np.ascontiguousarray(table[:, :used]).reshape(-1)[: pixels * layout.pixel_bytes].view(_kind(layout))
    return (values.astype(np.uint16) ^ np.uint16(layout.signed << 15)).reshape(-1, layout.channels)


def pack(pixels: NDArray[np.uint16], size: int, layout: PictureLayout) -> bytes:
    """The inverse of `unpack`: rows of `size` bytes."""
    used = layout.row_bytes
    count = -(-len(pixels) // layout.width)
    padding = (
        layout.padding if count > 1 else min(layout.padding, size - pixels.size)
    )  # any number is right behind the last
    table = np.zeros((count, used + padding), np.uint8)
    flat = np.zeros(count * used, np.uint8)
    values = (pixels.reshape(-1) ^ np.uint16(layout.signed << 15)).astype(_kind(layout)).view(np.uint8)
    flat[: values.size] = values
    table[:, :used] = flat.reshape(count, used)
    return table.tobytes()[:size]


def _kind(layout: PictureLayout) -> str:
    """NumPy's name of the values' type, signed ones taken as they stand."""
    return f"{'>' if layout.big_endian else '<'}u{layout.sample_bytes}"


def parse(payload: bytes, raw_bytes: int) -> tuple[PictureLayout, bytes, bytes, bytes]:
    """The layout of a block of raw_bytes, its head, its tail and its stream. Raises ValueError if they don't fit."""
    if len(payload) < FIXED_BYTES:
        raise ValueError("no layout")
    head, tail, about = payload[:FIXED_BYTES]
    try:
        width, at = parse_varint(payload, FIXED_BYTES)
        padding, at = parse_varint(payload, at)
    except IndexError as error:
        raise ValueError("no layout") from error
    channels, sample_bytes = about & 7, (about >> 4 & 1) + 1
    light, big_endian, signed = (bool(about >> bit & 1) for bit in BITS)
    layout = PictureLayout(head, tail, channels, width, padding, sample_bytes, big_endian, signed, light)
    if about > 127 or (sample_bytes == 1 and (big_endian or signed)) or channels not in picture.ORDERS:
        raise ValueError("unknown layout")
    if not 1 <= width * channels <= MAX_ROW or len(payload) < at + head + tail:
        raise ValueError("unknown layout")
    layout.pixels_in(raw_bytes - head - tail)
    return layout, payload[at : at + head], payload[at + head : at + head + tail], payload[at + head + tail :]


def encode(raw: bytes, layout: PictureLayout, on_bytes: OnBytes, on_costs: OnCosts | None = None) -> bytes:
    """A block's payload. After each chunk on_bytes gets its raw bytes, on_costs its bits' -log2 p (n,)."""
    end = len(raw) - layout.tail
    pixels = unpack(raw[layout.head : end], layout)
    stream = sample_stream.encode(len(pixels), layout.pixel_bytes, _coder(pixels, layout), on_bytes, on_costs)
    on_bytes(len(raw) - pixels.size * layout.sample_bytes)
    return layout.pack() + raw[: layout.head] + raw[end:] + stream


def middle(raw: bytes, layout: PictureLayout, sample_bytes: int) -> tuple[bytes, PictureLayout]:
    """Rows of about so many bytes from the middle of a block, and their layout."""
    stride, rows = layout.row_bytes + layout.padding, len(raw) - layout.head - layout.tail
    taken = max(SAMPLE_ROWS, sample_bytes // stride) * stride
    start = layout.head
    if taken < rows:
        start += (rows - taken) // 2 // stride * stride
    else:
        taken = rows
    return raw[start : start + taken], layout._replace(head=0, tail=0)


def decode(payload: bytes, raw_bytes: int, on_bytes: OnBytes) -> bytes:
    """The block of a payload; other bytes if the stream is damaged. Raises ValueError if the layout doesn't fit."""
    layout, head, tail, coded = parse(payload, raw_bytes)
    size = raw_bytes - layout.head - layout.tail
    pixels = np.zeros((layout.pixels_in(size), layout.channels), np.uint16)
    sample_stream.decode(coded, len(pixels), layout.pixel_bytes, _coder(pixels, layout), on_bytes)
    on_bytes(raw_bytes - pixels.size * layout.sample_bytes)
    return head + pack(pixels, size, layout) + tail


def _coder(pixels: NDArray[np.uint16], layout: PictureLayout) -> sample_stream.Code:
    """What codes pixels (T, C) one after another."""
    order = np.array(picture.ORDERS[layout.channels], np.int64)
    state, bits = picture.create(layout.width, layout.kind), picture_bits.create(layout.kind)

    def code(first: int, last: int, registers: Any, stream: Any, decoding: bool, coded: Any) -> None:
        picture_bits.code(pixels, first, last, order, state, bits, registers, stream, decoding, coded)

    return code
