"""What a cluster makes is what one machine makes: workers in this process, results out of order, losses, resuming.

test_ray.py has the same with processes of Ray.
"""

from __future__ import annotations

import os
import random
import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import helpers
import pytest

pytest.importorskip("fsspec", reason="no fsspec here: pip install 'arzip[ray]'")

from arzip import levels
from arzip.cluster import compressing, verbs
from arzip.cluster.compressing import DriverHash
from arzip.cluster.jobs import Report
from arzip.cluster.journal import SUFFIX, pack_record, parse_record
from arzip.cluster.run import TaskFailedError
from arzip.cluster.tasks import Batch, Cut, Encode, Failure, Greeting, Result, Task
from arzip.cluster.verbs import Request
from arzip.cluster.worker import Worker
from arzip.codec import Options
from arzip.errors import ArzipError

Fault = Callable[[Task], Exception | None]


class Pool:
    """Workers in this process, which answer out of order. fault: what a task fails with; its worker is then lost."""

    def __init__(self, options: Options, encodes: bool = True, fault: Fault = lambda task: None) -> None:
        self._worker, self._fault = Worker(options, encodes, False), fault
        self._waiting: list[Task] = []
        self._random = random.Random(1)
        self.first: Greeting | None = self._worker.hello()
        self.done: list[Task] = []

    @property
    def free(self) -> int:
        return 5 - len(self._waiting)

    @property
    def running(self) -> int:
        return len(self._waiting)

    def submit(self, task: Task) -> None:
        assert self.free > 0
        self._waiting.append(task)

    def wait(self, seconds: float) -> Iterator[tuple[Task, Result | Failure]]:
        if not self._waiting:
            return
        task = self._waiting.pop(self._random.randrange(len(self._waiting)))
        if (error := self._fault(task)) is not None:
            yield task, Failure(error, "there", lost=True)
            return
        try:
            result = self._worker.run(task)
        except (ArzipError, OSError) as error:
            yield task, Failure(error, "there", lost=False)
            return
        self.done.append(task)
        yield task, result

    def done_bytes(self) -> int:
        return 0


def do(request: Request, fault: Fault = lambda task: None) -> tuple[Report, list[Task]]:
    """Do it; returns the tasks that were done, too."""
    request = verbs.checked(request)
    files, journal = verbs.files_of(request), verbs.journal_of(request)
    pool = Pool(request.options, request.verb == "compress", fault)
    with verbs.resumable(journal):
        return verbs.run_on(pool, request, files, journal, DriverHash), pool.done


def sound(frames: int) -> bytes:
    """A WAVE file of 16 bits, two channels."""
    samples = b"".join(struct.pack("<hh", (k * 37) % 3000, -(k * 11) % 2000) for k in range(frames))
    form = struct.pack("<HHIIHH", 1, 2, 44100, 176400, 4, 16)
    chunks = b"WAVEfmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", len(samples)) + samples
    return b"RIFF" + struct.pack("<I", len(chunks)) + chunks


