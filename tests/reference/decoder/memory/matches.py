"""docs/FORMAT.md, 'Match models' and 'Run models'."""

from __future__ import annotations

from ..numbers import SPREAD, WRAP, bitlen
from .history import Match
from .lane import Lane, Run

MAX_LENGTH = 65535
MAX_COMPARED = 48
MAX_MISSES = 8
SPARSE_FROM = 16  # the shortest minimum length that leaves out positions
MAX_RUN = 255


class MatchModel:
    """A match model's table; `number`: which of a lane's pointers and lengths are its own.

    n: bytes of the block; tables_for: see Memory.
    """

    def __init__(self, number: int, min_length: int, entries: int, n: int, tables_for: int) -> None:
        self.number, self.s, self.entries, self.n = number, min_length, entries, n
        self.table: dict[int, int] = {}
        self.stride = 1 << max(0, bitlen(tables_for - 1) - bitlen(entries - 1)) if min_length >= SPARSE_FROM else 1

    def key(self, lane: Lane, text: bytearray) -> int | None:
        if lane.position - lane.start < self.s:
            return None
        h = self.s
        for byte in reversed(text[lane.position - self.s : lane.position]):
            h = (h + byte + 1) * SPREAD & WRAP
            h ^= h >> 31
        return (h >> 20) % self.entries

    def advance(self, lane: Lane, b: int, text: bytearray) -> None:
        m = lane.match[self.number]
        if m.pointer > 0:
            if text[m.pointer] == b:
                m.length = min(m.length + 1, MAX_LENGTH)
                m.miss_history = 2 * m.miss_history % (1 << 16)
            else:
                m.length, m.miss_history = 0, (2 * m.miss_history + 1) % (1 << 16)
            m.pointer += 1
        if m.length < self.s:
            self.look_for(lane, m, text)
        if m.pointer >= self.n:
            m.pointer = 0
        m.expected = text[m.pointer] + 1 if m.pointer > 0 else 0

    def look_for(self, lane: Lane, m: Match, text: bytearray) -> None:
        key = self.key(lane, text)
        found = 0 if key is None else self.table.get(key, 0)
        if found > 0 and found != m.pointer:
            same, most = 0, min(MAX_COMPARED, found, lane.position - lane.start)
            while same < most and text[found - 1 - same] == text[lane.position - 1 - same]:
                same += 1
            if same >= self.s:
                m.pointer, m.length, m.miss_history = found, same, 0
        elif found == 0 and m.pointer > 0 and m.length == 0 and m.miss_history.bit_count() > MAX_MISSES:
            m.pointer = 0

    def insert(self, lanes: list[Lane], text: bytearray) -> None:
        new: dict[int, int] = {}
        for lane in lanes:
            key = self.key(lane, text)
            if key is not None and lane.position % self.stride == 0:
                new[key] = max(new.get(key, 0), lane.position)
        self.table |= new


class RunModel:
    """A run model's table. context: which of the profile's contexts is its own."""

    def __init__(self, number: int, context: int, entries: int) -> None:
        self.number, self.context, self.entries = number, context, entries
        self.table: dict[int, int] = {}

    def find(self, lane: Lane) -> Run:
        h = lane.hashes[self.context]
        index, checksum = (h >> 20) % self.entries, (h >> 44) % (1 << 16)
        entry = self.table.get(index, 0)
        if entry >> 16 == checksum and entry % (1 << 16):
            return Run(index, checksum, entry >> 8 & 255, entry & 255)
        return Run(index, checksum, 0, None)

    def insert(self, lanes: list[Lane], values: list[int]) -> None:
        new: dict[int, int] = {}
        for lane, b in zip(lanes, values, strict=True):
            run = lane.runs[self.number]
            count = min(run.count + 1, MAX_RUN) if run.byte == b else 1
            new[run.index] = max(new.get(run.index, 0), run.checksum << 16 | count << 8 | b)
        self.table |= new
