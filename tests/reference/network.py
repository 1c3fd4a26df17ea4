"""docs/FORMAT.md, 'Block coding' and 'The network', step by step in plain Python integers: the slow reference.

Must not call the package's own arithmetic. The names are those of the spec.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import mul

from arzip.network.config import Weights

WRAP = (1 << 64) - 1
WORD_MULTIPLIER, ROW_MULTIPLIER = 0xD6E8FEB86659FD93, 0x9E3779B97F4A7C15

Vector = list[int]
Matrix = list[Vector]


def clip(x: int, low: int, high: int) -> int:
    return min(max(x, low), high)


def product(matrix: Matrix, vector: Vector) -> Vector:
    return [sum(map(mul, row, vector)) for row in matrix]


def norm(x: Vector) -> Vector:
    m = 16 * sum(map(mul, x, x)) // len(x) + 16
    i = min((1 << 39) // math.isqrt(m), (1 << 31) - 1)
    return [clip((value * i + (1 << 31)) >> 32, -127, 127) for value in x]


class Network:
    """The weights file as nested lists."""

    def __init__(self, weights: Weights) -> None:
        config, tensors = weights.config, weights.tensors
        self.d, self.blocks = config.d, config.blocks
        self.orders, self.rows = config.orders, config.rows
        self.ngram = tensors["ngram"]  # too big for lists; only looked up
        self.lists = {name: tensor.tolist() for name, tensor in tensors.items() if name != "ngram"}

    def gate(self, z: int) -> int:
        entry: int = self.lists["sigmoid"][clip((z + 32) >> 6, -512, 511) + 512]
        return entry


class Context:
    """The context of a lane."""

    def __init__(self) -> None:
        self.history = self.word = self.previous = 0

    def push_byte(self, c: int) -> None:
        """1. Context."""
        self.history = (256 * self.history + c) & WRAP
        if 65 <= c <= 90:
            c += 32
        if 97 <= c <= 122 or c >= 128:
            self.word = (self.word + c + 1) * WORD_MULTIPLIER & WRAP
        elif self.word:
            self.previous, self.word = self.word, 0

    def row(self, order: int, rows: int) -> int:
        """2. Row of the n-gram table of this order; 0: of the word table."""
        if order == 2:
            return self.history % (1 << 16)
        key = self.history % (1 << 8 * order) if order else self.word * WORD_MULTIPLIER + self.previous
        return (key * ROW_MULTIPLIER & WRAP) // ((1 << 64) // rows)


class Lane:
    """The state of one lane."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.context = Context()
        self.before = [[0] * network.d for _ in range(network.blocks)]
        self.h = [[0] * network.d for _ in range(network.blocks)]

    def embedding(self) -> Vector:
        """2. Embedding."""
        n = self.network
        values = list(n.lists["byte"][self.context.history % 256])
        for table, order in enumerate([*n.orders, 0]):
            values += n.ngram[table, self.context.row(order, n.rows)].tolist()
        return [64 * value for value in values]

    def block(self, k: int, x: Vector) -> Vector:
        """3. One block."""
        n, d, h = self.network, self.network.d, self.h[k]
        w = {name: n.lists[f"block{k}.{name}"] for name in ("gates", "gates_bias", "state_out", "mlp_in", "mlp_out")}
        a = norm(x)
        z = [s + b for s, b in zip(product(w["gates"], a + self.before[k]), w["gates_bias"], strict=True)]
        self.before[k] = a
        y = []
        for j in range(d):
            f, c, o = n.gate(z[j]), z[d + j], n.gate(z[2 * d + j])
            h[j] += ((64 * clip(c, -16384, 16384) - h[j]) * f + (1 << 15)) >> 16
            y.append(clip((h[j] * o + (1 << 28)) >> 29, -127, 127))
        x = [value + s for value, s in zip(x, product(w["state_out"], y), strict=True)]
        v = [clip(s, 0, 11585) for s in product(w["mlp_in"], norm(x))]
        u = [min((value * value + (1 << 19)) >> 20, 127) for value in v]
        return [value + 2 * s for value, s in zip(x, product(w["mlp_out"], u), strict=True)]

    def freqs(self) -> Vector:
        """4. Frequencies of the 256 values of the next byte."""
        lists = self.network.lists
        x = self.embedding()
        for k in range(self.network.blocks):
            x = self.block(k, x)
            assert len(x) * max(map(abs, x)) ** 2 < 1 << 59, "a model that the format forbids"
        logits = [s + b for s, b in zip(product(lists["out"], norm(x)), lists["out_bias"], strict=True)]
        top = max(logits)
        return [lists["exponential"][min((top - value + 16) >> 5, 2047)] for value in logits]


class RangeDecoder:
    """A payload, bit by bit."""

    def __init__(self, payload: bytes) -> None:
        self.payload, self.next = payload, 0
        self.range = WRAP
        self.offset = self.word() << 32
        self.offset += self.word()

    def word(self) -> int:
        self.next += 4
        return int.from_bytes(self.payload[self.next - 4 : self.next].ljust(4, b"\0"), "big")

    def bit(self, p: int) -> int:
        q = 4 * p + (1 if p < 1 << 21 else 0)
        scale = self.range >> 24
        split = scale * ((1 << 24) - q)
        bit = int(self.offset >= split)
        if bit:
            self.offset -= split
            self.range = scale * q
        else:
            self.range = split
        if self.range < 1 << 32:
            self.range <<= 32
            self.offset = (self.offset << 32) + self.word()
        return bit


def encode_bits(coded: Sequence[tuple[int, int]]) -> bytes:
    """(p, bit) pairs -> their payload."""
    lower, width, shifts = 0, WRAP, 0
    for p, bit in coded:
        q = 4 * p + (1 if p < 1 << 21 else 0)
        split = (width >> 24) * ((1 << 24) - q)
        lower, width = (lower + split, (width >> 24) * q) if bit else (lower, split)
        if width < 1 << 32:
            lower, width, shifts = lower << 32, width << 32, shifts + 1
    zeros = 64
    while -(-lower >> zeros) << zeros >= lower + width:
        zeros -= 1
    return (-(-lower >> zeros) << zeros).to_bytes(4 * shifts + 8, "big").rstrip(b"\0")


def decode_block(network: Network, payload: bytes, raw_bytes: int, lanes: int) -> bytes:
    """Decode a block as the specification says."""
    short, longer = divmod(raw_bytes, lanes)
    sizes = [short + (k < longer) for k in range(lanes)]
    texts: list[bytearray] = [bytearray() for _ in range(lanes)]
    states = [Lane(network) for _ in range(lanes)]
    decoder = RangeDecoder(payload)
    for t in range(max(sizes)):
        half = (lanes + 1) // 2
        for group in (range(half), range(half, lanes)):
            moving = [k for k in group if t < sizes[k]]
            _code(moving, states, texts, decoder)
    return b"".join(texts)


def _code(moving: list[int], states: list[Lane], texts: list[bytearray], decoder: RangeDecoder) -> None:
    """The next byte of these lanes, bit by bit side by side."""
    freqs = {k: states[k].freqs() for k in moving}
    low = dict.fromkeys(moving, 0)
    for bit in range(8):
        m = 128 >> bit
        for k in moving:
            w, at = freqs[k], low[k]
            p = (sum(w[at + m : at + 2 * m]) << 22) // sum(w[at : at + 2 * m])
            low[k] += m * decoder.bit(clip(p, 1, (1 << 22) - 1))
    for k in moving:
        texts[k].append(low[k])
        states[k].context.push_byte(low[k])