@pytest.fixture
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cuts of a few blocks each, so that there are several."""
    monkeypatch.setattr(compressing, "WINDOW_BYTES", 3000)


KINDS = {
    "nothing": b"",
    "one byte": b"a",
    "one block": helpers.words(900),
    "text": helpers.words(14_321),
    "random": random.Random(0).randbytes(5000),
    "repeats": helpers.words(1500) * 6,
    "sound across windows": helpers.words(700) + sound(3000) + helpers.words(2500),
    "sound that ends a window": sound(2000)[:6000] + sound(1800),
}


@pytest.mark.usefixtures("tiny_blocks", "small_windows")
@pytest.mark.parametrize("raw", KINDS.values(), ids=KINDS)
def test_an_archive_of_a_cluster_is_that_of_one_machine(raw: bytes, options: Options, tmp_path: Path) -> None:
    source, target = tmp_path / "raw", tmp_path / "raw.arz"
    source.write_bytes(raw)
    report, _ = do(Request("compress", str(source), None, options))
    assert target.read_bytes() == helpers.compress(raw, options)
    assert (report.raw_bytes, report.archive_bytes, report.files) == (len(raw), target.stat().st_size, 1)
    back, _ = do(Request("decompress", str(target), str(tmp_path / "back"), options))
    assert (tmp_path / "back").read_bytes() == raw
    tested, _ = do(Request("test", str(target), None, options))
    assert back.blocks == tested.blocks == report.blocks
    assert sorted(path.name for path in tmp_path.iterdir()) == ["back", "raw", "raw.arz"]


@pytest.mark.usefixtures("small_windows")
def test_samples_that_cross_windows_are_cut_as_in_one_stream(options: Options, tmp_path: Path) -> None:
    raw, chosen = sound(5000), replace(options, level=4, block_bytes=8192)
    (tmp_path / "raw").write_bytes(raw)
    _, tasks = do(Request("compress", str(tmp_path / "raw"), None, chosen))
    assert (tmp_path / "raw.arz").read_bytes() == helpers.compress(raw, chosen)
    cuts = [task.window.start for task in tasks if isinstance(task, Cut)]
    assert len(cuts) > len(set(cuts)), "no window was cut again, with what the one before carries over"


def lost_once() -> Fault:
    """Every third task is lost when it is tried first."""
    tried: list[Any] = []

    def fault(task: Task) -> Exception | None:
        tried.append(task)
        return RuntimeError("gone") if tried.count(task) == 1 and len(set(map(id, tried))) % 3 == 0 else None

    return fault


@pytest.mark.usefixtures("tiny_blocks", "small_windows")
def test_lost_blocks_are_done_again_and_reported(options: Options, tmp_path: Path) -> None:
    raw = helpers.words(12_000)
    (tmp_path / "raw").write_bytes(raw)
    report, _ = do(Request("compress", str(tmp_path / "raw"), None, options), lost_once())
    assert (tmp_path / "raw.arz").read_bytes() == helpers.compress(raw, options)
    assert any("the block at byte" in line and "its worker was lost" in line for line in report.retried)
    back, _ = do(Request("decompress", str(tmp_path / "raw.arz"), str(tmp_path / "back"), options), lost_once())
    assert (tmp_path / "back").read_bytes() == raw and back.retried


def fails_after(tasks: int) -> Fault:
    """From that task on, all are lost."""
    left = [tasks]

    def fault(task: Task) -> Exception | None:
        left[0] -= 1
        return RuntimeError("out of memory") if left[0] < 0 else None

    return fault


@pytest.mark.usefixtures("tiny_blocks", "small_windows")
@pytest.mark.parametrize("verb", ["compress", "decompress"])
def test_a_job_that_fails_goes_on_without_doing_a_block_twice(verb: str, options: Options, tmp_path: Path) -> None:
    raw = helpers.words(12_000)
    (tmp_path / "raw").write_bytes(raw)
    archive = helpers.compress(raw, options)
    (tmp_path / "ready").write_bytes(archive)
    request = Request(verb, str(tmp_path / ("raw" if verb == "compress" else "ready")), str(tmp_path / "out"), options)
    with pytest.raises(TaskFailedError, match=r"failed 3 times.*its worker was lost.*--resume goes on"):
        do(request, fails_after(9))
    assert not (tmp_path / "out").exists()
    records = {path.name for path in (tmp_path / f"out{SUFFIX}").iterdir() if path.name.startswith("block")}
    assert len(records) > 3
    with pytest.raises(ArzipError, match=r"unfinished job.*--resume goes on, -f begins anew"):
        do(request)
    report, tasks = do(replace(request, resume=True))
    assert (tmp_path / "out").read_bytes() == (archive if verb == "compress" else raw)
    assert report.reused_blocks == len(records)
    blocks = sum(not isinstance(task, Cut) for task in tasks)
    assert blocks + len(records) == report.blocks == 12
    assert not (tmp_path / f"out{SUFFIX}").exists()


@pytest.mark.usefixtures("tiny_blocks", "small_windows")
def test_resuming_refuses_a_changed_source_and_other_options(options: Options, tmp_path: Path) -> None:
    raw = helpers.words(12_000)
    source = tmp_path / "raw"
    source.write_bytes(raw)
    request = Request("compress", str(source), None, options, resume=True)
    with pytest.raises(TaskFailedError):
        do(request, fails_after(9))
    with pytest.raises(ArzipError, match=r"another one \(level\)"):
        do(replace(request, options=replace(options, level=2)))
    status = source.stat()
    source.write_bytes(helpers.words(12_000, seed=5))
    with pytest.raises(ArzipError, match="has changed since the unfinished job began"):
        do(request)
    os.utime(source, ns=(status.st_atime_ns, status.st_mtime_ns))  # its time says nothing, its bytes do
    with pytest.raises(ArzipError, match="has changed since its blocks were coded, at byte"):
        do(request)
    assert not (tmp_path / "raw.arz").exists()
    do(replace(request, resume=False, overwrite=True))
    assert (tmp_path / "raw.arz").read_bytes() == helpers.compress(source.read_bytes(), options)


@pytest.mark.usefixtures("tiny_blocks", "small_windows")
def test_a_record_that_was_cut_off_counts_as_none(options: Options, tmp_path: Path) -> None:
    raw = helpers.words(12_000)
    (tmp_path / "raw").write_bytes(raw)
    request = Request("compress", str(tmp_path / "raw"), None, options, resume=True)
    with pytest.raises(TaskFailedError):
        do(request, fails_after(9))
    record = next((tmp_path / f"raw.arz{SUFFIX}").glob("block-*"))
    record.write_bytes(record.read_bytes()[:-3])
    do(request)
    assert (tmp_path / "raw.arz").read_bytes() == helpers.compress(raw, options)


def test_records_of_a_journal_come_back_or_are_refused() -> None:
    record = pack_record({"a": 1}, b"body\n")
    assert parse_record(record) == ({"a": 1}, b"body\n")
    assert all(parse_record(record[:size]) is None for size in range(len(record)))
    for at in range(len(record)):
        changed = record[:at] + bytes([record[at] ^ 1]) + record[at + 1 :]
        assert parse_record(changed) is None


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of 40 small files and a large one."""
    monkeypatch.setattr(verbs, "SMALL_BYTES", 2000)
    monkeypatch.setattr(verbs, "BATCH_BYTES", 600)
    folder = tmp_path / "tree"
    for number in range(40):
        path = folder / f"d{number % 3}" / f"f{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(helpers.words(number * 7, seed=number))
    (folder / "large").write_bytes(helpers.words(7000))
    (folder / "done.arz").write_bytes(b"an archive is left alone")
    return folder


