"""Part of a source of the training mix, such that arzip.train.data holds out in it what it holds out of the whole.

A source's every hundredth document is held out. The part keeps whole documents in their order, and puts held-out ones,
as many as it has room for, where that rule looks for them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from arzip.train.data import VALIDATION_STRIDE, Source

Spans = NDArray[np.int64]


@dataclass(frozen=True)
class Part:
    """Documents laid end to end, and where each starts, as in NAME.bin and NAME.idx."""

    data: bytes
    starts: NDArray[np.int64]


def take(source: Source, size_bytes: int, seed: int = 0) -> Part:
    """Documents drawn at random, about `size_bytes` of them; all of the source if it has no more.

    A source of one document, of which the end is held out, gives its beginning, and so does one of two.
    """
    if len(source.train) == 1 and len(source.held_out) == 1 and source.train[0, 1] == source.held_out[0, 0]:
        return _beginning(source, size_bytes)
    rng = np.random.default_rng(seed)
    everything, train_bytes = source.data.size, int((source.train[:, 1] - source.train[:, 0]).sum())
    train = _draw(source.train, -(-size_bytes * train_bytes // everything), rng)
    held = _draw(source.held_out, everything, rng)
    return _lay(source, train, held)


def _draw(spans: Spans, size_bytes: int, rng: np.random.Generator) -> Spans:
    """Spans, in their order, of `size_bytes` or a document more."""
    order = rng.permutation(len(spans))
    before = np.cumsum(spans[order, 1] - spans[order, 0]) - (spans[order, 1] - spans[order, 0])
    chosen: Spans = spans[np.sort(order[before < size_bytes])]
    return chosen


def _lay(source: Source, train: Spans, held: Spans) -> Part:
    """A held-out document after every 99 others; where there are fewer than a hundred in all, one at the end."""
    stride = min(VALIDATION_STRIDE, len(train) + 1)
    spans: list[NDArray[np.int64]] = []
    for k, span in enumerate(train):
        spans.append(span)
        if (k + 1) % (stride - 1) == 0:
            if len(spans) // stride >= len(held):
                break
            spans.append(held[len(spans) // stride])
    lengths = np.array([hi - lo for lo, hi in spans])
    data = b"".join(source.data[lo:hi].tobytes() for lo, hi in spans)
    return Part(data, np.cumsum(lengths) - lengths)


def _beginning(source: Source, size_bytes: int) -> Part:
    """Of one document: its beginning, and of its held-out end so much that it is the last hundredth again."""
    cut = int(source.train[0, 1])
    train = min(cut, size_bytes)
    held = min(max(train // (VALIDATION_STRIDE - 1), 1), source.data.size - cut)
    return Part(source.data[:train].tobytes() + source.data[cut : cut + held].tobytes(), np.zeros(1, np.int64))
