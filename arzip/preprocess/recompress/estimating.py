"""Which packer a deflate stream comes from: the one with the fewest deviations, of those that nothing rules out.

Packers are compared on the stream's front. One that is right there is taken if the stream can be rebuilt with it: a
stream without deviations is followed from end to end once. Must not know how deviations are coded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from arzip.preprocess.recompress import coding, replay
from arzip.preprocess.recompress.inflate import BROKEN, COMPLETE, FINAL, FIRST_BYTE, FIRST_TOKEN, TYPE, Inflated
from arzip.preprocess.recompress.packer import Packer, parameters
from arzip.preprocess.recompress.suspects import Suspects
from arzip.preprocess.recompress.tables import FIXED, LENGTH_MASK, MAX_MATCH, STORED

SAMPLE_TOKENS, SAMPLE_BYTES = 3000, 1 << 17  # that packers are compared on
SLACK = 4  # deviations of the right packer where the sample breaks off in a block: its type, and the last tokens
FRONT_TOKENS, FRONT_BYTES = 400, 1 << 14  # that say which of them come first
LONGER = 8  # times the sample: what packers are compared on that are equal there, or right, before the whole stream
MAX_EQUALS = 8
GUESSES = 4  # packers seen last that are tried first
FEW = 4  # deviations of a packer seen before, with which no better one is looked for
FEW_TOKENS, FEW_EQUALS = 1500, 2  # of a stream that is not worth a long search
MIN_FOREIGN = 256  # tokens of a stream for which packers that are not zlib are tried
SETTLED, USUAL_SHARE = 3, 0.06  # after so many streams of no known packer guesses may miss this share of tokens
MANY = 1 << 40
BAD_SHARE = 0.01  # of tokens that are wrong: packers that aren't zlib are tried
WORST_SHARE = 0.1  # of a sample's tokens that are wrong: those are tried before zlib is measured on the whole stream

_NO_MARKS = np.zeros(0, np.uint8)


class Found(NamedTuple):
    """A packer, which blocks end early with it, how many deviations there are, and whether the stream was rebuilt."""

    packer: Packer
    early: NDArray[np.uint8]
    deviations: int
    is_rebuilt: bool = False


class Front(NamedTuple):
    """A stream's front, and how many deviations the right packer may have there."""

    inflated: Inflated
    slack: int


class Guesses:
    """Packers that streams of a file were found to come from, the last one first; whether that stream had no
    deviations; and of how many streams no packer was right, though all were tried.
    """

    def __init__(self) -> None:
        self.packers: list[Packer] = []
        self.is_exact = False
        self.vain = 0

    def add(self, packer: Packer, is_exact: bool) -> None:
        """A stream's packer, and whether the stream has no deviations."""
        self.packers = [packer, *(old for old in self.packers if old != packer)][:GUESSES]
        self.is_exact = is_exact

    def limit(self, tokens: int) -> int:
        """With how many deviations a guess suffices, so that no better packer is looked for."""
        used_to = self.vain >= SETTLED and tokens < FEW_TOKENS
        return FEW + int(USUAL_SHARE * tokens) if used_to else FEW


