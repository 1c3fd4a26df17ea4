"""docs/RECOMPRESSION_FORMAT.md, 'Rebuilding a stream': deviations from the rules, range coded."""

from __future__ import annotations

from .numbers import ONE
from .range_decoder import RangeDecoder

Models = dict[tuple[object, ...], list[int]]  # name and what it depends on -> p, c


class Deviations:
    """Without any, every bit is 0 and nothing else is asked for. models: shared by the streams of one depth."""

    def __init__(self, data: bytes, models: Models) -> None:
        self.data, self.models, self.coder = data, models, RangeDecoder(data)

    def bit(self, *model: object) -> int:
        if not self.data:
            return 0
        state = self.models.setdefault(model, [ONE // 2, 0])
        p, c = state
        bit = self.coder.bit(p)
        g = ONE - 1 if bit else 1
        state[:] = p + ((g - p) * ((1 << 17) // (2 * c + 3)) >> 16), min(c + 1, 255)
        return bit

    def raw(self, k: int) -> int:
        value = 0
        for _ in range(k):
            value = 2 * value + self.coder.bit(ONE // 2)
        return value

    def tree(self, k: int, *model: object) -> int:
        node = 1
        for _ in range(k):
            node = 2 * node + self.bit(*model, node)
        return node - (1 << k)

    def number(self, *model: object) -> int:
        e = 0
        while e < 28 and self.bit(*model, e):
            e += 1
        return (1 << e) + self.raw(e) - 1
