"""The predictor of sound in plain Python integers, after docs/FORMAT.md, 'Sound': decodes a block's payload."""

from __future__ import annotations

from decimal import Decimal, getcontext
from functools import lru_cache
from math import isqrt

from arzip.context_mixing.logistic import squash_table, stretch_table
from reference.network import RangeDecoder

ORDER = 32
TAPS = (1024, 256, 32, 16)
EXPERTS = ((0, 2), (1, 2), (2, 2), (3, 2), (4, 2), (5, 2), (5, 0), (5, 1), (0, 0))
END = 163840


def clip(x: int, low: int, high: int) -> int:
    return min(max(x, low), high)


def wrap(x: int) -> int:
    """x as a signed number of 64 bits."""
    return (x + 2**63) % 2**64 - 2**63


def shift(x: int, bits: int) -> int:
    return wrap(x << bits) if bits >= 0 else x >> min(-bits, 63)


def log8(x: int) -> int:
    if x < 1:
        return 0
    b = x.bit_length() - 1
    return 8 * b + 8 * x // 2**b - 8


def squash(x: int) -> int:
    return int(squash_table()[x + 3200])


@lru_cache(maxsize=1)
def distribution() -> list[int]:
    """D(-640) .. D(640)."""
    getcontext().prec = 60
    lower = []
    for i in range(-640, 1):
        first, second = (1 / (1 + (Decimal(-i) / d).exp()) for d in (16, 48))
        lower.append(int((7 * first + second) / 8 * 2**48))
    return lower + [2**48 - d for d in lower[-2::-1]]


def under(x: int) -> int:
    table, i, g = distribution(), (x >> 8) + 640, x % 256
    return table[i] if i == 1280 else table[i] + ((table[i + 1] - table[i]) * g >> 8)


