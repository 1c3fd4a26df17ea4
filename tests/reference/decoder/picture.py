"""docs/FORMAT.md, 'Pictures': blocks of rows of pixels, and pictures apart."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from .errors import require
from .media import (
    COUNT_LIMIT,
    END,
    LeastSquares,
    Mixer,
    Row,
    SlotTable,
    at,
    expert_input,
    h,
    learn,
    learn_slot,
    slot_inputs,
)
from .numbers import STRETCH, clip, log8
from .parts import Parts
from .range_decoder import RangeDecoder

ORDERS = {1: (0,), 2: (1, 0), 3: (1, 0, 2), 4: (3, 1, 0, 2)}
OWN = ((-1, 0), (0, -1), (-1, -1), (1, -1), (-2, 0), (0, -2), (2, -1), (-2, -1), (1, -2), (-1, -2))
EARLIER = ((0, 0), (-1, 0), (0, -1), (-1, -1), (1, -1))
MAX_ROW_BYTES = 32768
BIAS_LIMIT = 120
RATES, LAST_RATE = ((1 << 14, 40), (1 << 17, 28), (1 << 19, 16)), 8  # until so many values, and after
FIRST_OF_CENTRES, FIRST_OF_SLOTS = 104858, 20972
# Contexts whose slots a set has, by light, then by the bytes of a value.
SLOTS = ((tuple(range(12)), tuple(range(12))), ((1, 3, 4, 11), (1, 4, 5, 6)))


class LocalSquares(LeastSquares):
    """Least squares from moments of columns: L, K of each column, R of each column."""

    def __init__(self, order: int, g: int, width: int) -> None:
        super().__init__(0, order, 12)
        self.g = g
        self.left, self.columns, self.right = np.zeros_like(self.m), [self.m] * width, [self.m] * width

    def load(self, x: int) -> None:
        self.m = self.left + self.right[x]

    def take(self, x: int, inputs: list[int]) -> None:
        values, k = np.array(inputs, np.int64), self.columns[x]
        k = self.columns[x] = k + 256 * np.outer(values, values) - (k >> self.g)
        self.left = self.left + k - (self.left + k >> self.g)

    def end_row(self) -> None:
        self.left = beyond = np.zeros_like(self.left)
        self.right = list(self.right)
        for x in reversed(range(len(self.columns))):
            k = self.columns[x]
            beyond = self.right[x] = k - (k >> self.g) + beyond - (beyond >> self.g)


class Finder:
    """'Repeats': a place that was like this one, and what it makes likely. f: 0 or 1."""

    def __init__(self, f: int, width: int, odds: dict[tuple[int, ...], list[int]]) -> None:
        self.f, self.width, self.up, self.odds = f, width, max(width - 1, 1), odds
        self.table: dict[int, int] = {}
        self.q: int | None = None
        self.l = self.m = 0

    def start(self, pixels: list[list[int]]) -> None:
        """Before the pixel behind `pixels`, which are all so far."""
        t, w, g = len(pixels), self.width, 0
        for k in [t - 1, t - 2, t - w, t - w - 1, t - self.up, t - 2 * w] if self.f == 0 else range(t - 1, t - 7, -1):
            total = 0
            for value in pixels[k] if k >= 0 else []:
                total = (total << 16) + value
            g = h(g, total + 1 if k >= 0 else 0)
        c = self.table.get(g >> 48)
        if self.l == 0:
            i = 0
            while c is not None and i < min(c, 32) and pixels[c - 1 - i] == pixels[t - 1 - i]:
                i += 1
            if i >= (1, 5)[self.f]:
                self.q, self.l, self.m = c, i, 0
            elif self.m > 8:
                self.q, self.m = None, 0
        self.table[g >> 48] = t
        self.pixel, self.alike, self.u = None if self.q is None else pixels[self.q], True, 0
        if self.q is not None and self.q >= w:
            self.u = (pixels[self.q - w] == pixels[t - w]) + 2 * (pixels[self.q - self.up] == pixels[t - self.up])

    def expect(self, channel: int) -> None:
        self.value = None if self.pixel is None else self.pixel[channel]
        self.where = (self.f, self.alike, self.l if self.l < 8 else min(7 + (self.l >> 3), 15), self.u)

    def inputs(self, y: int, n: int) -> tuple[int, list[int]]:
        """Of a bit: the class, two inputs."""
        if self.value is None:
            return 0, [0, 0]
        self.entry = self.odds[(*self.where, n)]
        p = self.entry[0] >> 10
        found = [STRETCH[p], (p - 2048) * min(self.entry[1], 16) >> 4]
        return 1 + (p >= 3600) + (p >= 4032), found if self.value >= y else [-each for each in found]

    def learn(self, y: int, bit: int) -> None:
        if self.value is not None:
            right = (self.value >= y) == bit
            learn_slot(self.entry, right)
            if not right:
                self.value, self.alike = None, False

    def end(self) -> None:
        """After a pixel; a channel that wasn't as expected made it unlike."""
        if self.q is not None:
            self.q += 1
            self.l, self.m = (min(self.l + 1, 255), self.m) if self.alike else (0, self.m + 1)


