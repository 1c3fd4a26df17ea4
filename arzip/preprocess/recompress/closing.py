"""Files closed: a recipe and the texts -> the very same file. The inverse of `opening`; needs no zlib or inflate."""

from __future__ import annotations

from binascii import crc32
from collections import deque
from collections.abc import Callable, Iterable

from arzip.preprocess.recompress import coding, recipe, rows, streams, wrapping
from arzip.preprocess.recompress.recipe import DIRECTORY, FILTERED, GZIP, MAX_NUMBER, PNG, ZIP, Entry
from arzip.preprocess.recompress.wrapping import Member

MAX_TOTAL = MAX_NUMBER  # bytes of all texts together, nested ones included


Rebuild = Callable[[bytes, Entry, int, int], bytes]  # text, entry, depth, most bytes -> stream


def close_streams(
    packed: bytes,
    deviations: bytes,
    contents: bytes,
    size: int,
    counts: tuple[int, int] | None = None,
    rebuild: Rebuild | None = None,
    apart: Iterable[bytes] = (),
) -> bytes:
    """The file of `size` bytes that a recipe and deviations make of the contents. Raises ValueError if they don't fit.

    counts: how many streams there must be, and how many with deviations. rebuild: for an opener, which has rebuilt each
    stream before. apart: the values of each picture that is coded apart.
    """
    reader = recipe.Reader(packed, deviations)
    skeleton, plain = reader.number(len(contents)), reader.number(len(contents))
    entries = reader.level()
    if not reader.at_end() or skeleton + plain > len(contents):
        raise ValueError("a recipe that doesn't fit its contents")
    if counts is not None and counts != (reader.streams, reader.corrected):
        raise ValueError("a recipe of other streams")
    closer = _Closer(contents, skeleton, plain, rebuild or _Rebuilder(), apart)
    data = closer.level(entries, size, 1)
    if closer.left() != 0:
        raise ValueError("contents that are left over")
    return data


class _Cursor:
    """A part of the contents, taken from front to end."""

    def __init__(self, data: bytes, at: int, end: int) -> None:
        self._data = data
        self.at = at
        self.end = end

    def take(self, size: int) -> bytes:
        """The next bytes. Raises ValueError if there are fewer."""
        if not 0 <= size <= self.end - self.at:
            raise ValueError("contents that end too early")
        self.at += size
        return self._data[self.at - size : self.at]


class _Rebuilder:
    """Rebuilds streams. Those of one depth share their models, in the order of the file."""

    def __init__(self) -> None:
        self._models = [coding.new_models() for _ in range(recipe.MAX_DEPTH)]

    def __call__(self, text: bytes, entry: Entry, depth: int, limit: int) -> bytes:
        kept = streams.Kept(entry.packer, entry.is_cut, entry.deviations)
        return streams.close(text, kept, self._models[depth - 1], limit)


class _Closer:
    def __init__(self, contents: bytes, skeleton: int, plain: int, rebuild: Rebuild, apart: Iterable[bytes]) -> None:
        self._skeleton = _Cursor(contents, 0, skeleton)
        self._plain = _Cursor(contents, skeleton, skeleton + plain)
        self._pictures = _Cursor(contents, skeleton + plain, len(contents))
        self._apart = deque(apart)
        self._rebuild = rebuild
        self._total = MAX_TOTAL

    def left(self) -> int:
        """Bytes of the contents that weren't taken."""
        cursors = (self._skeleton, self._plain, self._pictures)
        return sum(cursor.end - cursor.at for cursor in cursors) + sum(map(len, self._apart))

    def level(self, entries: list[Entry], size: int, depth: int) -> bytes:
        """The file or text of `size` bytes that entries are joined to."""
        around, out = self._skeleton if depth == 1 else self._plain, bytearray()
        members: dict[int, Member] = {}
        for entry in entries:
            out += around.take(entry.gap)
            if entry.kind == DIRECTORY:
                self._directory(entry, around, out, members, size)
            else:
                self._stream(entry, around, out, members, size, depth)
            if len(out) > size:
                raise ValueError("a file that grows too long")
        out += around.take(size - len(out))
        return bytes(out)

    def _stream(
        self, entry: Entry, around: _Cursor, out: bytearray, members: dict[int, Member], size: int, depth: int
    ) -> None:
        start, text = len(out), b""
        header = self._local_header(entry, around) if entry.kind == ZIP else b""
        check = around.take(4) if entry.kind == PNG and not entry.checked else b""
        self._total -= entry.size
        if self._total < 0:
            raise ValueError("texts that are too long")
        text = self._text(entry, depth)
        stream = self._rebuild(text, entry, depth, size - start)
        if entry.kind == ZIP:
            sizes = wrapping.SIZES.pack(crc32(text), len(stream), len(text))
            header = header[:14] + (sizes if entry.checked else header[14:26]) + header[26:]
            out += header + stream + wrapping.descriptor(entry.descriptor, text, len(stream))
            members[start] = Member(sizes, len(out))
        elif entry.kind == PNG:
            check = check or wrapping.trailer(False, text)
            out += wrapping.png_chunks(entry.chunks, entry.zlib_header + stream + check)
        else:
            out += stream + (wrapping.trailer(entry.kind == GZIP, text) if entry.checked else b"")

    def _text(self, entry: Entry, depth: int) -> bytes:
        """A stream's text, closed itself if it was opened."""
        if entry.kind == PNG:
            return self._pictures.take(entry.size) if entry.form == FILTERED else self._rows(entry)
        if entry.nested is None:
            return self._plain.take(entry.size)
        return self.level(entry.nested, entry.size, depth + 1)

    def _rows(self, entry: Entry) -> bytes:
        """A picture's rows, filtered again."""
        height = entry.size // entry.row_bytes
        filters, size = self._plain.take(height), height * (entry.row_bytes - 1)
        apart = self._apart.popleft() if entry.form and self._apart else b""
        values = apart if entry.form else self._pictures.take(size)
        if len(values) != size:
            raise ValueError("pictures that there aren't")
        return rows.filter_again(values, filters, entry.row_bytes, entry.pixel_bytes, entry.guessed)

    def _local_header(self, entry: Entry, around: _Cursor) -> bytes:
        """A local header with its name and extra field; zeros where sizes are to be put in."""
        header = around.take(14) + (bytes(12) if entry.checked else around.take(12)) + around.take(4)
        return header + around.take(wrapping.local_rest(header))

    def _directory(self, entry: Entry, around: _Cursor, out: bytearray, members: dict[int, Member], size: int) -> None:
        place = entry.first
        for _ in range(entry.count):
            member = members.get(place) or wrapping.stored_member(out, place)
            if member is None or place < entry.base or len(out) > size:
                raise ValueError("a directory of members that there aren't")
            kept = around.take(wrapping.KEPT_BYTES)
            out += wrapping.central_entry(out, place, member, entry.base, kept, around.take)
            place = member.end