def logit(low: int, middle: int, high: int) -> int:
    if low + high <= 0:
        upper, whole = under(high) - under(middle), under(high) - under(low)
    else:
        upper, whole = under(-middle) - under(-high), under(-low) - under(-high)
    if whole <= 0:
        return -2047 if middle > 0 else 2047
    return int(stretch_table()[clip(4096 * upper // whole, 0, 4095)])


class LeastSquares:
    def __init__(self, rate: int, order: int = 32, ridge: int = 24) -> None:
        self.rate, self.order, self.ridge = rate, order, ridge
        self.m = [[0] * (i + 1) for i in range(order + 1)]
        self.w = [0] * order

    def solve(self) -> None:
        order, m = self.order, self.m
        f, v, y = [[0] * order for _ in range(order)], [0] * order, [0] * order
        s = [(m[i][i].bit_length() - 29) >> 1 for i in range(order)]
        top = (m[order][order].bit_length() - 28) >> 1
        for i in range(order):
            for j in range(i):
                r = wrap(shift(m[i][j], -s[i] - s[j]) * 2**30 - sum(f[i][k] * f[j][k] for k in range(j)))
                f[i][j] = clip(r >> 26, -16 * f[j][j], 16 * f[j][j]) * v[j] >> 28
            d = shift(m[i][i], -2 * s[i])
            d = min(d + (d >> self.ridge), 2**30) if d > 0 else 2**29
            f[i][i] = isqrt(clip(wrap(d * 2**30 - sum(f[i][k] ** 2 for k in range(i))), 2**34, 2**60))
            v[i] = 2**54 // f[i][i]
            target = clip(shift(m[order][i], -s[i] - top), -(2**30), 2**30)
            r = wrap(target * 2**30 - sum(f[i][k] * y[k] for k in range(i)))
            y[i] = clip(r >> 26, -16 * f[i][i], 16 * f[i][i]) * v[i] >> 28
        big = [value << 20 for value in y]
        for i in reversed(range(order)):
            u = clip(clip(big[i] >> 20, -128 * f[i][i], 128 * f[i][i]) * v[i] >> 34, 1 - 2**27, 2**27 - 1)
            for j in range(i):
                big[j] = wrap(big[j] - f[i][j] * u)
            self.w[i] = clip(shift(u, top - s[i]), -(2**34), 2**34)

    def predict(self, x: list[int]) -> int:
        return clip(self.dot(x), -(2**33), 2**33)

    def dot(self, x: list[int]) -> int:
        return wrap(sum(w * a for w, a in zip(self.w, x, strict=True))) >> 12

    def learn(self, x: list[int]) -> None:
        for i in range(self.order + 1):
            for j in range(i + 1):
                self.m[i][j] += 1024 * x[i] * x[j] - (self.m[i][j] >> self.rate)


class Stage:
    def __init__(self, q: int, excess: int) -> None:
        self.q, self.taps, self.down = q, TAPS[q], 6 + excess
        self.f, self.h, self.power, self.output = [0] * self.taps, [0] * self.taps, 0, 0

    def predict(self) -> int:
        total = sum(f * h for f, h in zip(self.f, self.h, strict=True) if f)
        self.output = clip((total + 2**23 >> 24) << self.down, -(2**33), 2**33)
        return self.output

    def learn(self, r: int) -> int:
        """Takes in what the stages before it left; returns what this one leaves."""
        newest = clip(r >> self.down, -(2**19), 2**19)
        r -= self.output
        e = clip(r >> self.down, -(2**19), 2**19)
        p = self.power + 16 * self.taps + (self.taps * e * e >> 4)
        z = p.bit_length()
        g = e * (2**30 // (shift(p, 15 - z) + 1))
        a = max(abs(g).bit_length() - 24, 0)
        b = z + 15 + 8 - self.q - 24 - a
        if 1 <= b <= 60:
            for i, h in enumerate(self.h):
                self.f[i] = clip(self.f[i] + ((g >> a) * h + 2 ** (b - 1) >> b), 1 - 2**30, 2**30 - 1)
        self.power += newest**2 - self.h[-1] ** 2
        self.h = [newest, *self.h[:-1]]
        return r


class Channel:
    def __init__(self, excess: int) -> None:
        self.past = [0] * ORDER
        self.solvers = [LeastSquares(9), LeastSquares(11)]
        self.stages = [Stage(q, excess) for q in range(4)]
        self.errors = [[2**18] * 3 for _ in range(6)]


class Mixer:
    def __init__(self, sets: int, start: list[int]) -> None:
        self.start = start
        self.sets: list[dict[int, list[int]]] = [{} for _ in range(sets)]
        self.final: dict[int, list[int]] = {}
        self.apms: list[dict[int, list[list[int]]]] = [{}, {}]

    def predict(self, x: list[int], rows: list[int], level: int, contexts: list[int]) -> int:
        self.x = [*x, 256]
        self.used = [s.setdefault(row, list(self.start)) for s, row in zip(self.sets, rows, strict=True)]
        self.layer2 = self.final.setdefault(level, [2**20 // len(self.sets)] * len(self.sets))
        self.z = [clip(2**19 + sum(map(int.__mul__, w, self.x)) >> 20, -3200, 3200) for w in self.used]
        self.out = clip(2**19 + sum(map(int.__mul__, self.layer2, self.z)) >> 20, -3200, 3200)
        u = clip(self.out + 3072, 0, 6143)
        i, g = u >> 8, u % 256
        p, self.entries = 2 * squash(self.out), []
        for stage, context in zip(self.apms, contexts, strict=True):
            curve = stage.setdefault(context, [[squash(256 * (k - 12)), 6] for k in range(25)])
            p += curve[i][0] * (256 - g) + curve[i + 1][0] * g >> 8
            self.entries.append(curve[i + (g >= 128)])
        return clip(p // 4, 12, 2**22 - 12)

    def learn(self, bit: int, rate: int) -> None:
        for s in range(len(self.sets)):
            self.layer2[s] += self.z[s] * ((2**22 * bit - squash(self.out)) * 2 >> 10) + 2**11 >> 12
            step = (2**22 * bit - squash(self.z[s])) * rate >> 10
            self.used[s][:] = [
                clip(w + (x * step + 2**11 >> 12), -(2**26), 2**26) for w, x in zip(self.used[s], self.x, strict=True)
            ]
        for entry in self.entries:
            entry[0] += 2 * ((2**22 - 1 if bit else 0) - entry[0]) // (2 * entry[1] + 3)
            entry[1] = min(entry[1] + 1, 250)


class Decoder:
    """Decodes samples of B bits of C channels."""

    def __init__(self, stream: bytes, channels: int, bits: int) -> None:
        self.coder, self.mixer, self.bits = RangeDecoder(stream), Mixer(3, [163110] * 10), bits
        self.excess = max(bits - 16, 0)
        self.channels = [Channel(self.excess) for _ in range(channels)]

    def sample(self, t: int, c: int) -> int:
        here, partner = self.channels[c], self.channels[c - 1]
        own = list(here.past)
        inputs = [own[:24] + partner.past[:8] if len(self.channels) > 1 else own, own]
        centres = []
        for solver, x in zip(here.solvers, inputs, strict=True):
            if t % 4 == 0:
                solver.solve()
            centres.append(solver.predict(x))
        total = centres[0]
        for stage in here.stages:
            total += stage.predict()
            centres.append(clip(total, -(2**33), 2**33))
        v = self.decode_bits(t, c, here, centres)
        for solver, x in zip(here.solvers, inputs, strict=True):
            solver.learn([a >> self.excess for a in [*x, v]])
        r = 256 * v - centres[0]
        for stage in here.stages:
            r = stage.learn(r)
        here.past = [v, *here.past[:-1]]
        for mean, centre in zip(here.errors, centres, strict=True):
            for j, by in enumerate((4, 7, 5)):
                mean[j] += 16 * abs(256 * v - centre) - mean[j] >> by
        return v

    def decode_bits(self, t: int, c: int, here: Channel, centres: list[int]) -> int:
        last = here.errors[5]
        size = log8(last[2] >> 4)
        ratio = clip(log8(last[0] >> 4) - log8(last[1] >> 4) + 24, 0, 47) >> 2
        inverse = [2**32 // max(3 * here.errors[k][j] >> 6, 16) for k, j in EXPERTS]
        low, high = [-END] * 9, [END] * 9
        v = -(2 ** (self.bits - 1))
        for n in reversed(range(self.bits)):
            y = v + 2**n
            middle = [
                clip((256 * y - centres[k] - 128) * i >> 20, -END, END)
                for (k, _), i in zip(EXPERTS, inverse, strict=True)
            ]
            x = [logit(*edges) for edges in zip(low, middle, high, strict=True)]
            level = clip((8 * n - size + 128 >> 2) - 12, 0, 47)
            rows = [2 * level + min(c, 1), 12 * level + ratio, 9 * level + clip((middle[5] >> 11) + 4, 0, 8)]
            contexts = [33 * level + clip((middle[5] >> 10) + 16, 0, 32), 12 * level + ratio]
            bit = self.coder.bit(self.mixer.predict(x, rows, level, contexts))
            self.mixer.learn(bit, 6 if t <= 2000 else 2)
            if bit:
                v, low = y, middle
            else:
                high = middle
        return v


def decode(payload: bytes, raw_bytes: int) -> bytes:
    """The raw bytes of a block of sound."""
    head, tail, layout = payload[:3]
    channels, size, big, signed = layout % 8 + 1, (layout >> 3) % 4 + 1, layout >> 5 & 1, layout >> 6 & 1
    at = 3 + head + tail
    decoder = Decoder(payload[at:], channels, 8 * size)
    out = bytearray(payload[3 : 3 + head])
    for t in range((raw_bytes - head - tail) // (channels * size)):
        for c in range(channels):
            v = decoder.sample(t, c) + (0 if signed else 2 ** (8 * size - 1))
            out += v.to_bytes(size, "big" if big else "little", signed=bool(signed))
    return bytes(out) + payload[3 + head : at]
