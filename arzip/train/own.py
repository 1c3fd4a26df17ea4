"""A user's own files -> documents, and which of them are held out: to stop by, and to judge by.

A file of up to FILE_BYTES is a document; a larger one is cut at line ends into records. Many files are held out whole,
of few files single records. Must not know models.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from arzip.errors import ArzipError
from arzip.train.data import Source

FILE_BYTES = 1 << 14
RECORD_BYTES, LONGEST_RECORD_BYTES = 1 << 11, 1 << 12
MANY_FILES = 100
LEAST_BYTES = 1 << 14
HELD_OUT_SHARE = 0.1  # at most so much of the data to stop by, and as much to judge by
STOP_BYTES, JUDGE_BYTES = 3 << 14, 1 << 17
ROW_BYTES = 1 << 10
WINDOW_BYTES = 384  # of the windows that training draws
NEIGHBOURS = 16  # documents in a row that are counted, or not, together, if there are enough
SHORT_BYTES = 1 << 11  # the shortest piece that the memory is primed with


@dataclass(frozen=True)
class OwnData:
    """The split: documents to train on, to stop by and to judge by, and how many files they come from."""

    files: int
    train: list[bytes]
    stop: list[bytes]
    judge: list[bytes]

    @property
    def size_bytes(self) -> int:
        return sum(len(d) for part in (self.train, self.stop, self.judge) for d in part)

    def source(self) -> Source:
        """The training documents end to end, nothing held out among them."""
        return _source(self.train, 1.0)

    def rows(self) -> NDArray[np.uint8]:
        """The documents to stop by, end to end, in rows (n, ROW_BYTES) or one shorter row."""
        text = np.frombuffer(b"".join(self.stop), np.uint8)
        length = min(ROW_BYTES, text.size)
        return text[: text.size // length * length].reshape(-1, length).copy()

    def is_counted(self, k: int) -> bool:
        """Whether training document k is counted: an eighth isn't, where n-grams are no surer than elsewhere."""
        together = NEIGHBOURS if len(self.train) >= 8 * NEIGHBOURS else 1
        return k // together % 8 != 0

    def counted(self) -> Iterator[NDArray[np.uint8]]:
        """What n-grams are counted on: training documents in pieces of at most FILE_BYTES / 2."""
        for k, document in enumerate(self.train):
            if self.is_counted(k):
                for at in range(0, len(document), FILE_BYTES // 2):
                    yield np.frombuffer(document[at : at + FILE_BYTES // 2], np.uint8)

    def pieces(self, size_bytes: int, seed: int) -> list[Source]:
        """What to prime the memory on: short pieces, each a source of its own, and now and then a long one from all.

        Short documents become archives of their own: the memory has to start well there, not to end well.
        """
        order = np.random.default_rng(seed).permutation(len(self.train))
        found: list[bytes] = []
        for k in order:
            if self.is_counted(k):
                continue
            piece = b"".join(self.train[k : k + 1 + SHORT_BYTES])[: max(SHORT_BYTES, len(self.train[k]))]
            if len(piece) >= SHORT_BYTES:
                found.append(piece)
            if sum(map(len, found)) >= size_bytes:
                break
        share = 1 / max(len(found), 1)
        return [_source([piece], 0.95 * share) for piece in found] + [_source(self.train, 0.05 if found else 1.0)]


def _source(documents: list[bytes], share: float) -> Source:
    ends = np.cumsum([len(d) for d in documents])
    spans = np.stack([ends - [len(d) for d in documents], ends], axis=1).astype(np.int64)
    data = np.frombuffer(b"".join(documents), np.uint8)
    return Source("own", "own", data, spans, np.zeros((0, 2), np.int64), share)


def load_own(paths: list[Path], seed: int = 0) -> OwnData:
    """Read and split everything under `paths`. Raises ArzipError where that is too little."""
    contents = [path.read_bytes() for path in find_files(paths)]
    files = [cut_records(content) for content in contents if content]
    units = files if len(files) >= MANY_FILES else [[record] for records in files for record in records]
    total = sum(map(len, contents))
    if total < LEAST_BYTES or len(units) < 3:
        raise ArzipError(
            f"{total:,} bytes are too little to learn from: at least {LEAST_BYTES:,}, in three lines or files"
        )
    order = list(np.random.default_rng(seed).permutation(len(units)))
    judge = _take(units, order, min(JUDGE_BYTES, int(HELD_OUT_SHARE * total)), seed)
    stop = _take(units, order, min(STOP_BYTES, int(HELD_OUT_SHARE * total)), seed)
    train = [document for k in sorted(order) for document in units[k]]
    if sum(map(len, train)) < 2 * WINDOW_BYTES:
        raise ArzipError("too few documents: what isn't held out is too little to learn from")
    return OwnData(len(files), train, stop, judge)


def _take(units: list[list[bytes]], order: list[int], size_bytes: int, seed: int) -> list[bytes]:
    """Take units off the end of the order until their documents have so many bytes; at least one, no more than that."""
    taken: list[bytes] = []
    while len(order) > 1 and (not taken or sum(map(len, taken)) < size_bytes):
        taken += units[order.pop()]
    chosen: list[bytes] = []
    for k in np.random.default_rng(seed).permutation(len(taken)):  # a large file gives some of its records
        if not chosen or sum(map(len, chosen)) < size_bytes:
            chosen.append(taken[k])
    return chosen


def find_files(paths: list[Path]) -> list[Path]:
    """The files among `paths` and in folders there, but for hidden ones. Raises ArzipError on what is neither."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = (p for p in path.rglob("*") if not any(part.startswith(".") for part in p.relative_to(path).parts))
            found += sorted(p for p in inside if p.is_file() and not p.is_symlink())
        elif path.is_file():
            found.append(path)
        else:
            raise ArzipError(f"{path}: no such file or folder")
    return found


def cut_records(content: bytes) -> list[bytes]:
    """A file as documents: whole if it is small, else cut after the first line end beyond RECORD_BYTES."""
    if len(content) <= FILE_BYTES:
        return [content]
    records, start = [], 0
    while start < len(content):
        limit = start + LONGEST_RECORD_BYTES
        end = content.find(b"\n", start + RECORD_BYTES, limit) + 1 or limit
        records.append(content[start:end])
        start = end
    return records
