"""Context hashes; see arzip/context_mixing/contexts.py."""

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
    FIRST_FIELD,
    KEY,
    LENGTH,
    LINE,
    LINE1,
    OLDER,
    RECENT,
    STEP,
    WORD,
    WORD1,
    WORD2,
)
from arzip.context_mixing.torch_ops.state import LaneGroup
from arzip.context_mixing.torch_ops.uint64 import hash_pair


class Context:
    """The values that contexts are made of, each (L,) int64, computed on first use."""

    def __init__(self, group: LaneGroup) -> None:
        self.group, self.position = group, group.starts + group.clock[STEP]
        self.record_length, self.record_length2 = group.record_lengths[0], group.record_lengths[1]
        self.recent = group.lane[:, RECENT]
        self.c1, self.c2, self.c3, self.c4 = (self.recent >> 8 * i & 255 for i in range(4))

    def field(self, number: int) -> Tensor:
        """A field of `lane`."""
        return self.group.lane[:, number]

    def read(self, position: Tensor, there: Tensor, otherwise: int = 0) -> Tensor:
        """Text at `position` where `there`, else `otherwise`."""
        return torch.where(there, self.group.text[position * there].long(), otherwise)

    def back(self, distance: Tensor, of: Tensor) -> Tensor:
        """The byte `distance` back; 0 where that is before the lane or the record length `of` is 0."""
        return self.read(self.position - distance, (of > 0) & (self.position - distance >= self.group.starts))

    def in_row(self, row: Tensor) -> Tensor:
        """The position modulo a record length, 0 if that is 0."""
        return self.position % row.clamp(min=1)

    @cached_property
    def above(self) -> Tensor:
        return self.back(self.record_length, self.record_length)

    @cached_property
    def above_left(self) -> Tensor:
        return self.back(self.record_length + 1, self.record_length)

    @cached_property
    def above2(self) -> Tensor:
        return self.back(2 * self.record_length, self.record_length)

    @cached_property
    def above_next(self) -> Tensor:
        there = (self.record_length > 1) & (self.position - self.record_length >= self.group.starts)
        return self.read(self.position - self.record_length + 1, there)

    @cached_property
    def column(self) -> Tensor:
        return self.in_row(self.record_length)

    @cached_property
    def line_column(self) -> Tensor:
        return (self.position - self.field(LINE)).clamp(max=255)

    @cached_property
    def byte_above(self) -> Tensor:
        line_above = self.field(LINE1) + self.position - self.field(LINE)
        return self.read(line_above, line_above < self.field(LINE), 10)

    @cached_property
    def field_byte_above(self) -> Tensor:
        before = self.group.fields[:, 0].gather(1, self.field(FIELD)[:, None])[:, 0]
        position = before + self.position - self.field(FIELD_START)
        return self.read(position, before > 0, -1) + 1

    def indirect(self, context: Tensor) -> Tensor:
        """The bytes that followed these indirect contexts (L,)."""
        return self.group.indirect.gather(1, context[:, None])[:, 0].long()

    @cached_property
    def indirect1(self) -> Tensor:
        return self.indirect(self.c1)

    @cached_property
    def indirect2(self) -> Tensor:
        return self.indirect(256 + (self.c2 << 8 | self.c1))

    @cached_property
    def word(self) -> Tensor:
        return torch.where(self.field(WORD) == 0, self.c1, self.field(WORD))


