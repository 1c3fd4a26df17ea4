"""Short blocks of one lane, many of them: the network predicts for a batch in lockstep, and the tables of context
mixing, which are large beside a short block, are used again: only what a block has changed is made good.

What a block becomes is what `Engine` makes of it. Must not import archive or file code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arzip.coding import lockstep, prefill, range_coder, records
from arzip.coding.lane_state import new_lane_state, reserve
from arzip.coding.wide import SHARED
from arzip.context_mixing import predictor, static_shapes
from arzip.context_mixing.profile import PROFILES
from arzip.context_mixing.state import APM_CONTEXTS, APM_STEPS, SIZE, CMState
from arzip.engine.cpu_backend import CpuBackend
from arzip.engine.engine import Engine
from arzip.engine.plan import Plan
from arzip.jit.atomics import STRIDE
from arzip.network import forward_cpu

MAX_BYTES = 1 << 13  # of a block whose tables are used again; beyond it new ones take no longer
ALL_PREDICTED = 1 << 40  # counters of a chunk of which everything is predicted
MATCH_APM = 3  # the kind of APM stage whose context is not known from the text


class ReusedState:
    """The state of context mixing of one block of one lane after the other. create: makes that of a block's size."""

    def __init__(self, create: Callable[[int], CMState], contexts: int) -> None:
        self._create = create
        self._contexts = contexts
        self._key: tuple[int, ...] = ()

    def start(self, size_bytes: int) -> CMState:
        """The initial state for a block of so many bytes. The state that was returned before is used up by it."""
        # all sizes of tables come from these, see context_mixing/state.py
        sizes = size_bytes, size_bytes - 1, 2 * size_bytes * self._contexts
        key = tuple(size.bit_length() for size in sizes)
        if key == self._key:
            self._reset()
        else:
            self._key, self._cm = key, self._create(size_bytes)
            self._keep(self._cm)
        self._cm.clock[SIZE] = size_bytes
        self._cm = self._cm._replace(text=np.zeros(size_bytes + 8, np.uint8))
        return self._cm

    def _keep(self, cm: CMState) -> None:
        """Copy initial values: of all arrays that change, but of the APM stages a row each, as all their rows agree."""
        stages = [int(base) for base in cm.map_bases[cm.orders.size + 3 :]]
        ends = [base + APM_CONTEXTS[kind] * APM_STEPS for base, kind in zip(stages, cm.apms, strict=True)]
        parts = [slice(0, stages[0])] + [
            slice(base, end)
            for base, end, kind in zip(stages, ends, cm.apms, strict=True)
            if kind in (0, MATCH_APM)  # small, or of a context that isn't known afterwards
        ]
        self._maps = [(part, cm.maps[part].copy()) for part in parts]
        self._rows = np.stack([cm.maps[base : base + APM_STEPS] for base in stages])
        self._others: dict[str, NDArray[Any]] = {
            name: array.copy()
            for name, array in cm._asdict().items()
            if name not in SHARED and name not in ("maps", "text")
        }

    def _reset(self) -> None:
        cm = self._cm
        records.reset_apms(cm, self._rows)
        for part, values in self._maps:
            cm.maps[part] = values
        for name, values in self._others.items():
            np.copyto(getattr(cm, name), values)


class RecordEngine(Engine):
    """An engine for one thread that codes one short block after the other: as `engine`, which it shares the model with.

    A block is to be finished before the next one begins.
    """

    def __init__(self, engine: Engine) -> None:
        self.__dict__.update(engine.__dict__)
        self._reused: dict[Plan, ReusedState] = {}

    def initial_cm_state(self, plan: Plan, starts: NDArray[np.int64], size_bytes: int) -> CMState:
        """As of Engine, but on the arrays of the block before, if this one has one lane and is short."""
        if plan.cm_profile is None or starts.size > 1 or size_bytes > MAX_BYTES:
            return super().initial_cm_state(plan, starts, size_bytes)
        if plan not in self._reused:
            create = super().initial_cm_state
            contexts = len(PROFILES[plan.cm_profile].contexts)
            self._reused[plan] = ReusedState(lambda size: create(plan, starts, size), contexts)
        return self._reused[plan].start(size_bytes)

    def encode_records(self, raws: Sequence[bytes], plan: Plan, check: Callable[[], None]) -> list[bytes]:
        """The streams of short blocks, of at least one byte each, under one plan of one lane, on one thread.

        check: called after each; what it raises ends the work.
        """
        assert plan.lanes == 1 and plan.cm_profile is not None and isinstance(self._backend, CpuBackend)
        order = sorted(range(len(raws)), key=lambda number: -len(raws[number]))
        starts = np.cumsum([0] + [len(raws[number]) for number in order])
        text = np.frombuffer(bytearray().join(raws[number] for number in order), np.uint8)
        network, prefilled = forward_cpu.empty_network(), prefill.NO_PREFILL
        if plan.use_network:
            network, prefilled = self._backend.network, np.empty((text.size, 1, 8), np.int32)
            state = forward_cpu.init_state(network, len(raws))
            records.predict_records(network, state, text, starts, prefilled)
        state, streams = forward_cpu.init_state(network, 1), [b""] * len(raws)
        for number, first, end in zip(order, starts, starts[1:], strict=False):
            counters = np.full(6 * STRIDE, ALL_PREDICTED)
            chunk = prefill.Chunk(0, int(end - first), prefilled[first:end], counters, 1, False)
            if not plan.use_network:
                chunk = chunk._replace(prefilled=prefilled)
            streams[number] = self._encode_record(text[first:end], plan, chunk, network, state)
            check()
        return streams

    def _encode_record(
        self,
        text: NDArray[np.uint8],
        plan: Plan,
        chunk: prefill.Chunk,
        network: forward_cpu.Network,
        state: forward_cpu.State,
    ) -> bytes:
        block = reserve(new_lane_state(text, 1, plan.components, None), text.size)
        cm = self.initial_cm_state(plan, block.starts[:-1], text.size)
        predictor.begin(cm, 0, 1)
        counts = static_shapes.counts_of(cm)
        lockstep.run_coder(network, state, cm, block, chunk, lockstep.SINGLE_LANE, counts)
        return range_coder.finish(block.registers, block.stream)