@pytest.mark.usefixtures("tiny_blocks", "small_windows")
def test_a_folder_becomes_a_folder_of_archives_and_comes_back(tree: Path, options: Options, tmp_path: Path) -> None:
    report, tasks = do(Request("compress", str(tree), str(tmp_path / "arz"), options, recursive=True))
    assert (report.files, report.failed) == (41, [])
    assert any(isinstance(task, Encode) for task in tasks)
    assert 4 < sum(isinstance(task, Batch) for task in tasks) < 20
    names = [path.relative_to(tree) for path in tree.rglob("*") if path.is_file() and path.name != "done.arz"]
    for name in names:
        archive = (tmp_path / "arz" / f"{name}.arz").read_bytes()
        assert archive == helpers.compress((tree / name).read_bytes(), options)
    do(Request("decompress", str(tmp_path / "arz"), str(tmp_path / "back"), options, recursive=True))
    assert all((tmp_path / "back" / name).read_bytes() == (tree / name).read_bytes() for name in names)


@pytest.mark.usefixtures("tiny_blocks")
def test_a_file_that_cannot_be_read_stops_no_other(tree: Path, options: Options, tmp_path: Path) -> None:
    request = verbs.checked(Request("compress", str(tree), str(tmp_path / "arz"), options, recursive=True))
    files, journal = verbs.files_of(request), verbs.journal_of(request)
    (tree / "d1" / "f7").unlink()  # after it was listed
    report = verbs.run_on(Pool(options), request, files, journal, DriverHash)
    assert report.files == 40
    [(name, reason)] = report.failed
    assert name.endswith("/d1/f7") and reason == "no such file or directory"
    damaged = tmp_path / "arz" / "large.arz"
    damaged.write_bytes(damaged.read_bytes()[:-30])
    back, _ = do(Request("decompress", str(tmp_path / "arz"), str(tmp_path / "back"), options, recursive=True))
    assert back.files == 39 and len(back.failed) == 1


