"""Finds arrays of numbers by headers, and by statistics what has none, and cuts blocks around them.

Must not know how they are coded.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

from arzip.media import array_headers, headerless
from arzip.media.array_headers import FoundArray
from arzip.media.array_layout import MAX_PARTS, ArrayLayout
from arzip.media.headerless import AnyLayout
from arzip.media.payload import MAX_EDGE

MIN_BYTES = 4096  # of items: what is shorter is not worth a block of its own
MAX_BYTES = 8 << 20  # of items in a block: so that threads share them, and 8 bytes of memory for each are no burden
Piece = tuple[bytes, AnyLayout | None]
Place = tuple[int, int, AnyLayout]  # from where to where, and how it lies
Probe = Callable[[bytes, list[AnyLayout]], AnyLayout | None]
_NOT_ONE = (struct.error, IndexError, ValueError, KeyError, SyntaxError, TypeError, MemoryError, RecursionError)


class Splitter:
    """Cuts blocks of one stream, in order, where arrays begin and end.

    pictures, light, bitmaps: as of headerless.find.
    """

    def __init__(self, pictures: bool = True, light: bool = False, bitmaps: bool = True) -> None:
        self._looked_for = pictures, light, bitmaps
        self._rest: FoundArray | None = None  # what is to come of an array: `start` is below 0, its items before

    @property
    def carried(self) -> FoundArray | None:
        """What of the blocks so far decides how the next one is cut; None: nothing. May be another Splitter's."""
        return self._rest

    @carried.setter
    def carried(self, carried: FoundArray | None) -> None:
        self._rest = carried

    def split(self, raw: bytes, probe: Probe) -> list[Piece]:
        """`raw`, cut before and after arrays, each piece with the layout of its items.

        Up to MAX_EDGE bytes beside items stay with them: a header, or what follows. probe: asked of what no header
        names, before anything is cut: which layout is worth a block.
        """
        found = list(self._scan(raw, probe))
        pieces: list[Piece] = []
        done = 0
        for i, (start, stop, layout) in enumerate(found):
            head = start - done
            if head > MAX_EDGE:
                pieces.append((raw[done:start], None))
                head = 0
            following = found[i + 1][0] if i + 1 < len(found) else len(raw)
            tail = following - stop if following - stop <= MAX_EDGE else 0
            pieces.append((raw[start - head : stop + tail], layout._replace(head=head, tail=tail)))
            done = stop + tail
        if done < len(raw) or not pieces:
            pieces.append((raw[done:], None))
        return pieces

    def _scan(self, raw: bytes, probe: Probe) -> Iterator[Place]:
        """The arrays in a block, in order; by statistics where there are no headers."""
        done = 0
        for array in self._files(raw):
            yield from _pieces(array, raw)
            done = min(array.stop, len(raw))
        if done == 0:
            for start, stop, layouts in headerless.find(raw, *self._looked_for):
                layout = probe(raw[start:stop], layouts)
                if isinstance(layout, ArrayLayout):
                    yield from _pieces(FoundArray(start, *layout[2:6]), raw)
                elif layout:
                    yield start, stop, layout

    def _files(self, raw: bytes) -> Iterator[FoundArray]:
        """The arrays of files, with what of them lies in other blocks."""
        done, rest, self._rest = 0, self._rest, None
        if rest is not None:
            yield self._kept(rest, raw)
            done = min(rest.stop, len(raw))
        for at in array_headers.positions(raw):
            if at < done:
                continue
            try:
                found = array_headers.read(raw, at)
            except _NOT_ONE:
                continue
            for array in found:
                if done <= array.start < len(raw):
                    yield self._kept(array, raw)
                    done = min(array.stop, len(raw))

    def _kept(self, array: FoundArray, raw: bytes) -> FoundArray:
        """The array; what of it is behind the block is kept for the next one."""
        if array.stop > len(raw):
            self._rest = array._replace(start=array.start - len(raw))
        return array


def _pieces(array: FoundArray, raw: bytes) -> Iterator[Place]:
    """What of an array lies in a block, in pieces of at most MAX_BYTES."""
    at, end = max(array.start, 0), min(array.stop, len(raw))
    while end - at >= MIN_BYTES:
        piece = array_headers.cut(array, at, min(end, at + MAX_BYTES))
        at = piece.stop
        if piece.parts and len(piece.parts) <= MAX_PARTS and piece.stop - piece.start >= MIN_BYTES:
            yield piece.start, piece.stop, ArrayLayout(0, 0, *piece[1:])