def estimate(
    inflated: Inflated, filler: int, window: int, guesses: Guesses, rebuilds: Callable[[Packer], bool]
) -> Found:
    """The packer with the fewest deviations. rebuilds: whether a packer makes the very stream, without deviations.

    filler: of the stream's last byte. window: its size in bits. guesses: of the file.
    """
    suspects, tokens = Suspects(inflated, window), len(inflated.tokens)
    search = _Search(inflated, filler, rebuilds)
    tried = [packer for packer in guesses.packers if suspects.allow(packer)]
    limit = guesses.limit(tokens)
    if tried and guesses.is_exact and search.is_exact(tried[0]):
        return Found(tried[0], _NO_MARKS, 0, True)
    if tried and (guessed := search.fewest(tried, limit)).deviations <= limit:
        return guessed
    packers, is_exact = search.best([*tried, *suspects.levels()])
    if is_exact and not filler:
        return Found(packers[0], _NO_MARKS, 0, True)
    if search.is_part and search.front_share(packers[0]) > WORST_SHARE:
        others, is_exact = search.best([packers[0], *suspects.foreign_streams()])
        if is_exact and not filler:
            return Found(others[0], _NO_MARKS, 0, True)
        best = search.fewest(others)
        if best.deviations <= BAD_SHARE * tokens:
            guesses.vain += best.deviations > FEW
            return best
    best = search.fewest(packers)
    if tokens < FEW_TOKENS and guesses.vain >= SETTLED:
        return best
    if best.deviations:
        variants = [suspects.variants(packer) for packer in (packers if tokens >= FEW_TOKENS else packers[:FEW_EQUALS])]
        equals = [other for same in zip(*variants, strict=False) for other in same]
        best = search.fewest(search.best([best.packer, *equals])[0])
    if best.deviations > BAD_SHARE * tokens + 8 and tokens > MIN_FOREIGN:
        # A sample is the stream's front only
        lazy = [packer for packer in suspects.levels() if packer.level in (6, 9)] if search.is_part else []
        other = search.fewest([*search.best([best.packer, *suspects.foreign_streams()])[0], *lazy])
        best = other if other.deviations < best.deviations else best
    guesses.vain += best.deviations > FEW
    return best


class _Search:
    """Compares packers on a stream and on its front."""

    def __init__(self, inflated: Inflated, filler: int, rebuilds: Callable[[Packer], bool]) -> None:
        self._whole, self._filler, self._rebuilds = Front(inflated, 0), filler, rebuilds
        self._sample = _front(inflated, SAMPLE_TOKENS, SAMPLE_BYTES)
        self._longer = _front(inflated, LONGER * SAMPLE_TOKENS, LONGER * SAMPLE_BYTES)
        self._was_wrong = False  # a packer that the front spoke for

    @property
    def is_part(self) -> bool:
        """Whether packers are compared on a part of the stream."""
        return self._sample.inflated is not self._whole.inflated

    def is_exact(self, packer: Packer) -> bool:
        """Whether the stream was rebuilt without deviations. Tries no more than one packer that turns out wrong."""
        if self._filler or self._was_wrong or (self.is_part and not _has_none(packer, self._sample)):
            return False
        return self._is_whole(packer)

    def front_share(self, packer: Packer) -> float:
        """The share of the sample's tokens that are deviations."""
        tokens = int(self._sample.inflated.blocks[-1, FIRST_TOKEN])
        return int(_measure(self._sample.inflated, [packer], 0, MANY)[0][0]) / max(tokens, 1)

    def best(self, packers: Sequence[Packer]) -> tuple[list[Packer], bool]:
        """The packers with the fewest deviations on the sample, MAX_EQUALS at most, and on a longer one; or the first
        that has none at all, and that it has none (but for the filler).
        """
        each, counts, fewest = list(dict.fromkeys(packers)), dict[Packer, int](), MANY
        groups = self._likely_first(each)
        while groups:
            left = groups.pop(0)
            found, _ = _measure(self._sample.inflated, left, 0, fewest)
            end = len(left) if found.min() else int(found.argmin()) + 1
            for packer, count in zip(left[:end], map(int, found[:end]), strict=True):
                counts[packer] = count
                if count <= self._sample.slack and self._is_whole(packer):
                    return [packer], True
            fewest = min(fewest, int(found.min()))
            groups = [left[end:], *groups] if left[end:] else groups
        equals = [packer for packer in each if counts[packer] == fewest][:MAX_EQUALS]
        if self._longer.inflated is not self._whole.inflated and len(equals) > 1:
            found, _ = _measure(self._longer.inflated, equals, 0, MANY)
            if found.min() > 0:
                equals = [packer for packer, count in zip(equals, found, strict=True) if count == found.min()]
        return equals, False

    def fewest(self, packers: Sequence[Packer], limit: int = MANY) -> Found:
        """The packer with the fewest deviations on the whole stream, the first of equals. Counts only up to `limit`."""
        counts, early = _measure(self._whole.inflated, packers, self._filler, limit)
        best = int(counts.argmin())
        return Found(packers[best], early, min(int(counts[best]), limit + 1))

    def _likely_first(self, packers: list[Packer]) -> list[list[Packer]]:
        """The packers in groups to measure together: each alone that is right on the first tokens, then the others."""
        first = _front(self._whole.inflated, FRONT_TOKENS, FRONT_BYTES)
        if first.inflated is self._whole.inflated or len(packers) < 2:
            return [packers]
        counts, _ = _measure(first.inflated, packers, 0, MANY)
        right = [packer for packer, count in zip(packers, counts, strict=True) if count <= first.slack]
        others = [packer for packer in packers if packer not in right]
        return [*([packer] for packer in right), *([others] if others else [])]

    def _is_whole(self, packer: Packer) -> bool:
        """Whether a packer that has no deviations on the sample has none at all (but for the filler)."""
        if self._filler or self._was_wrong:
            has_none = not self.is_part or _has_none(packer, self._whole)
            return has_none and (self._filler > 0 or self._rebuilds(packer))
        if self.is_part and not _has_none(packer, self._longer):
            return False
        self._was_wrong = not self._rebuilds(packer)
        return not self._was_wrong


