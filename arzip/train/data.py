"""Training text: files or folders of bytes -> endless windows drawn from a mixture.

A source is a file of documents laid end to end (NAME.bin beside NAME.idx, the documents' starts as
little-endian uint64) or any other file (one document). Must not import model code.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

# Share of each kind (first folder below the mix), then of single sources within their kind. A guess at what people
# compress most; it was evaluated, but not tuned.
KIND_SHARE = {
    "en_text": 38.0,
    "multiling": 19.0,
    "code": 18.0,
    "markup": 16.0,
    "binary": 6.0,
    "image": 1.0,
    "audio": 1.0,
    "dna": 1.0,
}
SOURCE_SHARE = {"gutenberg": 22.0}
SHARES = "shares.json"  # in a folder: {"KIND/NAME": share}, for sources that are not drawn by size
SIZE_POWER = 0.7  # within a kind, sources are drawn by size ** SIZE_POWER
VALIDATION_STRIDE = 100  # every hundredth document is held out
SEGMENT_BYTES = 4096  # a batch row follows one document for so long, then starts another segment
DOCUMENT_START_SHARE = 0.25  # of the segments: those that start at the first byte of a document


@dataclass(frozen=True)
class Source:
    """One file of documents: memory-mapped bytes, and (documents, 2) int64 spans of each split."""

    name: str
    kind: str
    data: NDArray[np.uint8]
    train: NDArray[np.int64]
    held_out: NDArray[np.int64]
    share: float


def load_source(path: Path, kind: str, share: float) -> Source:
    """Map a file and split its documents; a file of one document is held out by its last hundredth."""
    data = np.memmap(path, dtype=np.uint8, mode="r")
    index = path.with_suffix(".idx")
    starts = np.fromfile(index, dtype="<u8").astype(np.int64) if index.exists() else np.zeros(1, np.int64)
    spans = np.stack([starts, np.append(starts[1:], data.size)], axis=1)
    spans = spans[spans[:, 1] > spans[:, 0]]
    if len(spans) < 2:
        cut = max(1, data.size - max(data.size // VALIDATION_STRIDE, 1))
        return Source(path.stem, kind, data, np.array([[0, cut]]), np.array([[cut, data.size]]), share)
    stride = min(VALIDATION_STRIDE, len(spans))
    is_held = np.arange(len(spans)) % stride == stride - 1
    return Source(path.stem, kind, data, spans[~is_held], spans[is_held], share)


def load_mix(paths: list[Path], more: tuple[str, ...] = ()) -> list[Source]:
    """Sources under `paths` with shares that sum to 1. Raises ValueError where there is no data.

    more: "NAME=FACTOR" multiplies the share of a source. The file SHARES of a folder, if there is one, overrides the
    shares that follow from kinds and sizes.
    """
    files: list[tuple[Path, str]] = []
    fixed_shares: dict[Path, float] = {}
    for path in paths:
        if path.is_dir():
            fixed_shares |= read_shares(path)
            found = sorted(p for p in path.rglob("*") if p.is_file() and p.stat().st_size > 0)
            bins = [p for p in found if p.suffix == ".bin"] or found
            files += [(p, p.relative_to(path).parts[0] if p.parent != path else "") for p in bins]
        else:
            files.append((path, ""))
    if not files:
        raise ValueError("no training data: name files or folders that hold some bytes")
    weight = {p: p.stat().st_size ** SIZE_POWER for p, _ in files}
    share: dict[Path, float] = {}
    for kind in {k for _, k in files}:
        members = [p for p, k in files if k == kind]
        fixed = {p: SOURCE_SHARE[p.stem] for p in members if p.stem in SOURCE_SHARE and kind in KIND_SHARE}
        rest = KIND_SHARE.get(kind, 1.0) - sum(fixed.values())
        free = sum(weight[p] for p in members if p not in fixed) or 1.0
        share |= {p: fixed.get(p, rest * weight[p] / free) for p in members}
    if fixed_shares and fixed_shares.keys() != share.keys():
        raise ValueError(f"{min(fixed_shares.keys() ^ share.keys())}: not both in {SHARES} and among the files")
    share |= fixed_shares
    for word in more:
        name, _, factor = word.partition("=")
        matching = [p for p in share if p.stem == name]
        if not matching or not 0 < float(factor or "nan") < 100:
            raise ValueError(f"--more {word}: write NAME=FACTOR, the name of a source and a number above 0")
        share |= {p: share[p] * float(factor) for p in matching}
    total = sum(share.values())
    return [load_source(p, k, share[p] / total) for p, k in files]


def read_shares(folder: Path) -> dict[Path, float]:
    """File -> share, from a folder's SHARES; empty if there is no such file."""
    path = folder / SHARES
    shares: dict[str, float] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    return {folder / f"{name}.bin": share for name, share in shares.items()}


