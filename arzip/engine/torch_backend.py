"""Network, and from many lanes on context mixing, on a device of torch; the range coder in the CPU's compiled loops.

Exact, but slow with few lanes: a step with context mixing takes some 4000 launches, each bit a copy there and back.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from arzip.coding import lockstep
from arzip.coding.lane_state import LaneState, group_lanes
from arzip.coding.prefill import NO_PREFILL
from arzip.context_mixing.state import CMState
from arzip.context_mixing.torch_ops import predictor
from arzip.context_mixing.torch_ops.state import DeviceState
from arzip.engine.backend import Run
from arzip.engine.cpu_backend import CpuBackend
from arzip.engine.plan import Plan
from arzip.errors import UnsupportedError
from arzip.jit.compile import njit
from arzip.network import ngram_rows
from arzip.network.config import Weights
from arzip.network.forward_torch import TorchStep
from arzip.probability import P_BITS, P_ONE

DEVICE_CM_LANES = 256  # with fewer lanes context mixing runs on the host: launches would take longer than the work


def require_cuda() -> None:
    """Raises UnsupportedError where torch finds no CUDA device."""
    if not torch.cuda.is_available():
        raise UnsupportedError("no CUDA device is at hand; use --device cpu: archives are the same")


@njit()
def push_bytes(contexts, text, orders, row_bits, rows):  # type: ignore[no-untyped-def]
    """Move every lane's context past the byte it has just seen; rows (L, tables) for the next."""
    for lane in range(text.size):
        ngram_rows.push_byte(contexts[lane], np.int64(text[lane]))
        for k in range(orders.size):
            rows[lane, k] = ngram_rows.table_row(contexts[lane], orders[k], row_bits)


@njit()
def code_on_host(freqs, cm, block, t, group, at):  # type: ignore[no-untyped-def]
    """`lockstep.code_group` after the network's step, for Python to call."""
    return lockstep.code_group(freqs, NO_PREFILL, 0, cm, block, t, group, at, lockstep.MULTI_LANE, None)


class LaneNetwork:
    """A block's lanes and the network: a call gives the frequencies (L, 256) of their next bytes."""

    def __init__(self, weights: Weights, device: str, lanes: int) -> None:
        config = weights.config
        self.step = TorchStep(weights, device, lanes)
        self.contexts = np.zeros((lanes, ngram_rows.CONTEXT_FIELDS), np.uint64)
        self.orders = np.array([*config.orders, 0], np.int64)
        self.rows = np.empty((lanes, self.orders.size), np.int64)
        self.row_bits = config.rows.bit_length() - 1

    def __call__(self, block: LaneState) -> Tensor:
        push_bytes(self.contexts, block.last, self.orders, self.row_bits, self.rows)
        return self.step(block.last.astype(np.int64), self.rows)


def code_group(freqs: Tensor | None, cm: DeviceState, block: LaneState, t: int, group: int, at: int) -> int:
    """`lockstep.code_group` with context mixing, and the network's freqs (L, 256) if it takes part, on a device."""
    first, end = group_lanes(block.starts, t, group)
    if first == end:
        return at
    predictor.set_step(cm, t)
    block.low[first:end] = 0
    low = torch.zeros(end - first, dtype=torch.int64, device=cm.device)
    if freqs is not None:  # the sum of the freqs of all smaller bytes: (L, 257)
        below = torch.nn.functional.pad(freqs[first:end].long().cumsum(1), (1, 0))
    for bit in range(8):
        half, network_p = 128 >> bit, None
        if freqs is not None:
            start, middle, stop = (below.gather(1, (low + k * half)[:, None])[:, 0] for k in range(3))
            p = (stop - middle << P_BITS) // (stop - start)
            network_p = p.clamp(1, P_ONE - 1)
        block.probability[first:end] = predictor.predict(cm, first, end, network_p).cpu().numpy()
        at = lockstep.code_bits(block, t, bit, first, end, block.probability, at)
        bits = torch.from_numpy(block.bit[first:end]).to(cm.device)
        predictor.update(cm, first, end, bits)
        low += bits * half
    lockstep.store_bytes(block, t, first, end)
    predictor.end_byte(cm, first, end, low, t)
    return at


class TorchBackend:
    """See `backend.Backend`. device_cm_lanes: the number of lanes from which context mixing runs on the device too."""

    def __init__(self, weights: Weights, device: str, device_cm_lanes: int = DEVICE_CM_LANES) -> None:
        self.weights, self.device, self.device_cm_lanes = weights, device, device_cm_lanes

    def threads_for(self, plan: Plan, decoding: bool, only_block: bool = True) -> int:
        """See `backend.Backend`."""
        return 1

    def start(self, plan: Plan, cm: CMState, only_block: bool = True) -> Run:
        """See `backend.Backend`."""
        if plan.wide:
            return CpuBackend(self.weights, False).start(plan, cm)
        on_device = plan.cm_profile is not None and plan.lanes >= self.device_cm_lanes
        if not plan.use_network and not on_device:
            return CpuBackend(None, False).start(plan, cm)
        network = LaneNetwork(self.weights, self.device, plan.lanes) if plan.use_network else None
        there = DeviceState(cm, self.device) if on_device else None

        def run(block: LaneState, first: int, end: int) -> int:
            at = 0
            for t in range(first, end):
                freqs = network(block) if network else None
                here = freqs.cpu().numpy() if freqs is not None and there is None else None
                for group in range(2):
                    if there is None:
                        at = code_on_host(here, cm, block, t, group, at)
                    else:
                        at = code_group(freqs, there, block, t, group, at)
            return int(at)

        return run
