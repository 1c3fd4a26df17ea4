"""Archives of the evaluation files by an old and a new model, each restored and compared; tables of their sizes."""

from __future__ import annotations

import hashlib
import io
import json
import multiprocessing
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from arzip import codec
from arzip.codec import Options
from arzip.errors import ArzipError
from arzip.weights import registry as models

CORPORA = ("calgary", "canterbury", "enwik", "loghub", "json")
SIZES = "sizes.json"


@dataclass(frozen=True)
class Job:
    """A file to compress at a level with a model."""

    corpus: str
    path: Path
    level: int
    model: Path

    def key(self) -> str:
        """The same for the same bytes, level and model."""
        content = hashlib.sha256(self.path.read_bytes()).hexdigest()[:16]
        return f"{content} -{self.level} {models.file_digest(self.model).hex()}"


@dataclass(frozen=True)
class Result:
    """Bytes of a file and of its archive, which came back whole; seconds there and back."""

    raw_bytes: int
    archive_bytes: int
    seconds: tuple[float, float]


def measure(job: Job) -> Result:
    """Compress, restore, compare. Raises ArzipError if the file didn't come back as it was."""
    raw, archive, back = job.path.read_bytes(), io.BytesIO(), io.BytesIO()
    options = Options(job.level, str(job.model), threads=1)
    began = time.monotonic()
    codec.compress(io.BytesIO(raw), archive, options)
    middle = time.monotonic()
    codec.decompress(io.BytesIO(archive.getvalue()), back, options)
    if back.getvalue() != raw:
        raise ArzipError(f"{job.path}: its archive at -{job.level} did not come back as it was; please report it")
    return Result(len(raw), len(archive.getvalue()), (middle - began, time.monotonic() - middle))


def evaluation_files(folder: Path, corpora: Iterable[str] = CORPORA) -> list[tuple[str, Path]]:
    """(corpus, file) of the corpora that lie in `folder`. Raises ValueError where one is missing."""
    found = []
    for corpus in corpora:
        files = sorted(path for path in (folder / corpus).rglob("*") if path.is_file())
        if not files:
            raise ValueError(f"{folder / corpus}: no such corpus")
        found += [(corpus, path) for path in files]
    return found


def measure_all(jobs: list[Job], store: Path, say: Callable[[str], None]) -> dict[Job, Result]:
    """Every job's result, on all cores, the longest first. What `store` has from a run before isn't done again."""
    known = json.loads(store.read_text("utf-8")) if store.exists() else {}
    keys = {job: job.key() for job in jobs}
    todo = {key: job for job, key in keys.items() if key not in known}
    order = sorted(todo.items(), key=lambda item: (-item[1].level, -item[1].path.stat().st_size))
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
        running = {pool.submit(measure, job): (key, job) for key, job in order}
        for future in as_completed(running):
            (key, job), result = running[future], future.result()
            known[key] = [result.raw_bytes, result.archive_bytes, list(result.seconds)]
            store.write_text(json.dumps(known, indent=1), "utf-8")
            say(f"-{job.level} {job.model.name} {job.corpus}/{job.path.name}: {result.archive_bytes:,}")
    results = {}
    for job, key in keys.items():
        raw, size, (there, back) = known[key]
        results[job] = Result(raw, size, (there, back))
    return results


@dataclass(frozen=True)
class Pair:
    """A file at a level by the old and the new model."""

    corpus: str
    name: str
    level: int
    old: Result
    new: Result

    @property
    def change(self) -> float:
        """Per cent; negative: smaller."""
        return 100 * (self.new.archive_bytes / self.old.archive_bytes - 1)


def pairs(files: list[tuple[str, Path]], level: int, old: Path, new: Path, results: dict[Job, Result]) -> list[Pair]:
    """Old beside new for every file."""
    return [
        Pair(corpus, path.name, level, results[Job(corpus, path, level, old)], results[Job(corpus, path, level, new)])
        for corpus, path in files
    ]


def table(found: list[Pair]) -> list[str]:
    """Markdown: sums of each corpus and level, and KB/s of both models there and back."""
    lines = ["| corpus, level | bytes | old | new | change | KB/s old | KB/s new |", "|---|---|---|---|---|---|---|"]
    for level, corpus in dict.fromkeys((pair.level, pair.corpus) for pair in found):
        own = [pair for pair in found if (pair.level, pair.corpus) == (level, corpus)]
        raw = sum(pair.old.raw_bytes for pair in own)
        old, new = (sum(getattr(pair, side).archive_bytes for pair in own) for side in ("old", "new"))
        rates = [_rates([getattr(pair, side) for pair in own]) for side in ("old", "new")]
        cells = [f"{corpus} -{level}", f"{raw:,}", f"{old:,}", f"{new:,}", f"{100 * (new / old - 1):+.2f}%", *rates]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _rates(results: list[Result]) -> str:
    """KB/s there, back."""
    raw = sum(result.raw_bytes for result in results)
    return ", ".join(f"{raw / 1000 / sum(result.seconds[way] for result in results):.0f}" for way in (0, 1))


def worse(found: list[Pair]) -> list[str]:
    """The files that the new model makes larger, the worst first, a line each."""
    bad = sorted((pair for pair in found if pair.change > 0), key=lambda pair: -pair.change)
    return [
        f"{pair.corpus}/{pair.name} -{pair.level}: {pair.old.archive_bytes:,} -> {pair.new.archive_bytes:,} "
        f"({pair.change:+.2f}%)"
        for pair in bad
    ]
