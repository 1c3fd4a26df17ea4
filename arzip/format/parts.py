"""Where the blocks that are left of a damaged archive stand in the original, and what is missing between them.

Sizes are those of the frames and, where an end record is whole, of its index. Must not import code that decodes blocks.
Standard library only.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import accumulate
from mmap import mmap

from arzip.format.records import End, Frame, Header
from arzip.format.salvage import salvage_records
from arzip.format.stream import Block


@dataclass(frozen=True)
class Part:
    """A part of the original.

    member: number of the archive within the file. header: of the member; None: it is lost. block: what was found of the
    part, without its payload; None: nothing was. raw_bytes: its size; None: unknown, it may be 0. is_stray: the
    member's index doesn't have the block.
    """

    member: int
    header: Header | None
    block: Block | None
    raw_bytes: int | None
    is_stray: bool = False


@dataclass
class _Member:
    """The records that are left of a member. begin: where its first frame stands; None: unknown."""

    header: Header | None
    begin: int | None
    blocks: list[Block] = field(default_factory=list)
    end: End | None = None
    end_offset: int = 0

    @property
    def is_complete(self) -> bool:
        """Whether nothing comes after its last block."""
        return self.end is not None or (bool(self.blocks) and self.blocks[-1].frame.single_block)


def find_parts(data: bytes | mmap) -> list[Part]:
    """All parts of what an archive stands for, in order."""
    return [part for number, member in enumerate(_members(data)) for part in _parts_of(number, member)]


def payload_of(data: bytes | mmap, block: Block) -> bytes:
    """The payload of a block that was found in the data, shorter if they end in it."""
    start = block.offset + len(block.frame.pack())
    return data[start : start + block.frame.coded_bytes]


def _members(data: bytes | mmap) -> Iterator[_Member]:
    member: _Member | None = _Member(None, None)
    for offset, record in salvage_records(data):
        if isinstance(record, Header):
            if member and (member.blocks or member.header):
                yield member
            member = _Member(record, offset + len(record.pack()))
            continue
        member = member or _Member(None, None)
        if isinstance(record, Block):
            member.blocks.append(replace(record, payload=b""))
        else:
            member.end, member.end_offset = record, offset
        if member.is_complete:
            yield member
            member = None
    if member and (member.blocks or member.header):
        yield member


def _parts_of(number: int, member: _Member) -> Iterator[Part]:
    header, end = member.header, member.end
    if end and end.sizes:
        for block, raw_bytes, is_stray in _aligned(member, end):
            yield Part(number, header, block, raw_bytes, is_stray)
        return
    at = member.begin
    for block in member.blocks:
        if block.offset != at and not (at is None and block.frame.single_block):
            yield Part(number, header, None, None)
        yield Part(number, header, block, block.frame.raw_bytes)
        at = block.offset + _span(block.frame)
    if not member.is_complete:
        yield Part(number, header, None, None)


def _span(frame: Frame) -> int:
    return len(frame.pack()) + frame.coded_bytes


def _aligned(member: _Member, end: End) -> Iterator[tuple[Block | None, int, bool]]:
    """The blocks that an index names: what was found of each or None, raw size, False; and (stray, raw size, True).

    Nothing but the sizes of a block says which one it is. Of several alike it is the one at whose offset, counted from
    the block before or from the end record, it stands, or the nearest: bytes between them may be lost.
    """
    offsets = list(accumulate((span for span, _ in end.sizes), initial=0))
    numbers: dict[tuple[int, int], list[int]] = {}
    for i, sizes in enumerate(end.sizes):
        numbers.setdefault(sizes, []).append(i)
    origin, following = member.begin, 0  # origin: where block 0 would stand by what was found last
    for block in member.blocks:
        alike = numbers.get((_span(block.frame), block.frame.raw_bytes), [])
        from_end = member.end_offset - offsets[-1]
        found = _nearest(alike, offsets, following, block.offset, from_end if origin is None else origin, from_end)
        if found is None:
            yield block, block.frame.raw_bytes, True
            continue
        for i in range(following, found):
            yield None, end.sizes[i][1], False
        yield block, block.frame.raw_bytes, False
        following, origin = found + 1, block.offset - offsets[found]
    for i in range(following, len(end.sizes)):
        yield None, end.sizes[i][1], False


def _nearest(
    alike: list[int], offsets: list[int], following: int, offset: int, origin: int, from_end: int
) -> int | None:
    """Of the blocks `alike`, from `following` on, the one that stands nearest to an offset."""
    first = bisect_left(alike, following)
    if first == len(alike):
        return None
    found = []
    for base in (origin, from_end):
        at = bisect_left(alike, offset - base, lo=first, key=offsets.__getitem__)
        near = alike[max(at - 1, first) : at + 1]
        found.append(min(near, key=lambda i, there=offset - base: abs(there - offsets[i])))  # type: ignore[misc]
    exact = offset - from_end == offsets[found[1]] and offset - origin != offsets[found[0]]
    return found[1] if exact else found[0]
