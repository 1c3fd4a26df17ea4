"""A model, ready to code: raw bytes -> stream -> raw bytes, by the CPU, or by a GPU of the run (devices.py).

Any two engines of one model make the same streams, as tests check. Must not import archive or file code.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from arzip.coding import range_coder
from arzip.coding.lane_state import (
    LaneState,
    chunk_steps,
    finish_streams,
    new_lane_state,
    new_wide_state,
    reserve,
    steps_of,
)
from arzip.context_mixing import predictor, pretrained
from arzip.context_mixing.profile import PROFILES, Profile
from arzip.context_mixing.state import USE_NETWORK, CMState, create
from arzip.engine.backend import Backend, OnBytes, OnCosts, Run
from arzip.engine.cpu_backend import CpuBackend
from arzip.engine.devices import Devices
from arzip.engine.plan import Plan
from arzip.jit.atomics import CAN_YIELD
from arzip.jit.plain import require_compiled
from arzip.network.config import Weights
from arzip.weights.file import load_weights

# Gives the state's arrays their smallest shapes in blocks without context mixing.
NO_CM_PROFILE = Profile(contexts=(), direct=(), matches=(6,), mixer_contexts=(0,), apms=(0,))


class Engine:
    """A model, ready to code blocks. `digest`: the model's."""

    def __init__(self, weights: Weights, backend: Backend, devices: Devices | None = None) -> None:
        self.weights, self.digest, self._devices = weights, weights.digest, devices
        self._initial_states = pretrained.initial_states(weights.tensors)
        self._ngrams = pretrained.ngrams_of(weights.tensors)
        self._backend = backend

    def on(self, devices: Devices) -> Engine:
        """This engine with these GPUs for its wide blocks."""
        engine = copy.copy(self)
        engine._devices = devices
        return engine

    def encode(
        self, raw: bytes, plan: Plan, on_bytes: OnBytes, on_costs: OnCosts | None = None, only_block: bool = True
    ) -> bytes:
        """The stream of a block. on_bytes and on_costs are called after each chunk: see `encode_block`.

        only_block: no other one is coded beside it, so that it may take two threads.
        """
        text, recorded = np.frombuffer(bytearray(raw), np.uint8), on_costs is not None
        block = new_lane_state(text, plan.lanes, plan.components, None, recorded)
        return encode_block(self._run(block, plan, only_block), block, on_bytes, on_costs)

    def encode_wide(
        self, raw: bytes, plan: Plan, on_bytes: OnBytes, on_costs: OnCosts | None = None
    ) -> list[bytes] | None:
        """The streams of a wide block, one a lane; None if one would be too long (docs/FORMAT.md). Else as `encode`."""
        text, recorded = np.frombuffer(bytearray(raw), np.uint8), on_costs is not None
        block = new_wide_state(text, plan.lanes, plan.components, None, recorded)
        code_chunks(self._run(block, plan), block, on_bytes, on_costs)
        return finish_streams(block)

    def decode_wide(
        self, streams: Sequence[bytes], raw_bytes: int, plan: Plan, on_bytes: OnBytes, only_block: bool = True
    ) -> bytes:
        """The wide block of so many streams; other bytes if one is damaged. Raises ValueError if one is too long.

        only_block: no other one is decoded beside it.
        """
        block = new_wide_state(np.zeros(raw_bytes, np.uint8), plan.lanes, plan.components, streams)
        code_chunks(self._run(block, plan, only_block), block, on_bytes, None)
        return block.text.tobytes()

    def is_for_devices(self, plan: Plan) -> bool:
        """Whether blocks of this plan can be coded by a GPU of the run."""
        return self._devices is not None and plan.wide and self._devices.supports(plan)

    def encode_on_device(self, raw: bytes, plan: Plan, on_bytes: OnBytes) -> list[bytes] | None:
        """`encode_wide` by a GPU, beside other blocks. Raises DeviceFailedError, which counts nothing."""
        assert self._devices is not None
        block = new_wide_state(np.frombuffer(bytearray(raw), np.uint8), plan.lanes, plan.components, None)
        self._devices.code(block, plan, self, on_bytes)
        return finish_streams(block)

    def decode_on_device(self, streams: Sequence[bytes], raw_bytes: int, plan: Plan, on_bytes: OnBytes) -> bytes:
        """`decode_wide` by a GPU, beside other blocks. Raises DeviceFailedError, which counts nothing; ValueError."""
        assert self._devices is not None
        block = new_wide_state(np.zeros(raw_bytes, np.uint8), plan.lanes, plan.components, streams)
        self._devices.code(block, plan, self, on_bytes)
        return block.text.tobytes()

    def cost_bits(self, raw: bytes, plan: Plan) -> float:
        """Cost of `raw` in bits under this plan: the sum of -log2 p."""
        total = 0.0

        def add(costs: NDArray[np.float64]) -> None:
            nonlocal total
            total += float(costs.sum())

        self.encode(raw, plan, lambda _: None, add)
        return total

    def byte_costs(self, raw: bytes, plan: Plan) -> NDArray[np.float64]:
        """Cost of each byte in bits (n,) under a plan of one lane."""
        assert plan.lanes == 1, plan
        parts: list[NDArray[np.float64]] = []
        self.encode(raw, plan, lambda _: None, lambda costs: parts.append(costs.reshape(-1, 8).sum(1)))
        return np.concatenate(parts)

    def decode(self, payload: bytes, raw_bytes: int, plan: Plan, on_bytes: OnBytes, only_block: bool = True) -> bytes:
        """The block of a stream; other bytes if the stream is damaged. only_block: as of `encode`."""
        block = new_lane_state(np.zeros(raw_bytes, np.uint8), plan.lanes, plan.components, payload)
        return decode_block(self._run(block, plan, only_block), block, on_bytes)

    def threads_for(self, plan: Plan, decoding: bool, only_block: bool = True) -> int:
        """Number of threads that coding by this plan keeps busy. only_block: no other block is coded beside it."""
        return self._backend.threads_for(plan, decoding, only_block)

    def initial_cm_state(self, plan: Plan, starts: NDArray[np.int64], size_bytes: int) -> CMState:
        """Context mixing's state of a block of so many bytes before `predictor.begin`; starts (L,) of its lanes."""
        if plan.cm_profile is None:
            return create(NO_CM_PROFILE, np.zeros(1, np.int64), 1)
        cm = create(PROFILES[plan.cm_profile], starts, size_bytes, self._ngrams)
        if (plan.cm_profile, plan.use_network) in self._initial_states:
            pretrained.load_into(cm, PROFILES[plan.cm_profile], self._initial_states[plan.cm_profile, plan.use_network])
        cm.clock[USE_NETWORK] = plan.use_network
        return cm

    def _run(self, block: LaneState, plan: Plan, only_block: bool = True) -> Run:
        cm = self.initial_cm_state(plan, block.starts[:-1], block.text.size)
        if plan.cm_profile is not None:
            predictor.begin(cm, 0, cm.starts.size)
        return self._backend.start(plan, cm, only_block)


