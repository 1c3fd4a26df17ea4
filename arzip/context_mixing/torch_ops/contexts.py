"""See arzip/context_mixing/contexts.py: what a lane has seen -> the hashes of its contexts."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor

from arzip.context_mixing.state import (
    CLASSES,
    EXPECTED,
    FIELD,
    FIELD_HASH,
    FIELD_START,
    FIRST,
    KEY,
    LENGTH,
    LINE,
    LINE1,
    LINE_WORD,
    OLDER,
    RECENT,
    STEP,
    WORD,
    WORD1,
    WORD2,
)
from arzip.context_mixing.torch_ops.state import Crew
from arzip.context_mixing.torch_ops.uint64 import mix


class Seen:
    """What the contexts of lanes are made of; each attribute (L,) int64, found when first asked for."""

    def __init__(self, crew: Crew) -> None:
        self.crew, self.place = crew, crew.starts + crew.clock[STEP]
        self.row, self.row2 = crew.rows[0], crew.rows[1]
        self.recent = crew.lane[:, RECENT]
        self.c1, self.c2, self.c3, self.c4 = (self.recent >> 8 * i & 255 for i in range(4))

    def field(self, number: int) -> Tensor:
        """A field of the lanes."""
        return self.crew.lane[:, number]

    def read(self, place: Tensor, there: Tensor, otherwise: int = 0) -> Tensor:
        """The text at these places where `there`."""
        return torch.where(there, self.crew.text[place * there].long(), otherwise)

    def back(self, distance: Tensor, of: Tensor) -> Tensor:
        """The byte so far before, 0 where the lane doesn't reach back as far or `of`, a record length, is 0."""
        return self.read(self.place - distance, (of > 0) & (self.place - distance >= self.crew.starts))

    def in_row(self, row: Tensor) -> Tensor:
        """The place within records of a length, 0 if that is 0."""
        return self.place % row.clamp(min=1)

    @cached_property
    def above(self) -> Tensor:
        return self.back(self.row, self.row)

    @cached_property
    def above_left(self) -> Tensor:
        return self.back(self.row + 1, self.row)

    @cached_property
    def above2(self) -> Tensor:
        return self.back(2 * self.row, self.row)

    @cached_property
    def above_next(self) -> Tensor:
        there = (self.row > 1) & (self.place - self.row >= self.crew.starts)
        return self.read(self.place - self.row + 1, there)

    @cached_property
    def column(self) -> Tensor:
        return self.in_row(self.row)

    @cached_property
    def line_column(self) -> Tensor:
        return (self.place - self.field(LINE)).clamp(max=255)

    @cached_property
    def over(self) -> Tensor:
        line_above = self.field(LINE1) + self.place - self.field(LINE)
        return self.read(line_above, line_above < self.field(LINE), 10)

    @cached_property
    def over_field(self) -> Tensor:
        before = self.crew.fields[:, 0].gather(1, self.field(FIELD)[:, None])[:, 0]
        place = before + self.place - self.field(FIELD_START)
        return self.read(place, before > 0, -1) + 1

    def followers(self, context: Tensor) -> Tensor:
        """The bytes that followed one of FOLLOWERS contexts."""
        return self.crew.followers.gather(1, context[:, None])[:, 0].long()

    @cached_property
    def follow1(self) -> Tensor:
        return self.followers(self.c1)

    @cached_property
    def follow2(self) -> Tensor:
        return self.followers(256 + (self.c2 << 8 | self.c1))

    @cached_property
    def word(self) -> Tensor:
        return torch.where(self.field(WORD) == 0, self.c1, self.field(WORD))


