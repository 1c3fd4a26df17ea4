"""Rows of the n-gram tables for whole windows, as tensor operations on any device.

Equal to arzip.network.ngram_rows.window_rows, which goes byte by byte. 64-bit integers wrap around as uint64 does;
only the right shift needs a mask to be logical. Must not import numba, which training machines may lack.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from arzip.network.config import MULTIPLIER, WORD_MULTIPLIER, NetworkConfig

HISTORY, WORD, PREVIOUS = 0, 1, 2  # fields of a context (B, 3), int64: last eight bytes, hash of this word, of the last
CONTEXT_FIELDS = 3
HISTORY_BYTES = 8


def signed(x: int) -> int:
    """The int64 with the bits of a uint64."""
    return x - (1 << 64) if x >> 63 else x


def hash_rows(key: Tensor, row_bits: int) -> Tensor:
    """The upper bits of key * MULTIPLIER, int64."""
    return ((key * signed(MULTIPLIER)) >> (64 - row_bits)) & ((1 << row_bits) - 1)


def word_hashes(text: Tensor, word: Tensor, previous: Tensor) -> tuple[Tensor, Tensor]:
    """text (T, B), hashes of this and the previous word before it (B,) -> both after 0 .. T bytes, (T + 1, B).

    A letter maps the word's hash w to (w + byte + 1) M, anything else to 0: affine maps, composed by doubling.
    """
    steps = len(text)
    lower = torch.where((text >= 65) & (text <= 90), text + 32, text)
    letter = ((lower >= 97) & (lower <= 122)) | (lower >= 128)
    factor = torch.where(letter, signed(WORD_MULTIPLIER), 0)
    addend = torch.where(letter, (lower + 1) * signed(WORD_MULTIPLIER), 0)
    span = 1
    while span < steps:
        addend = torch.cat([addend[:span], factor[span:] * addend[:-span] + addend[span:]])
        factor = torch.cat([factor[:span], factor[span:] * factor[:-span]])
        span *= 2
    words = torch.cat([word[None], factor * word + addend])
    ended = ~letter & (words[:-1] != 0)
    clock = torch.arange(steps, device=text.device)[:, None]
    last_end = torch.where(ended, clock, -1).cummax(0).values
    previous_words = torch.where(last_end >= 0, words.gather(0, last_end.clamp(min=0)), previous)
    return words, torch.cat([previous[None], previous_words])


def window_rows(text: Tensor, contexts: Tensor, orders: tuple[int, ...], row_bits: int) -> tuple[Tensor, Tensor]:
    """text (T, B) int64, contexts (B, 3) before it -> rows (T, B, tables) int64, contexts after it.

    rows[t, b] belongs to the context before text[t, b]; the last table is the word table.
    """
    steps = len(text)
    history = contexts[:, HISTORY]
    past = [(history >> (8 * k)) & 255 for k in range(HISTORY_BYTES - 1, -1, -1)]
    line = torch.cat([torch.stack(past), text])
    keys = [torch.zeros_like(line[HISTORY_BYTES - 1 :])]  # of the last 0, 1, .. bytes, (T + 1, B)
    for k in range(HISTORY_BYTES):
        keys.append(keys[-1] | (line[HISTORY_BYTES - 1 - k : len(line) - k] << (8 * k)))
    words, previous = word_hashes(text, contexts[:, WORD], contexts[:, PREVIOUS])
    rows = [keys[n][:steps] if n == 2 else hash_rows(keys[n][:steps], row_bits) for n in orders]
    rows.append(hash_rows(words[:steps] * signed(WORD_MULTIPLIER) + previous[:steps], row_bits))
    after = torch.stack([keys[HISTORY_BYTES][steps], words[steps], previous[steps]], 1)
    return torch.stack(rows, -1), after


class Feed:
    """Text windows -> input tensors of a step; keeps each row's context and last byte between windows."""

    def __init__(self, config: NetworkConfig, device: str) -> None:
        self.config, self.device = config, device
        self.row_bits = config.rows.bit_length() - 1
        self.contexts = torch.zeros(0, CONTEXT_FIELDS, dtype=torch.int64, device=device)
        self.window_rows = window_rows

    def compile(self) -> None:
        """Fuse the operations, which are many and small."""
        self.window_rows = torch.compile(window_rows, dynamic=False)

    def tensors(self, text: NDArray[np.uint8], fresh: NDArray[np.bool_]) -> tuple[Tensor, Tensor, Tensor]:
        """As `advance`, for arrays on the host: text (B, T) uint8, fresh (B,) bool."""
        on_device = torch.from_numpy(np.ascontiguousarray(text.T)).to(self.device)
        return self.advance(on_device, torch.from_numpy(fresh).to(self.device))

    def advance(self, text: Tensor, fresh: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """text (T, B) uint8, fresh (B,) bool -> last bytes (T, B), n-gram rows (T, B, tables), targets (T, B), int64.

        fresh: rows that start with an empty context. The contexts keep their address, as a CUDA graph needs.
        """
        if len(self.contexts) != text.shape[1]:
            self.contexts = self.contexts.new_zeros(text.shape[1], CONTEXT_FIELDS)
        target = text.long()
        before = self.contexts.masked_fill(fresh[:, None], 0)
        rows, after = self.window_rows(target, before, self.config.orders, self.row_bits)
        self.contexts.copy_(after)
        last = torch.cat([(before[:, HISTORY] & 255)[None], target[:-1]])
        return last, rows, target
