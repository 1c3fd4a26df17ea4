"""Part of a source of the training mix, such that arzip.train.data holds out in it what it holds out of the whole.

A source's every hundredth document is held out. The part keeps whole documents in their order, and puts the beginnings
of held-out ones, as many as it has room for, where that rule looks for them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from arzip.train.data import VALIDATION_STRIDE, Source

HELD_OUT_BYTES = 1 << 16  # of a held-out document; no more is looked at
Spans = NDArray[np.int64]


@dataclass(frozen=True)
class Part:
    """Documents laid end to end, and where each starts, as in NAME.bin and NAME.idx."""

    data: bytes
    starts: NDArray[np.int64]


def take(source: Source, size_bytes: int, seed: int = 0) -> Part:
    """Documents drawn at random, about `size_bytes` of them, or all.

    A source of one document, of which the end is held out, gives its beginning, and so does one of two.
    """
    if len(source.train) == 1 and len(source.held_out) == 1 and source.train[0, 1] == source.held_out[0, 0]:
        return _beginning(source, size_bytes)
    rng = np.random.default_rng(seed)
    held = source.held_out.copy()
    held[:, 1] = np.minimum(held[:, 1], held[:, 0] + HELD_OUT_BYTES)
    document_bytes, held_bytes = ((s[:, 1] - s[:, 0]).mean() for s in (source.train, held))
    expected = min(len(held), max(1.0, size_bytes / document_bytes / VALIDATION_STRIDE))
    return _lay(source, _draw(source.train, size_bytes - int(expected * held_bytes), rng), held)


def _draw(spans: Spans, size_bytes: int, rng: np.random.Generator) -> Spans:
    """Spans, in their order, of about `size_bytes`: a long document that would more than fill it up is passed over."""
    lengths = spans[:, 1] - spans[:, 0]
    chosen, total = [], 0
    for k in rng.permutation(len(spans)):
        if total + lengths[k] // 2 <= size_bytes:
            chosen.append(k)
            total += lengths[k]
    found: Spans = spans[np.sort(chosen or [int(np.argmin(lengths))])]
    return found


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
