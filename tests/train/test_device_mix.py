"""Training data on the device: rows of n-gram tables as the integer network's, windows as the host's."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from arzip.network import ngram_rows as context  # noqa: E402
from arzip.network.config import NetworkConfig  # noqa: E402
from arzip.train.ngram_rows import Feed  # noqa: E402


def texts(rows: int, length: int) -> np.ndarray:
    """Words, capitals, bytes of every value, runs of separators and of letters."""
    source = np.random.default_rng(length)
    text = source.choice(np.frombuffer(b"aZ  .\n\xc3\xa90zeE", np.uint8), (rows, length))
    text[0] = source.integers(0, 256, length)
    text[1] = 97
    text[2] = 32
    return text


@pytest.mark.parametrize("config", [NetworkConfig(), NetworkConfig(orders=(1, 3, 7), rows=1 << 18)])
@pytest.mark.parametrize("length", [1, 2, 37, 256])
def test_rows_are_those_of_the_integer_network_from_a_segments_first_byte_on(
    config: NetworkConfig, length: int
) -> None:
    feed, orders = Feed(config, "cpu"), np.array([*config.orders, 0])
    contexts = np.zeros((8, context.CONTEXT_FIELDS), np.uint64)
    source = np.random.default_rng(0)
    for window in range(4):
        text = np.roll(texts(8, length), window, 0)
        fresh = source.random(8) < (1.0 if window == 0 else 0.3)
        contexts[fresh] = 0
        first = (contexts[:, context.HISTORY] & np.uint64(255)).astype(np.int64)
        expected = np.empty((length, 8, orders.size), np.int64)
        context.window_rows(text, contexts, orders, config.rows.bit_length() - 1, expected)
        last, rows, target = feed.tensors(text, fresh)
        assert np.array_equal(rows.numpy(), expected)
        assert np.array_equal(feed.contexts.numpy().view(np.uint64), contexts)
        assert np.array_equal(target.numpy(), text.T)
        assert np.array_equal(last.numpy(), np.concatenate([first[None], text.T[:-1]]))
