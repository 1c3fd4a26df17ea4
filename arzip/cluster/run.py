"""Runs jobs on a pool: deals tasks out, has lost ones done again, and says what became of all. Must not import ray."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Protocol

from arzip.cluster.jobs import Job, Report
from arzip.cluster.tasks import Cut, Decode, Encode, Failure, Greeting, Result, Task, raw_bytes_of
from arzip.errors import ArzipError

ATTEMPTS = 3
WAIT_SECONDS = 1.0
PROGRESS_SECONDS = 2.0
Progress = Callable[[int, int], None]


class TaskFailedError(ArzipError):
    """A task has failed as often as it may: the run ends."""


class Workers(Protocol):
    """See arzip.cluster.pool.Pool."""

    first: Greeting | None

    @property
    def free(self) -> int: ...
    @property
    def running(self) -> int: ...
    def submit(self, task: Task) -> None: ...
    def wait(self, seconds: float) -> Iterator[tuple[Task, Result | Failure]]: ...
    def done_bytes(self) -> int: ...


class Run:
    """One run over many jobs. beginnings: names of jobs, and functions that begin them, called when workers are free; a
    fault of one of them goes to on_failed with its name, and the others go on.
    """

    def __init__(
        self,
        pool: Workers,
        beginnings: Iterator[tuple[str, Callable[[], Job]]],
        report: Report,
        on_failed: Callable[[str, Exception], None],
        progress: Progress | None,
    ) -> None:
        self._pool, self._beginnings, self._report, self._on_failed = pool, beginnings, report, on_failed
        self._progress = progress
        self._shown = 0.0
        self._active: list[Job] = []
        self._ended = False
        self._again: deque[Task] = deque()
        self._failures: dict[int, int] = {}  # of tasks, by identity
        self._owners: dict[int, Job] = {}  # of tasks under way or waiting to be done again
        self._done_bytes = self._archive_bytes = 0

    def run(self) -> None:
        """Do it all. Raises TaskFailedError, and what on_failed raises; then no output is published any more."""
        try:
            while self._step():
                pass
        except BaseException:
            for job in self._active:
                job.abort()
            raise

    def _step(self) -> bool:
        """Deal out, wait; False when all is done."""
        while self._pool.free > 0 and (task := self._next_task()) is not None:
            self._pool.submit(task)
        if self._ended and not self._active and not self._pool.running:
            return False
        for task, result in self._pool.wait(WAIT_SECONDS):
            self._take(task, result)
        self._show()
        return True

    def _next_task(self) -> Task | None:
        while self._again:
            task = self._again.popleft()
            if self._owners[id(task)] in self._active:
                return task
            self._forget(task)
        for job in list(self._active):
            if (found := self._guarded(job, job.next_task)) is not None:
                self._owners[id(found)] = job
                return found
            self._finish_if_complete(job)
        while not self._ended and len(self._active) <= self._pool.free + self._pool.running:
            name, begin = next(self._beginnings, ("", None))
            if begin is None:
                self._ended = True
                return None
            try:
                job = begin()
            except (ArzipError, OSError) as error:
                self._on_failed(name, error)
                continue
            self._active.append(job)
            return self._next_task()
        return None

    def _take(self, task: Task, result: Result | Failure) -> None:
        job = self._owners[id(task)]
        if job not in self._active:
            self._forget(task)
        elif isinstance(result, Failure):
            self._retry(task, job, result)
        else:
            self._forget(task)
            self._done_bytes += raw_bytes_of(task, result)
            self._archive_bytes += task.record.size if isinstance(task, Decode) else 0
            self._guarded(job, lambda: job.take(task, result))
            self._finish_if_complete(job)

    def _retry(self, task: Task, job: Job, failure: Failure) -> None:
        """Have a task done again, or end its job, or the run."""
        error = failure.error
        if not failure.lost and isinstance(error, ArzipError):  # would be the same elsewhere
            self._forget(task)
            self._end(job, error)
            return
        failures = self._failures[id(task)] = self._failures.get(id(task), 0) + 1
        reason = "its worker was lost" if failure.lost else f"{type(error).__name__}: {error}".splitlines()[0]
        if failures >= ATTEMPTS:
            message = f"{job.name}: {_what(task)} failed {failures} times, at last on {failure.where}: {reason}"
            raise TaskFailedError(message) from error
        self._report.retried.append(f"{job.name}: {_what(task)} is done again: {reason} ({failure.where})")
        self._again.append(task)

    def _forget(self, task: Task) -> None:
        self._owners.pop(id(task), None)
        self._failures.pop(id(task), None)

    def _guarded(self, job: Job, step: Callable[[], Task | None]) -> Task | None:
        """A step of a job, whose faults end it alone."""
        try:
            return step()
        except (ArzipError, OSError) as error:
            self._end(job, error)
            return None

    def _end(self, job: Job, error: Exception) -> None:
        if job in self._active:
            self._active.remove(job)
            job.abort()
        self._on_failed(job.name, error)

    def _finish_if_complete(self, job: Job) -> None:
        if job not in self._active or not job.is_complete():
            return

        def finish() -> None:
            job.finish(self._report)
            self._active.remove(job)

        self._guarded(job, finish)

    def _show(self) -> None:
        now = time.monotonic()
        if self._progress is not None and now - self._shown >= PROGRESS_SECONDS:
            self._shown = now
            self._progress(self._done_bytes + self._pool.done_bytes(), self._archive_bytes)


def _what(task: Task) -> str:
    if isinstance(task, Cut):
        return f"cutting the window at byte {task.window.start:,}"
    if isinstance(task, Encode):
        return f"the block at byte {task.raw.start:,}"
    if isinstance(task, Decode):
        return f"block {task.number}"
    return f"a batch of {len(task.files):,} files from {task.files[0].source.name}"
