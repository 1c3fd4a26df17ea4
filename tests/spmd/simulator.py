"""Runs SPMD kernels as plain Python by the threads of a simulated CUDA block, and reports data races.

    NUMBA_DISABLE_JIT=1 python -m spmd.simulator JOBS.json

One thread runs at a time; which goes on at a barrier or an atomic operation is drawn at random. Every access to an
element of the model's arrays is kept until the next barrier. Accesses of several threads to one place race, unless all
are reads, or all the same atomic operation, or all writes leave one value and every thread that read another one writes
it too (an update that may be repeated: several lanes bring an entry into range).
"""

from __future__ import annotations

import hashlib
import json
import operator
import random
import sys
import threading
from collections import defaultdict
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from arzip.coding import wide
from arzip.coding.lane_state import LaneState
from arzip.context_mixing.state import CMState
from arzip.jit import compile as jit_compile
from arzip.jit import spmd
from arzip.jit.compile import Intrinsic
from arzip.jit.spmd import Launch


def _caller() -> str:
    """The function and line that called into this file."""
    frame: Any = sys._getframe()
    while frame.f_code.co_filename == __file__:
        frame = frame.f_back
    return f"{frame.f_code.co_name}:{frame.f_lineno}"


class Access(NamedTuple):
    """What a thread did to a place."""

    thread: int
    kind: str  # read, write, add or max
    value: int
    team_phase: int  # how many barriers the thread's team had passed


class Divergence(RuntimeError):
    """Threads wait at different barriers, or for one that others never reach."""


