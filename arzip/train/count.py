"""`python -m arzip.train.count DATA... --model NAME.safetensors`: count the n-grams that the memory starts from.

Windows of the mix are counted, nibble by nibble, under the very hashes that the memory uses. Other windows then
show what each context's counts save beyond the network and its shorter contexts; those that save most go into the
model (arzip.memory.ngrams). Must not know archives.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
from numba import uint64
from numpy.typing import NDArray

from arzip.compiled import njit
from arzip.errors import ArzipError
from arzip.memory import contexts, ngrams, primed
from arzip.memory.spec import PARTIAL, STEP, Memory, Profile, create
from arzip.network import cpu
from arzip.network.weights import dump_weights, load_weights
from arzip.train.data import Source, Windows, load_mix

WINDOW_BYTES = 1 << 13
LANES = 32  # windows that the network reads side by side
BUCKET = 4  # neighbours where a context may stand while it is counted
HITS = 4  # a window counts for no more in a context
SHORTER = {2: 1, 3: 2, 4: 3, 5: 4, 6: 5, 10: 4, 11: 10}  # kind -> the kind that it refines
LARGEST = 60  # counts are scaled down to such a sum
TRUSTED_USES = 3  # a context used less often when scored leans towards the mean of those like it
CLASSES = 32  # of contexts that are alike: by the binary logarithms of how often and how purely they were seen

assert list(ngrams.KINDS) == sorted(ngrams.KINDS) and all(k in ngrams.KINDS for k in SHORTER)


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
def count_window(memory, text, window, keys, seen, last, hits, counts):  # type: ignore[no-untyped-def]
    """Count the nibbles of a window (T,) in every context. Rare contexts make room for new ones."""
    memory.lane[:] = 0
    for t in range(text.size):
        memory.clock[STEP] = t
        memory.lane[0, PARTIAL] = 1
        contexts.hash_contexts(memory, 0)
        byte = np.int64(text[t])
        for half in range(2):
            symbol = byte & 15 if half else byte >> 4
            for c in range(memory.kinds.size):
                key = memory.hashes[0, c]
                if half:
                    key = contexts.mix(key, 16 | byte >> 4)
                at = place_of(keys, seen, key)
                if keys[at] != key:
                    keys[at] = key
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
        contexts.push_byte(memory, 0, byte)


@njit()
def score_window(memory, text, chances, shorter, keys, seen, counts, gains, uses):  # type: ignore[no-untyped-def]
    """Add, in bits, what each context's counts save on a window (T,).

    chances (T, 2): the network's probability of each nibble. Each context backs off to its shorter one, the
    shortest to the network.
    """
    memory.lane[:] = 0
    p = np.zeros(memory.kinds.size)
    for t in range(text.size):
        memory.clock[STEP] = t
        memory.lane[0, PARTIAL] = 1
        contexts.hash_contexts(memory, 0)
        byte = np.int64(text[t])
        for half in range(2):
            symbol = byte & 15 if half else byte >> 4
            for c in range(memory.kinds.size):
                key = memory.hashes[0, c]
                if half:
                    key = contexts.mix(key, 16 | byte >> 4)
                base = p[shorter[c]] if shorter[c] >= 0 else np.float64(chances[t, half])
                p[c] = base
                at = place_of(keys, seen, key)
                if keys[at] == key:
                    total = 0
                    for s in range(16):
                        total += counts[at, s]
                    p[c] = (counts[at, symbol] + base) / (total + 1)
                    gains[at] += np.log2(p[c] / base)
                    uses[at] += 1
        contexts.push_byte(memory, 0, byte)


@njit()
def nibble_chances(network, state, texts, out):  # type: ignore[no-untyped-def]
    """The network's probabilities of the two nibbles of each byte: texts (L, T) -> out (L, T, 2) float32."""
    lanes = len(texts)
    last = np.zeros(lanes, np.uint8)
    for t in range(texts.shape[1]):
        cpu.step(network, state, last, 0, lanes)
        for lane in range(lanes):
            byte = np.int64(texts[lane, t])
            high = byte & 240
            total = np.int64(0)
            for i in range(256):
                total += state.weights[lane, i]
            part = np.int64(0)
            for i in range(high, high + 16):
                part += state.weights[lane, i]
            out[lane, t, 0] = part / total
            out[lane, t, 1] = state.weights[lane, byte] / part
            last[lane] = texts[lane, t]


@njit()
def place_rows(keys, pairs, rows):  # type: ignore[no-untyped-def]
    """Enter contexts, the best first: pairs (n, 3) uint8 -> rows (N, 4). Returns how many found room."""
    placed = 0
    for i in range(keys.size):
        row, check = ngrams.row_of(keys[i], rows.shape[0]), ngrams.check_of(keys[i])
        free = np.int64(-1)
        for at in (row ^ 1, row):
            if rows[at, 1] == 0:
                free = np.int64(at)
            elif np.int64(rows[at, 0]) == check:
                free = np.int64(-2)
                break
        if free >= 0:
            rows[free, 0] = check
            rows[free, 1:] = pairs[i]
            placed += 1
    return placed


