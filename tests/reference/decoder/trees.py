"""docs/RECOMPRESSION_FORMAT.md, 'Trees' and 'Header': the codes of a dynamic block, and how they are spelt."""

from __future__ import annotations

from collections import defaultdict

from .deviations import Deviations
from .errors import require

ORDER = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15)


class Heap:
    """Nodes of a tree that have no parent yet; the first by (count, depth) is number 1."""

    def __init__(self, counts: dict[int, int], symbols: list[int]) -> None:
        self.count = counts
        self.depth: defaultdict[int, int] = defaultdict(int)
        self.heap = [-1, *symbols]
        for k in range(len(symbols) // 2, 0, -1):
            self.sift(k)

    def before(self, n: int, m: int) -> bool:
        return self.count[n] < self.count[m] or (self.count[n] == self.count[m] and self.depth[n] <= self.depth[m])

    def sift(self, k: int) -> None:
        heap, v = self.heap, self.heap[k]
        while 2 * k < len(heap):
            j = 2 * k
            if j + 1 < len(heap) and self.before(heap[j + 1], heap[j]):
                j += 1
            if self.before(v, heap[j]):
                break
            heap[k], k = heap[j], j
        heap[k] = v

    def join(self, node: int) -> tuple[int, int]:
        """The first two get the parent `node`."""
        x, last = self.heap[1], self.heap.pop()
        if len(self.heap) > 1:
            self.heap[1] = last
            self.sift(1)
        y = self.heap[1]
        self.count[node] = self.count[x] + self.count[y]
        self.depth[node] = max(self.depth[x], self.depth[y]) + 1
        self.heap[1] = node
        self.sift(1)
        return x, y


def tree_lengths(counts: list[int], most: int) -> list[int]:
    """'Trees': the length of each symbol's code, at most `most`."""
    symbols, count_of = [symbol for symbol, count in enumerate(counts) if count], dict(enumerate(counts))
    last = symbols[-1] if symbols else -1
    while len(symbols) < 2:
        last, symbol = (last + 1, last + 1) if last < 2 else (last, 0)
        symbols.append(symbol)
        count_of[symbol] = 1
    heap, order, parent, node = Heap(count_of, symbols), [], {}, len(counts)
    while len(heap.heap) > 2:
        x, y = heap.join(node)
        order += [x, y]
        parent[x] = parent[y] = node
        node += 1
    lengths, length_of, overflow = [0] * len(counts), {heap.heap[1]: 0}, 0
    for n in reversed(order):
        length_of[n] = length_of[parent[n]] + 1
        if length_of[n] > most:
            length_of[n], overflow = most, overflow + 1
        if n < len(counts):
            lengths[n] = length_of[n]
    return shortened(lengths, most, overflow, [n for n in order if n < len(counts)]) if overflow else lengths


def shortened(lengths: list[int], most: int, overflow: int, leaves: list[int]) -> list[int]:
    """Lengths given out anew, where some were cut off at `most`. leaves: in the order in which they got parents."""
    per = [lengths.count(length) if length else 0 for length in range(most + 1)]
    while overflow > 0:
        greatest = max(length for length in range(1, most) if per[length])
        per[greatest] -= 1
        per[greatest + 1] += 2
        per[most] -= 1
        overflow -= 2
    lengths, left = [0] * len(lengths), iter(leaves)
    for length in range(most, 0, -1):
        for _ in range(per[length]):
            lengths[next(left)] = length
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
        self.set_hclen()

    def set_hclen(self) -> None:
        self.hclen = max([4, *(i + 1 for i in range(19) if self.codes[ORDER[i]])])

    def bits(self) -> int:
        spelt = sum(self.codes[symbol] + {16: 2, 17: 3, 18: 7}.get(symbol, 0) for symbol, _ in self.operations)
        return 14 + 3 * self.hclen + spelt

    def deviate(self, bits: Deviations) -> None:
        """'Header'."""
        if not bits.bit("OTHER_HEADER"):
            return
        built = [self.literals + [0] * 29, self.distances + [0] * 29]
        hlit, hdist = 257 + bits.raw(5), 1 + bits.raw(5)
        require(hlit <= 286 and hdist <= 30, "a header of too many lengths")
        self.literals = [bits.tree(4, "LITERALS", built[0][i]) for i in range(hlit)]
        self.distances = [bits.tree(4, "DISTANCES", built[1][i]) for i in range(hdist)]
        if bits.bit("FIELDS", 0):
            self.operations = self.spelling(bits, self.literals + self.distances)
        else:
            is_least = len(trimmed(self.literals, 257)) == hlit and len(trimmed(self.distances, 1)) == hdist
            require(is_least, "a header that zlib would spell in another way")
            self.operations = spell(self.literals) + spell(self.distances)
        self.choose_codes()
        if bits.bit("FIELDS", 1):
            self.codes = [bits.tree(3, "CODES", length) for length in self.codes]
            self.set_hclen()
        if bits.bit("FIELDS", 2):
            hclen = 4 + bits.raw(4)
            require(self.hclen <= hclen <= 19, "a header with too few code lengths")
            self.hclen = hclen

    @staticmethod
    def spelling(bits: Deviations, lengths: list[int]) -> list[Operation]:
        out: list[Operation] = []
        i = 0
        while i < len(lengths):
            r = 1
            while i + r < len(lengths) and lengths[i + r] == lengths[i]:
                r += 1
            v = 0 if lengths[i] == 0 else 2 if i and lengths[i - 1] == lengths[i] else 1
            if r >= 3 and v != 1 and bits.bit("RUN", v, min(r, 15)):
                run = min(r, 6 if v else 138) - bits.number("RUN_SIZE", v > 0)
                require(run >= 3, "a run of lengths that is too short")
                again = v > 0
                if v == 0 and run <= 6 and i and lengths[i - 1] == 0:
                    again = bool(bits.bit("RUN", 0, 0))
                out.append((16, run - 3) if again else (17, run - 3) if run < 11 else (18, run - 11))
                i += run
            else:
                out.append((lengths[i], 0))
                i += 1
        return out
