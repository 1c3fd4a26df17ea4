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
from arzip.preprocess.recompress.inflate import BROKEN, COMPLETE, FIRST_BYTE, FIRST_TOKEN, TYPE, Inflated
from arzip.preprocess.recompress.packer import Packer, parameters
from arzip.preprocess.recompress.suspects import Suspects
from arzip.preprocess.recompress.tables import LENGTH_MASK, MAX_MATCH, STORED

SAMPLE_TOKENS, SAMPLE_BYTES = 3000, 1 << 17  # that packers are compared on
LONGER = 8  # so many samples must be right before a whole stream is rebuilt
MAX_EQUALS = 8
GUESSES = 4  # packers seen last that are tried first
FEW = 4  # deviations of a packer seen before, with which no better one is looked for
FEW_TOKENS, FEW_EQUALS = 1500, 2  # of a stream that is not worth a long search
MIN_FOREIGN = 256  # tokens of a stream for which packers that are not zlib are tried
SETTLED, USUAL_SHARE = 3, 0.06  # after so many streams of no known packer guesses may miss this share of tokens
MANY = 1 << 40
BAD_SHARE = 0.01  # of tokens that are wrong: packers that aren't zlib are tried

_NO_MARKS = np.zeros(0, np.uint8)


class Found(NamedTuple):
    """A packer, which blocks end early with it, how many deviations there are, and whether the stream was rebuilt."""

    packer: Packer
    early: NDArray[np.uint8]
    deviations: int
    is_rebuilt: bool = False


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
        self._inflated, self._filler, self._rebuilds = inflated, filler, rebuilds
        self._sample = _front(inflated, 1)
        self._was_wrong = False  # a packer that the front spoke for

    @property
    def is_part(self) -> bool:
        """Whether packers are compared on a part of the stream."""
        return self._sample is not self._inflated

    def is_exact(self, packer: Packer) -> bool:
        """Whether the stream was rebuilt without deviations. Tries no more than one packer that turns out wrong."""
        if self._filler or self._was_wrong or (self.is_part and not self._has_none(packer, self._sample)):
            return False
        return self._is_whole(packer)

    def best(self, packers: Sequence[Packer]) -> tuple[list[Packer], bool]:
        """The packers with the fewest deviations on the sample, MAX_EQUALS at most; or the first that has none at all,
        and that it has none (but for the filler).
        """
        left, fewest = list(dict.fromkeys(packers)), MANY
        done: list[tuple[Packer, int]] = []
        while left:
            counts, _ = _measure(self._sample, left, 0, fewest)
            exact = int(counts.argmin())
            if counts[exact] == 0 and self._is_whole(left[exact]):
                return [left[exact]], True
            end = len(left) if counts[exact] else exact + 1
            done += zip(left[:end], map(int, counts[:end]), strict=True)
            left, fewest = left[end:], min(fewest, int(counts[exact]))
        return [packer for packer, count in done if count == fewest][:MAX_EQUALS], False

    def fewest(self, packers: Sequence[Packer], limit: int = MANY) -> Found:
        """The packer with the fewest deviations on the whole stream, the first of equals. Counts only up to `limit`."""
        counts, early = _measure(self._inflated, packers, self._filler, limit)
        best = int(counts.argmin())
        return Found(packers[best], early, min(int(counts[best]), limit + 1))

    def _is_whole(self, packer: Packer) -> bool:
        """Whether a packer that has no deviations on the sample has none at all (but for the filler)."""
        if self._filler or self._was_wrong:
            has_none = not self.is_part or self._has_none(packer, self._inflated)
            return has_none and (self._filler > 0 or self._rebuilds(packer))
        if self.is_part and not self._has_none(packer, _front(self._inflated, LONGER)):
            return False
        self._was_wrong = not self._rebuilds(packer)
        return not self._was_wrong

    @staticmethod
    def _has_none(packer: Packer, part: Inflated) -> bool:
        return int(_measure(part, [packer], 0, 0)[0][0]) == 0


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


def _front(inflated: Inflated, samples: int) -> Inflated:
    """The stream cut off behind its first SAMPLE_TOKENS tokens, or SAMPLE_BYTES where it is stored, times `samples`."""
    blocks, tokens = inflated.blocks, inflated.tokens
    max_tokens, max_bytes = samples * SAMPLE_TOKENS, samples * SAMPLE_BYTES
    if len(tokens) <= max_tokens and len(inflated.text) <= max_bytes:
        return inflated
    b, last = 0, len(blocks) - 2
    while b < last and blocks[b + 1, FIRST_TOKEN] <= max_tokens and blocks[b + 1, FIRST_BYTE] <= max_bytes:
        b += 1
    end = blocks[b + 1].copy()
    if blocks[b, TYPE] != STORED:
        first = blocks[b, FIRST_TOKEN]
        end[FIRST_TOKEN] = min(end[FIRST_TOKEN], max(max_tokens, first + 1))
        lengths = np.minimum(tokens[first : end[FIRST_TOKEN]] & LENGTH_MASK, MAX_MATCH)
        end[FIRST_BYTE] = blocks[b, FIRST_BYTE] + int(lengths.sum())
    text = inflated.text[: end[FIRST_BYTE]]
    return Inflated(BROKEN, 0, text, tokens, np.concatenate([blocks[: b + 1], end[None]]), inflated.headers)
