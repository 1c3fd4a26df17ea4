"""The GPUs of a run, and the wide blocks that wait for them: collected from many threads, coded in batches.

A thread that comes with a block waits here until it is coded. A batch starts when there are enough blocks for one, or
when all threads that could bring another are waiting too. A device that fails is given up, and those whose blocks it
had are told: the CPU codes them. What talks to the driver is imported when devices are opened. Must not import torch.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING

from arzip.coding.lane_state import LaneState
from arzip.context_mixing.profile import PROFILES
from arzip.context_mixing.state import size_class
from arzip.engine.backend import OnBytes
from arzip.engine.plan import Plan
from arzip.errors import UnsupportedError

if TYPE_CHECKING:
    from arzip.engine.cuda_blocks import CudaBlocks, Model, Work

DEVICES = ("auto", "cpu", "cuda")
QUIET_SECONDS = 0.05  # a batch that isn't full waits so long for another block
Opener = Callable[[], "list[CudaBlocks]"]


class DeviceFailedError(Exception):
    """No device coded the block: the CPU has to."""


class _Job:
    """A block that waits, and what became of it: coded if there is no error."""

    def __init__(self, key: Hashable, plan: Plan, model: Model, work: Work) -> None:
        self.key, self.plan, self.model, self.work = key, plan, model, work
        self.error: BaseException | None = None
        self.is_done = threading.Event()

    def end(self, error: BaseException | None) -> None:
        self.error = error
        self.is_done.set()


def open_gpus() -> list[CudaBlocks]:
    """A coder on each device of the driver that will do. Raises NoDriverError where there is none."""
    from arzip.engine.cuda_blocks import CudaBlocks
    from arzip.engine.cuda_driver import Device, DriverError, NoDriverError, count_devices, load_library

    library = load_library()
    coders, reason = [], "the CUDA driver has no device"
    for number in range(count_devices(library)):
        try:
            coders.append(CudaBlocks(Device(number, library)))
        except (NoDriverError, DriverError) as error:
            reason = str(error)
    if not coders:
        raise NoDriverError(reason)
    return coders


class Devices:
    """What "auto", "cpu" or "cuda" stands for on this machine. Nothing is opened before `open`. Leave the context.

    name: of what codes wide blocks; "" before `open`. faults: what devices were given up for, one line each.
    """

    def __init__(self, device: str, opener: Opener | None = None) -> None:
        """opener: what opens the GPUs, `open_gpus` if None. Raises UnsupportedError on another word."""
        if device not in DEVICES:
            raise UnsupportedError(f"no device is called {device!r}: {', '.join(DEVICES)}")
        self._device, self._opener = device, opener or open_gpus
        self._changed = threading.Condition()
        self._waiting: list[_Job] = []
        self._members = self._running = 0
        self._at_once = 1
        self._coders: list[CudaBlocks] = []
        self._threads: list[threading.Thread] = []
        self._closed = False
        self.name, self.blocks = "", 0
        self.faults: list[str] = []

    def __enter__(self) -> Devices:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._changed:
            self._closed, left, self._waiting = True, self._waiting, []
            self._changed.notify_all()
        for job in left:
            job.end(DeviceFailedError("the run has ended"))
        for thread in self._threads:
            thread.join()

    def open(self, at_once: int) -> int:
        """Open the GPUs, once; at_once: blocks of a batch. Returns how many blocks keep all GPUs busy, 0 without any.

        Raises UnsupportedError where there is none and "cuda" was asked for.
        """
        with self._changed:
            if not self.name:
                self._open()
            self._at_once = max(at_once, 1)
            return 2 * self._at_once * len(self._coders)

    def _open(self) -> None:
        self.name = "the CPU"
        if self._device == "cpu":
            return
        from arzip.engine.cuda_driver import DriverError, NoDriverError

        try:
            self._coders = self._opener()
        except (NoDriverError, DriverError) as error:
            if self._device == "cuda":
                raise UnsupportedError(f"{error}; use --device cpu: archives are the same") from error
            self.name = f"the CPU: {error}"
            return
        self.name = ", ".join(coder.name for coder in self._coders)
        if reasons := {coder.without_network for coder in self._coders} - {""}:
            self.name += f" ({', '.join(sorted(reasons))})"
        self._threads = [threading.Thread(target=self._serve, args=(coder,), daemon=True) for coder in self._coders]
        for thread in self._threads:
            thread.start()

    @contextmanager
    def bringing_blocks(self) -> Iterator[None]:
        """Context of a thread that may come with a block: batches wait for it."""
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)

    def _count(self, change: int) -> None:
        with self._changed:
            self._members += change
            self._changed.notify_all()

    def supports(self, plan: Plan) -> bool:
        """Whether blocks of this plan can be coded here."""
        with self._changed:
            return any(coder.supports(plan) for coder in self._coders)

    def code(self, block: LaneState, plan: Plan, model: Model, on_bytes: OnBytes) -> None:
        """Code a wide block before its first step, as CudaBlocks.code. Raises DeviceFailedError and what on_bytes does.

        on_bytes is called from another thread; after a failure it has got a negative number, so that nothing counts.
        """
        from arzip.engine.cuda_blocks import Work

        assert plan.cm_profile is not None
        size, done = block.text.size, 0

        def count(coded: int) -> None:
            nonlocal done
            if self._closed:
                raise DeviceFailedError("the run has ended")
            done += coded
            on_bytes(coded)

        key = model, plan, block.is_decoding, size_class(PROFILES[plan.cm_profile], size)
        job = _Job(key, plan, model, Work(block, count))
        with self._changed:
            if self._closed or not any(coder.supports(plan) for coder in self._coders):
                raise DeviceFailedError("no GPU is left")
            self._waiting.append(job)
            self._changed.notify_all()
        job.is_done.wait()
        if job.error is not None:
            on_bytes(-done)
            raise job.error
        with self._changed:
            self.blocks += 1

    def _serve(self, coder: CudaBlocks) -> None:
        """A device's thread: batch after batch, until one fails or the context is left."""
        from arzip.engine.cuda_driver import DriverError

        batch: list[_Job] = []
        try:
            coder.enter()
            while batch := self._next_batch(coder):
                self._code(coder, batch)
        except DriverError as error:
            with self._changed:
                self._coders.remove(coder)
            self._failed(f"{coder.name} failed, the CPU goes on: {error}", batch)

    def _code(self, coder: CudaBlocks, batch: list[_Job]) -> None:
        """Code a batch and tell those who wait for it. Raises DriverError, and then they wait on."""
        from arzip.engine.cuda_driver import DriverError
        from arzip.engine.cuda_network import NetworkFailedError

        failure: BaseException | None = None
        try:
            coder.code([job.work for job in batch], batch[0].plan, batch[0].model)
        except NetworkFailedError as error:
            self._failed(f"{coder.name} goes on without the network, the CPU with it: {error}", batch)
            return
        except DriverError:
            raise
        except BaseException as error:  # by on_bytes, or for want of memory
            failure = error
        self._end(batch, failure)

    def _failed(self, fault: str, batch: list[_Job]) -> None:
        """Leave a batch to the CPU, and all blocks that no device can code any more."""
        with self._changed:
            self.faults.append(fault)
            left = [job for job in self._waiting if not any(coder.supports(job.plan) for coder in self._coders)]
            self._waiting = [job for job in self._waiting if job not in left]
        for job in left:
            job.end(DeviceFailedError(fault))
        self._end(batch, DeviceFailedError(fault))

    def _end(self, batch: list[_Job], error: BaseException | None) -> None:
        with self._changed:
            self._running -= len(batch)
            self._changed.notify_all()
        for job in batch:
            job.end(error)

    def _next_batch(self, coder: CudaBlocks) -> list[_Job]:
        """Blocks to be coded together; none: the context was left."""
        with self._changed:
            while not self._closed:
                batch = self._ready(coder)
                if batch:
                    self._waiting = [job for job in self._waiting if job not in batch]
                    self._running += len(batch)
                    return batch
                self._changed.wait()
            return []

    def _ready(self, coder: CudaBlocks) -> list[_Job]:
        """Enough blocks for a batch, or all that there can be now; none: it is worth waiting."""
        while True:
            batch, blocks = self._alike(coder), len(self._waiting) + self._running
            if not batch or len(batch) >= self._at_once:
                return batch
            if blocks < self._members:
                return []
            if not self._changed.wait(QUIET_SECONDS):  # no thread came or went; another device may have taken some
                batch = self._alike(coder)
                return batch[: -(-len(batch) // len(self._coders))]  # each device gets some

    def _alike(self, coder: CudaBlocks) -> list[_Job]:
        """The blocks that can be coded together, of those that wait for this device: as many as possible."""
        alike: dict[Hashable, list[_Job]] = defaultdict(list)
        for job in self._waiting:
            if coder.supports(job.plan):
                alike[job.key].append(job)
        return max(alike.values(), key=len, default=[])[: self._at_once]
