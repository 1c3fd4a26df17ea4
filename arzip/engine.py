"""A model on a device: raw bytes -> stream -> raw bytes. The only place that chooses between devices.

Any two engines of one model make the same streams (tests hold them to it). Must not know frames or files.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from arzip import lanes as lane_loop
from arzip.errors import UnsupportedError
from arzip.lanes import Cost, Tick
from arzip.network import cpu
from arzip.network.weights import Weights, load_weights

DEVICES = ("auto", "cpu", "cuda")


class Engine(Protocol):
    """What every device offers. `tick` hears of every chunk's raw bytes, `cost` of its -log2 p in bits."""

    digest: bytes

    def encode(self, raw: bytes, lanes: int, tick: Tick, cost: Cost | None) -> bytes:
        """The stream of a block."""

    def decode(self, payload: bytes, raw_bytes: int, lanes: int, tick: Tick) -> bytes:
        """The block of a stream."""


def open_engine(path: Path, device: str) -> Engine:
    """The engine of a weights file on "cpu", "cuda" or "auto". Raises ModelError, UnsupportedError."""
    weights = load_weights(path)
    if device not in DEVICES:
        raise UnsupportedError(f"no device is called {device!r}: {', '.join(DEVICES)}")
    if device == "cuda":
        from arzip.engine_torch import TorchEngine

        return TorchEngine(weights, device)
    return CpuEngine(weights)


class CpuEngine:
    """Compiled loops, one thread a block."""

    def __init__(self, weights: Weights) -> None:
        self.digest = weights.digest
        self.network = cpu.load_network(weights)

    def encode(self, raw: bytes, lanes: int, tick: Tick, cost: Cost | None) -> bytes:
        """See Engine."""
        return lane_loop.encode_block(self.network, raw, lanes, tick, cost)

    def decode(self, payload: bytes, raw_bytes: int, lanes: int, tick: Tick) -> bytes:
        """See Engine."""
        return lane_loop.decode_block(self.network, payload, raw_bytes, lanes, tick)
