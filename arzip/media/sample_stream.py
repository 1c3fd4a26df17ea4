"""The range-coded stream of a block's samples, coded in chunks; the same loop encodes and decodes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from arzip.coding import range_coder

OnBytes = Callable[[int], None]
OnCosts = Callable[[NDArray[np.float64]], None]
# codes items [first, last): (first, last, registers, stream, decoding, coded). The stream must have room. coded
# (bits,): gets 2 P + bit, with P of a 1 in Q22, or is empty.
Code = Callable[[int, int, NDArray[np.uint64], NDArray[np.uint32], bool, NDArray[np.int64]], None]
CHUNK_BYTES = 1 << 14


class Encoder:
    """A stream that items (frames or pixels) are added to. After each chunk on_bytes gets its raw bytes, on_costs its
    bits' -log2 p (n,).
    """

    def __init__(self, on_bytes: OnBytes, on_costs: OnCosts | None) -> None:
        self._on_bytes, self._on_costs = on_bytes, on_costs
        self._registers, self._stream = range_coder.init_encoder(), np.zeros(0, np.uint32)

    def add(self, items: int, item_bytes: int, code: Code) -> None:
        """Code so many items of so many bytes."""
        for first, last in _chunks(items, item_bytes):
            bits = 8 * (last - first) * item_bytes
            words = int(self._registers[range_coder.NEXT]) + range_coder.words_needed(bits)
            if self._stream.size < words:
                self._stream = np.concatenate([self._stream, np.zeros(words, np.uint32)])
            coded = np.zeros(bits if self._on_costs else 0, np.int64)
            code(first, last, self._registers, self._stream, False, coded)
            if self._on_costs:
                self._on_costs(range_coder.bit_costs((coded & 1).astype(np.uint8), (coded >> 1).astype(np.uint32)))
            self._on_bytes((last - first) * item_bytes)

    def finish(self) -> bytes:
        """The stream."""
        return range_coder.finish(self._registers, self._stream)


class Decoder:
    """The inverse of `Encoder`: `code` keeps what it decodes."""

    def __init__(self, stream: bytes, on_bytes: OnBytes) -> None:
        self._on_bytes, self._words = on_bytes, range_coder.words(stream)
        self._registers, self._nothing = range_coder.init_decoder(self._words), np.zeros(0, np.int64)

    def take(self, items: int, item_bytes: int, code: Code) -> None:
        """Decode so many items of so many bytes."""
        for first, last in _chunks(items, item_bytes):
            code(first, last, self._registers, self._words, True, self._nothing)
            self._on_bytes((last - first) * item_bytes)


def encode(items: int, item_bytes: int, code: Code, on_bytes: OnBytes, on_costs: OnCosts | None) -> bytes:
    """The stream of so many items. on_bytes, on_costs: as of Encoder."""
    encoder = Encoder(on_bytes, on_costs)
    encoder.add(items, item_bytes, code)
    return encoder.finish()


def decode(stream: bytes, items: int, item_bytes: int, code: Code, on_bytes: OnBytes) -> None:
    """The inverse of `encode`."""
    Decoder(stream, on_bytes).take(items, item_bytes, code)


def _chunks(items: int, item_bytes: int) -> list[tuple[int, int]]:
    step = max(1, CHUNK_BYTES // item_bytes)
    return [(first, min(first + step, items)) for first in range(0, items, step)]
