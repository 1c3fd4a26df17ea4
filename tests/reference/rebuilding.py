"""docs/FORMAT.md, 'Rebuilding a stream', word for word in plain Python integers: slow, and the judge.

Must not call the package's own arithmetic. The names are those of the spec.
"""

from __future__ import annotations

from collections import defaultdict

LEVELS = {
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
    0: (0, 0, 0, 1),
}
LENGTHS: list[tuple[int, int]] = []  # base, extra bits by code
DISTANCES: list[tuple[int, int]] = []
for code in range(28):
    extra = max(0, code // 4 - 1)
    LENGTHS.append((3 if code == 0 else LENGTHS[-1][0] + (1 << LENGTHS[-1][1]), extra))
LENGTHS.append((258, 0))
for code in range(30):
    extra = max(0, code // 2 - 1)
    DISTANCES.append((1 if code == 0 else DISTANCES[-1][0] + (1 << DISTANCES[-1][1]), extra))
ORDER = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15)
FIXED = [8] * 144 + [9] * 112 + [7] * 24 + [8] * 8


def code_of(table: list[tuple[int, int]], value: int) -> int:
    return max(code for code, (base, _) in enumerate(table) if base <= value)


class Bits:
    """Deviations, decoded; without any, every bit is 0."""

    def __init__(self, data: bytes, models: dict[tuple[object, ...], list[int]]) -> None:
        self.data, self.models, self.at = data, models, 8
        self.range, self.offset = 2**64 - 1, int.from_bytes(data[:8].ljust(8, b"\0"), "big")

    def decode(self, p: int) -> int:
        q = 4 * p + (p < 2**21)
        scale = self.range >> 24
        split = scale * (2**24 - q)
        bit = int(self.offset >= split)
        self.offset, self.range = (self.offset - split, scale * q) if bit else (self.offset, split)
        if self.range < 2**32:
            word = int.from_bytes(self.data[self.at : self.at + 4].ljust(4, b"\0"), "big")
            self.range, self.offset, self.at = self.range << 32, (self.offset << 32) + word, self.at + 4
        return bit

    def bit(self, *model: object) -> int:
        if not self.data:
            return 0
        state = self.models.setdefault(model, [2**21, 0])
        p, c = state
        bit = self.decode(p)
        g = 2**22 - 1 if bit else 1
        state[:] = p + ((g - p) * (2**17 // (2 * c + 3)) >> 16), min(c + 1, 255)
        return bit

    def raw(self, k: int) -> int:
        value = 0
        for _ in range(k):
            value = 2 * value + self.decode(2**21)
        return value

    def tree(self, k: int, *model: object) -> int:
        node = 1
        for _ in range(k):
            node = 2 * node + self.bit(*model, node)
        return node - 2**k

    def number(self, *model: object) -> int:
        e = 0
        while e < 28 and self.bit(*model, e):
            e += 1
        return 2**e + self.raw(e) - 1


def tree_lengths(counts: list[int], most: int) -> list[int]:
    """'Trees'."""
    symbols = [symbol for symbol, count in enumerate(counts) if count]
    count_of, depth, parent = dict(enumerate(counts)), defaultdict(int), {}
    last = symbols[-1] if symbols else -1
    while len(symbols) < 2:
        last, symbol = (last + 1, last + 1) if last < 2 else (last, 0)
        symbols.append(symbol)
        count_of[symbol] = 1
    heap = [-1, *symbols]

    def before(n: int, m: int) -> bool:
        return count_of[n] < count_of[m] or (count_of[n] == count_of[m] and depth[n] <= depth[m])

    def sift(k: int) -> None:
        v = heap[k]
        while 2 * k < len(heap):
            j = 2 * k
            if j + 1 < len(heap) and before(heap[j + 1], heap[j]):
                j += 1
            if before(v, heap[j]):
                break
            heap[k], k = heap[j], j
        heap[k] = v

    for k in range((len(heap) - 1) // 2, 0, -1):
        sift(k)
    order, node = [], len(counts)
    while len(heap) > 2:
        x = heap[1]
        final = heap.pop()
        if len(heap) > 1:
            heap[1] = final
            sift(1)
        y = heap[1]
        order += [x, y]
        count_of[node], depth[node] = count_of[x] + count_of[y], max(depth[x], depth[y]) + 1
        parent[x] = parent[y] = heap[1] = node
        sift(1)
        node += 1
    lengths, below, per, overflow = [0] * len(counts), {heap[1]: 0}, [0] * (most + 1), 0
    for n in reversed(order):
        below[n] = below[parent[n]] + 1
        if below[n] > most:
            below[n], overflow = most, overflow + 1
        if n < len(counts):
            lengths[n] = below[n]
            per[below[n]] += 1
    if overflow:
        while overflow > 0:
            greatest = max(length for length in range(1, most) if per[length])
            per[greatest] -= 1
            per[greatest + 1] += 2
            per[most] -= 1
            overflow -= 2
        leaves = iter([n for n in order if n < len(counts)])
        for length in range(most, 0, -1):
            for _ in range(per[length]):
                lengths[next(leaves)] = length
    return lengths


Operation = tuple[int, int]  # symbol, extra


def spell(lengths: list[int]) -> list[Operation]:
    out, i, previous = [], 0, -1
    while i < len(lengths):
        value, run = lengths[i], 1
        same = value == previous
        most = 138 if value == 0 else 6 if same else 7
        while run < most and i + run < len(lengths) and lengths[i + run] == value:
            run += 1
        i += run
        if value == 0 and run >= 3:
            out.append((17, run - 3) if run <= 10 else (18, run - 11))
        elif value and run >= (3 if same else 4):
            if not same:
                out.append((value, 0))
                run -= 1
            out.append((16, run - 3))
        else:
            out += [(value, 0)] * run
        previous = value
    return out


def trimmed(lengths: list[int], least: int) -> list[int]:
    used = len(lengths)
    while used > least and lengths[used - 1] == 0:
        used -= 1
    return lengths[:used]


def weigh(counts: list[int], lengths: list[int]) -> int:
    return sum(count * length for count, length in zip(counts, lengths, strict=True))


class Header:
    """Of a dynamic block: both codes, how they are spelt, the code-length code and HCLEN."""

    def __init__(self, literals: list[int], distances: list[int]) -> None:
        self.literals, self.distances = trimmed(literals, 257), trimmed(distances, 1)
        self.operations = spell(self.literals) + spell(self.distances)
        self.choose_codes()

    def choose_codes(self) -> None:
        counts = [0] * 19
        for symbol, _ in self.operations:
            counts[symbol] += 1
        self.codes = tree_lengths(counts, 7)
        self.least()

    def least(self) -> None:
        self.hclen = max([4, *(i + 1 for i in range(19) if self.codes[ORDER[i]])])

    def bits(self) -> int:
        spelt = sum(self.codes[symbol] + {16: 2, 17: 3, 18: 7}.get(symbol, 0) for symbol, _ in self.operations)
        return 14 + 3 * self.hclen + spelt

    def deviate(self, bits: Bits) -> None:
        """'Header'."""
        if not bits.bit("OTHER_HEADER"):
            return
        built = [self.literals + [0] * 29, self.distances + [0] * 29]
        hlit, hdist = 257 + bits.raw(5), 1 + bits.raw(5)
        self.literals = [bits.tree(4, "LITERALS", built[0][i]) for i in range(hlit)]
        self.distances = [bits.tree(4, "DISTANCES", built[1][i]) for i in range(hdist)]
        if bits.bit("FIELDS", 0):
            self.operations = self.spelling(bits, self.literals + self.distances)
        else:
            self.operations = spell(self.literals) + spell(self.distances)
        self.choose_codes()
        if bits.bit("FIELDS", 1):
            self.codes = [bits.tree(3, "CODES", length) for length in self.codes]
            self.least()
        if bits.bit("FIELDS", 2):
            self.hclen = 4 + bits.raw(4)

    @staticmethod
    def spelling(bits: Bits, lengths: list[int]) -> list[Operation]:
        out: list[Operation] = []
        i = 0
        while i < len(lengths):
            r = 1
            while i + r < len(lengths) and lengths[i + r] == lengths[i]:
                r += 1
            v = 0 if lengths[i] == 0 else 2 if i and lengths[i - 1] == lengths[i] else 1
            if r >= 3 and v != 1 and bits.bit("RUN", v, min(r, 15)):
                run = min(r, 6 if v else 138) - bits.number("RUN_SIZE", v > 0)
                again = v > 0
                if v == 0 and run <= 6 and i and lengths[i - 1] == 0:
                    again = bool(bits.bit("RUN", 0, 0))
                out.append((16, run - 3) if again else (17, run - 3) if run < 11 else (18, run - 11))
                i += run
            else:
                out.append((lengths[i], 0))
                i += 1
        return out


class Output:
    """Bits, the first one lowest."""

    def __init__(self) -> None:
        self.value = self.size = 0

    def put(self, value: int, bits: int) -> None:
        self.value |= value << self.size
        self.size += bits

    def code(self, lengths: list[int], symbol: int) -> None:
        """A canonical code (RFC 1951, 3.2.2)."""
        code = 0
        for length in range(1, lengths[symbol] + 1):
            code = (code + sum(1 for other in lengths if other == length - 1 and other)) << 1
        code += sum(1 for other in lengths[:symbol] if other == lengths[symbol])
        for i in range(lengths[symbol] - 1, -1, -1):
            self.put(code >> i & 1, 1)

    def bytes(self) -> bytes:
        return self.value.to_bytes((self.size + 7) // 8, "little")


class Stream:
    """A stream being rebuilt from its text t."""

    def __init__(self, t: bytes, packer: tuple[int, ...], is_cut: bool, bits: Bits) -> None:
        level, memory, window, strategy, rule, family = packer
        self.t, self.n, self.is_cut, self.bits = t, len(t), is_cut, bits
        self.good, self.lazy, self.nice, self.chain = LEVELS[level]
        self.greedy, self.level = level <= 3 or level == 10, level
        self.strategy, self.only = (0, 1) if strategy == 4 else (strategy, 0)
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
        self.out = Output()

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

    def coded(self) -> tuple[int, int]:
        """'A coded token'; length 259 for 258 in its long spelling."""
        bits, token = self.bits, self.predicted
        miss = bits.bit("HIT", self.kind, self.history)
        self.history = (2 * self.history + miss) % 4
        if miss and token[0] > 1 and bits.bit("MISS", self.kind, 0):
            token = (1, 0)
        elif miss:
            found = self.found[0]
            o = bits.bit("MISS", self.kind, 1) if found else 1
            length = 3 + bits.tree(8, "OTHER_LENGTH", found > 0) if o else found
            if bits.bit("FAR", self.kind):
                token = (length, 1 + bits.raw(15))
            else:
                token = (length, self.hop(length, bits.number("HOPS", o)))
        if token[0] == 258:
            token = (258 + bits.bit("SPELLING"), token[1])
        return token

    def hop(self, length: int, h: int) -> int:
        a, c = self.a, self.previous[self.a % self.w]
        while True:
            assert c >= 0 and a - c <= min(2**15, self.w)
            if self.t[c : c + length] == self.t[a : a + length]:
                if h == 0:
                    return a - c
                h -= 1
            c = self.previous[c % self.w]

    def advance(self, token: tuple[int, int]) -> None:
        length = min(token[0], 258)
        end = self.a + 1 if self.greedy and length > self.lazy else self.a + length
        if self.strategy < 2:
            for i in range(self.a, end):
                self.insert(i)
        self.hand = self.later if token == self.predicted and self.kind == 2 else (0, 0)
        self.a += length

    def ends(self, first: int, began: int, tokens: list[tuple[int, int]]) -> str:
        k, matches = len(tokens), [token for token in tokens if token[0] > 1]
        if k == self.limit:
            return "rule"
        if self.rule and self.level >= 3 and k and k % 4096 == 0 and len(matches) < k // 2:
            x = 8 * k + sum(5 + DISTANCES[code_of(DISTANCES, d)][1] for _, d in matches)
            if x // 8 < (began - first + (not self.greedy)) // 2:
                return "rule"
        return "text" if self.a == self.n else ""

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

    def type(self, first: int, tokens: list[tuple[int, int]]) -> tuple[int, Header | None]:
        literals, distances, at, extra_bits = [0] * 286, [0] * 30, first, 0
        literals[256] = 1
        for length, d in tokens:
            if length == 1:
                literals[self.t[at]] += 1
            else:
                code, far = code_of(LENGTHS, min(length, 258)), code_of(DISTANCES, d)
                literals[257 + code] += 1
                distances[far] += 1
                extra_bits += LENGTHS[code][1] + DISTANCES[far][1]
            at += min(length, 258)
        built = tree_lengths(literals, 15), tree_lengths(distances, 15)
        header = Header(*built)
        y = header.bits() + extra_bits + weigh(literals, built[0]) + weigh(distances, built[1])
        f = extra_bits + weigh(literals, FIXED[:286]) + 5 * sum(distances)
        f, y = (f + 10) // 8, (y + 10) // 8
        kind = 0 if self.a - first + 4 <= min(f, y) else 1 if f <= y else 2
        kind = 1 if self.only else 0 if self.level == 0 else kind
        if self.bits.data:
            kind = kind or 2
            kind = 3 - kind if self.bits.bit("IS_FIXED", kind == 1) else kind
        if kind == 2:
            header.deviate(self.bits)
        return kind, header

    def write(
        self, first: int, tokens: list[tuple[int, int]], final: int, kind: int, header: Header | None, filler: int
    ) -> None:
        out, at = self.out, first
        out.put(final, 1)
        out.put(kind, 2)
        if kind == 0:
            out.put(filler % 2 ** (-out.size % 8), -out.size % 8)
            out.put(self.a - first, 16)
            out.put(0xFFFF - (self.a - first), 16)
            out.put(int.from_bytes(self.t[first : self.a], "little"), 8 * (self.a - first))
            return
        literals, distances = FIXED, [5] * 30
        if kind == 2:
            assert header is not None
            literals, distances = header.literals, header.distances
            out.put(len(literals) - 257, 5)
            out.put(len(distances) - 1, 5)
            out.put(header.hclen - 4, 4)
            for symbol in ORDER[: header.hclen]:
                out.put(header.codes[symbol], 3)
            for symbol, extra in header.operations:
                out.code(header.codes, symbol)
                out.put(extra, {16: 2, 17: 3, 18: 7}.get(symbol, 0))
        for length, d in tokens:
            if length == 1:
                out.code(literals, self.t[at])
            else:
                code = 27 if length == 259 else code_of(LENGTHS, length)
                out.code(literals, 257 + code)
                out.put(min(length, 258) - LENGTHS[code][0], LENGTHS[code][1])
                far = code_of(DISTANCES, d)
                out.code(distances, far)
                out.put(d - DISTANCES[far][0], DISTANCES[far][1])
            at += min(length, 258)
        if not (self.is_cut and self.a == self.n):
            out.code(literals, 256)


def rebuild(
    text: bytes, packer: tuple[int, ...], is_cut: bool, deviations: bytes, models: dict[tuple[object, ...], list[int]]
) -> bytes:
    """The stream. models: shared by the streams of one depth, empty at first."""
    stream = Stream(text, packer, is_cut, Bits(deviations, models))
    final, kind = 0, 2
    while not final and not (is_cut and stream.a == stream.n and kind >= 0 and stream.out.size):
        final, kind = stream.block(kind)
    if stream.bits.bit("FILLED"):
        filler = stream.bits.raw(7)
        stream.out.put(filler % 2 ** (-stream.out.size % 8), -stream.out.size % 8)
    return stream.out.bytes()
