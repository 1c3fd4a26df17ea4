"""Workers on the machines of a Ray cluster: the only importer of ray. Must not know what tasks are for.

A worker is an actor with a CPU, or with a GPU; it is asked for one task at a time, or for as many as it says. What ends
with a worker, or is lost on the way back, comes out as a Failure, and the next worker takes its place.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from arzip.system import extras

extras.require("ray", "ray", "--cluster")

import ray  # noqa: E402
from ray import exceptions  # noqa: E402

from arzip.cluster.tasks import Failure, Greeting, Range, Result, Task, raw_bytes_of  # noqa: E402
from arzip.cluster.worker import ContentHash, Worker  # noqa: E402
from arzip.codec import BATCH_BLOCKS, Options  # noqa: E402
from arzip.errors import ArzipError  # noqa: E402
from arzip.version import __version__  # noqa: E402

LOCAL = "local"
MAX_FAILED_STARTS = 3  # in a row
BALANCE_SECONDS = 1.0
CONNECT_SECONDS = 10.0
PATIENCE_SECONDS = 300.0  # without a worker
HASH_CALLS, HASH_PARTS, HASH_ATTEMPTS = 8, 16, 3  # calls under way, parts in each
# Of a cluster for one command: it tells no one, and its workers don't stand back behind other processes.
LOCAL_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_enable_metrics_collection": "0",
    "RAY_worker_niceness": "0",
}


@dataclass
class _Worker:
    """An actor. greeting: None until it has started; tasks: those it is at; base: raw bytes of those it has done."""

    actor: Any
    hello: Any
    greeting: Greeting | None = None
    tasks: dict[Any, Task] = field(default_factory=dict)
    base: int = 0

    is_lost: bool = False

    @property
    def free(self) -> int:
        return self.greeting.slots - len(self.tasks) if self.greeting and not self.is_lost else 0


@contextmanager
def connected(address: str, cpus: int = 0) -> Iterator[None]:
    """A connection to the cluster at an address; "auto": the one of this machine; "local": one of this machine alone.

    cpus: of a local one, 0 for all. A connection that is there already is used and stays. Raises ArzipError.
    """
    if ray.is_initialized():
        yield
        return
    hint = "ray start --head makes one of this machine, --cluster local does for one command"
    if (fault := _unreachable(address)) is not None:
        raise ArzipError(f"no cluster at {address!r} ({fault}); {hint}")
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address == LOCAL:
        for name, value in LOCAL_SETTINGS.items():
            os.environ.setdefault(name, value)
        quiet |= {"include_dashboard": False, "num_cpus": cpus or None}
    try:
        _start(address, quiet)
    except Exception as error:  # Ray raises all kinds, and plain ones
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ArzipError(f"no cluster at {address!r} ({reason}); {hint}") from error
    finally:
        with suppress(ValueError):  # not in the main thread
            for number, handler in before.items():
                signal.signal(number, handler)
    try:
        yield
    finally:
        ray.shutdown()


def _start(address: str, settings: dict[str, Any]) -> None:
    """Connect; a local cluster that didn't come up within Ray's 30 seconds, on a busy machine, is tried once more."""
    try:
        ray.init(address=address, **settings)
    except Exception:
        ray.shutdown()
        if address != LOCAL:
            raise
        ray.init(address=address, **settings)


def _unreachable(address: str) -> str | None:
    """Why no machine answers at HOST:PORT; None if one does, or it is another kind of address.

    Ray itself ends the process where nothing answers.
    """
    host, colon, port = address.rpartition(":")
    if not colon or "/" in address or not port.isdigit():
        return None
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        return str(error.strerror or error).lower()
    return None


def has_gpus() -> bool:
    """Whether the cluster has any."""
    return bool(ray.cluster_resources().get("GPU", 0) >= 1)


class Pool:
    """The workers of a run. options: of the codec; limit: of workers, 0 for as many as the cluster has CPUs or GPUs.

    encodes: whether they compress; on_gpus: whether each takes a GPU.
    """

    def __init__(self, options: Options, limit: int, *, encodes: bool, on_gpus: bool) -> None:
        self._limit, self._on_gpus = limit, on_gpus
        self.first: Greeting | None = None  # of the worker that started first; the others agree with it
        need: dict[str, Any] = {"num_cpus": 1, "max_concurrency": 2, "scheduling_strategy": "SPREAD"}
        if on_gpus:
            need |= {"num_gpus": 1, "max_concurrency": BATCH_BLOCKS + 2}
        self._class = ray.remote(Worker).options(**need)
        self._arguments = options, encodes, on_gpus
        self._workers: list[_Worker] = []
        self._failed_starts = 0
        self._balanced = self._last_seen = time.monotonic()
        self.nodes: set[str] = set()
        self._balance()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *fault: object) -> None:
        for worker in self._workers:
            _kill(worker)
        self._workers = []

    @property
    def workers(self) -> int:
        """How many have started."""
        return sum(worker.greeting is not None for worker in self._workers)

    @property
    def running(self) -> int:
        """How many tasks are under way."""
        return sum(len(worker.tasks) for worker in self._workers)

    @property
    def free(self) -> int:
        """How many tasks could be submitted."""
        return sum(worker.free for worker in self._workers)

    def submit(self, task: Task) -> None:
        """Have a free worker do a task, the least busy one."""
        worker = max(self._workers, key=lambda worker: worker.free)
        worker.tasks[worker.actor.run.remote(task)] = task

    def wait(self, seconds: float) -> Iterator[tuple[Task, Result | Failure]]:
        """Wait until something happens, or so long; yields tasks with what became of them. Raises ArzipError."""
        self._balance()
        starting = {worker.hello: worker for worker in self._workers if worker.greeting is None}
        running = {reference: worker for worker in self._workers for reference in worker.tasks}
        references = [*starting, *running]
        if not references:
            time.sleep(seconds)
            return
        ready, rest = ray.wait(references, timeout=seconds, fetch_local=False)
        if ready and rest:
            ready += ray.wait(rest, num_returns=len(rest), timeout=0, fetch_local=False)[0]
        for reference in ready:
            if reference in starting:
                self._welcome(starting[reference])
            elif reference in running and reference in running[reference].tasks:
                yield self._collect(running[reference], reference)

    def _welcome(self, worker: _Worker) -> None:
        """A worker has started, or not."""
        try:
            greeting: Greeting = ray.get(worker.hello)
        except exceptions.RayError as error:
            self._workers.remove(worker)
            _kill(worker)
            self._failed_starts += 1
            if self._failed_starts >= MAX_FAILED_STARTS:
                raise ArzipError(f"no worker starts: {_reason(error)}") from error
            return
        if greeting.version != __version__:
            raise ArzipError(f"{greeting.node} has arzip {greeting.version}, this machine {__version__}")
        self.first = self.first or greeting
        if greeting.fields != self.first.fields:
            raise ArzipError(f"{greeting.node} has another model of that name than {self.first.node}")
        worker.greeting, self._failed_starts = greeting, 0
        self.nodes.add(greeting.node)

    def _collect(self, worker: _Worker, reference: Any) -> tuple[Task, Result | Failure]:
        """What became of a task."""
        task, where = worker.tasks.pop(reference), worker.greeting.node if worker.greeting else ""
        try:
            result: Result = ray.get(reference)
            worker.base += raw_bytes_of(task, result)
            return task, result
        except exceptions.RayTaskError as error:
            cause = error.cause if isinstance(getattr(error, "cause", None), Exception) else error
            return task, Failure(cause, where, lost=False)
        except exceptions.RayError as error:
            worker.is_lost |= isinstance(error, exceptions.RayActorError)
            if worker.is_lost and not worker.tasks and worker in self._workers:
                self._workers.remove(worker)
                _kill(worker)
            return task, Failure(error, where, lost=True)

    def _balance(self) -> None:
        """Start workers where there is room for them."""
        now = time.monotonic()
        if self.workers:
            self._last_seen = now
        elif now - self._last_seen > PATIENCE_SECONDS:
            raise ArzipError(f"no worker for {PATIENCE_SECONDS:.0f} seconds: the cluster has no free CPU, or no GPU")
        if self._workers and now - self._balanced < BALANCE_SECONDS:
            return
        self._balanced = now
        there = int(ray.cluster_resources().get("GPU" if self._on_gpus else "CPU", 0))
        for _ in range((self._limit or max(there, 1)) - len(self._workers)):
            actor = self._class.remote(*self._arguments)
            self._workers.append(_Worker(actor, actor.hello.remote()))

    def done_bytes(self) -> int:
        """Raw bytes of tasks under way that are done, as far as workers say so at once."""
        asked = {worker.actor.done_bytes.remote(): worker for worker in self._workers if worker.tasks}
        answered = ray.wait(list(asked), num_returns=len(asked), timeout=0.5)[0] if asked else []
        total = 0
        for reference in answered:
            with suppress(exceptions.RayError):
                total += max(0, ray.get(reference) - asked[reference].base)
        return total


def _kill(worker: _Worker) -> None:
    with suppress(exceptions.RayError, ValueError):
        ray.kill(worker.actor)


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


class RemoteHash:
    """A ContentHash beside the driver, which sees no data; begun anew where it is lost."""

    def __init__(self) -> None:
        self._parts: list[tuple[Range, int]] = []
        self._sent = 0
        self._calls: list[Any] = []
        self._actor: Any = None
        self._faults = 0

    def update(self, part: Range, check: int) -> None:
        """Add a part, which will be read. Raises ArzipError if one before has changed."""
        self._parts.append((part, check))
        self._send(wait=False)

    def digest(self) -> bytes:
        """Of all parts. Raises ArzipError."""
        while True:
            self._send(wait=True)
            if self._actor is not None and self._sent == len(self._parts):
                try:
                    digest: bytes = ray.get(self._actor.digest.remote())
                    return digest
                except exceptions.RayActorError:
                    self._begin()

    def close(self) -> None:
        """Let the actor go."""
        self._begin()
        self._parts = []

    def _begin(self) -> None:
        """Anew, with another actor."""
        if self._actor is not None:
            with suppress(exceptions.RayError):
                ray.kill(self._actor)
        self._actor, self._sent, self._calls = None, 0, []

    def _send(self, wait: bool) -> None:
        """Have the actor read what it can take, or all."""
        if self._actor is None:
            self._actor = ray.remote(ContentHash).options(num_cpus=0).remote()
        try:
            while wait or self._calls:
                ready, _ = ray.wait(self._calls[:1], timeout=None if wait else 0) if self._calls else ([], [])
                if not ready:
                    break
                ray.get(self._calls.pop(0))
            while self._sent < len(self._parts) and (wait or len(self._calls) < HASH_CALLS):
                parts = self._parts[self._sent : self._sent + HASH_PARTS]
                self._calls.append(self._actor.update.remote(parts))
                self._sent += len(parts)
            if wait:
                ray.get(self._calls)
                self._calls = []
        except exceptions.RayTaskError as error:
            cause = getattr(error, "cause", None)
            self._faults += 1
            if isinstance(cause, ArzipError) or self._faults >= HASH_ATTEMPTS:
                raise cause if isinstance(cause, ArzipError | OSError) else error from None
            self._begin()
        except exceptions.RayActorError:
            self._begin()
