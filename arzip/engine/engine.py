"""A model on a device: raw bytes -> stream -> raw bytes. The only place that chooses between devices.

Any two engines of one model make the same streams (tests hold them to it). Must not know frames or files.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from arzip.coding import lockstep as lane_loop
from arzip.coding.lane_state import Block, new_block
from arzip.coding.lockstep import Cost, Run, Tick
from arzip.context_mixing import pretrained as primed
from arzip.context_mixing.profile import PROFILES
from arzip.context_mixing.state import Memory, Profile, create
from arzip.errors import UnsupportedError
from arzip.jit.atomics import CAN_YIELD
from arzip.network import forward_cpu as cpu
from arzip.weights.file import Weights, load_weights

DEVICES = ("auto", "cpu", "cuda")
NO_MEMORY = Profile(contexts=(), direct=(), matches=(6,), selectors=(0,), finals=(0,))


@dataclass(frozen=True)
class Plan:
    """What a block is coded with. lanes: 1 or more; profile: place in PROFILES, None for no memory."""

    lanes: int
    network: bool
    profile: int | None

    @property
    def parts(self) -> tuple[bool, bool]:
        """Whether network and memory take part."""
        return self.network, self.profile is not None


class Network(Protocol):
    """Something that can run the steps of a block on its device."""

    def start(self, plan: Plan, memory: Memory) -> Run:
        """What runs the steps of one block."""

    def threads_for(self, plan: Plan, decoding: bool) -> int:
        """How many threads that keeps busy."""


class CpuNetwork:
    """Compiled loops. together: two threads a block, one for the network and one for memory and coder."""

    def __init__(self, weights: Weights | None, together: bool) -> None:
        self.together = together
        self.network = cpu.load_network(weights) if weights else cpu.no_network()

    def threads_for(self, plan: Plan, decoding: bool) -> int:
        """See Network. A decoder's only lane leaves nothing to hand over."""
        both = plan.network and plan.profile is not None
        return 2 if self.together and both and (plan.lanes > 1 or not decoding) else 1

    def start(self, plan: Plan, memory: Memory) -> Run:
        """See Network."""
        network = self.network if plan.network else cpu.no_network()
        state = cpu.init_state(network, plan.lanes)

        def run(block: Block, first: int, end: int) -> int:
            together = self.threads_for(plan, block.is_decoding) > 1
            return lane_loop.run_steps(network, state, memory, block, first, end, together)

        return run


class Engine:
    """A model, ready to code blocks on one device. `digest`: the model's."""

    def __init__(self, weights: Weights, network: Network) -> None:
        self.digest = weights.digest
        self._starts = primed.starts(weights.tensors)
        self._ngrams = primed.known_ngrams(weights.tensors)
        self._network = network

    def encode(self, raw: bytes, plan: Plan, tick: Tick, cost: Cost | None = None) -> bytes:
        """The stream of a block. `tick` hears of every chunk's raw bytes, `cost` of the -log2 p of its bits (n,)."""
        text, recorded = np.frombuffer(bytearray(raw), np.uint8), cost is not None
        block = new_block(text, plan.lanes, plan.parts, None, recorded)
        return lane_loop.encode_block(self._run(block, plan), block, tick, cost)

    def cost_bits(self, raw: bytes, plan: Plan) -> float:
        """What the plan's model spends on `raw`: the sum of -log2 p."""
        total = 0.0

        def add(costs: NDArray[np.float64]) -> None:
            nonlocal total
            total += float(costs.sum())

        self.encode(raw, plan, lambda _: None, add)
        return total

    def byte_costs(self, raw: bytes, plan: Plan) -> NDArray[np.float64]:
        """What each byte costs in bits, by a plan of one lane: (n,)."""
        assert plan.lanes == 1, plan
        parts: list[NDArray[np.float64]] = []
        self.encode(raw, plan, lambda _: None, lambda costs: parts.append(costs.reshape(-1, 8).sum(1)))
        return np.concatenate(parts)

    def decode(self, payload: bytes, raw_bytes: int, plan: Plan, tick: Tick) -> bytes:
        """The block of a stream; other bytes if the stream is damaged."""
        block = new_block(np.zeros(raw_bytes, np.uint8), plan.lanes, plan.parts, payload)
        return lane_loop.decode_block(self._run(block, plan), block, tick)

    def threads_for(self, plan: Plan, decoding: bool) -> int:
        """How many threads coding by this plan keeps busy."""
        return self._network.threads_for(plan, decoding)

    def _memory(self, plan: Plan, starts: NDArray[np.int64], size_bytes: int) -> Memory:
        """The memory of a block of so many bytes before its first one; starts (L,): where its lanes begin."""
        if plan.profile is None:
            return create(NO_MEMORY, np.zeros(1, np.int64), 1)
        memory = create(PROFILES[plan.profile], starts, size_bytes, self._ngrams)
        if (plan.profile, plan.network) in self._starts:
            primed.apply(memory, PROFILES[plan.profile], self._starts[plan.profile, plan.network])
        lane_loop.begin(memory, plan.network)
        return memory

    def _run(self, block: Block, plan: Plan) -> Run:
        memory = self._memory(plan, block.starts[:-1], block.text.size)
        return self._network.start(plan, memory)


def open_engine(path: Path, device: str, threads: int = 1) -> Engine:
    """The engine of a weights file on "cpu", "cuda" or "auto". Raises ModelError, UnsupportedError."""
    if device not in DEVICES:
        raise UnsupportedError(f"no device is called {device!r}: {', '.join(DEVICES)}")
    weights = load_weights(path)
    if device == "cuda":
        from arzip.engine.torch_backend import TorchNetwork, require_cuda

        require_cuda()
        return Engine(weights, TorchNetwork(weights, device))
    return Engine(weights, CpuNetwork(weights, threads > 1 and CAN_YIELD))
