"""Ordered `map` over several threads, with bounded look-ahead."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from types import TracebackType
from typing import TypeVar

MAX_WAITING = 512  # threads, of which few run at a time: see `hold`

In = TypeVar("In")
Out = TypeVar("Out")


class CancelledError(Exception):
    """Raised inside a worker whose result is no longer needed."""


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def free_bytes() -> int:
    """Free memory of this machine, in bytes; a guess where the system doesn't say."""
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 4 << 30


class Workers:
    """A thread pool. Leaving the context cancels running work, which must call `check` now and then."""

    def __init__(self, threads: int) -> None:
        self.threads = threads or usable_cores()
        self._ahead = self.threads + 1  # one is at hand when another ends
        self._pool = ThreadPoolExecutor(MAX_WAITING)
        self._cancelled = threading.Event()
        self._free = self.threads
        self._unfinished = 0  # of what was submitted
        self._freed = threading.Condition()

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._cancelled.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def look_ahead(self, items: int) -> None:
        """Let so many items, at least, be worked on at a time: more than threads, if most of them wait for a device."""
        self._ahead = max(self._ahead, min(items, MAX_WAITING - 1))

    @contextmanager
    def hold(self, threads: int) -> Iterator[None]:
        """Context that occupies `threads` threads of the pool (at most all): waits until so many are free."""
        threads = min(threads, self.threads)
        with self._freed:
            self._freed.wait_for(lambda: self._free >= threads)
            self._free -= threads
        try:
            yield
        finally:
            with self._freed:
                self._free += threads
                self._freed.notify_all()

    def is_crowded(self) -> bool:
        """Whether there is work for all threads, if each piece of it takes one."""
        with self._freed:
            return self._unfinished >= max(self.threads, 2)

    def check(self) -> None:
        """Raises CancelledError once the context is left."""
        if self._cancelled.is_set():
            raise CancelledError

    def submit(self, work: Callable[[In], Out], item: In) -> Future[Out]:
        """Have a thread of the pool compute work(item). Raises MemoryError if there is none left for a thread."""

        def counted(item: In) -> Out:
            try:
                return work(item)
            finally:
                with self._freed:
                    self._unfinished -= 1

        with self._freed:
            self._unfinished += 1
        try:
            return self._pool.submit(counted, item)
        except RuntimeError as error:
            if "can't start new thread" in str(error):
                raise MemoryError from error
            raise

    def map(
        self, work: Callable[[In], Out], items: Iterable[In], cost: Callable[[In], float] | None = None
    ) -> Iterator[Out]:
        """Yield work(item) for each item, in order. An exception is raised after all earlier results.

        cost: what of something an item takes, until its result is asked for; no more than 1 is taken at a time, unless
        by one item alone.
        """
        waiting: deque[tuple[Future[Out], float]] = deque()
        ready: list[tuple[In, float]] = []  # waits for what others take
        fault: Exception | None = None
        source, taken = iter(items), 0.0
        while True:
            while fault is None and len(waiting) < self._ahead:
                try:
                    item, share = ready.pop() if ready else _priced(next(source), cost)
                    if waiting and taken + share > 1:
                        ready.append((item, share))
                        break
                    waiting.append((self.submit(work, item), share))
                    taken += share
                except StopIteration:
                    break
                except Exception as error:  # raised after the results before it
                    fault = error
            if not waiting:
                break
            future, share = waiting.popleft()
            yield future.result()
            taken -= share
        if fault is not None:
            raise fault


def _priced(item: In, cost: Callable[[In], float] | None) -> tuple[In, float]:
    return item, cost(item) if cost else 0.0