class Windows:
    """Endless batches of text: row b of a batch continues row b of the batch before, until its segment ends.

    `next()` returns text (B, T) uint8 and fresh (B,) bool: rows that start a new segment, with an empty state.
    stagger: the rows' first segments have different lengths, so that later ones don't all start in the same batch.
    """

    def __init__(
        self,
        sources: list[Source],
        batch: int,
        length: int,
        seed: int,
        segment_bytes: int = SEGMENT_BYTES,
        stagger: bool = False,
    ) -> None:
        self.sources, self.batch, self.length, self.segment_bytes = sources, batch, length, segment_bytes
        self.shares = np.array([s.share for s in sources])
        self.rng = np.random.default_rng(seed)
        self.row: list[tuple[Source, int, int]] = [(sources[0], 0, 0)] * batch
        self.skipped = segment_bytes * np.arange(batch) // batch if stagger else np.zeros(batch, np.int64)

    def segment(self) -> tuple[Source, int, int]:
        """Draw a segment, at least one window long: its source, start and end."""
        while True:
            source = self.sources[self.rng.choice(len(self.sources), p=self.shares)]
            start = 0
            if self.rng.random() < DOCUMENT_START_SHARE:
                start = int(source.train[self.rng.integers(len(source.train)), 0])
            else:
                position = int(self.rng.integers(source.data.size))
                span = int(np.searchsorted(source.train[:, 0], position, "right")) - 1
                lo, hi = (int(n) for n in source.train[max(span, 0)])
                start = int(self.rng.integers(lo, max(hi - self.length, lo) + 1))
            end = min(start + self.segment_bytes, source.data.size)
            if end - start >= self.length and not self.is_held_out(source, start, end):
                return source, start, end

    @staticmethod
    def is_held_out(source: Source, start: int, end: int) -> bool:
        """Whether the span [start, end) touches a held-out document."""
        k = int(np.searchsorted(source.held_out[:, 1], start, "right"))
        return k < len(source.held_out) and source.held_out[k, 0] < end

    def next_starts(self) -> tuple[list[tuple[Source, int]], NDArray[np.bool_]]:
        """Advance by a batch; returns (source, start) of each row's window, and which rows are fresh (B,) bool."""
        found: list[tuple[Source, int]] = []
        fresh = np.zeros(self.batch, np.bool_)
        for b in range(self.batch):
            source, start, end = self.row[b]
            if end - start < self.length:
                source, start, end = self.segment()
                end -= int(self.skipped[b])
                self.skipped[b], fresh[b] = 0, True
            found.append((source, start))
            self.row[b] = (source, start + self.length, end)
        return found, fresh

    def next(self) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Advance by a batch and read it; see the class."""
        found, fresh = self.next_starts()
        text = np.empty((self.batch, self.length), np.uint8)
        for row, (source, start) in zip(text, found, strict=True):
            row[:] = source.data[start : start + self.length]
        return text, fresh


def held_out_rows(sources: list[Source], length: int, per_source: int, seed: int = 1) -> dict[str, NDArray[np.uint8]]:
    """Kind -> rows (n, length) uint8 of held-out text, the same for the same seed; shorter documents are left out."""
    rng = np.random.default_rng(seed)
    rows: dict[str, list[NDArray[np.uint8]]] = {}
    for source in sources:
        spans = source.held_out[source.held_out[:, 1] - source.held_out[:, 0] >= length]
        for lo, hi in spans[rng.permutation(len(spans))[:per_source]]:
            start = int(rng.integers(lo, hi - length + 1))
            rows.setdefault(source.kind, []).append(np.array(source.data[start : start + length]))
    return {kind: np.stack(found) for kind, found in rows.items()}
