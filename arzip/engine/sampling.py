"""Sampling: draw bytes from the network's integer frequencies, one after the other.

Uses the network alone, without context mixing; must not import archive code. A seed gives the same bytes on every
machine if the temperature is 1 or 0 (greedy); other temperatures raise frequencies to a power in floating point.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

import numpy as np
from numpy.typing import NDArray

from arzip.network import forward_cpu
from arzip.network.config import Weights

SHARE_BITS = 30  # log2 of the most frequent byte's frequency, at temperatures other than 0 and 1


@dataclass(frozen=True)
class Choice:
    """How the next byte is drawn. temperature 0: the most frequent. top_k 0 and top_p 1: from all bytes."""

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0


class Writer:
    """A network over `lanes` independent texts: reads a byte of each, and gives frequencies of the next one."""

    def __init__(self, weights: Weights, lanes: int = 1) -> None:
        self._network = forward_cpu.load_network(weights)
        self._state = forward_cpu.init_state(self._network, lanes)
        self.read(bytes(lanes))  # the byte before the first is 0

    def read(self, values: bytes) -> None:
        """Append a byte to every lane."""
        forward_cpu.step(self._network, self._state, np.frombuffer(values, np.uint8), 0, len(values))

    @property
    def freqs(self) -> NDArray[np.int32]:
        """Frequencies of the next byte (L, 256), all positive."""
        return self._state.freqs

    def follow(self, parents: list[int]) -> None:
        """Copy the state of lane parents[i] to lane i, for all i."""
        state = self._state
        state.context[:] = state.context[parents]
        state.pair[:] = state.pair[:, parents]
        state.h[:] = state.h[:, parents]
        state.freqs[:] = state.freqs[parents]


def write(weights: Weights, prompt: bytes, size_bytes: int, choice: Choice, seed: int) -> Iterator[bytes]:
    """Yield `size_bytes` bytes that follow the prompt, one by one."""
    writer, random = Writer(weights), Random(seed)
    for value in prompt:
        writer.read(bytes([value]))
    for _ in range(size_bytes):
        byte = bytes([choose(writer.freqs[0], choice, random)])
        yield byte
        writer.read(byte)


def choose(freqs: NDArray[np.int32], choice: Choice, random: Random) -> int:
    """The next byte, given the model's frequencies (256,)."""
    ranked = sorted(enumerate(freqs.tolist()), key=lambda entry: (-entry[1], entry[0]))
    if choice.temperature == 0:
        return ranked[0][0]
    ranked = ranked[: choice.top_k or None]
    if choice.temperature != 1:
        top = ranked[0][1]
        ranked = [(byte, round((w / top) ** (1 / choice.temperature) * 2**SHARE_BITS)) for byte, w in ranked]
    left = math.ceil(choice.top_p * sum(w for _, w in ranked))
    kept = []
    for byte, w in ranked:
        if left <= 0:
            break
        kept.append((byte, w))
        left -= w
    point = random.randrange(sum(w for _, w in kept))
    for byte, w in kept:
        point -= w
        if point < 0:
            return byte
    raise AssertionError("a position below the sum of the frequencies")


def search(weights: Weights, prompt: bytes, size_bytes: int, beam: int) -> bytes:
    """The most probable continuation that beam search finds with so many candidates."""
    writer = Writer(weights, beam)
    for value in prompt:
        writer.read(bytes([value]) * beam)
    texts, costs = [b""] * beam, np.full(beam, np.inf)
    costs[0] = 0.0  # at first all lanes are equal: keep one
    for _ in range(size_bytes):
        shares = writer.freqs / writer.freqs.sum(axis=1, keepdims=True)
        candidates = (costs[:, None] - np.log2(shares)).ravel()
        best = np.argsort(candidates, kind="stable")[:beam]
        parents, values = (best // 256).tolist(), bytes((best % 256).tolist())
        texts = [texts[parent] + values[k : k + 1] for k, parent in enumerate(parents)]
        costs = candidates[best]
        writer.follow(parents)
        writer.read(values)
    return texts[0]
