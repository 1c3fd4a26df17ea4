"""See arzip/memory/contexts.py: what a lane has seen -> the hashes of its contexts; the search for a record length."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor

from arzip.memory.in_torch.state import Crew
from arzip.memory.in_torch.wrap import mix
from arzip.memory.spec import (
    CLASSES,
    EXPECTED,
    FIRST,
    LENGTH,
    LINE,
    LINE1,
    OLDER,
    RECENT,
    STEP,
    VOTES,
    WORD,
    WORD1,
    WORD2,
)


def push_byte(crew: Crew, byte: Tensor) -> None:
    """Update the lanes' fields with the bytes (L,) they have just seen, at their places `clock[STEP]`."""
    place = crew.starts + crew.clock[STEP]
    lane = crew.lane
    lane[:, OLDER] = lane[:, OLDER] << 8 | (lane[:, RECENT] >> 56 & 255)
    lane[:, RECENT] = lane[:, RECENT] << 8 | byte
    lane[:, CLASSES] = (lane[:, CLASSES] << 3 | crew.class_of_byte[byte]) & 0o777777
    lower = byte + 32 * ((byte >= 65) & (byte <= 90))
    inside = (lower >= 97) & (lower <= 122) | (byte >= 128)
    ends = ~inside & (lane[:, WORD] != 0)
    lane[:, WORD2] = torch.where(ends, lane[:, WORD1], lane[:, WORD2])
    lane[:, WORD1] = torch.where(ends, lane[:, WORD], lane[:, WORD1])
    lane[:, WORD] = torch.where(inside, mix(lane[:, WORD], lower + 1), 0)
    newline = byte == 10
    lane[:, LINE1] = torch.where(newline, lane[:, LINE], lane[:, LINE1])
    lane[:, LINE] = torch.where(newline, place + 1, lane[:, LINE])
    lane[:, FIRST] = torch.where(newline | (place == lane[:, LINE]), byte, lane[:, FIRST])
    # the distance to the last occurrence, twice the same: a vote for a record of that length
    at = byte[:, None, None].expand(-1, 1, 2)
    seen = crew.last_seen.gather(1, at)[:, 0]
    distance = place + 1 - seen[:, 0]
    vote = (seen[:, 0] > 0) & (distance == seen[:, 1]) & (distance > 1) & (distance < VOTES)
    crew.votes.index_add_(0, distance * vote, vote.long())
    crew.last_seen.scatter_(1, at, torch.stack([place + 1, distance], 1)[:, None])


def choose_rows(crew: Crew) -> None:
    """Every 256 steps: the two record lengths with most votes, weighted by length; a quarter of the votes goes."""
    if crew.clock[STEP] & 255:
        return
    d = torch.arange(VOTES, device=crew.votes.device)
    score = crew.votes * (d.clamp(max=64) + 8)
    best = (score * VOTES + (VOTES - 1 - d)).topk(2).values  # of equal scores the shorter length
    chosen = VOTES - 1 - best % VOTES
    crew.rows.copy_(torch.where(best // VOTES > 600, chosen, crew.rows))
    crew.votes.sub_(crew.votes >> 2)


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
}
for _bytes in range(1, 8):
    VALUES[_bytes] = lambda s, mask=(1 << 8 * _bytes) - 1: s.recent & mask  # type: ignore[misc]


def hash_contexts(crew: Crew) -> None:
    """Fill `hashes`: one number modulo 2**64 for each context kind of the profile, the kind mixed in."""
    seen = Seen(crew)
    values = torch.stack([VALUES[kind](seen) for kind in crew.kinds], 1)
    crew.hashes.copy_(mix(values, crew.kind_numbers))
