"""Short blocks of one lane, many of them, and blocks after a dictionary. The network predicts for a batch of blocks in
lockstep; what coding starts from is worked out once, and the tables, which are large beside a short block, are used
again: only what a block has changed is made good.

What a block becomes is what `Engine` makes of it. Must not import archive or file code.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from arzip.coding import prefill, range_coder, records
from arzip.coding.lane_state import LaneState, new_lane_state, reserve
from arzip.coding.wide import SHARED
from arzip.context_mixing import predictor, static_shapes
from arzip.context_mixing.profile import PROFILES
from arzip.context_mixing.state import SIZE, CMState, size_class
from arzip.context_mixing.state_table import STATES
from arzip.engine.backend import OnBytes, OnCosts
from arzip.engine.cpu_backend import CpuBackend
from arzip.engine.engine import Engine, code_chunks
from arzip.engine.plan import Plan
from arzip.network import forward_cpu

MAX_BYTES = 1 << 13  # of a block whose tables are used again; beyond it new ones take no longer
MAX_STARTS = 2  # that are kept
LISTED = frozenset(("slots", "maps", "match_table", "run_table"))  # what `records.Changes` is about


class _Start(NamedTuple):
    """What blocks start from: context mixing, not to be changed, the network's lane, and states that are free."""

    cm: CMState
    network: forward_cpu.State
    free: list[CMState]


