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


def encode(items: int, item_bytes: int, code: Code, on_bytes: OnBytes, on_costs: OnCosts | None) -> bytes:
    """The stream of so many items (frames or pixels). After each chunk on_bytes gets its raw bytes, on_costs its bits'
    -log2 p (n,).
    """
    registers, stream = range_coder.init_encoder(), np.zeros(0, np.uint32)
    for first, last in _chunks(items, item_bytes):
        bits = 8 * (last - first) * item_bytes
        words = int(registers[range_coder.NEXT]) + range_coder.words_needed(bits)
        if stream.size < words:
            stream = np.concatenate([stream, np.zeros(words, np.uint32)])
        coded = np.zeros(bits if on_costs else 0, np.int64)
        code(first, last, registers, stream, False, coded)
        if on_costs:
            on_costs(range_coder.bit_costs((coded & 1).astype(np.uint8), (coded >> 1).astype(np.uint32)))
        on_bytes((last - first) * item_bytes)
    return range_coder.finish(registers, stream)


def decode(stream: bytes, items: int, item_bytes: int, code: Code, on_bytes: OnBytes) -> None:
    """The inverse of `encode`: `code` keeps what it decodes."""
    words = range_coder.words(stream)
    registers, nothing = range_coder.init_decoder(words), np.zeros(0, np.int64)
    for first, last in _chunks(items, item_bytes):
        code(first, last, registers, words, True, nothing)
        on_bytes((last - first) * item_bytes)


def _chunks(items: int, item_bytes: int) -> list[tuple[int, int]]:
    step = max(1, CHUNK_BYTES // item_bytes)
    return [(first, min(first + step, items)) for first in range(0, items, step)]