VALUES: dict[int, Callable[[Seen], Tensor]] = {
    0: lambda s: torch.zeros_like(s.recent),
    8: lambda s: s.recent,
    9: lambda s: mix(s.recent, s.field(OLDER) & 0xFFFFFFFF),
    10: lambda s: s.word,
    11: lambda s: mix(s.word, s.field(WORD1)),
    12: lambda s: mix(s.field(WORD), s.field(WORD2)),
    13: lambda s: mix(mix(s.field(WORD), s.field(WORD1)), s.field(WORD2)),
    14: lambda s: mix(s.field(WORD1), s.c1 << 8 | s.c2),
    20: lambda s: s.c2,
    21: lambda s: s.c3,
    22: lambda s: s.c2 << 8 | s.c3,
    23: lambda s: s.c1 << 8 | s.c3,
    24: lambda s: s.c4,
    25: lambda s: s.c3 << 8 | s.c4,
    26: lambda s: s.c1 << 8 | s.c4,
    27: lambda s: s.recent & 0xF0F0F0F0,
    28: lambda s: s.recent & 0xF0F0F0F0F0F0,
    29: lambda s: s.recent >> 8 & 0xFFFFFF,
    30: lambda s: (s.row << 8 | s.above) << 16 | s.column,
    31: lambda s: s.above << 8 | s.c1,
    32: lambda s: s.above << 8 | s.above2,
    33: lambda s: (s.row << 8 | s.c1) << 16 | s.column,
    34: lambda s: (s.above << 8 | s.above_left) << 8 | s.c1,
    35: lambda s: (s.above + s.c1 - s.above_left) & 1023,
    36: lambda s: s.row << 16 | s.column,
    37: lambda s: (s.back(s.row2, s.row2) << 8 | s.c1) << 16 | s.in_row(s.row2),
    38: lambda s: (s.above << 8 | s.above_next) << 8 | s.c1,
    39: lambda s: (s.above << 8 | s.c1) << 8 | s.c2,
    40: lambda s: s.over << 8 | s.line_column,
    41: lambda s: s.over << 8 | s.c1,
    42: lambda s: s.field(FIRST) << 8 | s.line_column,
    43: lambda s: (s.over << 8 | s.c1) << 8 | s.c2,
    44: lambda s: s.field(CLASSES),
    45: lambda s: mix(s.field(CLASSES) & 0o7777, s.c1),
    46: lambda s: s.crew.match[:, 0, EXPECTED] << 8 | s.crew.match[:, 0, LENGTH].clamp(max=31),
    47: lambda s: (s.place & 3) << 8 | s.c4,
    48: lambda s: ((s.place & 3) << 8 | s.c1) << 8 | s.c2,
    49: lambda s: mix(s.field(FIELD_HASH), s.field(FIELD)),
    50: lambda s: (s.over_field << 8 | s.c1) << 8 | (s.place - s.field(FIELD_START)).clamp(max=255),
    51: lambda s: mix(s.field(KEY), s.field(FIELD_HASH)),
    52: lambda s: mix(s.field(KEY), s.c1 << 8 | s.c2),
    53: lambda s: s.c1 << 24 | s.follow1,
    54: lambda s: (s.c1 << 8 | s.c2) << 24 | s.follow2,
    55: lambda s: mix(s.field(WORD), s.field(LINE_WORD)),
    56: lambda s: mix(mix(s.field(LINE_WORD), s.field(FIELD)), s.over_field),
    57: lambda s: mix(s.field(FIELD_HASH), s.over_field),
    58: lambda s: (((2 * s.c2 - s.c4) & 255) << 4 | s.c1 >> 4) << 1 | s.place & 1,
    59: lambda s: (((2 * s.c4 - (s.recent >> 56)) & 255) << 8 | s.c1) << 2 | s.place & 3,
    60: lambda s: mix(s.c1 << 8 | s.c2, s.over << 9 | s.over_field),
    61: lambda s: ((s.follow2 & 255) << 8 | s.follow1 & 255) << 8 | s.c1,
    62: lambda s: mix(s.crew.match[:, -1, EXPECTED] << 8 | s.crew.match[:, -1, LENGTH].clamp(max=15), s.c1),
}
for _bytes in range(1, 8):
    VALUES[_bytes] = lambda s, mask=(1 << 8 * _bytes) - 1: s.recent & mask  # type: ignore[misc]


def hash_contexts(crew: Crew) -> None:
    """Fill `hashes`: one number modulo 2**64 for each context kind of the profile, the kind mixed in."""
    seen = Seen(crew)
    values = torch.stack([VALUES[kind](seen) for kind in crew.kinds], 1)
    crew.hashes.copy_(mix(values, crew.kind_numbers))
