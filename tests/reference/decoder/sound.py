"""docs/FORMAT.md, 'Sound': blocks of samples."""

from __future__ import annotations

import numpy as np

from .errors import require
from .media import END, LeastSquares, Mixer, at, expert_input
from .numbers import bitlen, clip, log8, shift
from .parts import Parts
from .range_decoder import RangeDecoder

ORDER = 32
TAPS = (1024, 256, 32, 16)
MEAN_SHIFTS = (4, 7, 5)
EXPERTS = ((0, 2), (1, 2), (2, 2), (3, 2), (4, 2), (5, 2), (5, 0), (5, 1), (0, 0))  # centre, mean
FIRST_WEIGHT = 163110


class Stage:
    """A stage of the cascade: weights f, the line h of its inputs, the newest first."""

    def __init__(self, q: int, excess: int) -> None:
        self.q, self.taps, self.down = q, TAPS[q], 6 + excess
        self.f, self.h = np.zeros(self.taps, np.int64), np.zeros(self.taps, np.int64)
        self.power = self.output = 0

    def predict(self) -> int:
        total = int(self.f @ self.h)
        self.output = clip((total + (1 << 23) >> 24) << self.down, -(1 << 33), 1 << 33)
        return self.output

    def learn(self, r: int) -> int:
        """Takes in what the stages before it left; returns what this one leaves."""
        newest = clip(r >> self.down, -(1 << 19), 1 << 19)
        r -= self.output
        e = clip(r >> self.down, -(1 << 19), 1 << 19)
        p = self.power + 16 * self.taps + (self.taps * e * e >> 4)
        z = bitlen(p)
        g = e * ((1 << 30) // (shift(p, 15 - z) + 1))
        a = max(bitlen(abs(g)) - 24, 0)
        b = z + 15 + (8 - self.q) - 24 - a
        if 1 <= b <= 60:
            changed = self.f + ((g >> a) * self.h + (1 << b - 1) >> b)
            self.f = np.maximum(np.minimum(changed, (1 << 30) - 1), 1 - (1 << 30))
        self.power += newest**2 - int(self.h[-1]) ** 2
        self.h = np.concatenate([[newest], self.h[:-1]])
        return r


class Channel:
    """Samples so far, the newest first; what predicts the next one; means of the centres' errors."""

    def __init__(self, excess: int) -> None:
        self.past = [0] * ORDER
        self.solvers = [LeastSquares(9), LeastSquares(11)]
        self.stages = [Stage(q, excess) for q in range(4)]
        self.errors = [[1 << 18] * 3 for _ in range(6)]


class Decoder:
    """Decodes samples of B bits of C channels."""

    def __init__(self, stream: bytes, channels: int, bits: int) -> None:
        self.coder, self.mixer, self.bits = RangeDecoder(stream), Mixer(3, [FIRST_WEIGHT] * 10), bits
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
            centres.append(clip(total, -(1 << 33), 1 << 33))
        v = self.decode_bits(t, c, here, centres)
        for solver, x in zip(here.solvers, inputs, strict=True):
            solver.learn([a >> self.excess for a in [*x, v]])
        r = 256 * v - centres[0]
        for stage in here.stages:
            r = stage.learn(r)
        here.past = [v, *here.past[:-1]]
        for mean, centre in zip(here.errors, centres, strict=True):
            for j, by in enumerate(MEAN_SHIFTS):
                mean[j] += 16 * abs(256 * v - centre) - mean[j] >> by
        return v

    def decode_bits(self, t: int, c: int, here: Channel, centres: list[int]) -> int:
        last = here.errors[5]
        size = log8(last[2] >> 4)
        ratio = clip(log8(last[0] >> 4) - log8(last[1] >> 4) + 24, 0, 47) >> 2
        inverse = [(1 << 32) // max(3 * here.errors[k][j] >> 6, 16) for k, j in EXPERTS]
        low, high = [-END] * 9, [END] * 9
        v = -(1 << self.bits - 1)
        for n in reversed(range(self.bits)):
            y = v + (1 << n)
            middle = [at(y, centres[k], i) for (k, _), i in zip(EXPERTS, inverse, strict=True)]
            x = [expert_input(*edges) for edges in zip(low, middle, high, strict=True)]
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


def decode_sound(payload: bytes, raw_bytes: int, steps: int | None = None) -> bytes:
    """The raw bytes of a block of sound. steps: to decode only so many frames; what follows them is 0."""
    source = Parts(payload)
    head, tail, layout = source.take(3)
    channels, size, is_big, is_signed = layout % 8 + 1, (layout >> 3) % 4 + 1, layout >> 5 & 1, layout >> 6 & 1
    require(size <= 3 and layout < 128, "a layout of sound")
    before, after = source.take(head), source.take(tail)
    frames, left = divmod(raw_bytes - head - tail, channels * size)
    require(frames >= 1 and left == 0, "samples that aren't whole frames")
    decoder = Decoder(source.rest(), channels, 8 * size)
    out = bytearray()
    for t in range(frames if steps is None else min(frames, steps)):
        for c in range(channels):
            v = decoder.sample(t, c) + (0 if is_signed else 1 << 8 * size - 1)
            out += v.to_bytes(size, "big" if is_big else "little", signed=bool(is_signed))
    return before + bytes(out).ljust(raw_bytes - head - tail, b"\0") + after