class RecordEngine(Engine):
    """An engine that shares the model with `engine`, for many short blocks, and for blocks after a dictionary.

    dictionary: what each block of one lane follows (docs/FORMAT.md, 'Dictionary'); b"": nothing. Several threads may
    use it. Holds up to MAX_STARTS starting states, and for each of them one state for each thread that was busy.
    """

    def __init__(self, engine: Engine, dictionary: bytes = b"") -> None:
        self.__dict__.update(engine.__dict__)
        assert isinstance(self._backend, CpuBackend)
        self._cpu: CpuBackend = self._backend
        self._plain = engine
        self._dictionary = np.frombuffer(dictionary, np.uint8)
        self._starts: dict[tuple[Any, ...], _Start] = {}
        self._lock = threading.Lock()

    def encode(
        self, raw: bytes, plan: Plan, on_bytes: OnBytes, on_costs: OnCosts | None = None, only_block: bool = True
    ) -> bytes:
        """As of Engine."""
        if self._is_short(plan, len(raw)) and on_costs is None:
            (stream,) = self.encode_records([raw], plan, lambda: on_bytes(len(raw)))
            return stream
        if not self._follows(plan):
            return super().encode(raw, plan, on_bytes, on_costs, only_block)
        block = self._new_block(np.frombuffer(raw, np.uint8), plan, None, on_costs is not None)
        block = self._code(block, plan, on_bytes, on_costs, only_block)
        return range_coder.finish(block.registers, block.stream)

    def decode(self, payload: bytes, raw_bytes: int, plan: Plan, on_bytes: OnBytes, only_block: bool = True) -> bytes:
        """As of Engine."""
        short = self._is_short(plan, raw_bytes)
        if not short and not self._follows(plan):
            return super().decode(payload, raw_bytes, plan, on_bytes, only_block)
        block = self._new_block(np.zeros(raw_bytes, np.uint8), plan, payload)
        if short:
            start = self._start(plan, raw_bytes)
            self._code_short(block, plan, start, prefill.NO_PREFILL, self._lanes_after(start, 1))
            on_bytes(raw_bytes)
        else:
            block = self._code(block, plan, on_bytes, None, only_block)
        return block.text[self._dictionary.size :].tobytes()

    def cost_bits(self, raw: bytes, plan: Plan) -> float:
        """As of Engine: without the dictionary, as it is asked of samples."""
        return self._plain.cost_bits(raw, plan)

    def encode_records(self, raws: Sequence[bytes], plan: Plan, check: Callable[[], None]) -> list[bytes]:
        """The streams of short blocks, of at least one byte each, under one plan of one lane with context mixing.

        check: called after each; what it raises ends the work.
        """
        assert plan.lanes == 1 and plan.cm_profile is not None
        order = sorted(range(len(raws)), key=lambda number: -len(raws[number]))
        starts = np.cumsum([0] + [len(raws[number]) for number in order])
        text = np.frombuffer(bytearray().join(raws[number] for number in order), np.uint8)
        streams, first_start = [b""] * len(raws), self._start(plan, len(raws[order[0]]))
        prefilled = self._predict(text, starts, first_start) if plan.use_network else prefill.NO_PREFILL
        for number, first, end in zip(order, starts, starts[1:], strict=False):
            block = reserve(self._new_block(text[first:end], plan, None), int(end - first))
            start, known = self._start(plan, int(end - first)), prefilled[first:end]
            self._code_short(block, plan, start, known if plan.use_network else prefilled, start.network)
            streams[number] = range_coder.finish(block.registers, block.stream)
            check()
        return streams

    def _follows(self, plan: Plan) -> bool:
        """Whether blocks of this plan start after the dictionary."""
        return self._dictionary.size > 0 and plan.lanes == 1 and not plan.wide

    @staticmethod
    def _is_short(plan: Plan, size: int) -> bool:
        return size <= MAX_BYTES and plan.lanes == 1 and not plan.wide and plan.cm_profile is not None

    def _new_block(self, raw: NDArray[np.uint8], plan: Plan, payload: bytes | None, record: bool = False) -> LaneState:
        """The block of one lane that holds the dictionary, as if just coded, and `raw`."""
        text = np.concatenate([self._dictionary, raw])
        block = new_lane_state(text, 1, plan.components, payload, record)
        block.last[:] = self._last()
        return block

    def _last(self) -> int:
        """The byte before a block, for the network; 0 before any."""
        return int(self._dictionary[-1]) if self._dictionary.size else 0

    def _predict(self, text: NDArray[np.uint8], starts: NDArray[np.int64], start: _Start) -> NDArray[np.int32]:
        """P(bit = 1) by the network, of each bit of records; see `records.predict_records`."""
        prefilled, lanes = np.empty((text.size, 1, 8), np.int32), starts.size - 1
        last = np.full(lanes, self._last(), np.uint8)
        records.predict_records(self._cpu.network, self._lanes_after(start, lanes), text, starts, last, prefilled)
        return prefilled

    def _lanes_after(self, start: _Start, lanes: int) -> forward_cpu.State:
        """The network's state of so many lanes, each after the dictionary."""
        state = forward_cpu.init_state(self._network_of(start), lanes)
        state.context[:] = start.network.context
        state.pair[:] = start.network.pair
        state.h[:] = start.network.h
        return state

    def _network_of(self, start: _Start) -> forward_cpu.Network:
        return self._cpu.network if start.network.h.size else forward_cpu.empty_network()

    def _code(
        self, block: LaneState, plan: Plan, on_bytes: OnBytes, on_costs: OnCosts | None, only_block: bool
    ) -> LaneState:
        """Code a block of any length on a state of its own."""
        start, known = self._start(plan, block.text.size - self._dictionary.size), self._dictionary.size
        cm = self._copy(start, block.text.size)
        cm.clock[SIZE] = block.text.size
        run = self._cpu.start(plan, cm, only_block, self._lanes_after(start, 1))
        return code_chunks(run, block, on_bytes, on_costs, known)

    def _code_short(
        self,
        block: LaneState,
        plan: Plan,
        start: _Start,
        prefilled: NDArray[np.int32],
        state: forward_cpu.State,
    ) -> None:
        """Code a block on a state that is used again, on this thread."""
        known, size = self._dictionary.size, block.text.size
        with self._lock:
            cm = start.free.pop() if start.free else None
        cm = cm or self._copy(start, start.cm.text.size - 8)
        cm.clock[SIZE] = size
        changes, counts = records.new_changes(cm, size - known), static_shapes.counts_of(cm)
        network = self._cpu.network if plan.use_network else forward_cpu.empty_network()
        records.code_record(network, state, cm, block, prefilled, known, changes, counts)
        _undo(cm, start.cm, changes)
        cm.text[known:size] = 0
        with self._lock:
            start.free.append(cm)

    def _copy(self, start: _Start, room: int) -> CMState:
        """A state of its own that is equal, with room for a text of so many bytes."""
        arrays = start.cm._asdict().items()
        own = {name: array.copy() for name, array in arrays if name not in SHARED and name != "text"}
        text = np.zeros(room + 8, np.uint8)
        text[: self._dictionary.size] = self._dictionary
        return start.cm._replace(**own, text=text)

    def _start(self, plan: Plan, size: int) -> _Start:
        """What a block of `size` bytes starts from."""
        known, profile = self._dictionary.size, PROFILES[plan.cm_profile or 0]
        tables = 1 << (known + size - 1).bit_length() if known else size
        key = plan.components, plan.cm_profile, size_class(profile, tables)
        with self._lock:
            if key not in self._starts:
                while len(self._starts) >= MAX_STARTS:
                    del self._starts[next(iter(self._starts))]
                self._starts[key] = self._new_start(plan, tables)
            return self._starts[key]

    def _new_start(self, plan: Plan, tables: int) -> _Start:
        """The state after the dictionary, with tables of a block of so many bytes."""
        cm = self.initial_cm_state(plan, np.zeros(1, np.int64), tables)
        if not self._dictionary.size:  # any block of this class fits into the text
            cm = cm._replace(text=np.zeros(MAX_BYTES + 8, np.uint8))
        if plan.cm_profile is not None:
            predictor.begin(cm, 0, 1)
        network = self._cpu.network if plan.use_network else forward_cpu.empty_network()
        state = forward_cpu.init_state(network, 1)
        block = new_lane_state(self._dictionary.copy(), 1, plan.components, None)
        code_chunks(self._cpu.start(plan, cm, True, state), block, lambda _: None, None)
        return _Start(cm, state, [])


def _undo(cm: CMState, initial: CMState, changes: records.Changes) -> None:
    """Give all arrays but `text` their initial values."""
    records.undo(cm, initial, changes)
    contexts, first = cm.kinds.size * STATES, cm.orders.size
    for part in (slice(contexts), slice(int(cm.map_bases[first]), int(cm.map_bases[first + 3]))):
        cm.maps[part] = initial.maps[part]
    for name, values in initial._asdict().items():
        if name not in SHARED and name not in LISTED and name != "text":
            np.copyto(getattr(cm, name), values)
