"""docs/FORMAT.md, what 'Sound', 'Pictures' and 'Arrays' share: least squares, the distribution D, mixing, slots."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal, getcontext
from math import isqrt
from operator import mul

import numpy as np

from .numbers import GOLDEN, ONE, SPREAD, STRETCH, WRAP, bitlen, clip, shift, signed, squash
from .weights import Array

END = 163840  # the largest argument of D*
STEPS = 640
LAYER_LIMIT = 3200
WEIGHT_LIMIT = 1 << 26
APM_ENTRIES, APM_COUNT, APM_LIMIT = 25, 6, 250
TABLE_ROWS, COUNT_LIMIT = 1 << 18, 250
Row = list[list[int]]  # the checksum, then probability and count of nodes 1 to 15


class LeastSquares:
    """Weights w that fit the last inputs to their targets, from moments m (order + 1, order + 1), j <= i only."""

    def __init__(self, rate: int, order: int = 32, ridge: int = 24) -> None:
        self.rate, self.order, self.ridge = rate, order, ridge
        self.m = np.zeros((order + 1, order + 1), np.int64)
        self.w = [0] * order

    def solve(self) -> None:
        order, m = self.order, self.m.tolist()
        f: list[list[int]] = []  # the row i has i + 1 numbers
        v, y = [0] * order, [0] * order
        s = [(bitlen(m[i][i]) - 29) >> 1 for i in range(order)]
        top = (bitlen(m[order][order]) - 28) >> 1
        for i in range(order):
            row: list[int] = []
            f.append(row)
            for j in range(i):
                r = signed((shift(m[i][j], -s[i] - s[j]) << 30) - sum(map(mul, row, f[j])))
                row.append(clip(r >> 26, -16 * f[j][j], 16 * f[j][j]) * v[j] >> 28)
            d = shift(m[i][i], -2 * s[i])
            d = min(d + (d >> self.ridge), 1 << 30) if d > 0 else 1 << 29
            diagonal = isqrt(clip(signed((d << 30) - sum(map(mul, row, row))), 1 << 34, 1 << 60))
            v[i] = (1 << 54) // diagonal
            target = clip(shift(m[order][i], -s[i] - top), -(1 << 30), 1 << 30)
            r = signed((target << 30) - sum(map(mul, row, y)))
            y[i] = clip(r >> 26, -16 * diagonal, 16 * diagonal) * v[i] >> 28
            row.append(diagonal)
        big = [value << 20 for value in y]
        for i in reversed(range(order)):
            reach = 128 * f[i][i]
            u = clip(clip(big[i] >> 20, -reach, reach) * v[i] >> 34, 1 - (1 << 27), (1 << 27) - 1)
            for j in range(i):
                big[j] = signed(big[j] - f[i][j] * u)
            self.w[i] = clip(shift(u, top - s[i]), -(1 << 34), 1 << 34)

    def dot(self, x: list[int]) -> int:
        return signed(sum(map(mul, self.w, x))) >> 12

    def predict(self, x: list[int]) -> int:
        return clip(self.dot(x), -(1 << 33), 1 << 33)

    def learn(self, x: list[int]) -> None:
        """x: inputs, then the target."""
        values = np.array(x, np.int64)
        self.m += 1024 * np.outer(values, values) - (self.m >> self.rate)


def distribution() -> list[int]:
    """D(-640) .. D(640), Q48."""
    getcontext().prec = 60
    lower = []
    for i in range(-STEPS, 1):
        first, second = (1 / (1 + (Decimal(-i) / d).exp()) for d in (16, 48))
        lower.append(int((7 * first + second) / 8 * (1 << 48)))
    return lower + [(1 << 48) - d for d in lower[-2::-1]]


DISTRIBUTION = distribution()


def under(x: int) -> int:
    """D*(x)."""
    i, g = (x >> 8) + STEPS, x % 256
    here = DISTRIBUTION[i]
    return here if i == 2 * STEPS else here + ((DISTRIBUTION[i + 1] - here) * g >> 8)


def expert_input(low: int, middle: int, high: int) -> int:
    """An expert's input to the mixer."""
    if low + high <= 0:
        upper, whole = under(high) - under(middle), under(high) - under(low)
    else:
        upper, whole = under(-middle) - under(-high), under(-low) - under(-high)
    if whole <= 0:
        return -2047 if middle > 0 else 2047
    return STRETCH[clip(4096 * upper // whole, 0, 4095)]


def at(y: int, centre: int, inverse: int) -> int:
    """at(y) of an expert; inverse: floor(2^32 / scale)."""
    return clip((256 * y - centre - 128) * inverse >> 20, -END, END)


class Mixer:
    """Two layers of weights and two APM stages; rows and contexts come into being when they are first used."""

    def __init__(self, sets: int, start: list[int]) -> None:
        self.start = start  # a row's weights
        self.sets: list[dict[int, Array]] = [{} for _ in range(sets)]
        self.final: dict[int, list[int]] = {}
        self.apms: list[dict[int, list[list[int]]]] = [{}, {}]

    def predict(self, x: list[int], rows: Sequence[int], level: int, contexts: Sequence[int]) -> int:
        """rows: one a set; level: the row of layer 2; contexts: of the APM stages. The probability of a 1, Q22."""
        self.x = np.array([*x, 256], np.int64)
        self.used = []
        for weights, row in zip(self.sets, rows, strict=True):
            if row not in weights:
                weights[row] = np.array(self.start, np.int64)
            self.used.append(weights[row])
        count = len(self.sets)
        self.layer2 = self.final.setdefault(level, [(1 << 20) // count] * count)
        sums = [int(w @ self.x) for w in self.used]
        self.z = [clip((1 << 19) + total >> 20, -LAYER_LIMIT, LAYER_LIMIT) for total in sums]
        self.out = clip((1 << 19) + sum(map(mul, self.layer2, self.z)) >> 20, -LAYER_LIMIT, LAYER_LIMIT)
        i, g = divmod(clip(self.out + 3072, 0, 6143), 256)
        p, self.entries = 2 * squash(self.out), []
        for stage, context in zip(self.apms, contexts, strict=True):
            if context not in stage:
                stage[context] = [[squash(256 * (k - 12)), APM_COUNT] for k in range(APM_ENTRIES)]
            curve = stage[context]
            p += curve[i][0] * (256 - g) + curve[i + 1][0] * g >> 8
            self.entries.append(curve[i + (g >= 128)])
        return clip(p // 4, 12, ONE - 12)

    def learn(self, bit: int, rate: int) -> None:
        for s, z in enumerate(self.z):
            self.layer2[s] += z * ((ONE * bit - squash(self.out)) * 2 >> 10) + (1 << 11) >> 12
            step = (ONE * bit - squash(z)) * rate >> 10
            changed = self.used[s] + (self.x * step + (1 << 11) >> 12)
            self.used[s][:] = np.maximum(np.minimum(changed, WEIGHT_LIMIT), -WEIGHT_LIMIT)
        for entry in self.entries:
            learn(entry, (ONE - 1) * bit, 2 * entry[1] + 3, APM_LIMIT)


def learn(entry: list[int], goal: int, divisor: int, limit: int) -> None:
    """A mean and its count move to a goal."""
    entry[0] += 2 * (goal - entry[0]) // divisor
    entry[1] = min(entry[1] + 1, limit)


def h(a: int, b: int) -> int:
    """'Pictures', 'Slots': the hash of two numbers."""
    m = ((a & WRAP) + (b & WRAP) * SPREAD + 1) * GOLDEN & WRAP
    return m ^ (m >> 29)


class SlotTable:
    """'Pictures', 'Slots': a table of rows; they come into being when they are first used."""

    def __init__(self) -> None:
        self.rows: dict[int, Row] = defaultdict(lambda: [[0]] + [[0, 0] for _ in range(15)])

    def find(self, contexts: list[tuple[int, int]]) -> list[Row]:
        """The rows of contexts and what is known of the value, looked up in this order."""
        places = [self.place(h(a * GOLDEN, partial)) for a, partial in contexts]
        return [self.rows[place] for place in places]

    def place(self, g: int) -> int:
        row, checksum = (g >> 20) % TABLE_ROWS, g % (1 << 20) + (1 << 20)
        if self.rows[row][0][0] != checksum:
            other = row ^ 1
            if self.rows[other][0][0] == checksum:
                return other
            row = other if self.rows[other][1][1] < self.rows[row][1][1] else row
            self.rows[row] = [[checksum]] + [[1 << 21, 0] for _ in range(15)]
        return row


def slot_inputs(entry: list[int]) -> list[int]:
    """The two inputs of a node to the mixer."""
    p, count = entry
    return [STRETCH[p >> 10], ((p >> 10) - 2048) * min(count, 16) >> 4] if count else [0, 0]


def learn_slot(entry: list[int], bit: int) -> None:
    learn(entry, (ONE - 1) * bit, 2 * entry[1] + 3, COUNT_LIMIT)
    entry[0] = clip(entry[0], 0, ONE - 1)