class Decoder:
    """Decodes the values of one picture."""

    def __init__(self, stream: bytes, channels: int, width: int, extra: int = 0, light: int = 0) -> None:
        self.coder, self.channels, self.width = RangeDecoder(stream), channels, width
        self.extra, self.light, self.top = extra, light, ((1 << (8 + 8 * extra)) - 1) * 256
        self.slots = SLOTS[light][extra]
        self.centres = [0, 2, 3, 4, 5, 6] if light else [0, 1, 2, 3, 4, 5, 6]
        first = [FIRST_OF_CENTRES] * (9 if light else 10) + [FIRST_OF_SLOTS] * 2 * (len(self.slots) + 2) + [0]
        self.mixer = Mixer(5, first)
        self.v: dict[tuple[int, int, int], int] = {}
        self.e: dict[tuple[int, int, int, int], int] = {}
        self.terms = [[self.inputs(r, k) for k in range(2 - light)] for r in range(channels)]
        self.solvers = [
            [LocalSquares(len(self.terms[r][k]), 3 if light else 4 - k, width) for k in range(2 - light)]
            for r in range(channels)
        ]
        self.bias: dict[tuple[int, int, int], list[int]] = defaultdict(lambda: [0, 0])
        self.scales: dict[tuple[int, int, int], list[int]] = defaultdict(lambda: [1 << 15, 0])
        self.table = SlotTable()
        self.odds: dict[tuple[int, ...], list[int]] = defaultdict(lambda: [1 << 21, 0])
        self.count = 0
        self.begin()

    def begin(self) -> None:
        """What starts anew with each picture."""
        self.pixels: list[list[int]] = []
        self.finders = [Finder(f, self.width, self.odds) for f in (0, 1)]

    def inputs(self, r: int, k: int) -> list[tuple[int, int, int]]:
        few = k or self.light
        found = [(r, *at) for at in OWN[: 8 if self.light else 6 if k else 10]]
        for other in reversed(range(r)):
            found += [(other, *at) for at in EARLIER[: 3 if few else 5]]
        for other in range(r + 1, self.channels):
            found += [] if few else [(other, -1, 0), (other, 0, -1)]
        return found

    def bounded(self, x: int) -> int:
        return clip(x, 0, self.top)

    def value(self, r: int, x: int, y: int) -> int:
        if y < 0 or (x < 0 and y == 0):
            return 0
        return self.v[r, 0, y - 1] if x < 0 else self.v[r, min(x, self.width - 1), y]

    def error(self, r: int, k: int, x: int, y: int) -> int:
        if k == 6 and x >= self.width:
            x = self.width - 1
        return self.e.get((r, k, x, y), 0)

    def pixel(self, x: int, y: int) -> list[int]:
        self.c = [(self.value(r, x - 1, y) + self.value(r, x, y - 1)) >> 1 for r in range(self.channels)]
        out = [0] * self.channels
        for finder in self.finders:
            finder.start(self.pixels)
        for r in range(self.channels):
            for finder in self.finders:
                finder.expect(ORDERS[self.channels][r])
            out[ORDERS[self.channels][r]] = self.one(r, x, y)
        for finder in self.finders:
            finder.end()
        self.pixels.append(out)
        if x == self.width - 1:
            for both in self.solvers:
                for solver in both:
                    solver.end_row()
        return out

    def one(self, r: int, x: int, y: int) -> int:
        near = [self.value(r, x + dx, y + dy) for dx, dy in OWN[:6]]
        centres, inputs = [0] * 7, []
        for k, solver in enumerate(self.solvers[r]):
            row = [self.value(o, x + dx, y + dy) - self.c[o] for o, dx, dy in self.terms[r][k]]
            if x % 4 == 0 or not self.light:
                solver.load(x)
                solver.solve()
            centres[k] = self.bounded(solver.dot(row) + 256 * self.c[r])
            inputs.append(row)
        base, (w, n, m) = 0, near[:3]
        if r:
            base = self.v[r - 1, x, y]
            w, n, m = (a - self.value(r - 1, x + dx, y + dy) for a, (dx, dy) in zip((w, n, m), OWN, strict=False))
        centres[2:5] = [self.bounded(256 * (base + a)) for a in (clip(w + n - m, min(w, n), max(w, n)), w, n)]
        centres[5] = self.blend(r, x, y, centres)
        errors, slopes, here = local = self.local(r, x, y, near)
        entries = self.bias_entries(r, near, centres[5], local)
        centres[6] = self.bounded(centres[5] + (entries[0][0] + entries[1][0] >> 5))
        wheres = [(k, 8 * errors + here) for k in self.centres]
        wheres += [(6, 8 * slopes + here), (0, 24 * (1 + self.extra) * slopes + errors), (6, errors)]
        scales = [self.scales[r, e, where] for e, (_, where) in enumerate(wheres)]
        v = self.bits(r, x, y, near, centres, errors, [k for k, _ in wheres], [s[0] for s in scales])
        self.v[r, x, y] = v
        for solver, row in zip(self.solvers[r], inputs, strict=True):
            solver.take(x, [*row, v - self.c[r]])
        for k, centre in enumerate(centres):
            self.e[r, k, x, y] = abs(256 * v - centre) >> 4
        for entry in entries:
            learn(entry, 16 * (256 * v - centres[5]), 2 * entry[1] + 5, BIAS_LIMIT)
        for (k, _), entry in zip(wheres, scales, strict=True):
            learn(entry, 16 * abs(256 * v - centres[k]), 2 * entry[1] + 3, COUNT_LIMIT)
            entry[0] = max(entry[0], 1)
        self.count += 1
        return v

    def blend(self, r: int, x: int, y: int, centres: list[int]) -> int:
        total = weights = 0
        near = {}
        for k in self.centres[:-2]:
            w, n, nw, ne, ww = (self.error(r, k, x + dx, y + dy) for dx, dy in OWN[:5])
            near[k] = 2 * w + 2 * n + nw + ne + ww + 8
        down = max(min(near.values()).bit_length() - 6, 0) if self.extra else 0
        for k, e in near.items():
            g = (1 << 40) // (e >> down) ** 2
            g = (g * g >> 20) if g < 1 << 30 else (1 << 40)
            total, weights = total + ((g >> 16) + 1) * centres[k], weights + (g >> 16) + 1
        return total // weights

    def local(self, r: int, x: int, y: int, near: list[int]) -> tuple[int, int, int]:
        w, n, nw, ne, ww = (self.error(r, 6, x + dx, y + dy) for dx, dy in OWN[:5])
        around = 2 * w + 2 * n + nw + ne + ww + self.error(r, 6, x + 2, y - 1)
        w, n, nw, ne, ww, nn = near
        slope = abs(w - nw) + abs(n - nw) + abs(n - ne) + abs(w - ww) + abs(n - nn)
        mates = sum(self.e[o, 6, x, y] for o in range(r))
        return (
            min(log8((around >> 1) + 1) >> 2, 23 + 24 * self.extra),
            min(log8(slope + 1) >> 2, 15 + 16 * self.extra),
            min(log8((mates >> 2) + 1) >> 3 + self.extra, 7),
        )

    def bias_entries(self, r: int, near: list[int], blend: int, local: tuple[int, int, int]) -> list[list[int]]:
        errors, slopes, here = local
        w, n, _, _, ww, nn = near
        texture = sum((a > blend >> 8) << i for i, a in enumerate([*near, 2 * n - nn, 2 * w - ww]))
        return [self.bias[r, 0, 8 * texture + min(errors >> 1 + self.extra, 7)], self.bias[r, 1, 32 * here + slopes]]

    def contexts(self, r: int, x: int, y: int, near: list[int], centres: list[int], errors: int) -> list[int]:
        w, n, nw, ne, ww, nn = near
        one = self.v[r - 1, x, y] + 1 if r else 0
        two = self.v[r - 2, x, y] + 1 if r > 1 else 0
        m, a = h(one, two), h(w, n)
        around = h(h(nn, ne), m)
        for o in range(self.channels):
            at = [self.value(o, x + dx, y + dy) for dx, dy in OWN[:3]]
            around = h(around, h(at[0], h(at[1], at[2])))
        plain = [
            h(a, m),
            h(a, h(nw, m)),
            h(a, h(h(nw, ne), m)),
            h(a, h(h(nw, ne), h(h(ww, nn), m))),
            m,
            0 if self.extra else h(w, m),
            0 if self.extra else h(n, m),
            h(centres[6] >> 7, errors >> 1),
            h(centres[0] >> 8, centres[1] >> 8),
            h(centres[2] >> 8, centres[3] >> 9),
            h(w + n - nw + 512, centres[4] >> 9),
            around,
        ]
        return [h(value, 16 * r + i) for i, value in enumerate(plain)]

    def rows(self, contexts: list[int], bits_so_far: int, n: int) -> list[Row]:
        shorter = (bits_so_far >> 4) + (1 << 16) if self.extra and n == 3 else bits_so_far
        return self.table.find([(contexts[i], shorter if i == 6 else bits_so_far) for i in self.slots])

    def bits(
        self, r: int, x: int, y: int, near: list[int], centres: list[int], errors: int, which: list[int], s: list[int]
    ) -> int:
        contexts = self.contexts(r, x, y, near, centres, errors)
        inverse = [(1 << 32) // max(3 * a >> 6, 12) for a in s]
        low, high, v, partial, node = [-END] * len(s), [END] * len(s), 0, 1, 1
        width = 8 + 8 * self.extra
        for n in reversed(range(width)):
            if n % 4 == 3:
                rows, node = self.rows(contexts, partial, n), 1
            middle = [at(v + (1 << n), centres[k], i) for k, i in zip(which, inverse, strict=True)]
            inputs = [expert_input(*edges) for edges in zip(low, middle, high, strict=True)]
            for row in rows:
                inputs += slot_inputs(row[node])
            seen = sum(row[node][1] > 0 for row in rows)
            repeats = [finder.inputs(v + (1 << n), n) for finder in self.finders]
            sure = max(which for which, _ in repeats)
            inputs += [each for _, both in repeats for each in both]
            level = clip((8 * n - log8(s[-1] >> 4) + 128 >> 2) - 8, 0, 31)
            place = middle[which.index(6)]
            sets = [
                4 * level + r,
                24 * (1 + self.extra) * (width - 1 - n) + errors,
                4 * ((len(rows) + 1) * (width - 1 - n) + seen) + sure,
                17 * level + clip((place >> 11) + 8, 0, 16),
                4 * (partial if partial < 256 else partial >> partial.bit_length() - 9 & 255) + r,
            ]
            stages = [33 * level + clip((place >> 10) + 16, 0, 32), h(contexts[2], partial) >> 48]
            bit = self.coder.bit(self.mixer.predict(inputs, sets, level + 32 * sure, stages))
            self.mixer.learn(bit, next((rate for end, rate in RATES if self.count < end), LAST_RATE))
            for row in rows:
                learn_slot(row[node], bit)
            for finder in self.finders:
                finder.learn(v + (1 << n), bit)
            if bit:
                v, low = v + (1 << n), middle
            else:
                high = middle
            node, partial = 2 * node + bit, 2 * partial + bit
        return v


def decode_apart(stream: bytes, shapes: list[tuple[int, int, int]]) -> list[bytes]:
    """The pictures of a stream of them: bytes, channels and pixels a row of each."""
    coder, found = RangeDecoder(stream), []
    before: dict[int, Decoder] = {}  # by channels
    for size, channels, width in shapes:
        decoder = Decoder(b"", channels, width)
        if channels in before:
            for name in ("mixer", "scales", "table", "odds", "count"):
                setattr(decoder, name, getattr(before[channels], name))
            decoder.begin()
        decoder.coder, before[channels] = coder, decoder
        pixels = range(size // channels)
        found.append(b"".join(bytes(decoder.pixel(t % width, t // width)) for t in pixels))
    return found


def decode_picture(payload: bytes, raw_bytes: int, steps: int | None = None) -> bytes:
    """The raw bytes of a block of a picture. steps: to decode only so many pixels; what follows them is 0."""
    source = Parts(payload)
    head, tail, about = source.take(3)
    channels, light, extra, big_endian, signed = about & 7, *(about >> i & 1 for i in (3, 4, 5, 6))
    width, padding = source.varint(), source.varint()
    is_shape = 1 <= channels <= 4 and 1 <= width <= MAX_ROW_BYTES // channels
    require(is_shape and about < 128 and (extra or not big_endian | signed), "a layout of a picture")
    before, after = source.take(head), source.take(tail)
    size, pixel = raw_bytes - head - tail, channels * (1 + extra)
    whole, last = divmod(size, pixel * width + padding)
    require(size >= pixel and (last <= pixel * width and last % pixel == 0), "rows that end within a pixel")
    decoder, rows = Decoder(source.rest(), channels, width, extra, light), bytearray()
    pixels = whole * width + last // pixel
    for t in range(pixels if steps is None else min(pixels, steps)):
        y, x = divmod(t, width)
        values = (v ^ signed << 15 for v in decoder.pixel(x, y))
        rows += b"".join(v.to_bytes(1 + extra, "big" if big_endian else "little") for v in values)
        rows += bytes(padding if x == width - 1 and y < whole else 0)
    return before + bytes(rows).ljust(size, b"\0") + after
