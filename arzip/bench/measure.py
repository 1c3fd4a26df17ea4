"""Measures cell by cell, each phase in its own worker process, with archives on disk.

A size is that of an archive which every run decompressed to the original bytes.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import arzip
from arzip.bench.external import RAW, RESTORED, Codec
from arzip.bench.inputs import Item
from arzip.bench.results import Row
from arzip.bench.samples import samples
from arzip.bench.worker import Job, Outcome
from arzip.levels import LARGE_BYTES

WORKER = [sys.executable, "-m", "arzip.bench.worker"]
RUNS, BUDGET_SECONDS = 7, 0.3
TWO_LANES = 65_000
WARM_UP_BYTES = 48_000, TWO_LANES  # the first is coded in one lane
WITH_ALL = "-8"  # a level whose two lanes take the profile of large blocks


@dataclass(frozen=True)
class Plan:
    """How often to run each phase. Without `runs`: up to RUNS times, as long as they took less than BUDGET_SECONDS
    in all.

    keep: a folder to copy the archives to.
    """

    runs: int | None = None
    keep: Path | None = None


def cells(items: Sequence[Item], codecs: Sequence[Codec]) -> list[tuple[Item, Codec]]:
    """The cells in the order they are measured: file by file."""
    return [(item, codec) for item in items for codec in codecs]


def warm_up(codecs: Sequence[Codec], largest_bytes: int, scratch: Path) -> None:
    """Let arzip compile and cache its kernels before anything is timed; nothing for other codecs.

    largest_bytes: size of the largest file to be measured.
    """
    ours = [codec for codec in codecs if codec.is_arzip]
    runs = [(codec.compress, size) for codec in ours for size in WARM_UP_BYTES]
    if largest_bytes > LARGE_BYTES:
        runs += [(tuple(WITH_ALL if word == f"-{c.level}" else word for word in c.compress), TWO_LANES) for c in ours]
    for command, size in dict.fromkeys(runs):
        with _folder(scratch) as folder:
            (folder / RAW).write_bytes(next(samples())[1][:size])
            _work(_job(ours[0], folder, Plan(runs=1), command, compresses=True))


def measure(item: Item, codec: Codec, plan: Plan, scratch: Path) -> Row:
    """Measure one cell. Failures of the codec are recorded in the row; errors of the benchmark itself are raised."""
    row = Row(item.corpus, item.name, item.size_bytes, codec.name, codec.level, codec.how, codec.device, codec.threads)
    with _folder(scratch) as folder:
        shutil.copyfile(item.path, folder / RAW)
        packed = folder / codec.packed
        there = _work(_job(codec, folder, plan, codec.compress, compresses=True))
        if there.error:
            return replace(row, error=f"compressing: {there.error}")
        back = _work(_job(codec, folder, plan, codec.decompress, compresses=False))
        if back.error:
            return replace(row, error=f"decompressing: {back.error}")
        if plan.keep is not None:
            _keep(packed, plan.keep / item.corpus / f"{item.name}.{row.label.replace(' ', '')}")
        return replace(
            row,
            packed_bytes=packed.stat().st_size,
            model_bytes=_model_bytes(packed, codec.model) if codec.is_arzip else 0,
            compress_seconds=tuple(there.seconds),
            decompress_seconds=tuple(back.seconds),
            compress_memory_bytes=there.memory_bytes,
            decompress_memory_bytes=back.memory_bytes,
        )


def _job(codec: Codec, folder: Path, plan: Plan, argv: Sequence[str], *, compresses: bool) -> Job:
    raw, packed, restored = str(folder / RAW), str(folder / codec.packed), str(folder / RESTORED)
    source, target, expected = (raw, packed, "") if compresses else (packed, restored, raw)
    runs, budget = (plan.runs, float("1e9")) if plan.runs else (RUNS, BUDGET_SECONDS)
    return Job(source, target, expected, runs, budget, str(folder), codec.name, codec.level, list(argv))


def _work(job: Job) -> Outcome:
    """Run a job in a worker process, which ends, with its own processes, when this process does."""
    worker = subprocess.Popen(
        WORKER,
        cwd=job.folder,  # holds no Python modules that could shadow others
        env=_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        answer, errors = worker.communicate(json.dumps(job._asdict()).encode())
    finally:
        if worker.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(worker.pid, signal.SIGKILL)
            worker.wait()
    if worker.returncode:
        last = (errors.decode(errors="replace").strip().splitlines() or ["no word"])[-1]
        return Outcome([], 0, f"its process ended with {worker.returncode}: {last}")
    return Outcome(**json.loads(answer))


def _environment() -> dict[str, str]:
    """This process's environment, with the folder of this arzip in PYTHONPATH, for checkouts."""
    package = Path(arzip.__file__).resolve().parent.parent
    if package.name in ("site-packages", "dist-packages"):
        return dict(os.environ)
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(package), *filter(None, [os.environ.get("PYTHONPATH")])])}


@contextmanager
def _folder(scratch: Path) -> Iterator[Path]:
    """A temporary folder for one cell, removed afterwards."""
    folder = scratch / "cell"
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _keep(packed: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(packed, target)


def _model_bytes(packed: Path, model: str) -> int:
    """Size of the weights file that an arzip archive needs; 0 if none."""
    from arzip.format.stream import list_members
    from arzip.weights import registry

    with open(packed, "rb") as stream:
        digests = {member.header.digest for member in list_members(stream)} - {b""}
    preferred = registry.find(model) if model else None
    return sum(registry.find_digest(digest, preferred).stat().st_size for digest in digests)
