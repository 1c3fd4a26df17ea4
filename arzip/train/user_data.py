"""A user's own files -> documents, split into training, validation (when to stop) and test (the final comparison).

A file of up to FILE_BYTES is one document; a larger one is cut at line ends into records. With many files, whole files
are held out; with few, single records are. Must not import model code.
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
MIN_RECORD_BYTES, MAX_RECORD_BYTES = 1 << 11, 1 << 12
MANY_FILES = 100
MIN_BYTES = 1 << 14
HELD_OUT_SHARE = 0.1  # of the data: the most that each of validation and test takes
VALIDATION_BYTES, TEST_BYTES = 3 << 14, 1 << 17
ROW_BYTES = 1 << 10
WINDOW_BYTES = 384  # of the windows that training draws
ADJACENT = 16  # with enough documents, runs of so many share their use (n-grams, or initial states)
MIN_PIECE_BYTES = 1 << 11  # of a document that initial states are trained on


@dataclass(frozen=True)
class UserData:
    """The documents of each split, and the number of files they come from."""

    files: int
    train: list[bytes]
    validation: list[bytes]
    test: list[bytes]

    @property
    def size_bytes(self) -> int:
        return sum(len(d) for part in (self.train, self.validation, self.test) for d in part)

    def source(self) -> Source:
        """The training documents end to end, nothing held out among them."""
        return _source(self.train, 1.0)

    def validation_rows(self) -> NDArray[np.uint8]:
        """The validation documents, end to end, as rows (n, ROW_BYTES) uint8, or as one shorter row."""
        text = np.frombuffer(b"".join(self.validation), np.uint8)
        length = min(ROW_BYTES, text.size)
        return text[: text.size // length * length].reshape(-1, length).copy()

    def is_for_ngrams(self, k: int) -> bool:
        """Whether n-grams are counted on training document k. The other eighth trains the initial states.

        There the n-gram table predicts as it does on unseen data; on counted documents it would look too good.
        """
        adjacent = ADJACENT if len(self.train) >= 8 * ADJACENT else 1
        return k // adjacent % 8 != 0

    def ngram_documents(self) -> Iterator[NDArray[np.uint8]]:
        """Training documents that n-grams are counted on, in pieces (n,) uint8 of at most FILE_BYTES / 2."""
        for k, document in enumerate(self.train):
            if self.is_for_ngrams(k):
                for at in range(0, len(document), FILE_BYTES // 2):
                    yield np.frombuffer(document[at : at + FILE_BYTES // 2], np.uint8)

    def pretraining_documents(self, size_bytes: int, seed: int) -> list[Source]:
        """What initial states are trained on: short documents, each a source of its own, and a share of long ones.

        Users compress each short document to an archive of its own: the initial state must suit its first bytes.
        """
        order = np.random.default_rng(seed).permutation(len(self.train))
        found: list[bytes] = []
        for k in order:
            if self.is_for_ngrams(k):
                continue
            piece = b"".join(self.train[k : k + 1 + MIN_PIECE_BYTES])[: max(MIN_PIECE_BYTES, len(self.train[k]))]
            if len(piece) >= MIN_PIECE_BYTES:
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


def load_user_data(paths: list[Path], seed: int = 0) -> UserData:
    """Read and split everything under `paths`. Raises ArzipError where that is too little."""
    contents = [path.read_bytes() for path in find_files(paths)]
    files = [cut_records(content) for content in contents if content]
    units = files if len(files) >= MANY_FILES else [[record] for records in files for record in records]
    total = sum(map(len, contents))
    if total < MIN_BYTES or len(units) < 3:
        raise ArzipError(
            f"{total:,} bytes are too little to learn from: at least {MIN_BYTES:,}, in three lines or files"
        )
    order = list(np.random.default_rng(seed).permutation(len(units)))
    test = _take(units, order, min(TEST_BYTES, int(HELD_OUT_SHARE * total)), seed)
    validation = _take(units, order, min(VALIDATION_BYTES, int(HELD_OUT_SHARE * total)), seed)
    train = [document for k in sorted(order) for document in units[k]]
    if sum(map(len, train)) < 2 * WINDOW_BYTES:
        raise ArzipError("too few documents: what isn't held out is too little to learn from")
    return UserData(len(files), train, validation, test)


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
    """A file as documents: whole if it is small, else cut after the first line end beyond MIN_RECORD_BYTES."""
    if len(content) <= FILE_BYTES:
        return [content]
    records, start = [], 0
    while start < len(content):
        limit = start + MAX_RECORD_BYTES
        end = content.find(b"\n", start + MIN_RECORD_BYTES, limit) + 1 or limit
        records.append(content[start:end])
        start = end
    return records
