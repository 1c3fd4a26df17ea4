"""docs/FORMAT.md, 'Lanes', 'Wide blocks', 'The network's probability of a bit': the order of the bits."""

from __future__ import annotations

from collections.abc import Sequence

from .memory import Memory
from .network import Network
from .numbers import ONE, clip
from .range_decoder import RangeDecoder


def lane_sizes(n: int, lanes: int) -> list[int]:
    q, r = divmod(n, lanes)
    return [q + (k < r) for k in range(lanes)]


class AfterDictionary:
    """The bits of a lane: those of the dictionary, which are known, then those of a stream."""

    def __init__(self, dictionary: bytes, coder: RangeDecoder) -> None:
        self.coder = coder
        self.known = (byte >> k & 1 for byte in dictionary for k in reversed(range(8)))

    def bit(self, p: int) -> int:
        """p: the probability of a 1, Q22."""
        known = next(self.known, None)
        return self.coder.bit(p) if known is None else known


Coder = RangeDecoder | AfterDictionary


class Predictor:
    """The network, the memory, or both."""

    def __init__(self, network: Network | None, memory: Memory | None) -> None:
        self.network, self.memory = network, memory

    def decode_step(self, t: int, lanes: list[int], coders: dict[int, Coder]) -> list[int]:
        """The bytes t of these lanes, bit by bit side by side."""
        freqs = [self.network.freqs(k) for k in lanes] if self.network else []
        low = [0] * len(lanes)
        for j in range(8):
            m = 128 >> j
            probabilities = [
                bit_probability(f, at, m) for f, at in zip(freqs, low, strict=False)
            ]  # none without a network
            if self.memory:
                probabilities = self.memory.predict(lanes, probabilities or [None] * len(lanes))
            bits = [coders[k].bit(p) for k, p in zip(lanes, probabilities, strict=True)]
            if self.memory:
                self.memory.update(lanes, bits, t)
            low = [at + m * bit for at, bit in zip(low, bits, strict=True)]
        for k, value in zip(lanes, low, strict=True):
            if self.network:
                self.network.push_byte(k, value)
        if self.memory:
            self.memory.end_byte(lanes, low)
        return low


def bit_probability(freq: list[int], low: int, m: int) -> int:
    upper = sum(freq[low + m : low + 2 * m])
    whole = sum(freq[low : low + 2 * m])
    return clip((upper << 22) // whole, 1, ONE - 1)


def decode_lanes(
    predictor: Predictor, n: int, lanes: int, coders: Sequence[Coder], is_wide: bool, steps: int | None = None
) -> bytes:
    """n bytes. coders: one, or in a wide block one for each lane. steps: how many bytes of each lane, None: all."""
    sizes = lane_sizes(n, lanes)
    half = lanes if is_wide else (lanes + 1) // 2
    coder_of = {k: coders[k if is_wide else 0] for k in range(lanes)}
    texts = [bytearray() for _ in range(lanes)]
    for t in range(max(sizes) if steps is None else min(max(sizes), steps)):
        for group in (range(half), range(half, lanes)):
            with_byte = [k for k in group if t < sizes[k]]
            if with_byte:
                for k, value in zip(with_byte, predictor.decode_step(t, with_byte, coder_of), strict=True):
                    texts[k].append(value)
    return b"".join(bytes(text).ljust(size, b"\0") for text, size in zip(texts, sizes, strict=True))
