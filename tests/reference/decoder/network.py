"""docs/FORMAT.md, 'The network'. Products of a matrix and a vector are numpy's, of whole numbers of 64 bits."""

from __future__ import annotations

import math

import numpy as np

from .numbers import GOLDEN, SPREAD, WRAP
from .weights import Array, Model


def norm(x: Array) -> Array:
    m = 16 * int(x @ x) // len(x) + 16
    i = min((1 << 39) // math.isqrt(m), (1 << 31) - 1)
    return ((x * i + (1 << 31)) >> 32).clip(-127, 127)


class Context:
    """'State of a lane': HISTORY, WORD, PREVIOUS."""

    def __init__(self) -> None:
        self.history = self.word = self.previous = 0

    def push_byte(self, c: int) -> None:
        """1. Context."""
        self.history = (256 * self.history + c) & WRAP
        if 65 <= c <= 90:
            c += 32
        if 97 <= c <= 122 or c >= 128:
            self.word = (self.word + c + 1) * SPREAD & WRAP
        elif self.word:
            self.previous, self.word = self.word, 0

    def row(self, order: int, rows: int) -> int:
        """2. Row of the n-gram table of this order; 0: of the word table."""
        if order == 2:
            return self.history % (1 << 16)
        key = self.history % (1 << 8 * order) if order else self.word * SPREAD + self.previous
        return (key * GOLDEN & WRAP) // ((1 << 64) // rows)


class Lane:
    """The state of one lane."""

    def __init__(self, blocks: int, d: int) -> None:
        self.context = Context()
        self.before = [np.zeros(d, np.int64) for _ in range(blocks)]  # a'
        self.h = [np.zeros(d, np.int64) for _ in range(blocks)]


class Network:
    """The network at work on the lanes of a block."""

    def __init__(self, model: Model, lanes: int) -> None:
        self.d, self.blocks, self.orders, self.rows = model.d, model.blocks, model.orders, model.rows
        self.ngram = model.tensor("ngram")
        names = ("byte", "out", "out_bias", "sigmoid", "exponential")
        self.w = {name: model.wide(name) for name in names}
        for k in range(model.blocks):
            for name in ("gates", "gates_bias", "state_out", "mlp_in", "mlp_out"):
                self.w[f"block{k}.{name}"] = model.wide(f"block{k}.{name}")
        self.lanes = [Lane(model.blocks, model.d) for _ in range(lanes)]

    def push_byte(self, lane: int, byte: int) -> None:
        self.lanes[lane].context.push_byte(byte)

    def gate(self, z: Array) -> Array:
        values: Array = self.w["sigmoid"][((z + 32) >> 6).clip(-512, 511) + 512]
        return values

    def embedding(self, context: Context) -> Array:
        """2. Embedding."""
        pieces = [self.w["byte"][context.history % 256]]
        for table, order in enumerate([*self.orders, 0]):
            pieces.append(self.ngram[table, context.row(order, self.rows)].astype(np.int64))
        return 64 * np.concatenate(pieces)

    def block(self, k: int, lane: Lane, x: Array) -> Array:
        """3. One block."""
        w, d = {name: self.w[f"block{k}.{name}"] for name in ("gates", "state_out", "mlp_in", "mlp_out")}, self.d
        a = norm(x)
        z = w["gates"] @ np.concatenate([a, lane.before[k]]) + self.w[f"block{k}.gates_bias"]
        lane.before[k] = a
        f, c, o = self.gate(z[:d]), z[d : 2 * d], self.gate(z[2 * d :])
        h = lane.h[k] = lane.h[k] + (((64 * c.clip(-16384, 16384) - lane.h[k]) * f + (1 << 15)) >> 16)
        y = ((h * o + (1 << 28)) >> 29).clip(-127, 127)
        x = x + w["state_out"] @ y
        v = (w["mlp_in"] @ norm(x)).clip(0, 11585)
        u = np.minimum((v * v + (1 << 19)) >> 20, 127)
        x = x + 2 * (w["mlp_out"] @ u)
        return x

    def freqs(self, lane: int) -> list[int]:
        """4. Frequencies of the 256 values of the lane's next byte."""
        state = self.lanes[lane]
        x = self.embedding(state.context)
        for k in range(self.blocks):
            x = self.block(k, state, x)
        logits = self.w["out"] @ norm(x) + self.w["out_bias"]
        steps = np.minimum((logits.max() - logits + 16) >> 5, 2047)
        freqs: list[int] = self.w["exponential"][steps].tolist()
        return freqs
