"""The network in torch operations: the step of forward_cpu.py, bit for bit, on any torch device.

Every number is an integer, or a float that holds one exactly. The caller computes contexts and n-gram rows.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from arzip.network.config import (
    CANDIDATE_LIMIT,
    CANDIDATE_SHIFT,
    GATE_BITS,
    GATE_SHIFT,
    HALF_EMBEDDING,
    HALF_GATES,
    HIDDEN_LIMIT,
    HIDDEN_SHIFT,
    SOFTMAX_ENTRIES,
    SOFTMAX_SHIFT,
    STATE_SHIFT,
    Weights,
)

FLOAT_EXACT_INPUTS = (1 << 24) // (127 * 127)  # float32 sums of so many int8 products are exact


def int_matmul(a: Tensor, weight: Tensor) -> Tensor:
    """a (L, K) int8, weight (N, K) int8 -> (L, N) int32, by the device's int8 product where it takes the shape."""
    rows, inputs = a.shape
    if a.is_cuda and (rows <= 16 or inputs % 8 or weight.shape[0] % 8):
        return float_matmul(a, weight)
    return torch._int_mm(a, weight.t())


def float_matmul(a: Tensor, weight: Tensor) -> Tensor:
    """`int_matmul` in float32, for shapes that the int8 product does not take. K is at most FLOAT_EXACT_INPUTS."""
    assert a.shape[1] <= FLOAT_EXACT_INPUTS
    torch.backends.cuda.matmul.allow_tf32 = False  # tf32 would round
    return (a.float() @ weight.float().t()).to(torch.int32)


def norm(x: Tensor) -> Tensor:
    """x (L, d) int32 in Q12 -> (L, d) int8 in Q5; see `forward_cpu.norm`."""
    wide = x.long()
    mean = 16 * wide.square().sum(-1, keepdim=True) // x.shape[-1] + 16
    root = mean.double().sqrt().long()
    root -= (root * root > mean).long()
    root += ((root + 1) * (root + 1) <= mean).long()
    inverse = ((1 << 39) // root).clamp(max=0x7FFFFFFF)
    return ((wide * inverse + (1 << 31)) >> 32).clamp(-127, 127).to(torch.int8)


class TorchStep:
    """Weights on a device and the recurrent state of L lanes; a call advances all lanes by a step."""

    def __init__(self, weights: Weights, device: str, lanes: int) -> None:
        self.config = weights.config
        self.device = torch.device(device)
        self.t = {name: torch.from_numpy(np.asarray(v)).to(self.device) for name, v in weights.tensors.items()}
        shape = (lanes, self.config.d)
        self.a = [torch.zeros(shape, dtype=torch.int8, device=self.device) for _ in range(self.config.blocks)]
        self.h = [torch.zeros(shape, dtype=torch.int64, device=self.device) for _ in range(self.config.blocks)]

    def gate(self, z: Tensor) -> Tensor:
        """Sigmoid of z in Q12, by table, in Q16, int64; see `forward_cpu.gate`."""
        k = (z + (1 << (GATE_SHIFT - 1))) >> GATE_SHIFT
        return self.t["sigmoid"][k.clamp(-HALF_GATES, HALF_GATES - 1).long() + HALF_GATES].long()

    def recur(self, k: int, z: Tensor) -> Tensor:
        """Move block k's state by z (L, 3 d) and return its gated output (L, d) int8; see `forward_cpu.recur`."""
        f, c, o = z.chunk(3, -1)
        limit = CANDIDATE_LIMIT
        new = c.clamp(-limit, limit).long() << CANDIDATE_SHIFT
        moved = (new - self.h[k]) * self.gate(f)
        self.h[k] += (moved + (1 << (GATE_BITS - 1))) >> GATE_BITS
        out = (self.h[k] * self.gate(o) + (1 << (STATE_SHIFT - 1))) >> STATE_SHIFT
        return out.clamp(-127, 127).to(torch.int8)

    def hidden(self, z: Tensor) -> Tensor:
        """Squared ReLU; see `forward_cpu.squared_relu`."""
        v = z.clamp(0, HIDDEN_LIMIT)
        return ((v * v + (1 << (HIDDEN_SHIFT - 1))) >> HIDDEN_SHIFT).clamp(max=127).to(torch.int8)

    def __call__(self, last: NDArray[np.int64], rows: NDArray[np.int64]) -> Tensor:
        """last (L,) bytes just seen and rows (L, tables) of the n-gram tables -> freqs (L, 256) int32 > 0."""
        t = self.t
        grams = t["ngram"][torch.arange(self.config.tables, device=self.device), torch.from_numpy(rows).to(self.device)]
        x = torch.cat([t["byte"][torch.from_numpy(last).to(self.device)], grams.flatten(1)], -1).int()
        x = x << HALF_EMBEDDING
        for k in range(self.config.blocks):
            before, self.a[k] = self.a[k], norm(x)
            z = int_matmul(torch.cat([self.a[k], before], -1), t[f"block{k}.gates"]) + t[f"block{k}.gates_bias"]
            x = x + int_matmul(self.recur(k, z), t[f"block{k}.state_out"])
            u = self.hidden(int_matmul(norm(x), t[f"block{k}.mlp_in"]))
            x = x + 2 * int_matmul(u, t[f"block{k}.mlp_out"])
        logits = int_matmul(norm(x), t["out"]) + t["out_bias"]
        below = logits.max(-1, keepdim=True).values - logits
        entry = (below + (1 << (SOFTMAX_SHIFT - 1))) >> SOFTMAX_SHIFT
        return t["exponential"][entry.clamp(max=SOFTMAX_ENTRIES - 1).long()]
