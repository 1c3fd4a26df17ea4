"""One deflate stream -> what must be kept beside its text so that the very same stream can be rebuilt, and back.

The packer is estimated; a stream that can't be rebuilt exactly, or not cheaply, is none. Never calls zlib. Must not
know where streams stand.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from arzip.preprocess.recompress import coding, replay
from arzip.preprocess.recompress.inflate import BLOCK_FIELDS, BROKEN, COMPLETE, FIRST_BYTE, FIRST_TOKEN, TYPE, Inflated
from arzip.preprocess.recompress.packer import Packer, parameters
from arzip.preprocess.recompress.suspects import Suspects
from arzip.preprocess.recompress.tables import LENGTH_MASK, MAX_MATCH, STORED

SAMPLE_TOKENS, SAMPLE_BYTES = 3000, 1 << 17  # that packers are compared on
MAX_EQUALS = 8
GUESSES = 4  # packers seen last that are tried first
FEW = 4  # deviations of a packer seen before, with which no better one is looked for
FEW_TOKENS, FEW_EQUALS = 1500, 2  # of a stream that is not worth a long search
MIN_FOREIGN = 256  # tokens of a stream for which packers that are not zlib are tried
SETTLED, USUAL_SHARE = 3, 0.06  # after so many streams of no known packer guesses may miss this share of tokens
MANY = 1 << 40
BAD_SHARE = 0.01  # of tokens that are wrong: packers that aren't zlib are tried
MAX_SHARE = 0.25  # of the stream's bytes that deviations may take

_NO_TOKENS = np.zeros(0, np.int32)
_NO_BLOCKS = np.zeros((1, BLOCK_FIELDS), np.int64)
_NO_HEADERS = np.zeros(0, np.int16)
_NO_COUNTS = np.zeros(0, np.int64)
_NO_MARKS = np.zeros(0, np.uint8)


class Kept(NamedTuple):
    """Beside the text: the packer, whether the stream is cut off, and its deviations; none: zlib would write it so."""

    packer: Packer
    is_cut: bool
    deviations: bytes


def close(text: bytes, kept: Kept, models: NDArray[np.uint32], limit: int) -> bytes:
    """The deflate stream, of `limit` bytes at most. Updates the models. Raises ValueError."""
    coder = coding.decoder(models, kept.deviations) if kept.deviations else coding.exact()
    raw = np.frombuffer(bytearray(text), np.uint8)  # writable: kernels are compiled for such
    stream = raw, _NO_TOKENS, _NO_BLOCKS, _NO_HEADERS, np.zeros(1, np.uint8)
    values = parameters(kept.packer)[None]
    status, _, out, bits = replay.replay(*stream, values, _NO_COUNTS, coder, kept.is_cut, 0, limit)
    size = (int(bits) + 7) // 8
    if status != replay.DONE or size > limit:
        raise ValueError("deviations that lead to no stream")
    return bytes(out[:size])


def open_stream(
    stream: bytes, inflated: Inflated, window: int, guesses: Guesses, models: NDArray[np.uint32]
) -> Kept | None:
    """What to keep beside the text of a stream whose bytes are given; None: it is better left closed.

    window: its size in bits. guesses: of the file; is updated, and so are the models if the stream has deviations.
    """
    if len(inflated.blocks) < 2:  # it breaks off in its first block's head
        return None
    filler = stream[-1] >> (inflated.end_bit & 7) if inflated.end_bit & 7 else 0
    packer, early, ones = estimate(inflated, filler, window, guesses)
    is_cut, text = inflated.status != COMPLETE, bytes(inflated.text)
    kept, trial = Kept(packer, is_cut, b""), models
    if ones:
        trial = models.copy()
        status, coder = _replay(inflated, early, [packer], _NO_COUNTS, coding.encoder(trial), filler, MANY)
        kept = Kept(packer, is_cut, coding.finish(coder) or b"\0")
        if status != replay.DONE or len(kept.deviations) > MAX_SHARE * len(stream):
            return None
    try:
        if close(text, kept, models.copy(), len(stream)) != stream:
            return None
    except ValueError:
        return None
    models[:] = trial
    guesses.add(packer)
    return kept


def _replay(
    inflated: Inflated,
    early: NDArray[np.uint8],
    packers: Sequence[Packer],
    counts: NDArray[np.int64],
    coder: coding.Coder,
    filler: int,
    limit: int,
) -> tuple[int, coding.Coder]:
    is_cut = inflated.status != COMPLETE
    _, _, text, tokens, blocks, headers = inflated
    values = np.stack([parameters(packer) for packer in packers])
    result = replay.replay(text, tokens, blocks, headers, early, values, counts, coder, is_cut, filler, limit)
    return int(result[0]), coding.Coder(*result[1])


def _measure(
    inflated: Inflated, packers: Sequence[Packer], filler: int, limit: int
) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """How many deviations each packer has, up to the first that has none, the others MANY (over `limit` or the fewest
    before: at least so many); and which blocks end early with the first of the fewest.
    """
    counts, early = np.full(len(packers), MANY), np.zeros(len(inflated.blocks), np.uint8)
    _replay(inflated, early, packers, counts, coding.measurer(), filler, limit)
    return counts, early


class Guesses:
    """Packers that streams of a file were found to come from, the last one first; and of how many streams no packer was
    right, though all were tried.
    """

    def __init__(self) -> None:
        self.packers: list[Packer] = []
        self.vain = 0

    def add(self, packer: Packer) -> None:
        """A stream's packer."""
        self.packers = [packer, *(old for old in self.packers if old != packer)][:GUESSES]

    def limit(self, tokens: int) -> int:
        """With how many deviations a guess suffices, so that no better packer is looked for."""
        used_to = self.vain >= SETTLED and tokens < FEW_TOKENS
        return FEW + int(USUAL_SHARE * tokens) if used_to else FEW


