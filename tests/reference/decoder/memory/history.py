"""docs/FORMAT.md, 'State' of a lane, 'Push byte', 'Fields', 'Detect record length'."""

from __future__ import annotations

from ..numbers import hash_pair

SEPARATORS = frozenset(b' \t,;|"=:<>()[]')
KEY_ENDS = frozenset(b"=:>")
PAST_BYTES = 16
MAX_RECORD = 4096  # distances that may be a record's length are smaller
MIN_SCORE = 600


def byte_class(b: int) -> int:
    if 97 <= b <= 122:
        return 1
    if 65 <= b <= 90:
        return 2
    if 48 <= b <= 57:
        return 3
    if b in (32, 9):
        return 4
    if b in (10, 13):
        return 5
    return 6 if b >= 128 else 7 if b < 32 else 0


CLASSES = [byte_class(b) for b in range(256)]


class Match:
    """Of a match model: pointer, length, miss_history, expected."""

    def __init__(self) -> None:
        self.pointer = self.length = self.miss_history = self.expected = 0


class History:
    """What a lane has seen."""

    def __init__(self, start: int, matches: int) -> None:
        self.start = self.position = start
        self.partial = 1
        self.past = bytes(PAST_BYTES)  # the newest byte last
        self.word = self.word1 = self.word2 = 0
        self.line = self.line1 = start
        self.first = self.classes = 0
        self.last_seen, self.gap = [0] * 256, [0] * 256
        self.match = [Match() for _ in range(matches)]
        self.indirect1: dict[int, int] = {}
        self.indirect2: dict[int, int] = {}
        self.field, self.field_start, self.field_hash = 0, start, 0
        self.fields, self.fields1 = [0] * 64, [0] * 64
        self.key = self.first_field = 0

    def c(self, k: int) -> int:
        """The k-th last byte, 1: the newest."""
        return self.past[-k]

    def N(self, k: int) -> int:
        return int.from_bytes(self.past[PAST_BYTES - k :], "big")

    def class_of(self, k: int) -> int:
        """Of the k-th last byte, 0: the newest."""
        return self.classes >> 3 * k & 7

    def push(self, b: int, length_votes: list[int]) -> None:
        """'Push byte', while position is still that of the byte b."""
        position = self.position
        self.classes = (8 * self.classes + CLASSES[b]) % (1 << 18)
        self.past = self.past[1:] + bytes([b])
        v = b + 32 if 65 <= b <= 90 else b
        if 97 <= v <= 122 or b >= 128:
            self.word = hash_pair(self.word, v + 1)
        elif self.word:
            self.word2, self.word1, self.word = self.word1, self.word, 0
        for table, before in ((self.indirect1, self.c(2)), (self.indirect2, self.c(3) << 8 | self.c(2))):
            table[before] = (256 * table.get(before, 0) + b) % (1 << 24)
        self.push_field(b)
        if b == 10:
            self.line1, self.line = self.line, position + 1
        if b == 10 or position == self.line:
            self.first = b
        d = position + 1 - self.last_seen[b]
        if self.last_seen[b] and d == self.gap[b] and 1 < d < MAX_RECORD:
            length_votes[d] += 1
        self.last_seen[b], self.gap[b] = position + 1, d

    def push_field(self, b: int) -> None:
        """'Fields'."""
        if b in KEY_ENDS:
            self.key = self.word1
        if b != 10 and b not in SEPARATORS:
            self.field_hash = hash_pair(self.field_hash, b + 1)
            return
        if b == 10:
            self.fields1, self.fields = self.fields, [0] * 64
            self.field = self.first_field = 0
        else:
            self.first_field = self.first_field or self.field_hash
            self.field = min(self.field + 1, 63)
        self.fields[self.field] = self.field_start = self.position + 1
        self.field_hash = 0

    def learning_scale(self) -> int:
        """lr_scale ('Update'): by the classes of the last 6 bytes."""
        kinds = [self.class_of(k) for k in range(6)]
        b = sum(kind in (6, 7) for kind in kinds)
        if b:
            return 32 if b >= 3 else 24
        a = sum(kind in (1, 4) for kind in kinds)
        return {6: 8, 5: 16}.get(a, 20)


class Records:
    """length_votes, record_length and record_length2: shared by all lanes."""

    def __init__(self) -> None:
        self.votes = [0] * MAX_RECORD
        self.length = self.length2 = 0

    def detect(self) -> None:
        """'Detect record length'."""
        scores = sorted((-v * (8 + min(d, 64)), d) for d, v in enumerate(self.votes) if v)
        if scores and -scores[0][0] > MIN_SCORE:
            self.length = scores[0][1]
        if len(scores) > 1 and -scores[1][0] > MIN_SCORE:
            self.length2 = scores[1][1]
        self.votes = [v - v // 4 for v in self.votes]