def _has_none(packer: Packer, front: Front) -> bool:
    """Whether a packer has no deviations."""
    return int(_measure(front.inflated, [packer], 0, front.slack)[0][0]) <= front.slack


def _measure(
    inflated: Inflated, packers: Sequence[Packer], filler: int, limit: int
) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """How many deviations each packer has, up to the first that has none, the others MANY (over `limit` or the fewest
    before: at least so many); and which blocks end early with the first of the fewest.
    """
    counts, early = np.full(len(packers), MANY), np.zeros(len(inflated.blocks), np.uint8)
    follow(inflated, early, packers, counts, coding.measurer(), filler, limit)
    return counts, early


def follow(
    inflated: Inflated,
    early: NDArray[np.uint8],
    packers: Sequence[Packer],
    counts: NDArray[np.int64],
    coder: coding.Coder,
    filler: int,
    limit: int,
) -> tuple[int, coding.Coder]:
    """`replay.replay` of a stream that is given -> status, coder."""
    is_cut = inflated.status != COMPLETE
    _, _, text, tokens, blocks, headers = inflated
    values = np.stack([parameters(packer) for packer in packers])
    result = replay.replay(text, tokens, blocks, headers, early, values, counts, coder, is_cut, filler, limit)
    return int(result[0]), coding.Coder(*result[1])


def _front(inflated: Inflated, max_tokens: int, max_bytes: int) -> Front:
    """The stream cut off behind so many tokens, or bytes where it is stored."""
    blocks, tokens = inflated.blocks, inflated.tokens
    if len(tokens) <= max_tokens and len(inflated.text) <= max_bytes:
        return Front(inflated, 0)
    b, last = 0, len(blocks) - 2
    while b < last and blocks[b + 1, FIRST_TOKEN] <= max_tokens and blocks[b + 1, FIRST_BYTE] <= max_bytes:
        b += 1
    kept, end, slack = blocks[: b + 1].copy(), blocks[b + 1].copy(), 0
    first, last_token = blocks[b, FIRST_TOKEN], max(max_tokens, blocks[b, FIRST_TOKEN] + 1)
    if blocks[b, TYPE] != STORED and last_token < end[FIRST_TOKEN]:
        # Fixed codes: the real ones are those of all the block's tokens
        kept[b, TYPE], kept[b, FINAL], end[FIRST_TOKEN], slack = FIXED, 0, last_token, SLACK
        lengths = np.minimum(tokens[first:last_token] & LENGTH_MASK, MAX_MATCH)
        end[FIRST_BYTE] = blocks[b, FIRST_BYTE] + int(lengths.sum())
    text = inflated.text[: end[FIRST_BYTE]]
    return Front(Inflated(BROKEN, 0, text, tokens, np.concatenate([kept, end[None]]), inflated.headers), slack)
