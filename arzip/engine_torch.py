"""The network on a device of torch's; contexts, memory and coding in the same compiled loops as everywhere.

Exact, and slow at few lanes: each step costs a pass of launches and a copy back.
"""

from __future__ import annotations

import numpy as np
import torch

from arzip import lanes as lane_loop
from arzip.block import Block
from arzip.compiled import njit
from arzip.engine import Plan
from arzip.errors import UnsupportedError
from arzip.lanes import Run
from arzip.memory.spec import Memory
from arzip.network import context
from arzip.network.torch_step import TorchStep
from arzip.network.weights import Weights


def require_cuda() -> None:
    """Raises UnsupportedError where torch finds no CUDA device."""
    if not torch.cuda.is_available():
        raise UnsupportedError("no CUDA device is at hand; use --device cpu: archives are the same")


@njit()
def push_bytes(contexts, text, orders, row_bits, rows):  # type: ignore[no-untyped-def]
    """Move every lane's context past the byte it has just seen; rows (L, tables) for the next."""
    for lane in range(text.size):
        context.push_byte(contexts[lane], np.int64(text[lane]))
        for k in range(orders.size):
            rows[lane, k] = context.table_row(contexts[lane], orders[k], row_bits)


class TorchNetwork:
    """See `engine.Network`."""

    def __init__(self, weights: Weights, device: str) -> None:
        self.weights, self.device = weights, device

    def threads_for(self, plan: Plan) -> int:
        """See `engine.Network`."""
        return 1

    def start(self, plan: Plan, memory: Memory) -> Run:
        """See `engine.Network`."""
        lanes, config = plan.lanes, self.weights.config
        step = TorchStep(self.weights, self.device, lanes)
        contexts = np.zeros((lanes, context.CONTEXT_FIELDS), np.uint64)
        orders = np.array([*config.orders, 0], np.int64)
        rows = np.empty((lanes, orders.size), np.int64)
        row_bits = config.rows.bit_length() - 1

        def run(block: Block, first: int, end: int) -> int:
            at = 0
            for t in range(first, end):
                push_bytes(contexts, block.last, orders, row_bits, rows)
                weights = step(block.last.astype(np.int64), rows)
                for crew in range(2):
                    at = lane_loop.code_crew(weights, memory, block, t, crew, at)
            return int(at)

        return run