def code_chunks(run: Run, block: LaneState, on_bytes: OnBytes, on_costs: OnCosts | None, first: int = 0) -> LaneState:
    """Run the steps of a block from `first` on, in chunks; returns the block, whose stream may have moved.

    run: codes steps [a, b) and returns the number of coded bits. After each chunk on_bytes gets its number of raw
    bytes, and on_costs the -log2 p of its bits (n,) in coding order, if the block records them.
    """
    lanes = block.last.size
    steps, chunk = steps_of(block.text.size, lanes), chunk_steps(lanes)
    for t in range(first, steps, chunk):
        end = min(t + chunk, steps)
        if block.stream.ndim == 1 and not block.is_decoding:
            block = reserve(block, end - t)
        n = run(block, t, end)
        if on_costs is not None:
            on_costs(range_coder.bit_costs(block.bits[:n], block.probabilities[:n]))
        on_bytes(min(end * lanes, block.text.size) - t * lanes)
    return block


def encode_block(run: Run, block: LaneState, on_bytes: OnBytes, on_costs: OnCosts | None) -> bytes:
    """Run all steps over the block's text -> one range-coded stream. Arguments as of `code_chunks`."""
    block = code_chunks(run, block, on_bytes, on_costs)
    return range_coder.finish(block.registers, block.stream)


def decode_block(run: Run, block: LaneState, on_bytes: OnBytes) -> bytes:
    """The inverse of `encode_block`. A damaged payload gives wrong bytes, no error: the frame's check finds them."""
    return code_chunks(run, block, on_bytes, None).text.tobytes()


def open_engine(path: Path, threads: int = 1, devices: Devices | None = None) -> Engine:
    """The engine of a weights file. devices: the GPUs that wide blocks may be coded by.

    Raises ModelError, NotCompiledError.
    """
    require_compiled()
    weights = load_weights(path)
    return Engine(weights, CpuBackend(weights, threads > 1 and CAN_YIELD), devices)
