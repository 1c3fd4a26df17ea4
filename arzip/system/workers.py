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

In = TypeVar("In")
Out = TypeVar("Out")


class CancelledError(Exception):
    """Raised inside a worker whose result is no longer needed."""


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Workers:
    """A thread pool. Leaving the context cancels running work, which must call `check` now and then."""

    def __init__(self, threads: int) -> None:
        self.threads = threads or usable_cores()
        self._pool = ThreadPoolExecutor(self.threads)
        self._cancelled = threading.Event()
        self._free = self.threads
        self._freed = threading.Condition()

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._cancelled.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

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

    def check(self) -> None:
        """Raises CancelledError once the context is left."""
        if self._cancelled.is_set():
            raise CancelledError

    def submit(self, work: Callable[[In], Out], item: In) -> Future[Out]:
        """Have a thread of the pool compute work(item)."""
        return self._pool.submit(work, item)

    def map(self, work: Callable[[In], Out], items: Iterable[In]) -> Iterator[Out]:
        """Yield work(item) for each item, in order. An exception is raised after all earlier results."""
        waiting: deque[Future[Out]] = deque()
        fault: Exception | None = None
        source = iter(items)
        while True:
            while fault is None and len(waiting) <= self.threads:
                try:
                    waiting.append(self._pool.submit(work, next(source)))
                except StopIteration:
                    break
                except Exception as error:  # raised after the results before it
                    fault = error
            if not waiting:
                break
            yield waiting.popleft().result()
        if fault is not None:
            raise fault
