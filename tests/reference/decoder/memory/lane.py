"""What the memory keeps of a lane: its history, and what its next bit looks up."""

from __future__ import annotations

import numpy as np

from ..weights import Array
from .history import History
from .mixer import Mixed


class Run:
    """Of a lane and a run model: index, checksum, count, and the byte expected or None."""

    def __init__(self, index: int, checksum: int, count: int, byte: int | None) -> None:
        self.index, self.checksum, self.count, self.byte = index, checksum, count, byte


class Lane(History):
    """A lane's history, and what its bit looks up."""

    hashes: list[int]
    direct: list[int]  # where the direct rows begin
    runs: list[Run]
    slots: Array  # where the slots begin
    used: Array  # which contexts have a slot
    used_slots: Array  # .. and where these begin
    states: Array  # of the node of each context's slot
    looked_up: Array  # entries of all maps and stages
    bit_signs: Array  # 1: the entry's bit is a 1; -1: a 0; 0: skipped
    mixed: Mixed
    lr_scale: int

    def __init__(self, start: int, matches: int, maps: int, stages: int) -> None:
        super().__init__(start, matches)
        self.looked_up, self.bit_signs = np.zeros(maps + stages, np.int64), np.ones(maps + stages, np.int64)