VALUES: dict[int, Callable[[Context], Tensor]] = {
    0: lambda s: torch.zeros_like(s.recent),
    8: lambda s: s.recent,
    9: lambda s: hash_pair(s.recent, s.field(OLDER) & 0xFFFFFFFF),
    10: lambda s: s.word,
    11: lambda s: hash_pair(s.word, s.field(WORD1)),
    12: lambda s: hash_pair(s.field(WORD), s.field(WORD2)),
    13: lambda s: hash_pair(hash_pair(s.field(WORD), s.field(WORD1)), s.field(WORD2)),
    14: lambda s: hash_pair(s.field(WORD1), s.c1 << 8 | s.c2),
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
    30: lambda s: (s.record_length << 8 | s.above) << 16 | s.column,
    31: lambda s: s.above << 8 | s.c1,
    32: lambda s: s.above << 8 | s.above2,
    33: lambda s: (s.record_length << 8 | s.c1) << 16 | s.column,
    34: lambda s: (s.above << 8 | s.above_left) << 8 | s.c1,
    35: lambda s: (s.above + s.c1 - s.above_left) & 1023,
    36: lambda s: s.record_length << 16 | s.column,
    37: lambda s: (s.back(s.record_length2, s.record_length2) << 8 | s.c1) << 16 | s.in_row(s.record_length2),
    38: lambda s: (s.above << 8 | s.above_next) << 8 | s.c1,
    39: lambda s: (s.above << 8 | s.c1) << 8 | s.c2,
    40: lambda s: s.byte_above << 8 | s.line_column,
    41: lambda s: s.byte_above << 8 | s.c1,
    42: lambda s: s.field(FIRST) << 8 | s.line_column,
    43: lambda s: (s.byte_above << 8 | s.c1) << 8 | s.c2,
    44: lambda s: s.field(CLASSES),
    45: lambda s: hash_pair(s.field(CLASSES) & 0o7777, s.c1),
    46: lambda s: s.group.match[:, 0, EXPECTED] << 8 | s.group.match[:, 0, LENGTH].clamp(max=31),
    47: lambda s: (s.position & 3) << 8 | s.c4,
    48: lambda s: ((s.position & 3) << 8 | s.c1) << 8 | s.c2,
    49: lambda s: hash_pair(s.field(FIELD_HASH), s.field(FIELD)),
    50: lambda s: (s.field_byte_above << 8 | s.c1) << 8 | (s.position - s.field(FIELD_START)).clamp(max=255),
    51: lambda s: hash_pair(s.field(KEY), s.field(FIELD_HASH)),
    52: lambda s: hash_pair(s.field(KEY), s.c1 << 8 | s.c2),
    53: lambda s: s.c1 << 24 | s.indirect1,
    54: lambda s: (s.c1 << 8 | s.c2) << 24 | s.indirect2,
    55: lambda s: hash_pair(s.field(WORD), s.field(FIRST_FIELD)),
    56: lambda s: hash_pair(hash_pair(s.field(FIRST_FIELD), s.field(FIELD)), s.field_byte_above),
    57: lambda s: hash_pair(s.field(FIELD_HASH), s.field_byte_above),
    58: lambda s: (((2 * s.c2 - s.c4) & 255) << 4 | s.c1 >> 4) << 1 | s.position & 1,
    59: lambda s: (((2 * s.c4 - (s.recent >> 56)) & 255) << 8 | s.c1) << 2 | s.position & 3,
    60: lambda s: hash_pair(s.c1 << 8 | s.c2, s.byte_above << 9 | s.field_byte_above),
    61: lambda s: ((s.indirect2 & 255) << 8 | s.indirect1 & 255) << 8 | s.c1,
    62: lambda s: hash_pair(s.group.match[:, -1, EXPECTED] << 8 | s.group.match[:, -1, LENGTH].clamp(max=15), s.c1),
}
for _bytes in range(1, 8):
    VALUES[_bytes] = lambda s, mask=(1 << 8 * _bytes) - 1: s.recent & mask  # type: ignore[misc]


def hash_contexts(group: LaneGroup) -> None:
    """Fill hashes (L, C): the hash of each context of the profile, its kind included, modulo 2**64."""
    history = Context(group)
    values = torch.stack([VALUES[kind](history) for kind in group.kinds], 1)
    group.hashes.copy_(hash_pair(values, group.kind_numbers))
