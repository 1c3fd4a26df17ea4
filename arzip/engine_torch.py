"""The engine on a device of torch's: the network there, contexts and coding in the same loops as everywhere.

Exact, and slow at few lanes: each step costs a pass of launches and a copy back.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray

from arzip import coder
from arzip import lanes as lane_loop
from arzip.errors import UnsupportedError
from arzip.lanes import Cost, Tick
from arzip.network import context
from arzip.network.torch_step import TorchNetwork
from arzip.network.weights import Weights


@njit(cache=True)
def push_bytes(contexts, text, orders, row_bits, rows):  # type: ignore[no-untyped-def]
    """Move every lane's context past the byte it has just seen; rows (L, tables) for the next."""
    for lane in range(text.size):
        context.push_byte(contexts[lane], np.int64(text[lane]))
        for k in range(orders.size):
            rows[lane, k] = context.table_row(contexts[lane], orders[k], row_bits)


class TorchEngine:
    """See `engine.Engine`."""

    def __init__(self, weights: Weights, device: str) -> None:
        if device == "cuda" and not torch.cuda.is_available():
            raise UnsupportedError("no CUDA device is at hand; use --device cpu: archives are the same")
        self.digest = weights.digest
        self.network = TorchNetwork(weights, device)
        self.orders = np.array([*weights.config.orders, 0], np.int64)
        self.row_bits = weights.config.rows.bit_length() - 1

    def encode(self, raw: bytes, lanes: int, tick: Tick, cost: Cost | None) -> bytes:
        """See `engine.Engine`."""
        text = np.frombuffer(bytearray(raw), np.uint8)
        bits, probabilities = np.empty(8 * lanes, np.uint8), np.empty(8 * lanes, np.uint32)
        encoder = coder.Encoder()
        for n in self._steps(text, lanes, np.zeros(3, np.uint64), lane_loop.NO_WORDS, bits, probabilities):
            encoder.encode(bits[:n], probabilities[:n])
            if cost is not None:
                cost(coder.cost_bits(bits[:n], probabilities[:n]))
            tick(n // 8)
        return encoder.finish()

    def decode(self, payload: bytes, raw_bytes: int, lanes: int, tick: Tick) -> bytes:
        """See `engine.Engine`."""
        text, stream = np.zeros(raw_bytes, np.uint8), coder.words(payload)
        for t, _ in enumerate(
            self._steps(text, lanes, coder.init_registers(stream), stream, lane_loop.NO_BITS, lane_loop.NO_WORDS)
        ):
            tick(int(lane_loop.active_lanes(lane_loop.lane_starts(raw_bytes, lanes), t)))
        return text.tobytes()

    def _steps(
        self,
        text: NDArray[np.uint8],
        lanes: int,
        registers: NDArray[np.uint64],
        stream: NDArray[np.uint32],
        bits: NDArray[np.uint8],
        probabilities: NDArray[np.uint32],
    ) -> Iterator[int]:
        """Predict and code every step of a block; yields the number of bits of each."""
        starts = lane_loop.lane_starts(text.size, lanes)
        last = np.zeros(lanes, np.uint8)
        contexts = np.zeros((lanes, context.CONTEXT_FIELDS), np.uint64)
        rows: NDArray[np.int64] = np.empty((lanes, self.orders.size), np.int64)
        self.network.start(lanes)
        for t in range(lane_loop.steps_of(text.size, lanes)):
            push_bytes(contexts, last, self.orders, self.row_bits, rows)
            weights = self.network.step(last.astype(np.int64), rows)
            yield lane_loop.code_step(weights, text, starts, t, last, registers, stream, bits, probabilities, 0)