def races(accesses: list[Access], team_size: int) -> bool:
    """Whether accesses to one place between two block barriers depend on their order."""
    threads, kinds = {a.thread for a in accesses}, {a.kind for a in accesses}
    if len(threads) == 1 or kinds in ({"read"}, {"add"}, {"max"}):
        return False
    if len({thread // team_size for thread in threads}) == 1 and len({a.team_phase for a in accesses}) > 1:
        phases = defaultdict(list)
        for access in accesses:
            phases[access.team_phase].append(access)
        return any(races(phase, team_size) for phase in phases.values())
    written = {a.value for a in accesses if a.kind == "write"}
    if not kinds <= {"read", "write"} or len(written) != 1:
        return True
    writers = {a.thread for a in accesses if a.kind == "write"}
    return any(a.value not in written and a.thread not in writers for a in accesses)


class Watched:
    """An array, or a row of one, whose every access is reported."""

    def __init__(self, name: str, array: NDArray[Any], block: SimulatedBlock, first: int = 0) -> None:
        self.name, self.array, self.block, self.first = name, array, block, first
        self.shape, self.size, self.dtype = array.shape, array.size, array.dtype
        self.strides = [int(np.prod(array.shape[k + 1 :])) for k in range(array.ndim)]

    def place(self, index: Any) -> int:
        """Position of an index in the array, from its first element on. Raises IndexError outside it, below 0 too."""
        index = index if isinstance(index, tuple) else (index,)
        place = 0
        for at, extent, stride in zip(index, self.shape, self.strides, strict=False):
            if not 0 <= int(at) < extent:
                raise IndexError(f"{self.name}{index} of {self.shape}")
            place += int(at) * stride
        return place

    def __getitem__(self, index: Any) -> Any:
        place, value = self.place(index), self.array[index]
        if isinstance(value, np.ndarray):
            return Watched(self.name, value, self.block, self.first + place)
        self.block.note(self.name, self.first + place, "read", int(value))
        return value

    def __setitem__(self, index: Any, value: Any) -> None:
        new = np.asarray(value).astype(self.dtype)
        self.block.note(self.name, self.first + self.place(index), "write", int(new))
        self.array[index] = new

    def change(self, index: Any, kind: str, operation: Callable[[Any, Any], Any], value: Any) -> None:
        """An atomic operation."""
        self.block.note(self.name, self.first + self.place(index), kind, int(value))
        self.array[index] = operation(self.array[index], np.asarray(value).astype(self.dtype))
        self.block.perhaps_switch()


class SimulatedBlock:
    """The threads of a CUDA block, and what the primitives of arzip.jit.spmd are to them."""

    def __init__(self, launch: Launch, seed: int, without: str = "") -> None:
        self.launch, self.random, self.without = launch, random.Random(seed), without
        self.found: dict[str, int] = defaultdict(int)  # array -> places where threads raced
        self.barriers: dict[str, int] = defaultdict(int)  # name of a barrier, as `without` takes it -> times passed
        self.accesses: dict[tuple[str, int], list[Access]] = defaultdict(list)
        self.total = 0
        self.here = threading.local()
        teams = launch.block_threads // launch.team_size
        self.team_phases = [0] * teams
        self.team_waiting: list[dict[int, Any]] = [{} for _ in range(teams)]
        self.waiting: dict[int, Any] = {}
        self.sums = [0] * launch.block_threads
        self.turn = [threading.Semaphore(0) for _ in range(launch.block_threads)]
        self.runnable, self.alive = set(range(launch.block_threads)), set(range(launch.block_threads))
        self.failure: BaseException | None = None
        self.done = threading.Event()

    def run(self, kernel: Callable[[], None]) -> None:
        """Run a kernel by all threads of the block. Raises what one of them raises, or Divergence."""
        for index in sorted(self.alive):
            threading.Thread(target=self._thread, args=(index, kernel), daemon=True).start()
        self._wake_one()
        self.done.wait()
        self._end_phase()
        if self.failure:
            raise self.failure

    def _thread(self, index: int, kernel: Callable[[], None]) -> None:
        self.here.index = index
        np.seterr(all="ignore")  # integers wrap, as in compiled kernels
        self.turn[index].acquire()
        try:
            kernel()
            self.alive.discard(index)
            self.runnable.discard(index)
            self._wake_one()
        except BaseException as error:
            self.failure = error
            self.done.set()

    def _wake_one(self) -> None:
        if self.runnable:
            self.turn[self.random.choice(sorted(self.runnable))].release()
        elif self.alive:
            raise Divergence(f"threads {sorted(self.waiting)} of {sorted(self.alive)} wait at a barrier")
        else:
            self.done.set()

    def _switch(self) -> None:
        self._wake_one()
        self.turn[self.here.index].acquire()

    def perhaps_switch(self) -> None:
        """Let another thread go on, now and then."""
        if self.random.random() < 0.02:
            self._switch()

    def note(self, name: str, place: int, kind: str, value: int) -> None:
        """Keep an access until the next block barrier."""
        self.total += 1
        thread = self.here.index
        phase = self.team_phases[thread // self.launch.team_size]
        self.accesses[name, place].append(Access(thread, kind, value, phase))

    def _end_phase(self) -> None:
        for (name, _), accesses in self.accesses.items():
            if races(accesses, self.launch.team_size):
                self.found[name] += 1
        self.accesses.clear()

    def _meet(self, waiting: dict[int, Any], count: int) -> bool:
        """Wait until `count` threads have come to the same call of a barrier; True for the last of them."""
        name, frame, calls = _caller(), sys._getframe(), []
        while frame.f_back and frame.f_code is not self._thread.__code__:
            frame = frame.f_back
            calls.append((frame.f_code, frame.f_lasti))
        waiting[self.here.index] = calls
        self.runnable.discard(self.here.index)
        is_last = len(waiting) == count
        if is_last:
            if any(other != calls for other in waiting.values()):
                raise Divergence(f"threads meet at {name} and at another barrier")
            self.barriers[name] += 1
            self.runnable |= waiting.keys()
            waiting.clear()
        return is_last

    def _is_left_out(self) -> bool:
        name = _caller()
        return self.without in (name, name.split(":")[0])

    def block_barrier(self) -> None:
        if self._is_left_out():
            return
        if self._meet(self.waiting, self.launch.block_threads):
            self._end_phase()
        self._switch()

    def team_barrier(self) -> None:
        if not self._is_left_out():
            self._meet_team(True)

    def _meet_team(self, orders_memory: bool) -> None:
        team = self.here.index // self.launch.team_size
        if self.launch.team_size > 1:
            if self._meet(self.team_waiting[team], self.launch.team_size):
                self.team_phases[team] += orders_memory
            self._switch()

    def team_sum(self, value: Any) -> Any:
        first = self.here.index // self.launch.team_size * self.launch.team_size
        self.sums[self.here.index] = int(value)
        self._meet_team(False)  # a shuffle orders no accesses to memory
        total = sum(self.sums[first : first + self.launch.team_size])
        self._meet_team(False)
        return np.int32(total)

    def _plain(self, array: Watched, index: Any, kind: str, operation: Callable[[Any, Any], Any], value: Any) -> None:
        """An operation that should have been atomic."""
        old = array[index]
        self.perhaps_switch()
        array[index] = operation(old, value)

    def primitives(self) -> dict[str, Callable[..., Any]]:
        """Names of arzip.jit.spmd -> what this block's threads run."""
        add = self._plain if self.without == "atomic_add" else Watched.change
        largest = self._plain if self.without == "atomic_max" else Watched.change
        size, teams = self.launch.team_size, self.launch.block_threads // self.launch.team_size
        return {
            "team_index": lambda: np.uint64(self.here.index // size),
            "team_count": lambda: np.uint64(teams),
            "member_index": lambda: np.int64(self.here.index % size),
            "member_count": lambda: np.int64(size),
            "leads_team": lambda: self.here.index % size == 0,
            "leads_block": lambda: self.here.index == 0,
            "block_barrier": self.block_barrier,
            "team_barrier": self.team_barrier,
            "team_sum": self.team_sum,
            "atomic_add": lambda array, index, value: add(array, index, "add", operator.add, value),
            "atomic_max": lambda array, index, value: largest(array, index, "max", max, value),
        }


def install(block: SimulatedBlock) -> Callable[[], None]:
    """Let all kernels run by this block's threads, until the function that is returned is called."""
    replaced = {getattr(spmd, name): function for name, function in block.primitives().items()}
    replaced |= spmd.CUDA_VERSIONS | {jit_compile.prefetch: lambda array, index: None}
    undo: list[tuple[Any, str, Any]] = []
    for module in [m for name, m in sys.modules.items() if name.startswith("arzip")]:
        for name, value in list(vars(module).items()):
            if isinstance(value, Intrinsic) and value in replaced:
                undo.append((module, name, value))
                setattr(module, name, replaced[value])
    return lambda: [setattr(*entry) for entry in undo] and None  # type: ignore[func-returns-value]


def simulate(state: str, launch: Launch, steps: tuple[int, int], seed: int, without: str = "") -> dict[str, Any]:
    """Code steps of the block in a file of arrays by simulated threads -> digests of all arrays, races, barriers."""
    block = SimulatedBlock(launch, seed, without)
    arrays = dict(np.load(state))
    watched = {name: Watched(name, array, block) for name, array in arrays.items()}
    cm, lanes = (
        kind(**{name.split(".")[1]: array for name, array in watched.items() if name.startswith(prefix)})
        for kind, prefix in ((CMState, "cm."), (LaneState, "block."))
    )
    undo = install(block)
    try:
        block.run(lambda: wide.code_steps(cm, lanes, watched["frequencies"], *steps))
        failure = ""
    except (Divergence, IndexError) as error:
        failure = repr(error)
    undo()
    digests = {name: hashlib.sha256(array.tobytes()).hexdigest() for name, array in arrays.items()}
    return {
        "digests": digests,
        "races": block.found,
        "barriers": block.barriers,
        "accesses": block.total,
        "failure": failure,
    }


def main(path: str) -> None:
    with open(path) as file:
        jobs = json.load(file)
    for job in jobs:
        result = simulate(job["state"], Launch(*job["launch"]), tuple(job["steps"]), job["seed"], job["without"])
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
