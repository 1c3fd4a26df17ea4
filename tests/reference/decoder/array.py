"""docs/FORMAT.md, 'Arrays': blocks of numbers of 2, 4 or 8 bytes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from .errors import require
from .media import END, LeastSquares, Mixer, Row, SlotTable, expert_input, h, learn, learn_slot, slot_inputs
from .numbers import ONE, clip, log8, shift
from .parts import Parts
from .range_decoder import RangeDecoder

UNSIGNED, SIGNED, FLOAT, BFLOAT = range(4)  # classes
FRACTION = {(FLOAT, 16): 10, (FLOAT, 32): 23, (FLOAT, 64): 52, (BFLOAT, 16): 7}
WIDTHS = {UNSIGNED: (16, 32), SIGNED: (16, 32, 64), FLOAT: (16, 32, 64), BFLOAT: (16,)}
MAX_PARTS, MAX_DROP, MAX_UNIT, UNIT_BIAS = 4096, 28, 4096, 64
MAX_INPUTS, INPUT_BITS = 16, 20
EXPERTS = ((0, 0), (0, 1), (0, 2), (0, 3), (1, 4), (2, 5), (3, 6), (4, 7))  # prediction c, scale s
PLAIN_EXPERTS = 5  # of them, where nothing is predicted
CONTEXTS = 8
FIRST_OF_EXPERTS, FIRST_OF_SLOTS = 131072, 26214
ERROR_SHIFTS = (7, 4, 11)
PLAIN_COUNT, PLAIN_LIMIT = 255, 1023
EARLY_ITEMS = 3001
Part = tuple[int, int, int]  # items, row, plane


@dataclass
class Layout:
    """What stands before the items of a block. width: bits an item."""

    kind: int
    width: int
    big_endian: bool
    smooth: bool
    plain: int
    drop: int
    unit: int
    parts: list[Part]

    def check(self, items_bytes: int) -> None:
        require(self.width in WIDTHS[self.kind], "a class of numbers that has no such size")
        require(self.plain <= self.width // 4 and self.drop <= MAX_DROP, "plain nibbles or drop of an array")
        require(self.unit + UNIT_BIAS <= MAX_UNIT and 1 <= len(self.parts) <= MAX_PARTS, "unit or parts of an array")
        for items, row, plane in self.parts:
            require(1 <= row <= items and plane <= items, "rows or planes of an array")
        items = sum(items for items, _, _ in self.parts)
        require(items >= 1 and items * self.width // 8 == items_bytes, "other items than those of the parts")


class Decoder:
    """Decodes the items of a block."""

    def __init__(self, stream: bytes, layout: Layout) -> None:
        self.coder, self.layout, self.count = RangeDecoder(stream), layout, 0
        self.experts = EXPERTS if layout.smooth else EXPERTS[:PLAIN_EXPERTS]
        first = [FIRST_OF_EXPERTS] * len(self.experts) + [FIRST_OF_SLOTS] * 2 * CONTEXTS + [0]
        self.mixer, self.table = Mixer(4, first), SlotTable()
        self.plains = [[[ONE // 2, PLAIN_COUNT] for _ in range(16)] for _ in range(layout.width // 4)]
        self.a = [1 << 30] * 6

    def fixed(self, v: int) -> int:
        """F(v)."""
        layout = self.layout
        if layout.kind in (UNSIGNED, SIGNED):
            number, by = v + (1 << layout.width - 1 if layout.kind == UNSIGNED else 0), 12 - layout.unit
        else:
            bits, size = FRACTION[layout.kind, layout.width], v if v >= 0 else -1 - v
            e, f = size >> bits, size % (1 << bits)
            if e > 0:
                f, e = f + (1 << bits), e - 1
            number, by = (f if v >= 0 else -f), e - layout.unit
        return clip(number << by if by >= 0 else number >> min(-by, 63), -(1 << 44), 1 << 44)

    def part(self, items: int, row: int, plane: int) -> Iterator[int]:
        """The items of the next part."""
        self.items: list[int] = []
        self.row, self.last = row, 0
        distances = [1, row, row + 1, row - 1, 2, 2 * row, row - 2, row + 2, 3, 2 * row + 1]
        if plane:
            distances += [plane, plane + 1, plane - 1, plane + row, plane - row]
        if row == 1:
            distances = [*range(1, 13)]
        self.distances = [d for d in dict.fromkeys(distances) if d > 0][:MAX_INPUTS]
        self.solvers: dict[int, LeastSquares] = defaultdict(lambda: LeastSquares(10, len(self.distances)))
        self.means, self.errors = [0] * row, [0] * row
        for t in range(items):
            self.items.append(self.item(t))
            self.count += 1
            yield self.items[-1]

    def before(self, d: int) -> int:
        return self.items[-d] if d <= len(self.items) else 0

    def number(self, d: int) -> int:
        return self.fixed(self.items[-d]) if d <= len(self.items) else 0

    def item(self, t: int) -> int:
        r, x = self.row, t % self.row
        c, base, inputs = [0] * 5, 0, list[int]()
        solver = self.solvers[x if 1 < r <= 16 else 0]
        if self.layout.smooth:
            w, n = self.number(1), self.number(r if r > 1 else 2)
            c[2:] = [w + n - self.number(r + 1) if r > 1 else 2 * w - n, w, n]
            base = w + n >> 1 if r > 1 else w
            inputs = [self.input(self.number(d) - base) for d in self.distances]
            if (t // r if r <= 16 else t) % 4 == 0:
                solver.solve()
            total = clip(sum(w * a for w, a in zip(solver.w, inputs, strict=True)), -(1 << 43), 1 << 43)
            c[0] = clip(base + shift(total, self.layout.drop - 20), -(1 << 45), 1 << 45)
        v = self.bits(x, c, self.scales(x))
        number = self.fixed(v)
        if self.layout.smooth:
            solver.learn([*inputs, self.input(number - base)])
        self.learn_errors(x, number, c)
        return v

    def input(self, difference: int) -> int:
        return clip(difference >> self.layout.drop, 1 - (1 << INPUT_BITS), (1 << INPUT_BITS) - 1)

    def scales(self, x: int) -> list[int]:
        """s[0..7]."""
        a, mean = self.a, self.means[x]
        near = 2 * self.last + self.errors[x] + self.errors[min(x + 1, self.row - 1)] >> 2
        g = clip(mean // ((a[2] >> 8) + 1), 16, 4096) if mean > 0 else 256
        return [a[0], a[1], near, a[0] * g >> 8, a[2], a[3], a[4], a[5]]

    def learn_errors(self, x: int, number: int, c: list[int]) -> None:
        a, e = self.a, 16 * abs(number - c[0])
        for j, by in enumerate(ERROR_SHIFTS):
            a[j] += e - a[j] >> by
            a[3 + j] += 16 * abs(number - c[2 + j]) - a[3 + j] >> 6
        self.means[x] = self.means[x] + (e - self.means[x] >> 5) if self.means[x] > 0 else max(e, 1)
        self.errors[x] = self.last = e

    def bits(self, x: int, c: list[int], scales: list[int]) -> int:
        """The next item, from the predictions of it and their scales."""
        sizes = [max(3 * scales[s] >> 6, 1) for _, s in self.experts]
        self.low, self.high, self.middle = [-END] * len(sizes), [END] * len(sizes), [0] * len(sizes)
        v = -(1 << self.layout.width - 1)
        for s in reversed(range(0, self.layout.width, 4)):
            node, is_plain = 1, s < 4 * self.layout.plain
            contexts = [] if is_plain else self.contexts(x, v, s)
            rows = self.table.find([(context, s) for context in contexts])
            for n in reversed(range(s, s + 4)):
                y = v + (1 << n)
                if is_plain:
                    entry = self.plains[s >> 2][node]
                    bit = self.coder.bit(clip(entry[0], 12, ONE - 12))
                    learn(entry, (ONE - 1) * bit, 2 * entry[1] + 3, PLAIN_LIMIT)
                else:
                    bit = self.mixed(y, n, node, c, sizes, rows, contexts)
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

    def mixed(
        self, y: int, n: int, node: int, c: list[int], sizes: list[int], rows: list[Row], contexts: list[int]
    ) -> int:
        """A bit of weight 2^n, not of a plain nibble. y: the smallest item that a 1 leaves possible."""
        low, middle, high = self.low, self.middle, self.high
        edge = self.fixed(y) + self.fixed(y - 1) >> 1
        inputs, is_open = [], [b - a >= 64 for a, b in zip(low, high, strict=True)]
        for e, (k, _) in enumerate(self.experts):
            if not is_open[e]:
                inputs.append(0)
                continue
            d, size = edge - c[k], sizes[e]
            at = END if d >= 40 * size else -END if d <= -40 * size else d * ((1 << 50) // size) >> 38
            middle[e] = clip(at, low[e], high[e])
            inputs.append(expert_input(low[e], middle[e], high[e]))
        entries = [row[node] for row in rows]
        for entry in entries:
            inputs += slot_inputs(entry)
        seen = sum(count > 0 for _, count in entries)
        span = clip((log8(high[0] - low[0]) >> 2) - 12, 0, 23)
        sets = [17 * span + clip((middle[0] >> 11) + 8, 0, 16), 9 * n + seen, 16 * (n >> 2) + node, n]
        stages = [33 * n + clip((middle[0] >> 10) + 16, 0, 32), h(contexts[1], node) >> 48]
        bit = self.coder.bit(self.mixer.predict(inputs, sets, n, stages))
        self.mixer.learn(bit, 6 if self.count < EARLY_ITEMS else 2)
        for entry in entries:
            learn_slot(entry, bit)
        for e in range(len(self.experts)):
            if is_open[e]:
                (low if bit else high)[e] = middle[e]
        return bit


def read_layout(source: Parts, items_bytes: int) -> Layout:
    """items_bytes: the raw size less head and tail, which were taken before."""
    form, plain, drop = source.take(3)
    unit, count = source.varint(), source.varint()
    require(form < 64 and count <= MAX_PARTS, "the form of an array")
    parts = [(source.varint(), source.varint(), source.varint()) for _ in range(count)]
    kind, big_endian, smooth = form >> 2 & 3, bool(form >> 4 & 1), bool(form >> 5 & 1)
    layout = Layout(kind, 8 << (form & 3), big_endian, smooth, plain, drop, unit - UNIT_BIAS, parts)
    layout.check(items_bytes)
    return layout


def raw_item(v: int, layout: Layout) -> bytes:
    """What stands in the block for an item."""
    if layout.kind == UNSIGNED:
        v += 1 << layout.width - 1
    elif v < 0 and layout.kind in (FLOAT, BFLOAT):
        v ^= (1 << layout.width - 1) - 1
    return (v % (1 << layout.width)).to_bytes(layout.width // 8, "big" if layout.big_endian else "little")


def decode_array(payload: bytes, raw_bytes: int, steps: int | None = None) -> bytes:
    """The raw bytes of a block of an array. steps: to decode only so many items; what follows them is 0."""
    source = Parts(payload)
    head, tail = source.take(2)
    size = raw_bytes - head - tail
    layout = read_layout(source, size)
    before, after = source.take(head), source.take(tail)
    decoder = Decoder(source.rest(), layout)
    items = (v for part in layout.parts for v in decoder.part(*part))
    out = b"".join(raw_item(v, layout) for v in islice(items, steps))
    return before + out.ljust(size, b"\0") + after