def estimate(inflated: Inflated, filler: int, window: int, guesses: Guesses) -> tuple[Packer, NDArray[np.uint8], int]:
    """The packer with the fewest deviations, which blocks end early with it, and how many deviations there are."""
    suspects, tokens = Suspects(inflated, window), len(inflated.tokens)
    tried = [packer for packer in guesses.packers if suspects.allow(packer)]
    limit = guesses.limit(tokens)
    if tried and (guessed := _fewest(inflated, tried, filler, limit))[2] <= limit:
        return guessed
    sample = _sample(inflated)
    packers, is_exact = _best(inflated, sample, [*tried, *suspects.levels()])
    if is_exact and not filler:
        return packers[0], _NO_MARKS, 0
    best = _fewest(inflated, packers, filler)
    if tokens < FEW_TOKENS and guesses.vain >= SETTLED:
        return best
    if best[2]:
        variants = [suspects.variants(packer) for packer in (packers if tokens >= FEW_TOKENS else packers[:FEW_EQUALS])]
        equals = [other for same in zip(*variants, strict=False) for other in same]
        best = _fewest(inflated, _best(inflated, sample, [best[0], *equals])[0], filler)
    if best[2] > BAD_SHARE * tokens + 8 and tokens > MIN_FOREIGN:
        # A sample is the stream's front only
        lazy = [packer for packer in suspects.levels() if packer.level in (6, 9)] if sample is not inflated else []
        other = _fewest(inflated, [*_best(inflated, sample, [best[0], *suspects.foreign_streams()])[0], *lazy], filler)
        best = other if other[2] < best[2] else best
    guesses.vain += best[2] > FEW
    return best


def _best(inflated: Inflated, sample: Inflated, packers: Sequence[Packer]) -> tuple[list[Packer], bool]:
    """The packers with the fewest deviations on a sample, MAX_EQUALS at most; or the first that has none at all, and
    that it has none (but for the filler).
    """
    left, fewest = list(dict.fromkeys(packers)), MANY
    done: list[tuple[Packer, int]] = []
    while left:
        counts, _ = _measure(sample, left, 0, fewest)
        exact = int(counts.argmin())
        if counts[exact] == 0 and (sample is inflated or _measure(inflated, [left[exact]], 0, 0)[0][0] == 0):
            return [left[exact]], True
        end = len(left) if counts[exact] else exact + 1
        done += zip(left[:end], map(int, counts[:end]), strict=True)
        left, fewest = left[end:], min(fewest, int(counts[exact]))
    return [packer for packer, count in done if count == fewest][:MAX_EQUALS], False


def _fewest(
    inflated: Inflated, packers: Sequence[Packer], filler: int, limit: int = MANY
) -> tuple[Packer, NDArray[np.uint8], int]:
    """As `estimate`, among these packers; the first of equals. Counts only up to `limit`."""
    counts, early = _measure(inflated, packers, filler, limit)
    best = int(counts.argmin())
    return packers[best], early, min(int(counts[best]), limit + 1)


def _sample(inflated: Inflated) -> Inflated:
    """The stream cut off behind its first SAMPLE_TOKENS tokens, or SAMPLE_BYTES where it is stored."""
    blocks, tokens = inflated.blocks, inflated.tokens
    if len(tokens) <= SAMPLE_TOKENS and len(inflated.text) <= SAMPLE_BYTES:
        return inflated
    b, last = 0, len(blocks) - 2
    while b < last and blocks[b + 1, FIRST_TOKEN] <= SAMPLE_TOKENS and blocks[b + 1, FIRST_BYTE] <= SAMPLE_BYTES:
        b += 1
    end = blocks[b + 1].copy()
    if blocks[b, TYPE] != STORED:
        first = blocks[b, FIRST_TOKEN]
        end[FIRST_TOKEN] = min(end[FIRST_TOKEN], max(SAMPLE_TOKENS, first + 1))
        lengths = np.minimum(tokens[first : end[FIRST_TOKEN]] & LENGTH_MASK, MAX_MATCH)
        end[FIRST_BYTE] = blocks[b, FIRST_BYTE] + int(lengths.sum())
    text = inflated.text[: end[FIRST_BYTE]]
    return Inflated(BROKEN, 0, text, tokens, np.concatenate([blocks[: b + 1], end[None]]), inflated.headers)
