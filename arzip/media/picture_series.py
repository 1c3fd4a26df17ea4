"""Pictures that are coded one after another in one stream: what was learned of the bits goes on from one to the next of
as many channels.

Normative text: docs/RECOMPRESSION_FORMAT.md, 'Pictures apart'. Must not know where the pictures come from.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from arzip.media import picture, picture_bits, sample_stream
from arzip.media.picture_bits import Bits
from arzip.media.sample_stream import OnBytes, OnCosts


class Shape(NamedTuple):
    """Bytes of a picture, channels, pixels a row."""

    size: int
    channels: int
    width: int


def encode(pictures: Iterable[tuple[bytes, Shape]], on_bytes: OnBytes, on_costs: OnCosts | None = None) -> bytes:
    """The stream of pictures. on_bytes, on_costs: as of `sample_stream.Encoder`."""
    learned: dict[int, Bits] = {}
    encoder = sample_stream.Encoder(on_bytes, on_costs)
    for values, shape in pictures:
        pixels = np.frombuffer(values, np.uint8).reshape(-1, shape.channels).astype(np.uint16)
        encoder.add(len(pixels), shape.channels, _coder(pixels, shape, learned))
    return encoder.finish()


def decode(stream: bytes, shapes: Iterable[Shape], on_bytes: OnBytes) -> list[bytes]:
    """The pictures of a stream; others if it is damaged."""
    learned: dict[int, Bits] = {}
    decoder, found = sample_stream.Decoder(stream, on_bytes), []
    for shape in shapes:
        pixels = np.zeros((shape.size // shape.channels, shape.channels), np.uint16)
        decoder.take(len(pixels), shape.channels, _coder(pixels, shape, learned))
        found.append(pixels.astype(np.uint8).tobytes())
    return found


def _coder(pixels: NDArray[np.uint16], shape: Shape, learned: dict[int, Bits]) -> sample_stream.Code:
    """What codes pixels (T, C) one after another."""
    channels = shape.channels
    order = np.array(picture.ORDERS[channels], np.int64)
    if channels not in learned:
        learned[channels] = picture_bits.create(picture.Set(channels))
    bits = learned[channels]
    state = picture.create(shape.width, picture.Set(channels))

    def code(first: int, last: int, registers: Any, stream: Any, decoding: bool, coded: Any) -> None:
        picture_bits.code(pixels, first, last, order, state, bits, registers, stream, decoding, coded)

    return code
