"""`compress`, `decompress` and `test` on a cluster: of one file, or of all files in a folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, NamedTuple

from arzip.cluster import locations
from arzip.cluster.compressing import CompressJob, DriverHash, Hash
from arzip.cluster.decompressing import DecompressJob
from arzip.cluster.jobs import Job, Report, key_of
from arzip.cluster.journal import Journal
from arzip.cluster.run import Progress, Run, TaskFailedError, Workers
from arzip.cluster.small_files import SmallJob
from arzip.cluster.tasks import Range, Small
from arzip.codec import Options
from arzip.errors import ArzipError, DamagedError
from arzip.format.records import dictionary_digest

SMALL_BYTES = 4 << 20  # files up to this size are done whole, in batches
BATCH_BYTES, BATCH_FILES = 8 << 20, 256
NO_MATTER = {"threads", "device", "memory_bytes", "max_output"}  # options that change no archive
COMPRESS, DECOMPRESS, TEST = "compress", "decompress", "test"
SUFFIX, SUFFIXES = ".arz", (".arz", ".tarz")


class File(NamedTuple):
    """A file of a run: names of it and of its output, its size in bytes."""

    source: str
    target: str | None
    size: int


@dataclass(frozen=True)
class Request:
    """What is asked for. options: of the codec; workers: at most so many, 0: as many as there are CPUs or GPUs."""

    verb: str
    source: str
    target: str | None
    options: Options
    cluster: str = "auto"
    workers: int = 0
    recursive: bool = False
    resume: bool = False
    overwrite: bool = False

    def must_stay(self) -> dict[str, Any]:
        """What a job that goes on must have in common with the one before."""
        given = asdict(self.options) if self.verb == COMPRESS else {}
        given["dictionary"] = dictionary_digest(self.options.dictionary).hex()
        choices = {name: value for name, value in given.items() if name not in NO_MATTER}
        return {"verb": self.verb, "source": self.source, **choices}


def do(request: Request, progress: Progress | None = None) -> Report:
    """Do it, and say what was done; faults of single files of a folder are in the report.

    progress: gets raw and archive bytes so far. Raises ArzipError.
    """
    request = checked(request)
    files, journal = files_of(request), journal_of(request)
    from arzip.cluster import pool  # says what to install where ray is missing

    options = replace(request.options, threads=request.options.threads or 1)
    encodes = request.verb == COMPRESS
    on_gpus = options.device == "cuda" or (options.wide and options.device != "cpu" and encodes)
    with resumable(journal), pool.connected(request.cluster, request.workers):
        on_gpus = on_gpus and pool.has_gpus()
        with pool.Pool(options, request.workers, encodes=encodes, on_gpus=on_gpus) as workers:
            return run_on(workers, request, files, journal, pool.RemoteHash, progress)


def run_on(
    workers: Workers,
    request: Request,
    files: list[File],
    journal: Journal | None,
    new_hash: Callable[[], Hash],
    progress: Progress | None = None,
) -> Report:
    """`do`, on workers that are there. request: a checked one; files: of it; new_hash: makes one beside the workers."""
    report = Report()

    def on_failed(name: str, error: Exception) -> None:
        if not request.recursive:
            raise error if isinstance(error, ArzipError) else ArzipError(f"{type(error).__name__}: {error}")
        report.failed.append((name, str(error) or type(error).__name__))

    beginnings = _beginnings(request, files, journal, workers, new_hash, report)
    Run(workers, beginnings, report, on_failed, progress).run()
    if journal is not None:
        journal.remove()
    return report


def total_bytes(request: Request) -> int:
    """How many bytes there are to read. Raises ArzipError."""
    return sum(file.size for file in files_of(checked(request)))


@contextmanager
def resumable(journal: Journal | None) -> Iterator[None]:
    """Context of a run: the error that ends it says how it can go on; a journal that is of no use is removed."""
    try:
        yield
    except ArzipError as error:
        blocks = len(journal.names("block")) + len(journal.names("done")) if journal else 0
        if journal and (not blocks or isinstance(error, DamagedError)):
            journal.remove()  # nothing to go on with
        elif journal and isinstance(error, TaskFailedError):
            message = f"{error}; what is done ({blocks:,} records) stays in {journal.folder}: --resume goes on"
            raise TaskFailedError(message) from error
        raise


def checked(request: Request) -> Request:
    """The request with names that mean the same on every machine. Raises ArzipError."""
    source = locations.absolute(request.source)
    folder = locations.is_folder(source)
    if folder and not request.recursive:
        raise ArzipError("is a directory; -r takes the files in it")
    target = request.target and locations.absolute(request.target)
    if request.verb == TEST:
        target = None
    elif target is None:
        target = source if folder else output_name(source, request.verb)
    return replace(request, source=source, target=target, recursive=folder)


def output_name(name: str, verb: str) -> str:
    """Of a file, where nothing else is said. Raises ArzipError."""
    stem, suffix = os.path.splitext(name)
    if verb == COMPRESS:
        return name + SUFFIX
    if suffix.lower() not in SUFFIXES:
        raise ArzipError(f"unknown suffix, it isn't {SUFFIX}; say with -o where the output goes")
    return stem + ".tar" * (suffix.lower() == ".tarz")


def journal_of(request: Request) -> Journal | None:
    """The journal of a checked request; a test has none. Raises ArzipError."""
    if request.target is None:
        return None
    return Journal(request.target, request.must_stay(), resume=request.resume, overwrite=request.overwrite)


def files_of(request: Request) -> list[File]:
    """The files of a checked request, large ones first. Raises ArzipError."""
    if not request.recursive:
        return [File(request.source, request.target, locations.size_and_stamp(request.source)[0])]
    found = []
    for path, size in locations.find(request.source):
        if ".arzip-journal/" in path or path.lower().endswith(SUFFIXES) == (request.verb == COMPRESS):
            continue
        target = output_name(locations.join(request.target, path), request.verb) if request.target else None
        found.append(File(locations.join(request.source, path), target, size))
    return sorted(found, key=lambda file: -file.size)


def _beginnings(
    request: Request,
    files: list[File],
    journal: Journal | None,
    workers: Workers,
    new_hash: Callable[[], Hash],
    report: Report,
) -> Iterator[tuple[str, Callable[[], Job]]]:
    """Functions that begin the jobs of a run."""
    small = [file for file in files if request.recursive and file.size <= SMALL_BYTES]
    begun, done = _earlier(journal)
    for file in files[: len(files) - len(small)]:
        if journal and file.source in done:
            _count(report, done[file.source])
            continue
        yield file.source, partial(_begin, request, file, journal, workers, new_hash)
    for file in small:
        if file.source in done:
            _count(report, done[file.source])
    left = [file for file in small if file.source not in done]
    batches = _batches(request, left, begun)

    def on_failed(name: str, reason: str) -> None:
        report.failed.append((name, reason))

    if left:
        yield "small files", lambda: SmallJob(batches, request.verb != COMPRESS, journal, on_failed)


def _earlier(journal: Journal | None) -> tuple[set[str], dict[str, list[int]]]:
    """Of an earlier run: files that were begun, and those that are done, with raw bytes, archive bytes and blocks."""
    begun: set[str] = set()
    done: dict[str, list[int]] = {}
    for name in [*journal.names("begun-"), *journal.names("done-")] if journal else []:
        found = journal.get(name) if journal else None
        if found is not None and name.startswith("begun-"):
            begun |= set(found[0]["files"])
        elif found is not None:
            done |= found[0]["files"]
    return begun, done


def _count(report: Report, sizes: list[int]) -> None:
    report.add(*sizes)
    report.reused_files += 1


def _batches(request: Request, files: list[File], begun: set[str]) -> Iterator[list[Small]]:
    batch: list[Small] = []
    size = 0
    for file in files:
        overwrite = request.overwrite or file.source in begun
        batch.append(Small(Range(file.source, 0, file.size), file.target, overwrite))
        size += file.size
        if size >= BATCH_BYTES or len(batch) >= BATCH_FILES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _begin(
    request: Request, file: File, journal: Journal | None, workers: Workers, new_hash: Callable[[], Hash]
) -> Job:
    """The job of one large file. Raises ArzipError, also if the file has changed since an earlier run began it."""
    key = key_of(file.source)
    size, stamp = locations.size_and_stamp(file.source)
    overwrite = request.overwrite
    if journal is not None:
        before = journal.get(f"source-{key}")
        if before is not None and before[0] != {"size": size, "stamp": stamp}:
            raise ArzipError("has changed since the unfinished job began: -f begins anew, without --resume")
        overwrite |= before is not None  # what is there may be this job's own
        if before is None:
            journal.put(f"source-{key}", {"size": size, "stamp": stamp})
    if request.target is not None and request.recursive and file.target is not None:
        locations.make_folder_of(file.target)
    if request.verb != COMPRESS:
        return DecompressJob(file.source, file.target, journal, overwrite)
    assert workers.first is not None and file.target is not None and journal is not None
    content_hash = DriverHash() if locations.is_private(file.source) else new_hash()
    model = workers.first.block_bytes, workers.first.fields
    return CompressJob(file.source, file.target, size, *model, journal, content_hash, overwrite)
