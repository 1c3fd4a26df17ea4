"""The predictor of arrays in plain Python integers, after docs/FORMAT.md, 'Arrays': decodes a block's payload."""

from __future__ import annotations

from collections import defaultdict

from arzip.context_mixing.logistic import stretch_table
from arzip.format.varint import parse_varint
from reference.network import RangeDecoder
from reference.picture import h
from reference.sound import END, LeastSquares, Mixer, clip, log8, logit, shift

FRACTION = {(2, 16): 10, (2, 32): 23, (2, 64): 52, (3, 16): 7}
EXPERTS = ((0, 0), (0, 1), (0, 2), (0, 3), (1, 4), (2, 5), (3, 6), (4, 7))
STRETCH = stretch_table().tolist()


class Decoder:
    """Decodes the items of one block."""

    def __init__(self, stream: bytes, kind: int, width: int, smooth: bool, plain: int, drop: int, unit: int) -> None:
        self.coder, self.kind, self.width, self.smooth, self.plain = RangeDecoder(stream), kind, width, smooth, plain
        self.drop, self.unit, self.count = drop, unit, 0
        self.experts = EXPERTS if smooth else EXPERTS[:5]
        self.mixer = Mixer(4, [131072] * len(self.experts) + [26214] * 16 + [0])
        self.table: dict[int, list[list[int]]] = defaultdict(lambda: [[0]] + [[0, 0] for _ in range(15)])
        self.plains = [[[2**21, 255] for _ in range(16)] for _ in range(16)]
        self.a = [2**30] * 6

    def fixed(self, v: int) -> int:
        if self.kind < 2:
            number, by = v + (0 if self.kind else 2 ** (self.width - 1)), 12 - self.unit
        else:
            size, bits = (v if v >= 0 else -1 - v), FRACTION[self.kind, self.width]
            e, f = size >> bits, size % 2**bits
            if e:
                f, e = f + 2**bits, e - 1
            number, by = (f if v >= 0 else -f), e - self.unit
        return clip(number << by if by >= 0 else number >> min(-by, 63), -(2**44), 2**44)

    def part(self, items: int, row: int, plane: int) -> list[int]:
        self.items: list[int] = []
        self.row, self.last = row, 0
        distances = [1, row, row + 1, row - 1, 2, 2 * row, row - 2, row + 2, 3, 2 * row + 1]
        if plane:
            distances += [plane, plane + 1, plane - 1, plane + row, plane - row]
        if row == 1:
            distances = list(range(1, 13))
        self.distances = [d for d in dict.fromkeys(distances) if d > 0]
        self.solvers: dict[int, LeastSquares] = defaultdict(lambda: LeastSquares(10, len(self.distances)))
        self.columns, self.errors = [0] * row, [0] * row
        for t in range(items):
            self.items.append(self.item(t))
            self.count += 1
        return self.items

    def before(self, d: int) -> int:
        return self.items[-d] if d <= len(self.items) else 0

    def number(self, d: int) -> int:
        return self.fixed(self.items[-d]) if d <= len(self.items) else 0

    def item(self, t: int) -> int:
        r, x, a = self.row, t % self.row, self.a
        c = [0] * 5
        if self.smooth:
            w, n = self.number(1), self.number(r if r > 1 else 2)
            c[2:] = [w + n - self.number(r + 1) if r > 1 else 2 * w - n, w, n]
            base = w + n >> 1 if r > 1 else w
            solver = self.solvers[x if r <= 16 else 0]
            inputs = [self.input(self.number(d) - base) for d in self.distances]
            if (t // r if r <= 16 else t) % 4 == 0:
                solver.solve()
            total = clip(sum(w * a for w, a in zip(solver.w, inputs, strict=True)), -(2**43), 2**43)
            c[0] = clip(base + shift(total, self.drop - 20), -(2**45), 2**45)
        g = clip(self.columns[x] // ((a[2] >> 8) + 1), 16, 4096) if self.columns[x] > 0 else 256
        near = 2 * self.last + self.errors[x] + self.errors[min(x + 1, r - 1)] >> 2
        v = self.bits(x, c, [a[0], a[1], near, a[0] * g >> 8, a[2], a[3], a[4], a[5]])
        number = self.fixed(v)
        if self.smooth:
            solver.learn([*inputs, self.input(number - base)])
        e = 16 * abs(number - c[0])
        for j, by in enumerate((7, 4, 11)):
            a[j] += e - a[j] >> by
            a[3 + j] += 16 * abs(number - c[2 + j]) - a[3 + j] >> 6
        self.columns[x] = self.columns[x] + (e - self.columns[x] >> 5) if self.columns[x] > 0 else max(e, 1)
        self.errors[x] = self.last = e
        return v

    def input(self, difference: int) -> int:
        return clip(difference >> self.drop, 1 - 2**20, 2**20 - 1)

    def bits(self, x: int, c: list[int], scales: list[int]) -> int:
        sizes = [max(3 * scales[s] >> 6, 1) for _, s in self.experts]
        low, high, middle = [-END] * len(sizes), [END] * len(sizes), [0] * len(sizes)
        v = -(2 ** (self.width - 1))
        for s in reversed(range(0, self.width, 4)):
            node, is_plain = 1, s < 4 * self.plain
            contexts = [] if is_plain else self.contexts(x, v, s)
            rows = [self.table[at] for at in [self.row_of(h(a * 0x9E3779B97F4A7C15, s)) for a in contexts]]
            for n in reversed(range(s, s + 4)):
                y = v + 2**n
                if is_plain:
                    entry = self.plains[s >> 2][node]
                    bit = self.coder.bit(clip(entry[0], 12, 2**22 - 12))
                    move(entry, bit, 1023)
                else:
                    bit = self.mixed(y, n, node, c, sizes, (low, middle, high), [row[node] for row in rows], contexts)
                v, node = (y if bit else v), 2 * node + bit
        return v

    def contexts(self, x: int, v: int, s: int) -> list[int]:
        above = self.row if self.row > 1 else 2
        w, n, ww, nn = (self.before(d) for d in (1, above, 2 if self.row > 1 else 3, 2 * above))
        known = v >> s + 4
        p = h(known, s)
        one = h(p, w >> s)
        low = h(known % 16, 16 * ((w >> s) % 16) + (n >> s) % 16)
        out = [p, h(one, 1), h(h(p, n >> s), 2), h(h(one, n >> s), 3), h(h(p, x), 4)]
        return [*out, h(h(h(p, w), ww), 5), h(h(h(p, n), nn), 6), h(h(low, s), 7)]

    def row_of(self, g: int) -> int:
        place, check = (g >> 20) % 2**18, g % 2**20 + 2**20
        if self.table[place][0][0] != check:
            other = place ^ 1
            if self.table[other][0][0] == check:
                place = other
            else:
                place = other if self.table[other][1][1] < self.table[place][1][1] else place
                self.table[place] = [[check]] + [[2**21, 0] for _ in range(15)]
        return place

    def mixed(
        self,
        y: int,
        n: int,
        node: int,
        c: list[int],
        sizes: list[int],
        spans: tuple[list[int], list[int], list[int]],
        entries: list[list[int]],
        contexts: list[int],
    ) -> int:
        low, middle, high = spans
        edge = self.fixed(y) + self.fixed(y - 1) >> 1
        inputs, open_ = [], [b - a >= 64 for a, b in zip(low, high, strict=True)]
        for e, (k, _) in enumerate(self.experts):
            if not open_[e]:
                inputs.append(0)
                continue
            d, size = edge - c[k], sizes[e]
            at = END if d >= 40 * size else -END if d <= -40 * size else d * (2**50 // size) >> 38
            middle[e] = clip(at, low[e], high[e])
            inputs.append(logit(low[e], middle[e], high[e]))
        seen = 0
        for p, count in entries:
            seen += count > 0
            q = p >> 10
            inputs += [STRETCH[q], (q - 2048) * min(count, 16) >> 4] if count else [0, 0]
        wide = clip((log8(high[0] - low[0]) >> 2) - 12, 0, 23)
        rows = [17 * wide + clip((middle[0] >> 11) + 8, 0, 16), 9 * n + seen, 16 * (n >> 2) + node, n]
        stages = [33 * n + clip((middle[0] >> 10) + 16, 0, 32), h(contexts[1], node) >> 48]
        bit = self.coder.bit(self.mixer.predict(inputs, rows, n, stages))
        self.mixer.learn(bit, 6 if self.count <= 3000 else 2)
        for entry in entries:
            move(entry, bit, 250)
            entry[0] = clip(entry[0], 0, 2**22 - 1)
        for e in range(len(inputs) - 16):
            if open_[e]:
                (low if bit else high)[e] = middle[e]
        return bit


def move(entry: list[int], bit: int, limit: int) -> None:
    entry[0] += 2 * ((2**22 - 1 if bit else 0) - entry[0]) // (2 * entry[1] + 3)
    entry[1] = min(entry[1] + 1, limit)


def decode(payload: bytes, raw_bytes: int) -> bytes:
    """The raw bytes of a block with an array."""
    head, tail, form, plain, drop = payload[:5]
    unit, at = parse_varint(payload, 5)
    count, at = parse_varint(payload, at)
    numbers = []
    for _ in range(3 * count):
        number, at = parse_varint(payload, at)
        numbers.append(number)
    parts = list(zip(numbers[::3], numbers[1::3], numbers[2::3], strict=True))
    size, kind, smooth = 2 ** (form & 3), form >> 2 & 3, bool(form >> 5 & 1)
    assert sum(items for items, _, _ in parts) * size == raw_bytes - head - tail
    decoder = Decoder(payload[at + head + tail :], kind, 8 * size, smooth, plain, drop, unit - 64)
    out = bytearray(payload[at : at + head])
    for part in parts:
        for v in decoder.part(*part):
            if kind == 0:
                v -= 2 ** (8 * size - 1)
                v += 2 ** (8 * size) if v < -(2 ** (8 * size - 1)) else 0
            elif kind > 1 and v < 0:
                v ^= 2 ** (8 * size - 1) - 1
            out += v.to_bytes(size, "big" if form >> 4 & 1 else "little", signed=True)
    return bytes(out) + payload[at + head : at + head + tail]
