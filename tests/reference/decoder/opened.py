"""docs/RECOMPRESSION_FORMAT.md, 'Recipe' and 'Closing', and the head of 'Opened blocks' in docs/FORMAT.md."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

from . import rows
from .deflate import rebuild
from .deviations import Models
from .errors import require
from .parts import Parts
from .picture import decode_apart

DEFLATE, ZLIB, GZIP, ZIP, PNG, DIRECTORY = range(6)
CHECKED, CUT, NESTED, DEVIATES, OTHER_PACKER = (1 << bit for bit in range(3, 8))
MIN_TEXT, MAX_DEPTH, MAX_TOTAL, MAX_ENTRIES, MAX_CHUNKS = 40, 3, (1 << 28) - 1, 1 << 18, 1 << 20
MAX_CHANNELS, MAX_ROW_BYTES = 4, 32768
FILTERED = -1  # the form of a picture that stands as it is
FIRST_PACKER = (6, 8, 15, 0, 0, 0)  # level, memory, window, strategy, rule, family


def most_bytes(raw_bytes: int) -> int:
    """Of recipe and contents, with all pictures apart."""
    return min((1 << 20) + 256 * raw_bytes, 1 << 27)


@dataclass
class Head:
    """What stands before the stream of a block of method 6."""

    parts: int
    recipe_bytes: int
    contents_bytes: int
    streams: int
    corrected: int
    deviations: bytes
    pictures: bytes


def read_head(payload: Parts, raw_bytes: int) -> Head:
    first = payload.varint()
    recipe_bytes, parts, picture_bytes = first >> 3, first & 7, 0
    if parts == 0:
        second = payload.varint()
        picture_bytes, parts = second >> 3, second & 7
        require(picture_bytes >= 1, "no stream of pictures")
    require(parts & 3, "neither network nor memory")
    contents_bytes, streams, corrected = payload.varint(), payload.varint(), payload.varint()
    deviation_bytes = payload.varint() if corrected else 0
    require(corrected <= min(streams, deviation_bytes), "deviations that there aren't")
    require(recipe_bytes + contents_bytes <= most_bytes(raw_bytes), "contents that are too long")
    deviations = payload.take(deviation_bytes)
    return Head(parts, recipe_bytes, contents_bytes, streams, corrected, deviations, payload.take(picture_bytes))


@dataclass
class Entry:
    """An entry of a recipe; names as in 'Recipe'."""

    kind: int
    gap: int
    is_checked: bool = False
    is_cut: bool = False
    packer: tuple[int, ...] = FIRST_PACKER
    size: int = 0
    deviations: bytes = b""
    descriptor: int = 0
    zlib_header: bytes = b""
    row: int = 0
    pixel: int = 0
    chunks: list[int] = field(default_factory=list)
    nested: list[Entry] | None = None
    form: int = FILTERED
    count: int = 0
    base: int = 0
    first: int = 0


class Recipe:
    """A recipe and all deviations, read from front to end."""

    def __init__(self, recipe: bytes, deviations: bytes) -> None:
        self.source, self.deviations = Parts(recipe), Parts(deviations)
        self.packers, self.packer = [FIRST_PACKER], FIRST_PACKER
        self.count = self.streams = self.corrected = self.total = self.chunks = 0
        self.apart: list[tuple[int, int, int]] = []  # of each picture apart: bytes, channels, pixels a row
        self.skeleton_bytes, self.plain_bytes = self.source.varint(), self.source.varint()
        self.entries = self.level(1)
        require(self.source.is_empty() and self.deviations.is_empty(), "a recipe that isn't used up")

    def level(self, depth: int) -> list[Entry]:
        require(depth <= MAX_DEPTH, "levels that lie too deep")
        count = self.source.varint()
        self.count += count
        require(self.count <= MAX_ENTRIES, "too many entries")
        return [self.entry(depth) for _ in range(count)]

    def entry(self, depth: int) -> Entry:
        source = self.source
        gap, head = source.varint(), source.byte()
        e = Entry(head & 7, gap, bool(head & CHECKED), bool(head & CUT))
        if e.kind == DIRECTORY:
            require(head == DIRECTORY, "bits of a directory")
            e.count, e.base, e.first = source.varint(), source.varint(), source.varint()
            return e
        require(e.kind < DIRECTORY, "a kind of entry that there isn't")
        self.streams += 1
        if head & OTHER_PACKER:
            self.read_packer()
        e.packer, e.size = self.packer, source.varint()
        self.total += e.size
        require(e.size >= MIN_TEXT and self.total <= MAX_TOTAL, "the size of a text")
        if head & DEVIATES:
            size = source.varint()
            require(size, "deviations of no bytes")
            e.deviations = self.deviations.take(size)
            self.corrected += 1
        if e.kind == ZIP:
            e.descriptor = source.byte()
            require(e.descriptor <= 4, "a descriptor that there isn't")
        if e.kind == PNG:
            self.read_chunks(e)
            if head & NESTED:
                self.read_form(e)
        elif head & NESTED:
            e.nested = self.level(depth + 1)
        return e

    def read_packer(self) -> None:
        i = self.source.varint()
        require(i <= len(self.packers), "a packer that isn't in the list")
        if i == len(self.packers):
            first, second, third = self.source.take(3)
            level, strategy, memory, window = first & 15, first >> 4, second & 15, (second >> 4) + 8
            require(level <= 10 and strategy <= 4 and 1 <= memory <= 9 and 9 <= window <= 15 and third < 8, "a packer")
            self.packers.append((level, memory, window, strategy, third & 1, third >> 1))
        self.packer = self.packers[i]

    def read_chunks(self, e: Entry) -> None:
        source = self.source
        e.zlib_header, e.row, e.pixel = source.take(2), source.varint(), source.varint()
        count, is_irregular = divmod(source.varint(), 2)
        self.chunks += count
        require(self.chunks <= MAX_CHUNKS, "too many chunks")
        if is_irregular:
            e.chunks = [source.varint() for _ in range(count)]
        elif count:
            e.chunks = [source.varint()] * count

    def read_form(self, e: Entry) -> None:
        e.form = self.source.byte()
        channels, values = e.form & 7, e.row - 1
        require(channels <= MAX_CHANNELS and e.form < 16, "a form that there isn't")
        require(e.pixel >= 1 and e.row >= 2 and e.size % e.row == 0, "a picture without rows")
        if channels:
            require(values % channels == 0 and values <= MAX_ROW_BYTES, "a row of no pixels")
            self.apart.append((e.size // e.row * values, channels, values // channels))


@dataclass
class Member:
    """Of a zip: CRC-32 and sizes as they stand in its header, and where it ends."""

    z: bytes
    end: int


class Closer:
    """Contents on the way to a file."""

    def __init__(self, contents: bytes, skeleton_bytes: int, plain_bytes: int, apart: list[bytes]) -> None:
        source = Parts(contents)
        self.skeleton, self.plain = Parts(source.take(skeleton_bytes)), Parts(source.take(plain_bytes))
        self.pictures, self.apart = Parts(source.rest()), apart
        self.models: list[Models] = [{} for _ in range(MAX_DEPTH)]

    def level(self, entries: list[Entry], size: int, depth: int) -> bytes:
        around, out = self.skeleton if depth == 1 else self.plain, bytearray()
        members: dict[int, Member] = {}
        for e in entries:
            out += around.take(e.gap)
            require(len(out) <= size, "a level that grows too long")
            if e.kind == DIRECTORY:
                self.add_directory(e, around, out, members, size)
            else:
                self.add_stream(e, around, out, members, depth, size)
            require(len(out) <= size, "a level that grows too long")
        return bytes(out) + around.take(size - len(out))

    def add_stream(
        self, e: Entry, around: Parts, out: bytearray, members: dict[int, Member], depth: int, size: int
    ) -> None:
        before = self.local_header(e, around) if e.kind == ZIP else b""
        check = around.take(4) if e.kind == PNG and not e.is_checked else b""
        text = self.text_of(e, depth)
        stream = rebuild(text, e.packer, e.is_cut, e.deviations, self.models[depth - 1], size)
        adler, crc = zlib.adler32(text).to_bytes(4, "big"), zlib.crc32(text).to_bytes(4, "little")
        if e.kind == ZIP:
            z = crc + number(len(stream), 4) + number(len(text), 4)
            place = len(out)
            out += before[:14] + (z if e.is_checked else before[14:26]) + before[26:] + stream
            out += descriptor(e.descriptor, crc, len(stream), len(text))
            members[place] = Member(z, len(out))
        elif e.kind == PNG:
            out += png_chunks(e.zlib_header + stream + (check or adler), e.chunks)
        else:
            after = {DEFLATE: b"", ZLIB: adler, GZIP: crc + number(len(text), 4)}
            out += stream + (after[e.kind] if e.is_checked else b"")

    def local_header(self, e: Entry, around: Parts) -> bytes:
        """With its name and extra field; zeros where sizes are to be put in."""
        header = around.take(14) + (bytes(12) if e.is_checked else around.take(12)) + around.take(4)
        return header + around.take(value(header[26:28]) + value(header[28:30]))

    def text_of(self, e: Entry, depth: int) -> bytes:
        if e.kind == PNG:
            return self.pictures.take(e.size) if e.form == FILTERED else self.unfiltered(e)
        return self.plain.take(e.size) if e.nested is None else self.level(e.nested, e.size, depth + 1)

    def unfiltered(self, e: Entry) -> bytes:
        """'Rows'."""
        height = e.size // e.row
        filters, size = self.plain.take(height), height * (e.row - 1)
        values = self.apart.pop(0) if e.form & 7 else self.pictures.take(size)
        return rows.text_of(filters, values, e.row, e.pixel, bool(e.form & 8))

    def add_directory(self, e: Entry, around: Parts, out: bytearray, members: dict[int, Member], size: int) -> None:
        p = e.first
        for _ in range(e.count):
            local = bytes(out[p : p + 30])
            require(len(local) == 30 and p >= e.base and len(out) <= size, "a directory of what isn't there")
            names = value(local[26:28]), value(local[28:30])
            if p in members:
                member = members[p]
            else:
                is_stored = local[:4] == b"PK\3\4" and not local[6] & 8
                require(is_stored, "a directory of what isn't there")
                member = Member(local[14:26], p + 30 + sum(names) + value(local[18:22]))
            k = around.take(14)
            out += b"PK\1\2" + k[:2] + local[4:14] + member.z + local[26:28] + k[2:] + number(p - e.base, 4)
            out += out[p + 30 : p + 30 + names[0]] + around.take(value(k[2:4]) + value(k[4:6]))
            p = member.end

    def check_end(self) -> None:
        parts = (self.skeleton, self.plain, self.pictures)
        require(all(part.is_empty() for part in parts) and not self.apart, "contents that are left over")


def value(data: bytes) -> int:
    return int.from_bytes(data, "little")


def number(x: int, size: int) -> bytes:
    return (x % (1 << 8 * size)).to_bytes(size, "little")


def descriptor(kind: int, crc: bytes, stream_bytes: int, text_bytes: int) -> bytes:
    if kind == 0:
        return b""
    width = 4 if kind <= 2 else 8
    start = b"PK\7\x08" if kind in (2, 4) else b""
    return start + crc + number(stream_bytes, width) + number(text_bytes, width)


def png_chunks(data: bytes, sizes: list[int]) -> bytes:
    whole, out = Parts(data), bytearray()
    for piece in [*map(whole.take, sizes), whole.rest()]:
        out += len(piece).to_bytes(4, "big") + b"IDAT" + piece + zlib.crc32(b"IDAT" + piece).to_bytes(4, "big")
    return bytes(out)


def close_parts(recipe: Recipe, contents: bytes, raw_bytes: int, apart: list[bytes] | None = None) -> bytes:
    """The file that recipe, contents and the values of pictures apart stand for."""
    closer = Closer(contents, recipe.skeleton_bytes, recipe.plain_bytes, list(apart or []))
    raw = closer.level(recipe.entries, raw_bytes, 1)
    closer.check_end()
    return raw


def close(head: Head, recipe: bytes, contents: bytes, raw_bytes: int) -> bytes:
    """The raw bytes of a block of method 6."""
    read = Recipe(recipe, head.deviations)
    require((read.streams, read.corrected) == (head.streams, head.corrected), "a recipe of other streams")
    total = len(recipe) + len(contents) + sum(size for size, _, _ in read.apart)
    require(total <= most_bytes(raw_bytes), "contents that are too long")
    require(bool(read.apart) == bool(head.pictures), "pictures apart")
    return close_parts(read, contents, raw_bytes, decode_apart(head.pictures, read.apart))
