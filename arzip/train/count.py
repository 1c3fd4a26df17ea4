"""`python -m arzip.train.count DATA... --model NAME.safetensors`: count the n-grams that the memory starts from.

Windows of the mix are counted, nibble by nibble, under the very hashes that the memory uses. The contexts that say
most beyond their shorter ones, in the most windows, go into the model (arzip.context_mixing.ngram_table).
Must not know the network, nor archives.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import click
import numpy as np
from numba import uint64
from numpy.typing import NDArray

from arzip.context_mixing import contexts, hashing, lane_history, ngram_table, pretrained
from arzip.context_mixing.profile import Profile
from arzip.context_mixing.state import PARTIAL, STEP, CMState, create
from arzip.jit.compile import njit
from arzip.network.config import Weights
from arzip.train.data import Source, Windows
from arzip.train.revise import Tensors, on_model, revise

WINDOW_BYTES = 1 << 13
BUCKET = 4  # neighbours where a context may stand while it is counted
HITS = 4  # a window counts for no more in a context
SHORTER = {2: 1, 3: 2, 4: 3, 5: 4, 6: 5, 10: 2, 11: 10}  # kind -> the kind that it refines
LEAST_SEEN = 2  # windows; what was seen only once may never come again
LARGEST = 60  # counts are scaled down to such a sum
BASE, PRIOR = 0.02, 0.4  # added to each count of a context, and of the shorter one that it is compared with

assert all(k in ngram_table.KINDS for k in (*SHORTER, *SHORTER.values()))


@njit()
def place_of(keys, seen, key):  # type: ignore[no-untyped-def]
    """Where a key stands, or else the least seen of its bucket."""
    first = np.int64(key >> uint64(20)) & (keys.size - 1) & ~(BUCKET - 1)
    least = first
    for at in range(first, first + BUCKET):
        if keys[at] == key:
            return at
        if seen[at] < seen[least]:
            least = at
    return least


@njit()
def count_window(cm, text, window, shorter, keys, parents, seen, last, hits, counts):  # type: ignore[no-untyped-def]
    """Count the nibbles of a window (T,) in every context. Rare contexts make room for new ones."""
    cm.lane[:] = 0
    for t in range(text.size):
        cm.clock[STEP] = t
        cm.lane[0, PARTIAL] = 1
        contexts.hash_contexts(cm, 0)
        byte = np.int64(text[t])
        for half in range(2):
            symbol = byte & 15 if half else byte >> 4
            for c in range(cm.kinds.size):
                key = cm.hashes[0, c]
                parent = cm.hashes[0, shorter[c]] if shorter[c] >= 0 else uint64(0)
                if half:
                    key = hashing.hash_pair(key, 16 | byte >> 4)
                    parent = hashing.hash_pair(parent, 16 | byte >> 4) if shorter[c] >= 0 else uint64(0)
                at = place_of(keys, seen, key)
                if keys[at] != key:
                    keys[at], parents[at] = key, parent
                    seen[at] = 0
                    last[at] = -1
                    counts[at] = 0
                if last[at] != window:
                    last[at] = window
                    hits[at] = 0
                    seen[at] += 1
                if hits[at] < HITS and counts[at, symbol] < 65535:
                    hits[at] += 1
                    counts[at, symbol] += 1
        lane_history.push_byte(cm, 0, byte)


@njit()
def score(keys, parents, seen, counts, out):  # type: ignore[no-untyped-def]
    """What each context says beyond its shorter one, in bits -> out (N,) float32.

    Times the windows it was seen in, times the share of its likeliest nibble: sure contexts are what mixes well.
    """
    for at in range(keys.size):
        out[at] = 0
        if seen[at] < LEAST_SEEN:
            continue
        total, above_total = 0, 0
        above = place_of(keys, seen, parents[at])
        known = parents[at] != 0 and keys[above] == parents[at]
        for s in range(16):
            total += counts[at, s]
            above_total += counts[above, s] if known else 0
        gain, top = 0.0, np.int64(0)
        for s in range(16):
            if counts[at, s] > top:
                top = np.int64(counts[at, s])
            if counts[at, s]:
                p = (counts[at, s] + BASE) / (total + 16 * BASE)
                q = ((counts[above, s] if known else 0) + PRIOR) / (above_total + 16 * PRIOR)
                gain += p * np.log2(p / q)
        out[at] = max(gain, 0) * seen[at] * top / total


@njit()
def place_rows(keys, pairs, rows):  # type: ignore[no-untyped-def]
    """Enter contexts, the best first, where there is room: pairs (n, 3) uint8 -> rows (N, 4)."""
    for i in range(keys.size):
        row, check = ngram_table.row_of(keys[i], rows.shape[0]), ngram_table.checksum_of(keys[i])
        free = np.int64(-1)
        for at in (row ^ 1, row):
            if rows[at, 1] == 0:
                free = np.int64(at)
            elif np.int64(rows[at, 0]) == check:
                free = np.int64(-1)
                break
        if free >= 0:
            rows[free, 0] = check
            rows[free, 1:] = pairs[i]


class Counter:
    """A table of 2**bits contexts: keys uint64, windows seen in, counts (N, 16) uint16 of the nibbles that followed."""

    def __init__(self, bits: int) -> None:
        n = 1 << bits
        self.keys, self.parents, self.counts = (
            np.zeros(n, np.uint64),
            np.zeros(n, np.uint64),
            np.zeros((n, 16), np.uint16),
        )
        self.seen, self.last, self.hits = np.zeros(n, np.int32), np.full(n, -1, np.int32), np.zeros(n, np.uint8)
        kinds = ngram_table.KINDS
        self.cm: CMState = create(Profile(contexts=kinds), np.zeros(1, np.int64), WINDOW_BYTES)
        self.shorter = np.array([kinds.index(SHORTER[k]) if k in SHORTER else -1 for k in kinds])
        self.windows = 0

    def count(self, text: NDArray[np.uint8]) -> None:
        """Count a window (T,), T at most WINDOW_BYTES."""
        count_window(
            self.cm, text, self.windows, self.shorter,
            self.keys, self.parents, self.seen, self.last, self.hits, self.counts,
        )  # fmt: skip
        self.windows += 1

    def rows(self, bits: int) -> NDArray[np.uint8]:
        """The best contexts as the table (2**bits, 4) of context_mixing.ngram_table, as full as its places allow."""
        value = np.zeros(self.keys.size, np.float32)
        score(self.keys, self.parents, self.seen, self.counts, value)
        chosen = np.flatnonzero(value > 0)
        most = 2 << bits
        if chosen.size > most:
            chosen = chosen[np.argpartition(-value[chosen], most)[:most]]
        chosen = chosen[np.lexsort((self.keys[chosen], -value[chosen]))]
        counts = self.counts[chosen].astype(np.float64)
        counts *= np.minimum(LARGEST / counts.sum(1, keepdims=True), 1)
        symbols = np.argsort(-counts, axis=1, kind="stable")[:, : ngram_table.PAIRS]
        steps = np.array(ngram_table.LEVEL_COUNTS)
        level = np.searchsorted((steps[1:] + steps[:-1]) / 2, np.take_along_axis(counts, symbols, 1), "right")
        pairs = np.where(level > 0, symbols << 4 | level, 0).astype(np.uint8)
        rows = np.zeros((1 << bits, ngram_table.ROW_BYTES), np.uint8)
        place_rows(self.keys[chosen], pairs, rows)
        return rows


def count_rows(windows: Iterable[NDArray[np.uint8]], row_bits: int, bits: int) -> NDArray[np.uint8]:
    """The table of 2**row_bits n-grams of these windows; at most 2**bits contexts are counted at a time."""
    counter = Counter(bits)
    for text in windows:
        counter.count(text)
    return counter.rows(row_bits)


def fill_up(rows: NDArray[np.uint8], others: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A table (N, 4) with another's n-grams where it has none; tables of other sizes have nothing to give."""
    if others.shape != rows.shape:
        return rows
    return np.where((rows[:, 1:2] == 0), others, rows)


