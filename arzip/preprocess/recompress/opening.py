"""Files opened: every deflate stream in any bytes -> the bytes around, the texts, and a recipe.

What is found is told by the bytes alone; a stream that can't be rebuilt stays where it is. Must not know models of
text, blocks or frames.
"""

from __future__ import annotations

from binascii import crc32
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from arzip.preprocess.recompress import coding, recipe, rows, streams, wrapping
from arzip.preprocess.recompress.closing import close_streams
from arzip.preprocess.recompress.estimating import Guesses
from arzip.preprocess.recompress.inflate import BROKEN, COMPLETE, TOO_LONG, TYPE, Inflated, inflate, pad
from arzip.preprocess.recompress.packer import Packer
from arzip.preprocess.recompress.recipe import DIRECTORY, GZIP, PNG, ZIP, ZLIB, Entry
from arzip.preprocess.recompress.starts import find_starts
from arzip.preprocess.recompress.tables import DYNAMIC
from arzip.preprocess.recompress.wrapping import Member

MIN_STREAM = 40  # bytes of a stream: shorter ones aren't worth an entry
MIN_PLAIN_CUT = 256  # bytes of a broken stream of which only a zlib header speaks
FAILED_WORK = 16  # text bytes that may be inflated in vain, for each byte of the file


@dataclass
class Budget:
    """What may be opened: bytes of one text, of all together, and of texts that come to nothing."""

    stream_bytes: int = 1 << 26
    total_bytes: int = 1 << 27
    failed_bytes: int = 1 << 26


class Segment(NamedTuple):
    """A part of what is to be modelled. row_bytes, pixel_bytes: of a picture's filtered rows; else 0."""

    data: bytes
    row_bytes: int = 0
    pixel_bytes: int = 0


class Picture(NamedTuple):
    """A picture without its filters: rows with them, values without, channels, or 0 where no predictor knows such, and
    pixels a row.
    """

    text: bytes
    values: bytes
    channels: int
    width: int


Choose = Callable[[Picture], int]  # the form of a picture: FILTERED, 0 or its channels


class Stream(NamedTuple):
    """What became of a stream: its kind, sizes of stream and text, bytes of deviations, packer, depth."""

    kind: str
    stream_bytes: int
    text_bytes: int
    deviation_bytes: int
    packer: Packer
    depth: int


class Opened(NamedTuple):
    """A file: the recipe, the deviations, what they join (skeleton, contents, pictures), and what was opened.

    refused: streams that may have been sound, but for which the budget did not suffice. spans: start and end in the
    file of what each outer stream's entry stands for.
    """

    recipe: bytes
    deviations: bytes
    segments: list[Segment]
    streams: list[Stream]
    refused: int
    apart: list[Picture]
    spans: list[tuple[int, int]]

    @property
    def contents(self) -> bytes:
        """All segments together: what `close_streams` takes."""
        return b"".join(segment.data for segment in self.segments)


def open_streams(data: bytes, budget: Budget | None = None, choose: Choose | None = None) -> Opened | None:
    """Open every stream that can be rebuilt; None if there is none. The file was closed again and compared.

    choose: says the form of each picture; None: rows stay filtered.
    """
    if len(data) > recipe.MAX_NUMBER:
        return None
    opener = _Opener(budget or Budget(failed_bytes=FAILED_WORK * len(data) + (1 << 20)), choose)
    entries = opener.level(data, 1)
    if not entries:
        return None
    writer = recipe.Writer()
    writer.numbers(len(opener.skeleton), len(opener.contents))
    writer.level(entries)
    segments = [Segment(bytes(opener.skeleton)), Segment(bytes(opener.contents)), *opener.pictures]
    counts = (opener.streams, opener.refused, opener.apart, opener.spans)
    opened = Opened(bytes(writer.out), bytes(writer.deviations), segments, *counts)
    try:
        apart = [picture.values for picture in opened.apart]
        parts = (opened.recipe, opened.deviations, opened.contents)
        again = close_streams(*parts, len(data), rebuild=opener.rebuild, apart=apart)
        same = again == data
    except ValueError:
        same = False
    return opened if same else None


@dataclass
class _Opener:
    budget: Budget
    choose: Choose | None = None
    skeleton: bytearray = field(default_factory=bytearray)
    contents: bytearray = field(default_factory=bytearray)
    pictures: list[Segment] = field(default_factory=list)
    apart: list[Picture] = field(default_factory=list)
    streams: list[Stream] = field(default_factory=list)
    guesses: Guesses = field(default_factory=Guesses)
    spans: list[tuple[int, int]] = field(default_factory=list)
    refused: int = 0
    entries_left: int = recipe.MAX_ENTRIES
    chunks_left: int = recipe.MAX_CHUNKS
    models: list[NDArray[np.uint32]] = field(
        default_factory=lambda: [coding.new_models() for _ in range(recipe.MAX_DEPTH)]
    )

    rebuilt: list[deque[bytes]] = field(default_factory=lambda: [deque() for _ in range(recipe.MAX_DEPTH)])

    def rebuild(self, text: bytes, entry: Entry, depth: int, limit: int) -> bytes:
        """The next stream of a depth, which was rebuilt from its text and compared when it was opened."""
        return self.rebuilt[depth - 1].popleft()

    def level(self, data: bytes, depth: int) -> list[Entry]:
        """The entries of a file or a text; what stands around them goes to the skeleton or the contents."""
        padded = pad(data)
        return _Level(self, data, padded, depth).run(find_starts(padded))


