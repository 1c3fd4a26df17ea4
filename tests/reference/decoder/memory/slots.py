"""docs/FORMAT.md, 'Slots' and 'n-grams'."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from ..numbers import hash_pair
from .lane import Lane
from .states import PRIOR

SLOT_BYTES = 16
PRIOR_KINDS = frozenset([1, 2, 3, 4, 5, 6, 10, 11])
NIBBLE_COUNTS = (0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 19, 24, 29, 35, 41)
CLASS_STARTS = (1, 2, 3, 5, 9, 15, 29)


class Slots:
    """A table of slots: a checksum and the states of nodes 1 to 15."""

    def __init__(self, count: int, kinds: tuple[int, ...], ngrams: bytes) -> None:
        self.count, self.ngrams = count, ngrams
        self.bytes = bytearray(SLOT_BYTES * count)
        self.states = np.frombuffer(self.bytes, np.uint8)  # the same bytes
        self.has_prior = [bool(ngrams) and kind in PRIOR_KINDS for kind in kinds]

    def find(self, lanes: list[Lane]) -> None:
        """'Find slots': sets `slots` of each lane, where its contexts' slots begin (0: slot 0)."""
        table = self.bytes
        selected, replaced = [], defaultdict(list)
        for lane in lanes:  # round 1
            for c, h in enumerate(lane.hashes):
                if lane.partial > 1:
                    h = hash_pair(h, lane.partial)
                checksum, i = h >> 56 | 1, h % self.count
                i = i + 2 if i < 2 else i
                at, other = SLOT_BYTES * i, SLOT_BYTES * (i ^ 1)
                if table[at] != checksum:
                    if table[other] == checksum:
                        at = other
                    else:
                        at = other if table[other + 1] < table[at + 1] else at
                        replaced[at].append((checksum, c, h))
                selected.append((at, checksum))
        for at, claims in replaced.items():  # round 2, and the priors of round 3
            winner = max(claims)[0]
            states = [0] * 15
            for checksum, c, h in claims:
                if checksum == winner and self.has_prior[c]:
                    states = list(map(max, states, self.prior_states(h)))
            table[at : at + SLOT_BYTES] = bytes([winner, *states])
        found = [at if table[at] == checksum else 0 for at, checksum in selected]  # round 3
        for k, lane in enumerate(lanes):
            contexts = len(lane.hashes)
            lane.slots = np.array(found[k * contexts : (k + 1) * contexts], np.int64)
            lane.used = np.flatnonzero(lane.slots)
            lane.used_slots = lane.slots[lane.used]

    def prior_states(self, h: int) -> list[int]:
        """Of nodes 1 to 15, from the n-gram of a context with hash h."""
        row = (h >> 24) % (len(self.ngrams) // 4)
        for at in (4 * row, 4 * (row ^ 1)):
            checksum, *pairs = self.ngrams[at : at + 4]
            if checksum == h >> 48 & 255 and pairs[0]:
                return states_of(pairs)
        return [0] * 15


def states_of(pairs: list[int]) -> list[int]:
    """The prior states of nodes 1 to 15 for three pairs of a nibble and how often it has come."""
    counts = [[0, 0] for _ in range(16)]
    for pair in pairs:
        node, nibble = 1, pair >> 4
        for shift in (3, 2, 1, 0):
            bit = nibble >> shift & 1
            counts[node][bit] += NIBBLE_COUNTS[pair & 15]
            node = 2 * node + bit
    found = []
    for node in range(1, 16):
        zeros, ones = (sum(count >= start for start in CLASS_STARTS) for count in counts[node])
        found.append(PRIOR + 8 * zeros + ones if zeros or ones else 0)
    return found