@pytest.mark.usefixtures("tiny_blocks")
def test_a_folder_goes_on_where_it_stopped(tree: Path, options: Options, tmp_path: Path) -> None:
    request = Request("compress", str(tree), str(tmp_path / "arz"), options, recursive=True, resume=True)
    with pytest.raises(TaskFailedError):
        do(request, fails_after(12))
    report, tasks = do(request)
    assert report.files == 41 and report.failed == []
    assert report.reused_files + sum(len(task.files) for task in tasks if isinstance(task, Batch)) >= 40
    assert report.reused_files > 5


@pytest.mark.usefixtures("tiny_blocks", "small_windows")
def test_files_in_the_memory_of_one_process_go_through_the_driver(options: Options) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    raw = helpers.words(7000)
    memory.pipe_file("/cluster/raw", raw)
    memory.pipe_file("/cluster/tree/a", raw[:500])
    try:
        do(Request("compress", "memory://cluster/raw", "memory://cluster/raw.arz", options))
        assert memory.cat_file("/cluster/raw.arz") == helpers.compress(raw, options)
        do(Request("compress", "memory://cluster/tree", "memory://cluster/out", options, recursive=True))
        assert memory.cat_file("/cluster/out/a.arz") == helpers.compress(raw[:500], options)
        do(Request("decompress", "memory://cluster/raw.arz", "memory://cluster/back", options))
        assert memory.cat_file("/cluster/back") == raw
        assert not memory.exists(f"/cluster/raw.arz{SUFFIX}")
    finally:
        memory.rm("/cluster", recursive=True)


@pytest.mark.usefixtures("tiny_blocks")
def test_damage_is_the_error_that_one_machine_gives(options: Options, tmp_path: Path) -> None:
    archive = helpers.compress(helpers.words(5000), options)
    path = tmp_path / "a.arz"
    for at in range(0, len(archive), len(archive) // 12):
        path.write_bytes(archive[:at] + bytes([archive[at] ^ 0x55]) + archive[at + 1 :])
        with pytest.raises(ArzipError):
            helpers.decompress(path.read_bytes(), options)
        with pytest.raises(ArzipError):
            do(Request("decompress", str(path), str(tmp_path / "out"), options))
    assert [found.name for found in tmp_path.iterdir()] == ["a.arz"]
    blocks = archive + helpers.compress(b"", options) + helpers.compress(b"more", options)
    path.write_bytes(blocks)  # several members
    do(Request("decompress", str(path), str(tmp_path / "out"), options))
    assert (tmp_path / "out").read_bytes() == helpers.words(5000) + b"more"


def test_an_output_that_is_there_is_kept(options: Options, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a")
    (tmp_path / "a.arz").write_bytes(b"mine")
    with pytest.raises(ArzipError, match="exists already"):
        do(Request("compress", str(tmp_path / "a"), None, options))
    with pytest.raises(ArzipError, match="-r takes the files"):
        do(Request("compress", str(tmp_path), None, options))
    with pytest.raises(ArzipError, match="no such file"):
        do(Request("compress", str(tmp_path / "b"), None, options))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "a.arz"]
    assert (tmp_path / "a.arz").read_bytes() == b"mine"


@pytest.mark.parametrize("size", [2500, 6500])
def test_a_short_stream_is_spread_over_blocks_and_a_last_window_is_not(
    size: int, options: Options, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = levels.Level(3000, levels.NEVER, 1, levels.FAST, levels.FAST, spread_bytes=500)
    monkeypatch.setattr(levels, "LEVELS", (tiny,) * 9)
    monkeypatch.setattr(levels, "WINDOW_BYTES", 4000)
    monkeypatch.setattr(compressing, "WINDOW_BYTES", 4000)
    (tmp_path / "raw").write_bytes(helpers.words(size))
    report, _ = do(Request("compress", str(tmp_path / "raw"), None, options))
    assert (tmp_path / "raw.arz").read_bytes() == helpers.compress(helpers.words(size), options)
    assert report.blocks == {2500: 4, 6500: 5}[size]