class Counter:
    """A table of 2**bits contexts: keys uint64, windows seen in, counts (N, 16) uint16 of the nibbles that followed."""

    def __init__(self, bits: int) -> None:
        n = 1 << bits
        self.keys, self.counts = np.zeros(n, np.uint64), np.zeros((n, 16), np.uint16)
        self.seen, self.last, self.hits = np.zeros(n, np.int32), np.full(n, -1, np.int32), np.zeros(n, np.uint8)
        self.gains, self.uses = np.zeros(n, np.float32), np.zeros(n, np.int32)
        self.memory: Memory = create(Profile(contexts=ngrams.KINDS), np.zeros(1, np.int64), WINDOW_BYTES)
        kinds = ngrams.KINDS
        self.shorter = np.array([kinds.index(SHORTER[k]) if k in SHORTER else -1 for k in kinds])
        self.windows = 0

    def count(self, text: NDArray[np.uint8]) -> None:
        """Count a window (T,)."""
        count_window(self.memory, text, self.windows, self.keys, self.seen, self.last, self.hits, self.counts)
        self.windows += 1

    def score(self, text: NDArray[np.uint8], chances: NDArray[np.float32]) -> None:
        """Score the contexts on a window (T,) that wasn't counted; chances (T, 2) as the network sees its nibbles."""
        score_window(self.memory, text, chances, self.shorter, self.keys, self.seen, self.counts, self.gains, self.uses)

    def best(self, most: int) -> NDArray[np.int64]:
        """The places of at most so many contexts, those first that are expected to save most."""
        candidates = np.flatnonzero(self.seen >= 2)
        counts = self.counts[candidates]
        total, top = counts.sum(1, dtype=np.int64), counts.max(1).astype(np.int64)
        often = np.minimum(np.log2(total).astype(np.int64), CLASSES - 1)
        pure = np.minimum(np.log2(total - top + 1).astype(np.int64), CLASSES - 1)
        alike = often * CLASSES + pure
        gains, uses = self.gains[candidates].astype(np.float64), self.uses[candidates].astype(np.float64)
        sums = np.bincount(alike, gains, CLASSES**2), np.bincount(alike, uses, CLASSES**2)
        mean = sums[0] / np.maximum(sums[1], 1)
        each = (gains + TRUSTED_USES * mean[alike]) / (uses + TRUSTED_USES)
        value = each * np.minimum(total, HITS * self.seen[candidates])
        order = np.argsort(-value, kind="stable")[:most]
        chosen: NDArray[np.int64] = candidates[order[value[order] > 0]]
        return chosen

    def rows(self, bits: int) -> NDArray[np.uint8]:
        """The table (2**bits, 4) of arzip.memory.ngrams, as full as its places allow."""
        chosen = self.best(2 << bits)
        counts = self.counts[chosen].astype(np.float64)
        counts *= np.minimum(LARGEST / counts.sum(1, keepdims=True), 1)
        symbols = np.argsort(-counts, axis=1, kind="stable")[:, : ngrams.PAIRS]
        steps = np.array(ngrams.LEVEL_COUNTS)
        level = np.searchsorted((steps[1:] + steps[:-1]) / 2, np.take_along_axis(counts, symbols, 1), "right")
        pairs = np.where(level > 0, symbols << 4 | level, 0).astype(np.uint8)
        rows = np.zeros((1 << bits, ngrams.ROW_BYTES), np.uint8)
        place_rows(self.keys[chosen], pairs, rows)
        return rows


def draw(sources: list[Source], size_bytes: int, seed: int) -> Iterator[NDArray[np.uint8]]:
    """Windows (WINDOW_BYTES,) of the training split, by the sources' shares."""
    windows = Windows(sources, 1, WINDOW_BYTES, seed, WINDOW_BYTES)
    for _ in range(0, size_bytes, WINDOW_BYTES):
        yield windows.next()[0][0]


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.argument("data", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--model", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Weights file."
)
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write here, not over the model.")
@click.option("--megabytes", default=150.0, help="Text to count, in 10**6 bytes.")
@click.option("--score-megabytes", default=20.0, help="Text to score on.")
@click.option("--rows", "row_bits", default=20, help="Rows of the table, log2; a row is 4 bytes.")
@click.option("--bits", default=26, help="Contexts counted at a time, log2; one takes 57 bytes of memory.")
@click.option("--seed", default=11)
def main(
    data: tuple[Path, ...],
    model: Path,
    output: Path | None,
    megabytes: float,
    score_megabytes: float,
    row_bits: int,
    bits: int,
    seed: int,
) -> None:
    """Count the n-grams of files, or folders of them, and put them into a model; prime the memory afterwards."""
    try:
        weights = load_weights(model)
        sources = load_mix(list(data))
    except (ArzipError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    counter = Counter(bits)
    for text in draw(sources, int(megabytes * 1e6), seed):
        counter.count(text)
        if counter.windows % 2000 == 0:
            click.echo(f"{counter.windows * WINDOW_BYTES / 1e6:.0f} MB counted", err=True)
    network, done = cpu.load_network(weights), 0
    group: list[NDArray[np.uint8]] = []
    for text in draw(sources, int(score_megabytes * 1e6), seed + 1):
        group.append(text)
        if len(group) == LANES:
            chances = np.zeros((LANES, WINDOW_BYTES, 2), np.float32)
            nibble_chances(network, cpu.init_state(network, LANES), np.stack(group), chances)
            for one, p in zip(group, chances, strict=True):
                counter.score(one, p)
            done += len(group)
            click.echo(f"{done * WINDOW_BYTES / 1e6:.1f} MB scored", err=True)
            group.clear()
    tensors = weights.tensors | {primed.NGRAMS: counter.rows(row_bits)}
    metadata = weights.metadata | {"counted_bytes": str(counter.windows * WINDOW_BYTES)}
    data_bytes = dump_weights(weights.config, tensors, metadata)
    target = output or model
    part = target.with_suffix(".part")
    part.write_bytes(data_bytes)
    part.replace(target)
    filled = int((tensors[primed.NGRAMS][:, 1] > 0).sum())
    click.echo(f"{target}: {len(data_bytes):,} bytes, {filled:,} n-grams")


if __name__ == "__main__":
    main()
