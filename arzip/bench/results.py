"""Measured rows, their totals, and their JSON. Must not import codecs.

Sizes are bytes, times seconds, speeds KB/s of raw data (1 KB: 1000 bytes), memory bytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from statistics import mean, median
from typing import Any

from arzip.errors import ArzipError

FORMAT = "arzip-bench 1"


@dataclass(frozen=True)
class Speed:
    """KB/s: the median of some runs, and the median distance from it as a share of it (None for one run)."""

    kbps: float
    spread: float | None

    @classmethod
    def of(cls, raw_bytes: int, seconds: Sequence[float]) -> Speed:
        speeds = [raw_bytes / 1000 / max(s, 1e-9) for s in seconds]
        middle = median(speeds)
        return cls(middle, median(abs(s - middle) for s in speeds) / middle if len(speeds) > 1 and middle else None)


@dataclass(frozen=True)
class Row:
    """One codec at one level on one file. A codec that failed has an `error` and no size.

    how: "process" (its start and its files are in the times and the memory) or "in-process" (the call alone).
    threads: 0 stands for one a core. model_bytes: the weights file that the archive names, 0 for none; it is not in
    packed_bytes. memory: in a process its peak, else what the call added to the peak.
    """

    corpus: str
    file: str
    raw_bytes: int
    codec: str
    level: str
    how: str
    device: str = "cpu"
    threads: int = 1
    packed_bytes: int | None = None
    model_bytes: int = 0
    compress_seconds: tuple[float, ...] = ()
    decompress_seconds: tuple[float, ...] = ()
    compress_memory_bytes: int = 0
    decompress_memory_bytes: int = 0
    error: str = ""

    @property
    def label(self) -> str:
        """Codec and level as on a command line: "xz -9e"."""
        return label(self.codec, self.level)

    @property
    def verified(self) -> bool:
        """Whether every run decompressed to the original bytes."""
        return self.packed_bytes is not None and not self.error

    @property
    def bits_per_byte(self) -> float | None:
        return rate(self.packed_bytes, self.raw_bytes)

    @property
    def ratio(self) -> float | None:
        """Raw bytes a packed byte; None without a size."""
        return self.raw_bytes / self.packed_bytes if self.packed_bytes else None

    @property
    def compress_speed(self) -> Speed | None:
        return Speed.of(self.raw_bytes, self.compress_seconds) if self.verified else None

    @property
    def decompress_speed(self) -> Speed | None:
        return Speed.of(self.raw_bytes, self.decompress_seconds) if self.verified else None


@dataclass(frozen=True)
class Total:
    """One codec at one level on all files of a corpus; `corpus` "" means all of them.

    packed_bytes and figures derived from it are None if the codec failed on a file. mean_bits_per_byte: unweighted mean
    over files. KB/s: all raw bytes by the sum of the medians. model_bytes: each model counts once.
    """

    corpus: str
    codec: str
    level: str
    how: str
    device: str
    files: int
    failed: int
    raw_bytes: int
    packed_bytes: int | None
    mean_bits_per_byte: float | None
    compress_kbps: float | None
    decompress_kbps: float | None
    memory_bytes: int
    model_bytes: int

    @property
    def label(self) -> str:
        return label(self.codec, self.level)

    @property
    def bits_per_byte(self) -> float | None:
        """Bits per byte of all files together."""
        return rate(self.packed_bytes, self.raw_bytes)


@dataclass(frozen=True)
class Result:
    """A benchmark run: description of the machine (name -> text), and rows in the order they were measured."""

    machine: dict[str, str]
    rows: list[Row] = field(default_factory=list)

    def corpora(self) -> list[str]:
        return unique(row.corpus for row in self.rows)

    def labels(self) -> list[str]:
        return unique(row.label for row in self.rows)

    def files(self) -> list[tuple[str, str]]:
        """(corpus, file) of every file."""
        return unique((row.corpus, row.file) for row in self.rows)

    def totals(self, corpus: str = "") -> list[Total]:
        """One total for each codec and level, in the order of the rows; of one corpus, or of all ("")."""
        rows = [row for row in self.rows if corpus in ("", row.corpus)]
        return [_total(corpus, [row for row in rows if row.label == name]) for name in unique(r.label for r in rows)]


def label(codec: str, level: str) -> str:
    return f"{codec} -{level}" if level else codec


def rate(packed_bytes: int | None, raw_bytes: int) -> float | None:
    """Bits per byte; None for a codec that failed, and for an empty file."""
    return None if packed_bytes is None or not raw_bytes else 8 * packed_bytes / raw_bytes


def unique(items: Iterable[Any]) -> list[Any]:
    """Distinct items, in the order of their first occurrence."""
    return list(dict.fromkeys(items))


def _total(corpus: str, rows: Sequence[Row]) -> Total:
    first, whole = rows[0], all(row.verified for row in rows)
    raw_bytes = sum(row.raw_bytes for row in rows)
    rates = [row.bits_per_byte for row in rows if row.bits_per_byte is not None]

    def kbps(seconds: Callable[[Row], Sequence[float]]) -> float | None:
        return raw_bytes / 1000 / max(sum(median(seconds(row)) for row in rows), 1e-9) if whole else None

    return Total(
        corpus=corpus,
        codec=first.codec,
        level=first.level,
        how=first.how,
        device=first.device,
        files=len(rows),
        failed=sum(not row.verified for row in rows),
        raw_bytes=raw_bytes,
        packed_bytes=sum(row.packed_bytes or 0 for row in rows) if whole else None,
        mean_bits_per_byte=mean(rates) if whole and rates else None,
        compress_kbps=kbps(lambda row: row.compress_seconds),
        decompress_kbps=kbps(lambda row: row.decompress_seconds),
        memory_bytes=max(max(row.compress_memory_bytes, row.decompress_memory_bytes) for row in rows),
        model_bytes=max(row.model_bytes for row in rows),
    )


def dump(result: Result) -> str:
    """JSON of the machine, the rows with derived figures, and the totals."""
    derived = ("bits_per_byte", "ratio", "verified")
    rows = [asdict(row) | {name: getattr(row, name) for name in derived} for row in result.rows]
    totals = [asdict(total) for corpus in ["", *result.corpora()] for total in result.totals(corpus)]
    return json.dumps({"format": FORMAT, "machine": result.machine, "rows": rows, "totals": totals}, indent=1) + "\n"


def load(path: Path) -> Result:
    """The inverse of `dump`, from a file. Raises ArzipError if it isn't such JSON."""
    names = {entry.name for entry in fields(Row)}
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["format"] != FORMAT:
            raise ValueError("another format")
        rows = [{name: value for name, value in row.items() if name in names} for row in data["rows"]]
        times = ("compress_seconds", "decompress_seconds")
        return Result(dict(data["machine"]), [Row(**row | {name: tuple(row[name]) for name in times}) for row in rows])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArzipError(f"{path}: not a result of arzip bench --export json ({error})") from error
