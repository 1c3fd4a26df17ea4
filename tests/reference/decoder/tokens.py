"""docs/RECOMPRESSION_FORMAT.md, 'Parameters', 'Hash', 'The predicted token', 'A coded token'."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from itertools import accumulate

from .deviations import Deviations
from .errors import Damaged, require

LEVELS = {  # good, lazy, nice, chain
    0: (0, 0, 0, 1),
    1: (4, 4, 8, 4),
    2: (4, 5, 16, 8),
    3: (4, 6, 32, 32),
    4: (4, 4, 16, 16),
    5: (8, 16, 32, 32),
    6: (8, 16, 128, 128),
    7: (8, 32, 128, 256),
    8: (32, 128, 258, 1024),
    9: (32, 258, 258, 4096),
    10: (4, 4, 258, 16),
}
LENGTH_EXTRA = [max(0, code // 4 - 1) for code in range(28)] + [0]
LENGTH_BASE = [*accumulate((1 << extra for extra in LENGTH_EXTRA[:27]), initial=3), 258]
DISTANCE_EXTRA = [max(0, code // 2 - 1) for code in range(30)]
DISTANCE_BASE = list(accumulate((1 << extra for extra in DISTANCE_EXTRA[:29]), initial=1))
MAX_MATCH, MAX_DISTANCE, MAX_HOPS = 258, 1 << 15, 1024
Token = tuple[int, int]  # length (259: 258 in its long spelling), distance; (1, 0): a literal
LITERAL = (1, 0)


def code_of(bases: list[int], value: int) -> int:
    return bisect_right(bases, value) - 1


class Tokens:
    """The place a in a text t, what was inserted so far, and the token predicted there."""

    def __init__(self, t: bytes, packer: tuple[int, ...], is_cut: bool, bits: Deviations) -> None:
        level, memory, window, strategy, rule, family = packer
        self.t, self.n, self.is_cut, self.bits = t, len(t), is_cut, bits
        self.good, self.lazy, self.nice, self.chain = LEVELS[level]
        self.greedy, self.level = level <= 3 or level == 10, level
        self.strategy, self.only_fixed = strategy % 4, strategy == 4
        self.b3, self.whole, self.rule = 4 if family & 1 else 3, family >> 1, rule
        self.reach = 2**window - (0 if self.whole else 262)
        self.far = 2**15 if self.whole else 4096
        self.limit = 32767 if rule else 2 ** (memory + 6) - 1
        self.hash_bits = 14 if level == 10 else 15 if rule else memory + 7
        if level == 0:
            self.strategy, self.limit = 3, 65535
        self.w = 256
        while self.w < min(self.reach + 1, self.n):
            self.w *= 2
        self.head: defaultdict[int, int] = defaultdict(lambda: -1)
        self.previous: defaultdict[int, int] = defaultdict(lambda: -1)
        self.inserted: set[int] = set()
        self.a, self.hand, self.history = 0, (0, 0), 0

    def hash(self, i: int) -> int:
        t, b = self.t, self.hash_bits
        if self.b3 == 4:
            return (int.from_bytes(t[i : i + 4], "little") * 2654435761 & 0xFFFFFFFF) >> 32 - b
        s = (b + 2) // 3
        return (t[i] << 2 * s ^ t[i + 1] << s ^ t[i + 2]) % (1 << b)

    def insert(self, i: int) -> None:
        if i + self.b3 <= self.n and i not in self.inserted:
            h = self.hash(i)
            self.previous[i % self.w], self.head[h] = self.head[h], i
            self.inserted.add(i)

    def reachable(self, a: int, c: int) -> bool:
        return c > (-1 if self.whole else 0) and a - c <= self.reach

    def longest(self, a: int, c: int, least: int) -> tuple[int, int]:
        best, distance = least, 0
        k, most, stop = self.chain // (4 if least >= self.good else 1), min(258, self.n - a), min(self.nice, self.n - a)
        while best < most:
            m = 0
            while m < most and self.t[c + m] == self.t[a + m]:
                m += 1
            if m > best:
                best, distance = m, a - c
                if m >= stop:
                    break
            c = self.previous[c % self.w]
            k -= 1
            if k == 0 or c <= (max(a - self.reach - 1, -1) if self.whole else max(a - self.reach, 0)):
                break
        return best, distance

    def predict(self) -> None:
        """The predicted token (length, distance), its kind, the match found here and the later one."""
        a, t = self.a, self.t
        self.kind, self.found, self.later = 0, (0, 0), (0, 0)
        if self.strategy == 2:
            length = 0
            while a and length < min(258, self.n - a) and t[a + length] == t[a - 1]:
                length += 1
            self.found = (length, 1) if length >= 3 else (0, 1)
        elif self.strategy < 2 and a + self.b3 <= self.n:
            c = self.previous[a % self.w] if a in self.inserted else self.head[self.hash(a)]
            self.insert(a)
            if self.hand[0]:
                self.found = self.hand
            elif self.reachable(a, c):
                self.kind = 1
                length, d = self.longest(a, c, 2)
                short = (self.strategy == 1 and length <= 5) or (length == 3 and d > self.far)
                if length >= 3 and (self.greedy or not short):
                    self.found = (length, d)
            length = self.found[0]
            if length and not self.greedy and length < self.lazy and a + 1 + self.b3 <= self.n:
                c = self.head[self.hash(a + 1)]
                if self.reachable(a + 1, c) and c <= a:
                    later = self.longest(a + 1, c, length)
                    if later[0] > length and not (self.strategy == 1 and later[0] <= 5):
                        self.later, self.kind = later, 2
        length = self.found[0]
        self.predicted = self.found if length and not self.later[0] else (1, 0)
        if self.predicted[0] > 1:
            self.kind = length if length < 10 else 10 + sum(length >= x for x in (18, 34, 66, 258))

    def coded(self) -> Token:
        """'A coded token'."""
        bits, token = self.bits, self.predicted
        miss = bits.bit("HIT", self.kind, self.history)
        self.history = (2 * self.history + miss) % 4
        if miss and token[0] > 1 and bits.bit("MISS", self.kind, 0):
            token = LITERAL
        elif miss:
            found = self.found[0]
            o = bits.bit("MISS", self.kind, 1) if found else 1
            length = 3 + bits.tree(8, "OTHER_LENGTH", found > 0) if o else found
            require(self.a + length <= self.n, "a token beyond the text")
            if bits.bit("FAR", self.kind):
                token = (length, 1 + bits.raw(15))
            else:
                token = (length, self.hop(length, bits.number("HOPS", o)))
        require(self.a + token[0] <= self.n and token[1] <= self.a, "a token beyond the text")
        if token[0] == MAX_MATCH:
            token = (MAX_MATCH + bits.bit("SPELLING"), token[1])
        return token

    def hop(self, length: int, h: int) -> int:
        """The distance of entry h, of those in the chain that match over the length."""
        a, before, c = self.a, self.a, self.previous[self.a % self.w]
        for _ in range(MAX_HOPS):
            if not 0 <= c < before or a - c > min(MAX_DISTANCE, self.w):
                break
            if self.t[c : c + length] == self.t[a : a + length]:
                if h == 0:
                    return a - c
                h -= 1
            before, c = c, self.previous[c % self.w]
        raise Damaged("a distance that isn't in the chain")

    def advance(self, token: tuple[int, int]) -> None:
        length = min(token[0], 258)
        end = self.a + 1 if self.greedy and length > self.lazy else self.a + length
        if self.strategy < 2:
            for i in range(self.a, end):
                self.insert(i)
        self.hand = self.later if token == self.predicted and self.kind == 2 else (0, 0)
        self.a += length
