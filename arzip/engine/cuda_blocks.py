"""Wide blocks on a CUDA device, many at once: a CUDA block each, by the PTX that `build_ptx` made of the CPU's source.

The blocks of a batch share plan, direction and size class; the shorter ones have fewer steps. The network, of plans
with it, comes from cuda_network. Must not import torch.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from arzip.coding import wide
from arzip.coding.lane_state import LaneState, finish_streams, new_wide_state, steps_of
from arzip.context_mixing import state
from arzip.context_mixing.state import CMState
from arzip.engine import cuda_network
from arzip.engine.backend import OnBytes
from arzip.engine.cuda_batch import SHAPES, Batch, Device, Field, load_kernels
from arzip.engine.cuda_driver import DriverError
from arzip.engine.cuda_network import NetworkFailedError
from arzip.engine.plan import Plan
from arzip.network.config import Weights

STEPS = 256  # of a batch between two looks at the clock: some hundredths of a second
SPARE_BYTES = 512 << 20  # of the device's memory: the kernels' stacks, what torch takes for itself, others
# What a device shows that it works with.
PROOF_LANES, PROOF_STEPS = 64, 48
PROOF_TEXT = b"<p>Each line, each word and each: 1234567890.</p>\n\x00\x01\x02\xff\xc3\xa9the other and the next\n"


def _ignore(_: int) -> None:
    """The bytes of a sample are not reported."""


class Model(Protocol):
    """What blocks are coded with: `engine.Engine`."""

    weights: Weights

    def initial_cm_state(self, plan: Plan, starts: NDArray[np.int64], size_bytes: int) -> CMState: ...

    def encode_wide(self, raw: bytes, plan: Plan, on_bytes: OnBytes, /) -> list[bytes] | None: ...


class Work(NamedTuple):
    """A wide block before its first step, of so many bytes; on_bytes gets the bytes that have been coded."""

    block: LaneState
    on_bytes: OnBytes


class NetworkLoader(Protocol):
    """Loads a model's network on a device: `cuda_network.DeviceNetwork`."""

    def __call__(self, weights: Weights, device: str, multiprocessors: int, /) -> Any: ...


class CudaBlocks:
    """Codes batches of wide blocks on a device."""

    def __init__(
        self,
        device: Device,
        shape: tuple[int, int] = SHAPES[0],
        without_network: str | None = None,
        load_network: NetworkLoader = cuda_network.DeviceNetwork,
    ) -> None:
        """without_network: why plans with the network aren't coded here; "": they are. Raises DriverError."""
        self._device, self._kernels, self._load_network = device, load_kernels(device, shape), load_network
        self.without_network = cuda_network.missing() if without_network is None else without_network
        self._networks: dict[bytes, Any] = {}
        self._proven: set[Hashable] = set()
        self.name = device.name

    def supports(self, plan: Plan) -> bool:
        """Whether blocks of this plan can be coded here."""
        return plan.wide and plan.cm_profile is not None and not (plan.use_network and self.without_network)

    def enter(self) -> None:
        """Let the calling thread use the device. Raises DriverError."""
        self._device.enter()

    def code(self, works: Sequence[Work], plan: Plan, model: Model) -> None:
        """Run all steps of the blocks: an encoder's registers and stream, a decoder's text are filled in.

        As many at once as the device has memory for. Raises DriverError; so it is where a sample isn't coded as by
        the CPU. After a NetworkFailedError plans with the network are no longer supported.
        """
        try:
            self._prove(plan, model)
            self._code_all(works, plan, model)
        except NetworkFailedError as error:
            self.without_network = str(error)
            raise

    def _code_all(self, works: Sequence[Work], plan: Plan, model: Model) -> None:
        """`code` without its checks."""
        largest = max(works, key=lambda work: work.block.text.size).block
        size = largest.text.size
        cm = model.initial_cm_state(plan, largest.starts[:-1], size)
        each = sum(array.nbytes for state_ in (cm, largest) for array in state_)
        network = self._network(model.weights) if plan.use_network else None
        each += plan.lanes * cuda_network.lane_bytes(model.weights.config) * plan.use_network
        at_once = (self._device.free_bytes() - SPARE_BYTES) // each
        if at_once < 1:
            raise DriverError(f"{self.name} has less memory free than the {each >> 20:,} MB that a block takes")
        for first in range(0, len(works), at_once):
            self._code(works[first : first + at_once], plan, cm, size, network)

    def _code(self, works: Sequence[Work], plan: Plan, cm: CMState, size: int, network: Any) -> None:
        """`code` of blocks that fit at once; size: of the largest."""
        blocks = [work.block for work in works]
        step = network.start(plan.lanes * len(blocks)) if network else None
        fields = memory_fields(cm, blocks), lane_fields(blocks)
        with Batch(self._device, self._kernels, *fields, len(blocks), step) as batch:
            batch.begin()
            steps = steps_of(size, plan.lanes)
            for t in range(0, steps, STEPS):
                end = min(t + STEPS, steps)
                batch.code_steps(t, end)
                for work in works:
                    own = work.block.text.size
                    work.on_bytes(min(end * plan.lanes, own) - min(t * plan.lanes, own))
            for name in ("text",) if blocks[0].is_decoding else ("registers", "stream"):
                for number, block in enumerate(blocks):
                    batch.fetch(name, number, getattr(block, name))

    def _prove(self, plan: Plan, model: Model) -> None:
        """Before a model's first block of a profile: the device makes the CPU's streams of a sample, and reads them."""
        key = model.weights.digest, plan.components, plan.cm_profile
        if key in self._proven:
            return
        self._proven.add(key)
        own = replace(plan, lanes=min(plan.lanes, PROOF_LANES))
        sample = (PROOF_TEXT * PROOF_STEPS)[: own.lanes * PROOF_STEPS - 1]  # the last lane is shorter
        expected = model.encode_wide(sample, own, _ignore)
        text = np.frombuffer(bytearray(sample), np.uint8)
        coded = Work(new_wide_state(text, own.lanes, own.components, None), _ignore)
        self._code_all([coded], own, model)
        if expected is None or finish_streams(coded.block) != expected:
            raise DriverError("it doesn't make the CPU's streams of a sample")
        again = Work(new_wide_state(np.zeros_like(text), own.lanes, own.components, expected), _ignore)
        self._code_all([again], own, model)
        if again.block.text.tobytes() != sample:
            raise DriverError("it doesn't read the CPU's streams of a sample")

    def _network(self, weights: Weights) -> Any:
        """A model's network, loaded once."""
        if weights.digest not in self._networks:
            self._networks[weights.digest] = self._load_network(
                weights, f"cuda:{self._device.number}", self._device.multiprocessors
            )
        return self._networks[weights.digest]


def memory_fields(cm: CMState, blocks: Sequence[LaneState]) -> list[Field]:
    """The fields of the context mixing of a batch, all of which start as `cm`, the largest block's, but for a few."""
    own = [state.own_arrays(cm.clock, block.starts[:-1], block.text.size) for block in blocks]
    return [
        Field(name, [arrays[name] for arrays in own] if name in own[0] else [array], name in wide.SHARED)
        for name, array in cm._asdict().items()
    ]


def lane_fields(blocks: Sequence[LaneState]) -> list[Field]:
    """The fields of the lanes of a batch."""
    found = []
    for name, parts in zip(blocks[0]._fields, zip(*blocks, strict=True), strict=True):
        found.append(Field(name, parts[:1] if name in wide.SHARED else parts, name in wide.SHARED))
    return found