class _Level:
    """One file or one text on its way from front to end."""

    def __init__(self, opener: _Opener, data: bytes, padded: NDArray[np.uint8], depth: int) -> None:
        self.opener = opener
        self.data = data
        self.depth = depth
        self.padded = padded
        self.around = opener.skeleton if depth == 1 else opener.contents
        self.entries: list[Entry] = []
        self.members: dict[int, Member] = {}
        self.done = 0  # what lies before is in entries
        self.first_member = -1

    def run(self, positions: list[int]) -> list[Entry]:
        for place, at in sorted((self._place(at), at) for at in positions):
            if self.opener.entries_left <= 0:
                break
            if place >= self.done:
                self._try(self.data[at : at + 2], at)
        if self.depth == 1 or self.entries:
            self.around += self.data[self.done :]
        return self.entries

    def _place(self, at: int) -> int:
        """Where what begins at a place is opened: a PNG at its rows, behind the profiles and texts in other chunks."""
        found = wrapping.match_png(self.data, at) if self.data[at : at + 2] == b"\x89P" else None
        return found[0] if found else at

    def _try(self, start: bytes, at: int) -> None:
        if start == b"PK":
            if self.data[at + 2] == 1:
                self._directory(at)
            else:
                self._zip(at)
        elif start == b"\x1f\x8b":
            end = wrapping.gzip_header_end(self.data, at)
            if end > 0:
                self._stream(GZIP, end, at)
        elif start == b"\x89P":
            self._png(at)
        else:
            self._stream(ZLIB, at + 2, at)

    def _inflate(self, padded: NDArray[np.uint8], at: int) -> Inflated | None:
        """The stream at a place, if the budget allows it."""
        budget = self.opener.budget
        limit = min(budget.stream_bytes, budget.total_bytes)
        if budget.failed_bytes <= 0 or limit <= 0:
            self.opener.refused += 1
            return None
        inflated = inflate(padded, at, limit)
        budget.failed_bytes -= len(inflated.text)
        self.opener.refused += inflated.status == TOO_LONG
        return inflated if inflated.status in (COMPLETE, BROKEN) else None

    def _kept(self, stream: bytes, inflated: Inflated, window: int) -> streams.Kept | None:
        opener = self.opener
        kept = streams.open_stream(stream, inflated, window, opener.guesses, opener.models[self.depth - 1])
        if kept:
            opener.rebuilt[self.depth - 1].append(stream)
        return kept

    def _stream(self, kind: int, at: int, header: int) -> None:
        """Try the stream at a place, whose header begins at another."""
        inflated = self._inflate(self.padded, at)
        if inflated is None:
            return
        end = (inflated.end_bit + 7) // 8
        complete, text = inflated.status == COMPLETE, bytes(inflated.text)
        check = wrapping.trailer(kind == GZIP, text)
        checked = complete and kind != ZIP and self.data.startswith(check, end)
        if end - at < MIN_STREAM or len(text) < recipe.MIN_TEXT:
            return
        if kind == ZLIB and not checked and not self._is_likely(inflated, end - at):
            return
        window = max(9, (self.data[header] >> 4) + 8) if kind == ZLIB else 15
        kept = self._kept(self.data[at:end], inflated, window)
        if kept is None:
            return
        entry = Entry(0, kind, checked, len(text), kept.packer, kept.is_cut, kept.deviations)
        if kind == ZIP:
            self._wrap_zip(entry, header, at, end, text)
        else:
            self._append(entry, at, end + (len(check) if checked else 0))
        self._content(entry, text, end - at)

    def _is_likely(self, inflated: Inflated, stream_bytes: int) -> bool:
        """Whether a stream without a check can be one."""
        dynamic = bool((inflated.blocks[:-1, TYPE] == DYNAMIC).any())
        return dynamic and (inflated.status == COMPLETE or stream_bytes >= MIN_PLAIN_CUT)

    def _append(self, entry: Entry, start: int, end: int) -> None:
        """Add an entry for the file's bytes [start, end)."""
        entry.gap = start - self.done
        self.around += self.data[self.done : start]
        self.entries.append(entry)
        if self.depth == 1 and entry.kind != DIRECTORY:
            self.opener.spans.append((start, end))
        self.done = end
        self.opener.entries_left -= 1
        self.opener.chunks_left -= len(entry.chunks)

    def _content(self, entry: Entry, text: bytes, stream_bytes: int) -> None:
        """Put a text to where it belongs, opened itself if that is possible."""
        opener, depth = self.opener, self.depth
        opener.budget.total_bytes -= len(text)
        opener.budget.failed_bytes += len(text)
        report = (recipe.KIND_NAMES[entry.kind], stream_bytes, len(text), len(entry.deviations), entry.packer, depth)
        opener.streams.append(Stream(*report))
        if entry.kind == PNG:
            self._picture(entry, text)
            return
        if depth < recipe.MAX_DEPTH:
            entry.nested = opener.level(text, depth + 1) or None
        if entry.nested is None:
            opener.contents += text

    def _picture(self, entry: Entry, text: bytes) -> None:
        """Put a picture's rows to where they are coded, in the form that is chosen."""
        opener, segment = self.opener, Segment(text, entry.row_bytes, entry.pixel_bytes)
        found = rows.unfilter(text, entry.row_bytes, entry.pixel_bytes) if opener.choose else None
        if opener.choose and found is not None:
            values, filters, entry.guessed = found
            row = entry.row_bytes - 1
            channels = entry.pixel_bytes if entry.pixel_bytes <= recipe.MAX_CHANNELS else 0
            known = channels and row % channels == 0 and row <= recipe.MAX_APART_ROW
            picture = Picture(text, values, channels if known else 0, row // channels if known else row)
            entry.form = opener.choose(picture)
            if entry.form != recipe.FILTERED:
                opener.contents += filters
                segment = Segment(values, row, entry.pixel_bytes)
            if entry.form > 0:
                opener.apart.append(picture)
                return
        opener.pictures.append(segment)

    def _zip(self, at: int) -> None:
        header = self.data[at : at + wrapping.LOCAL_BYTES]
        if len(header) < wrapping.LOCAL_BYTES:
            return
        if self.first_member < 0:
            self.first_member = at
        if header[8:10] == b"\x08\0" and not header[6] & 1:
            self._stream(ZIP, at + wrapping.LOCAL_BYTES + wrapping.local_rest(header), at)

    def _wrap_zip(self, entry: Entry, header: int, at: int, end: int, text: bytes) -> None:
        """Finish a zip member's entry, which begins with its local header."""
        data, stream_bytes = self.data, end - at
        sizes = wrapping.SIZES.pack(crc32(text), stream_bytes, len(text))
        entry.checked = data[header + 14 : header + 26] == sizes
        entry.descriptor = 0 if entry.is_cut else wrapping.match_descriptor(data, end, text, stream_bytes)
        end += len(wrapping.descriptor(entry.descriptor, text, stream_bytes))
        self._append(entry, header, end)
        self.around += data[header : header + 14] + (b"" if entry.checked else data[header + 14 : header + 26])
        self.around += data[header + 26 : at]
        self.members[header] = Member(sizes, end)

    def _png(self, at: int) -> None:
        found = wrapping.match_png(self.data, at)
        if found is None or not found[1].sizes:
            return
        first, chain = found
        padded = pad(chain.payload)
        if first < self.done or len(chain.payload) < MIN_STREAM:
            return
        inflated = self._inflate(padded, 2)
        if inflated is None or inflated.status != COMPLETE:
            return
        end, text = (inflated.end_bit + 7) // 8, bytes(inflated.text)
        check = chain.payload[end:]
        if len(text) < recipe.MIN_TEXT or len(chain.sizes) > self.opener.chunks_left:
            return
        if len(check) != 4 or chain.payload[0] & 15 != 8:
            return
        kept = self._kept(chain.payload[2:end], inflated, min(15, max(9, (chain.payload[0] >> 4) + 8)))
        if kept is None:
            return
        entry = Entry(0, PNG, check == wrapping.trailer(False, text), len(text), kept.packer, False, kept.deviations)
        entry.zlib_header, entry.chunks = chain.payload[:2], chain.sizes[:-1]
        entry.row_bytes, entry.pixel_bytes = chain.row_bytes, chain.pixel_bytes
        self._append(entry, first, chain.end)
        self.around += b"" if entry.checked else check
        self._content(entry, text, end - 2)

    def _directory(self, at: int) -> None:
        """Try the zip directory whose first entry stands at a place."""
        data = self.data
        offset = int.from_bytes(data[at + 42 : at + 46], "little")
        base = 0 if data.startswith(wrapping.LOCAL, offset) else self.first_member - offset
        place = base + offset
        if base < 0 or place >= at:
            return
        entry, kept, here = Entry(0, DIRECTORY, base=base, first=place), bytearray(), at
        while (member := self.members.get(place) or wrapping.stored_member(data, place)) is not None:
            found = wrapping.match_central(data, here, place, member, base)
            if found is None:
                break
            kept += found[0]
            place, here = member.end, found[1]
            entry.count += 1
        if entry.count:
            self._append(entry, at, here)
            self.around += kept