def draw(sources: list[Source], size_bytes: int, seed: int) -> Iterator[NDArray[np.uint8]]:
    """Windows (WINDOW_BYTES,) of the training split, by the sources' shares."""
    windows = Windows(sources, 1, WINDOW_BYTES, seed, WINDOW_BYTES)
    for _ in range(0, size_bytes, WINDOW_BYTES):
        yield windows.next()[0][0]


@on_model(150.0, 11, "Of the windows that are drawn.")
@click.option("--rows", "row_bits", default=20, help="Rows of the table, log2; a row is 4 bytes.")
@click.option("--bits", default=26, help="Contexts counted at a time, log2; one takes 57 bytes of memory.")
def main(
    data: tuple[Path, ...],
    model: Path,
    output: Path | None,
    megabytes: float,
    seed: int,
    more: tuple[str, ...],
    row_bits: int,
    bits: int,
) -> None:
    """Count the n-grams of files, or folders of them, and put them into a model; prime the memory afterwards."""

    def counted(weights: Weights, sources: list[Source], size_bytes: int) -> Tensors:
        return {pretrained.NGRAMS: count_rows(draw(sources, size_bytes, seed), row_bits, bits)}

    click.echo(revise(data, model, output, megabytes, more, "counted_bytes", counted))


if __name__ == "__main__":
    main()
