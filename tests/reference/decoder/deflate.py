"""docs/RECOMPRESSION_FORMAT.md, 'Rebuilding a stream': deflate streams from their texts, without zlib."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from itertools import accumulate

from .deviations import Deviations, Models
from .errors import Damaged, require
from .trees import ORDER, Header, tree_lengths, weigh

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
}
LENGTH_EXTRA = [max(0, code // 4 - 1) for code in range(28)] + [0]
LENGTH_BASE = [*accumulate((1 << extra for extra in LENGTH_EXTRA[:27]), initial=3), 258]
DISTANCE_EXTRA = [max(0, code // 2 - 1) for code in range(30)]
DISTANCE_BASE = list(accumulate((1 << extra for extra in DISTANCE_EXTRA[:29]), initial=1))
FIXED, FIXED_DISTANCES = [8] * 144 + [9] * 112 + [7] * 24 + [8] * 8, [5] * 30
SPELT_EXTRA = {16: 2, 17: 3, 18: 7}
MAX_MATCH, MAX_DISTANCE, MAX_HOPS, MAX_STORED = 258, 1 << 15, 1024, 65535
Token = tuple[int, int]  # length (259: 258 in its long spelling), distance; (1, 0): a literal
LITERAL = (1, 0)


def code_of(bases: list[int], value: int) -> int:
    return bisect_right(bases, value) - 1


class Output:
    """Bits, the first one lowest."""

    def __init__(self) -> None:
        self.data, self.value, self.size = bytearray(), 0, 0

    def put(self, value: int, bits: int) -> None:
        self.value |= value << self.size
        self.size += bits
        whole = self.size // 8
        self.data += (self.value & (1 << 8 * whole) - 1).to_bytes(whole, "little")
        self.value >>= 8 * whole
        self.size -= 8 * whole

    def fill(self, filler: int) -> None:
        """The bits up to the next whole byte."""
        missing = -self.size % 8
        self.put(filler % (1 << missing), missing)


def codes_of(lengths: list[int]) -> list[tuple[int, int]]:
    """Canonical codes (RFC 1951, 3.2.2), the first bit lowest, and their lengths."""
    code, found = 0, [(0, 0)] * len(lengths)
    for length in range(1, 16):
        code <<= 1
        for symbol, own in enumerate(lengths):
            if own == length:
                bits = f"{code % (1 << length):0{length}b}"
                found[symbol] = int(bits[::-1], 2), length
                code += 1
    return found


class Stream:
    """A stream being rebuilt from its text t. most_bytes: it is no longer."""

    def __init__(self, t: bytes, packer: tuple[int, ...], is_cut: bool, bits: Deviations, most_bytes: int) -> None:
        level, memory, window, strategy, rule, family = packer
        self.t, self.n, self.is_cut, self.bits = t, len(t), is_cut, bits
        self.good, self.lazy, self.nice, self.chain = LEVELS[level]
        self.greedy, self.level = level <= 3, level
        self.strategy, self.only_fixed = strategy % 4, strategy == 4
        self.b3, self.whole, self.rule = 4 if family & 1 else 3, family >> 1, rule
        self.reach = 2**window - (0 if self.whole else 262)
        self.far = 2**15 if self.whole else 4096
        self.limit = 32767 if rule else 2 ** (memory + 6) - 1
        self.hash_bits = 15 if rule else memory + 7
        if level == 0:
            self.strategy, self.limit = 3, 65535
        self.w = 256
        while self.w < min(self.reach + 1, self.n):
            self.w *= 2
        self.head: defaultdict[int, int] = defaultdict(lambda: -1)
        self.previous: defaultdict[int, int] = defaultdict(lambda: -1)
        self.inserted: set[int] = set()
        self.a, self.hand, self.history, self.has_blocks = 0, (0, 0), 0, False
        self.out, self.most_bytes = Output(), most_bytes

    def hash(self, i: int) -> int:
        t, b = self.t, self.hash_bits
        if self.b3 == 4:
            return int.from_bytes(t[i : i + 4], "little") * 2654435761 % 2**32 >> 32 - b
        s = (b + 2) // 3
        return (t[i] << 2 * s ^ t[i + 1] << s ^ t[i + 2]) % 2**b

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

    def ends(self, first: int, began: int, tokens: list[Token]) -> str:
        """Whether a block ends here, and why: "rule" or "text"."""
        k = len(tokens)
        is_early = self.rule and self.level >= 3 and k and k % 4096 == 0 and self.pays(first, began, tokens)
        if k == self.limit or is_early:
            return "rule"
        return "text" if self.a == self.n else ""

    def pays(self, first: int, began: int, tokens: list[Token]) -> bool:
        """GNU gzip's estimate of what a block has come to."""
        k, distances = len(tokens), [d for length, d in tokens if length > 1]
        x = 8 * k + sum(5 + DISTANCE_EXTRA[code_of(DISTANCE_BASE, d)] for d in distances)
        return len(distances) < k // 2 and x // 8 < (began - first + (not self.greedy)) // 2

    def block(self, last: int) -> tuple[int, int]:
        """1 to 6 of 'A stream': final, type."""
        bits, first, began, tokens = self.bits, self.a, self.a, []
        stored = bits.bit("IS_STORED", last)
        size = bits.number("SIZE", stored) if bits.bit("END", stored) else None
        while True:
            end = self.ends(first, began, tokens)
            if size is None and end:
                break
            if size is not None and (self.a >= min(first + size, self.n) if stored else len(tokens) == size):
                break
            require(self.a < self.n, "a token behind the text")
            self.predict()
            began = self.a
            tokens.append(self.predicted if stored else self.coded())
            self.advance(tokens[-1])
        if stored and size is not None:
            self.a = min(first + size, self.n)
            end = self.ends(first, began, tokens)
        predicted_final = int(self.a == self.n and end != "rule" and not self.is_cut)
        final = predicted_final ^ bits.bit("IS_FINAL", predicted_final)
        kind, header = (0, None) if stored else self.type(first, tokens)
        filler = bits.raw(7) if kind == 0 and bits.bit("FILLED") else 0
        self.write(first, tokens, final, kind, header, filler)
        return final, kind

    def type(self, first: int, tokens: list[Token]) -> tuple[int, Header | None]:
        literals, distances, at, extra_bits = [0] * 286, [0] * 30, first, 0
        literals[256] = 1
        for length, d in tokens:
            if length == 1:
                literals[self.t[at]] += 1
            else:
                code, far = code_of(LENGTH_BASE, min(length, MAX_MATCH)), code_of(DISTANCE_BASE, d)
                literals[257 + code] += 1
                distances[far] += 1
                extra_bits += LENGTH_EXTRA[code] + DISTANCE_EXTRA[far]
            at += min(length, MAX_MATCH)
        built = tree_lengths(literals, 15), tree_lengths(distances, 15)
        header = Header(*built)
        y = header.bits() + extra_bits + weigh(literals, built[0]) + weigh(distances, built[1])
        f = extra_bits + weigh(literals, FIXED[:286]) + weigh(distances, FIXED_DISTANCES)
        f, y = (f + 10) // 8, (y + 10) // 8
        kind = 0 if self.a - first + 4 <= min(f, y) else 1 if f <= y else 2
        kind = 0 if self.level == 0 else 1 if self.only_fixed else kind
        if self.bits.data:
            kind = kind or 2
            kind = 3 - kind if self.bits.bit("IS_FIXED", kind == 1) else kind
        if kind == 2:
            header.deviate(self.bits)
        return kind, header

    def write(self, first: int, tokens: list[Token], final: int, kind: int, header: Header | None, filler: int) -> None:
        out, size = self.out, self.a - first
        out.put(final, 1)
        out.put(kind, 2)
        if kind == 0:
            require(size <= MAX_STORED, "a stored block that is too long")
            out.fill(filler)
            out.put(size, 16)
            out.put(0xFFFF - size, 16)
            out.data += self.t[first : self.a]
            return
        literals, distances = FIXED, FIXED_DISTANCES
        if kind == 2:
            assert header is not None
            literals, distances = header.literals, header.distances
            self.write_header(header)
        self.write_tokens(first, tokens, codes_of(literals), codes_of(distances))

    def write_header(self, header: Header) -> None:
        out, codes = self.out, codes_of(header.codes)
        out.put(len(header.literals) - 257, 5)
        out.put(len(header.distances) - 1, 5)
        out.put(header.hclen - 4, 4)
        for symbol in ORDER[: header.hclen]:
            out.put(header.codes[symbol], 3)
        for symbol, extra in header.operations:
            out.put(*codes[symbol])
            out.put(extra, SPELT_EXTRA.get(symbol, 0))

    def write_tokens(
        self, first: int, tokens: list[Token], literals: list[tuple[int, int]], distances: list[tuple[int, int]]
    ) -> None:
        out, at = self.out, first
        for length, d in tokens:
            if length == 1:
                out.put(*coded_by(literals, self.t[at]))
            else:
                code = 27 if length == 259 else code_of(LENGTH_BASE, length)
                out.put(*coded_by(literals, 257 + code))
                out.put(min(length, MAX_MATCH) - LENGTH_BASE[code], LENGTH_EXTRA[code])
                far = code_of(DISTANCE_BASE, d)
                out.put(*coded_by(distances, far))
                out.put(d - DISTANCE_BASE[far], DISTANCE_EXTRA[far])
            at += min(length, MAX_MATCH)
        if not (self.is_cut and self.a == self.n):
            out.put(*coded_by(literals, 256))


def coded_by(codes: list[tuple[int, int]], symbol: int) -> tuple[int, int]:
    require(symbol < len(codes), "a symbol that its code hasn't")
    return codes[symbol]


def rebuild(
    text: bytes, packer: tuple[int, ...], is_cut: bool, deviations: bytes, models: Models, most_bytes: int = 1 << 28
) -> bytes:
    """The stream. models: shared by the streams of one depth, empty at first."""
    stream = Stream(text, packer, is_cut, Deviations(deviations, models), most_bytes)
    final, kind = 0, 2
    while not final and not (is_cut and stream.a == stream.n and stream.has_blocks):
        final, kind = stream.block(kind)
        stream.has_blocks = True
        require(len(stream.out.data) <= most_bytes, "a stream that is too long")
    stream.out.fill(stream.bits.raw(7) if stream.bits.bit("FILLED") else 0)
    return bytes(stream.out.data)
