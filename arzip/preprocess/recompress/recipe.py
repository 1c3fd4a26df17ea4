"""The recipe: how a file is joined from untouched bytes and the texts of its streams.

Specified in docs/RECOMPRESSION_FORMAT.md. Records only: parsing checks that numbers are in range, closing that they
fit together.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from arzip.format.varint import VARINT_MAX_BYTES, pack_varint, parse_varint
from arzip.preprocess.recompress import packer as packers
from arzip.preprocess.recompress.packer import Packer

RAW, ZLIB, GZIP, ZIP, PNG, DIRECTORY = range(6)
KIND_NAMES = ("deflate", "zlib", "gzip", "zip", "png", "directory")
KIND_MASK, CHECKED, CUT, NESTED, DEVIATES, OTHER_PACKER = 7, 8, 16, 32, 64, 128  # a head's bits

MAX_NUMBER = (1 << 7 * VARINT_MAX_BYTES) - 1
MAX_DEPTH = 3
MIN_TEXT = 40  # bytes: each stream takes some time to rebuild
MAX_CHUNKS = 1 << 20  # of all PNGs
MAX_ENTRIES = 1 << 18
MAX_RECIPE = 1 << 24  # bytes
DEFAULT_PACKER = Packer()
FILTERED = -1  # form of a picture whose rows stand with their filters on
MAX_CHANNELS, GUESSED, MAX_APART_ROW = 4, 8, 1 << 15  # bytes a row of a picture that is coded apart
DESCRIPTORS = 5  # of a zip member: none, 12 bytes, with signature, with sizes of 8 bytes, both


@dataclass(slots=True)
class Entry:
    """A stream, or a run of a zip directory, behind `gap` untouched bytes.

    checked: what follows from the text (checksums, sizes) isn't kept. size: bytes of the text. nested: what the text
    is put together from, None: it stands as it is. kind's own: descriptor (ZIP); zlib header, chunk sizes but the last,
    bytes a row and a pixel, form, whether filters are distances to guesses (PNG); how many entries, the archive's first
    byte, the first member's (DIRECTORY).
    """

    gap: int
    kind: int
    checked: bool = False
    size: int = 0
    packer: Packer = DEFAULT_PACKER
    is_cut: bool = False
    deviations: bytes = b""
    nested: list[Entry] | None = None
    descriptor: int = 0
    zlib_header: bytes = b""
    chunks: list[int] = field(default_factory=list)
    row_bytes: int = 0
    pixel_bytes: int = 0
    form: int = FILTERED  # else the channels of its values, which are coded apart, or 0: they stand in the contents
    guessed: bool = False
    count: int = 0
    base: int = 0
    first: int = 0


class Writer:
    """Packs entries: the recipe, and beside it the deviations of all streams."""

    def __init__(self) -> None:
        self.out, self.deviations = bytearray(), bytearray()
        self._packers = [DEFAULT_PACKER]
        self._last = 0

    def level(self, entries: list[Entry]) -> None:
        """Append how many entries there are, and the entries."""
        self.numbers(len(entries))
        for entry in entries:
            self._entry(entry)

    def numbers(self, *values: int) -> None:
        """Append varints."""
        for value in values:
            self.out += pack_varint(value)

    def _entry(self, entry: Entry) -> None:
        self.numbers(entry.gap)
        known = entry.packer in self._packers
        other = entry.kind != DIRECTORY and not (known and self._packers.index(entry.packer) == self._last)
        inside = entry.nested is not None or entry.form != FILTERED
        flags = ((CHECKED, entry.checked), (CUT, entry.is_cut), (NESTED, inside))
        flags += ((DEVIATES, bool(entry.deviations)), (OTHER_PACKER, other))  # type: ignore[assignment]
        self.out.append(entry.kind | sum(flag for flag, is_set in flags if is_set))
        if entry.kind == DIRECTORY:
            self.numbers(entry.count, entry.base, entry.first)
            return
        if other:
            self._packer(entry.packer)
        self.numbers(entry.size)
        if entry.deviations:
            self.numbers(len(entry.deviations))
            self.deviations += entry.deviations
        if entry.kind == ZIP:
            self.out.append(entry.descriptor)
        if entry.kind == PNG:
            self._chunks(entry)
        if entry.nested is not None:
            self.level(entry.nested)

    def _packer(self, packer: Packer) -> None:
        self._last = self._packers.index(packer) if packer in self._packers else len(self._packers)
        self.numbers(self._last)
        if self._last == len(self._packers):
            self.out += packer.pack()
            self._packers.append(packer)

    def _chunks(self, entry: Entry) -> None:
        chunks = entry.chunks
        regular = len(set(chunks)) <= 1
        self.out += entry.zlib_header
        self.numbers(entry.row_bytes, entry.pixel_bytes, 2 * len(chunks) + (not regular))
        self.numbers(*(chunks[:1] if regular else chunks))
        if entry.form != FILTERED:
            self.out.append(entry.form | GUESSED * entry.guessed)


class Reader:
    """Parses what `Writer` packs. Raises ValueError on anything else."""

    def __init__(self, data: bytes, deviations: bytes = b"") -> None:
        self._data = data
        self._deviations = deviations
        self.at = self.deviations_at = 0
        self._packers = [DEFAULT_PACKER]
        self._last = 0
        self._chunks_left, self._entries_left = MAX_CHUNKS, MAX_ENTRIES
        self.streams = self.corrected = 0
        self.apart: list[tuple[int, int, int]] = []  # of each picture coded apart: bytes, channels, pixels a row

    def level(self, depth: int = 1) -> list[Entry]:
        """The entries of a level."""
        if depth > MAX_DEPTH:
            raise ValueError("streams nested too deep")
        count = self.number(self._entries_left)
        self._entries_left -= count
        return [self._entry(depth) for _ in range(count)]

    def at_end(self) -> bool:
        """Whether nothing is left."""
        return self.at == len(self._data) and self.deviations_at == len(self._deviations)

    def number(self, limit: int = MAX_NUMBER) -> int:
        """The next varint."""
        try:
            value, self.at = parse_varint(self._data, self.at)
        except IndexError as error:
            raise ValueError("a recipe cut short") from error
        if value > limit:
            raise ValueError("a number out of range")
        return value

    def _bytes(self, size: int) -> bytes:
        data = self._data[self.at : self.at + size]
        if len(data) < size:
            raise ValueError("a recipe cut short")
        self.at += size
        return data

    def _entry(self, depth: int) -> Entry:
        gap, head = self.number(), self._bytes(1)[0]
        entry = Entry(gap, head & KIND_MASK, bool(head & CHECKED))
        if entry.kind > DIRECTORY or (entry.kind == DIRECTORY and head != DIRECTORY):
            raise ValueError("a kind of stream that there isn't")
        if entry.kind == DIRECTORY:
            entry.count, entry.base, entry.first = self.number(), self.number(), self.number()
            return entry
        self.streams += 1
        entry.is_cut = bool(head & CUT)
        if head & OTHER_PACKER:
            self._packer()
        entry.packer = self._packers[self._last]
        entry.size = self.number()
        if entry.size < MIN_TEXT:
            raise ValueError("a text too short")
        if head & DEVIATES:
            self._deviate(entry)
        if entry.kind == ZIP:
            entry.descriptor = self.number(DESCRIPTORS - 1)
        if entry.kind == PNG:
            self._chunks(entry)
            if head & NESTED:
                self._form(entry)
        elif head & NESTED:
            entry.nested = self.level(depth + 1)
        return entry

    def _form(self, entry: Entry) -> None:
        form = self._bytes(1)[0]
        entry.form, entry.guessed = form & ~GUESSED, bool(form & GUESSED)
        row = entry.row_bytes - 1
        if entry.form > MAX_CHANNELS or row < 1 or entry.pixel_bytes < 1 or entry.size % entry.row_bytes:
            raise ValueError("a picture without rows")
        if entry.form:
            if row % entry.form or row > MAX_APART_ROW:
                raise ValueError("a row of no pixels")
            self.apart.append((entry.size // entry.row_bytes * row, entry.form, row // entry.form))

    def _deviate(self, entry: Entry) -> None:
        end = self.deviations_at + self.number()
        entry.deviations = self._deviations[self.deviations_at : end]
        if self.deviations_at == end or end > len(self._deviations):
            raise ValueError("deviations that there aren't")
        self.deviations_at = end
        self.corrected += 1

    def _packer(self) -> None:
        self._last = self.number(len(self._packers))
        if self._last == len(self._packers):
            self._packers.append(packers.parse(self._bytes(packers.PACKED_BYTES)))

    def _chunks(self, entry: Entry) -> None:
        entry.zlib_header = self._bytes(2)
        entry.row_bytes, entry.pixel_bytes = self.number(), self.number()
        count = self.number()
        irregular, count = count & 1, count >> 1
        if count > self._chunks_left:
            raise ValueError("too many chunks")
        self._chunks_left -= count
        if irregular:
            entry.chunks = [self.number() for _ in range(count)]
        elif count:
            size = self.number()
            entry.chunks = [size] * count
