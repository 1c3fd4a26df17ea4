"""`python -m arzip.train.count_ngrams DATA... --model NAME.safetensors`: count the n-grams that a model file carries.

Windows of the mix are counted, nibble by nibble, under the hashes that context mixing uses. The contexts that predict
best beyond their parent contexts, in the most windows, go into the model (arzip.context_mixing.ngram_table).
Must not import the network's arithmetic, nor archive code.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import click
import numpy as np
from numba import uint64
from numpy.typing import NDArray

from arzip.context_mixing import contexts, hashing, lane_history, ngram_table, pretrained
from arzip.context_mixing.profile import Profile
from arzip.context_mixing.state import PARTIAL, STEP, CMState, create
from arzip.jit.compile import njit
from arzip.network.config import Weights
from arzip.train.add_tensors import Request, Tensors, model_command, update_model
from arzip.train.data import Source, Windows

WINDOW_BYTES = 1 << 13
BUCKET = 4  # adjacent entries among which a context may be stored while it is counted
MAX_HITS = 4  # a window adds no more than this to the counts of one context
PARENT_KINDS = {2: 1, 3: 2, 4: 3, 5: 4, 6: 5, 10: 2, 11: 10}  # context kind -> the kind that it refines
MIN_WINDOWS = 2  # a context seen in a single window may never come again
MAX_COUNT_SUM = 60  # counts are scaled down to at most such a sum
COUNT_OFFSET, PARENT_OFFSET = 0.02, 0.4  # added to each count of a context, and of the parent it is compared with

assert all(k in ngram_table.KINDS for k in (*PARENT_KINDS, *PARENT_KINDS.values()))


class CountTable(NamedTuple):
    """N contexts that are counted, N a power of two.

    keys, parents (N,) uint64: hash of the context and of its parent, 0: none. windows (N,) int32: number of windows it
    was seen in. last (N,) int32: the latest of them. hits (N,) uint8: times counted in that one. counts (N, 16) uint16:
    of each nibble that followed.
    """

    keys: NDArray[np.uint64]
    parents: NDArray[np.uint64]
    windows: NDArray[np.int32]
    last: NDArray[np.int32]
    hits: NDArray[np.uint8]
    counts: NDArray[np.uint16]


def empty_table(bits: int) -> CountTable:
    """A table of 2**bits contexts, all free."""
    n = 1 << bits
    keys, parents = np.zeros(n, np.uint64), np.zeros(n, np.uint64)
    windows, last, hits = np.zeros(n, np.int32), np.full(n, -1, np.int32), np.zeros(n, np.uint8)
    return CountTable(keys, parents, windows, last, hits, np.zeros((n, 16), np.uint16))


@njit()
def find_context(table, key):  # type: ignore[no-untyped-def]
    """Index of a key, or if it is absent that of the context of its bucket that was seen in the fewest windows."""
    first = np.int64(key >> uint64(20)) & (table.keys.size - 1) & ~(BUCKET - 1)
    rarest = first
    for at in range(first, first + BUCKET):
        if table.keys[at] == key:
            return at
        if table.windows[at] < table.windows[rarest]:
            rarest = at
    return rarest


@njit()
def count_nibble(table, key, parent, window, nibble):  # type: ignore[no-untyped-def]
    """Count a nibble in a context; if the context is new, it replaces the rarest of its bucket."""
    at = find_context(table, key)
    if table.keys[at] != key:
        table.keys[at], table.parents[at] = key, parent
        table.windows[at] = 0
        table.last[at] = -1
        table.counts[at] = 0
    if table.last[at] != window:
        table.last[at] = window
        table.hits[at] = 0
        table.windows[at] += 1
    if table.hits[at] < MAX_HITS and table.counts[at, nibble] < 65535:
        table.hits[at] += 1
        table.counts[at, nibble] += 1


@njit()
def count_window(cm, text, window, parent_index, table):  # type: ignore[no-untyped-def]
    """Count both nibbles of each byte of window number `window`, text (T,) uint8, in every context of `cm`.

    parent_index: for each context of `cm` the index of its parent, -1: none.
    """
    cm.lane[:] = 0
    for t in range(text.size):
        cm.clock[STEP] = t
        cm.lane[0, PARTIAL] = 1
        contexts.hash_contexts(cm, 0)
        byte = np.int64(text[t])
        for half in range(2):
            nibble = byte & 15 if half else byte >> 4
            for c in range(cm.kinds.size):
                key = cm.hashes[0, c]
                parent = cm.hashes[0, parent_index[c]] if parent_index[c] >= 0 else uint64(0)
                if half:
                    key = hashing.hash_pair(key, 16 | byte >> 4)
                    parent = hashing.hash_pair(parent, 16 | byte >> 4) if parent_index[c] >= 0 else uint64(0)
                count_nibble(table, key, parent, window, nibble)
        lane_history.push_byte(cm, 0, byte)


@njit()
def score_contexts(table, out):  # type: ignore[no-untyped-def]
    """Score of each context -> out (N,) float32: its information gain over its parent in bits, times the number of
    windows, times the share of its most frequent nibble. Confident contexts are worth most to the mixer."""
    counts = table.counts
    for at in range(table.keys.size):
        out[at] = 0
        if table.windows[at] < MIN_WINDOWS:
            continue
        total, parent_total = 0, 0
        parent = find_context(table, table.parents[at])
        has_parent = table.parents[at] != 0 and table.keys[parent] == table.parents[at]
        for s in range(16):
            total += counts[at, s]
            parent_total += counts[parent, s] if has_parent else 0
        gain, top = 0.0, np.int64(0)
        for s in range(16):
            if counts[at, s] > top:
                top = np.int64(counts[at, s])
            if counts[at, s]:
                p = (counts[at, s] + COUNT_OFFSET) / (total + 16 * COUNT_OFFSET)
                q = ((counts[parent, s] if has_parent else 0) + PARENT_OFFSET) / (parent_total + 16 * PARENT_OFFSET)
                gain += p * np.log2(p / q)
        out[at] = max(gain, 0) * table.windows[at] * top / total


@njit()
def insert_rows(keys, pairs, rows):  # type: ignore[no-untyped-def]
    """Insert contexts, the best first, wherever a row is free: keys (n,), pairs (n, 3) uint8 -> rows (N, 4)."""
    for i in range(keys.size):
        row, checksum = ngram_table.row_of(keys[i], rows.shape[0]), ngram_table.checksum_of(keys[i])
        free = np.int64(-1)
        for at in (row ^ 1, row):
            if rows[at, 1] == 0:
                free = np.int64(at)
            elif np.int64(rows[at, 0]) == checksum:
                free = np.int64(-1)
                break
        if free >= 0:
            rows[free, 0] = checksum
            rows[free, 1:] = pairs[i]


class Counter:
    """Counts windows in a table of 2**bits contexts (57 bytes each), and picks the best of them."""

    def __init__(self, bits: int) -> None:
        self.table = empty_table(bits)
        kinds = ngram_table.KINDS
        self.cm: CMState = create(Profile(contexts=kinds), np.zeros(1, np.int64), WINDOW_BYTES)
        self.parent_index = np.array([kinds.index(PARENT_KINDS[k]) if k in PARENT_KINDS else -1 for k in kinds])
        self.windows = 0

    def count(self, text: NDArray[np.uint8]) -> None:
        """Count a window (T,), T at most WINDOW_BYTES."""
        count_window(self.cm, text, self.windows, self.parent_index, self.table)
        self.windows += 1

    def rows(self, bits: int) -> NDArray[np.uint8]:
        """The best contexts as a table (2**bits, 4) of context_mixing.ngram_table, filled as far as rows are free."""
        score = np.zeros(self.table.keys.size, np.float32)
        score_contexts(self.table, score)
        best = np.flatnonzero(score > 0)
        max_contexts = 2 << bits
        if best.size > max_contexts:
            best = best[np.argpartition(-score[best], max_contexts)[:max_contexts]]
        best = best[np.lexsort((self.table.keys[best], -score[best]))]
        counts = self.table.counts[best].astype(np.float64)
        counts *= np.minimum(MAX_COUNT_SUM / counts.sum(1, keepdims=True), 1)
        symbols = np.argsort(-counts, axis=1, kind="stable")[:, : ngram_table.PAIRS]
        steps = np.array(ngram_table.LEVEL_COUNTS)
        level = np.searchsorted((steps[1:] + steps[:-1]) / 2, np.take_along_axis(counts, symbols, 1), "right")
        pairs = np.where(level > 0, symbols << 4 | level, 0).astype(np.uint8)
        rows = np.zeros((1 << bits, ngram_table.ROW_BYTES), np.uint8)
        insert_rows(self.table.keys[best], pairs, rows)
        return rows


def count_rows(windows: Iterable[NDArray[np.uint8]], row_bits: int, bits: int) -> NDArray[np.uint8]:
    """The table of 2**row_bits n-grams of these windows; at most 2**bits contexts are counted at a time."""
    counter = Counter(bits)
    for text in windows:
        counter.count(text)
    return counter.rows(row_bits)


def fill_empty_rows(rows: NDArray[np.uint8], others: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A table (N, 4) whose empty rows are taken from another; unchanged if the other has a different size."""
    if others.shape != rows.shape:
        return rows
    return np.where((rows[:, 1:2] == 0), others, rows)


def draw_windows(sources: list[Source], size_bytes: int, seed: int) -> Iterator[NDArray[np.uint8]]:
    """Windows (WINDOW_BYTES,) of the training split, drawn by the sources' shares, `size_bytes` in all."""
    windows = Windows(sources, 1, WINDOW_BYTES, seed, WINDOW_BYTES)
    for _ in range(0, size_bytes, WINDOW_BYTES):
        yield windows.next()[0][0]


@model_command(150.0, 11, "Of the windows that are drawn.")
@click.option("--rows", "row_bits", default=20, help="Rows of the table, log2; a row is 4 bytes.")
@click.option("--bits", default=26, help="Contexts counted at a time, log2; one takes 57 bytes of memory.")
def main(request: Request, row_bits: int, bits: int) -> None:
    """Count the n-grams of files, or folders of them, and put them into a model; prime the memory afterwards."""

    def counted(_: Weights, sources: list[Source], size_bytes: int) -> Tensors:
        return {pretrained.NGRAMS: count_rows(draw_windows(sources, size_bytes, request.seed), row_bits, bits)}

    click.echo(update_model(request, "counted_bytes", counted))


if __name__ == "__main__":
    main()
