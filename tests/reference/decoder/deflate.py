"""docs/RECOMPRESSION_FORMAT.md, 'A stream': deflate streams from their texts, without zlib."""

from __future__ import annotations

from .deviations import Deviations, Models
from .errors import require
from .tokens import (
    DISTANCE_BASE,
    DISTANCE_EXTRA,
    LENGTH_BASE,
    LENGTH_EXTRA,
    MAX_MATCH,
    Token,
    Tokens,
    code_of,
)
from .trees import ORDER, Header, tree_lengths, weigh

FIXED, FIXED_DISTANCES = [8] * 144 + [9] * 112 + [7] * 24 + [8] * 8, [5] * 30
SPELT_EXTRA = {16: 2, 17: 3, 18: 7}
MAX_STORED = 65535


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


class Stream(Tokens):
    """A stream being rebuilt from its text."""

    def __init__(self, t: bytes, packer: tuple[int, ...], is_cut: bool, bits: Deviations) -> None:
        super().__init__(t, packer, is_cut, bits)
        self.out, self.has_blocks = Output(), False

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
        bits, first, began = self.bits, self.a, self.a
        tokens: list[Token] = []
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
    stream = Stream(text, packer, is_cut, Deviations(deviations, models))
    final, kind = 0, 2
    while not final and not (is_cut and stream.a == stream.n and stream.has_blocks):
        final, kind = stream.block(kind)
        stream.has_blocks = True
        require(len(stream.out.data) <= most_bytes, "a stream that is too long")
    stream.out.fill(stream.bits.raw(7) if stream.bits.bit("FILLED") else 0)
    return bytes(stream.out.data)
