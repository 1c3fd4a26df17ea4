"""Wide blocks on a CUDA device, many at once: a CUDA block each, by the PTX that `build_ptx` made of the CPU's source.

Plans with the network are not run here: its step has no kernel yet. Must not import torch.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from arzip.coding import wide
from arzip.coding.lane_state import LaneState, finish_streams, new_wide_state, steps_of
from arzip.context_mixing.state import CMState
from arzip.engine.backend import OnBytes
from arzip.engine.cuda_batch import SHAPES, Batch, Device, Field, load_kernels
from arzip.engine.plan import Plan

STEPS = 256  # of a launch: some hundredths of a second
SPARE_BYTES = 256 << 20  # of the device's memory, left to others


def supports(plan: Plan) -> bool:
    """Whether blocks of this plan can be coded here."""
    return plan.wide and plan.cm_profile is not None and not plan.use_network


def fields(states: Sequence[CMState] | Sequence[LaneState]) -> list[Field]:
    """The fields of the states of a batch of blocks, or of one that all of them start from."""
    names = states[0]._fields
    return [
        Field(name, parts[:1] if name in wide.SHARED else parts, name in wide.SHARED)
        for name, parts in zip(names, zip(*states, strict=True), strict=True)
    ]


class CudaBlocks:
    """Codes batches of wide blocks, all of one plan and size, on a device."""

    def __init__(self, device: Device, shape: tuple[int, int] = SHAPES[0]) -> None:
        """Raises DriverError."""
        self._device, self._kernels = device, load_kernels(device, shape)

    def encode(self, raws: Sequence[bytes], plan: Plan, cm: CMState, on_bytes: OnBytes) -> list[list[bytes] | None]:
        """As Engine.encode_blocks, of blocks of one size. cm: what each of them starts from (Engine.initial_cm_state).

        Raises DriverError.
        """
        texts = [np.frombuffer(bytearray(raw), np.uint8) for raw in raws]
        blocks = [new_wide_state(text, plan.lanes, plan.components, None) for text in texts]
        self._run(cm, blocks, ("registers", "stream"), on_bytes)
        return [finish_streams(block) for block in blocks]

    def decode(
        self, streams: Sequence[Sequence[bytes]], size_bytes: int, plan: Plan, cm: CMState, on_bytes: OnBytes
    ) -> list[bytes]:
        """As Engine.decode_blocks, of blocks of `size_bytes` each. Raises DriverError, ValueError."""
        blocks = [new_wide_state(np.zeros(size_bytes, np.uint8), plan.lanes, plan.components, own) for own in streams]
        self._run(cm, blocks, ("text",), on_bytes)
        return [block.text.tobytes() for block in blocks]

    def _run(self, cm: CMState, blocks: list[LaneState], results: Sequence[str], on_bytes: OnBytes) -> None:
        """Code all steps, of as many blocks at once as the device has memory for; fills in what `results` names."""
        each = sum(array.nbytes for state in (cm, blocks[0]) for array in state)
        at_once = max(1, (self._device.free_bytes() - SPARE_BYTES) // each)
        size, lanes = blocks[0].text.size, blocks[0].last.size
        steps = steps_of(size, lanes)
        for first in range(0, len(blocks), at_once):
            these = blocks[first : first + at_once]
            with Batch(self._device, self._kernels, fields([cm]), fields(these), len(these)) as batch:
                batch.begin()
                for t in range(0, steps, STEPS):
                    end = min(t + STEPS, steps)
                    batch.code_steps(t, end)
                    on_bytes(len(these) * (min(end * lanes, size) - t * lanes))
                for name in results:
                    for number, block in enumerate(these):
                        batch.fetch(name, number, getattr(block, name))
