"""Quantisation-aware training: the integer network in floats, with its roundings and straight-through gradients.

Tensors are time-major, (T, B, d). `exact_dtype` float32 evaluates, bfloat16 trains: the operands of every
product are small integers, which bfloat16 holds exactly. Must not import data or optimiser code.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from arzip.network import config as spec
from arzip.network.config import NetworkConfig
from arzip.train import scan
from arzip.train.scan import round_to


def training_dtype(device: str) -> torch.dtype:
    """The dtype in which products are fastest: bfloat16, or float32 on CPUs without 512-bit vectors.

    There bfloat16 is emulated (AMD EPYC, AVX2: 3 GFLOP/s against 22 in float32).
    """
    is_cpu = torch.device(device).type == "cpu"
    slow = is_cpu and "AVX512" not in torch.backends.cpu.get_cpu_capability()
    return torch.float32 if slow else torch.bfloat16


State = list[tuple[Tensor, Tensor]]  # for each block: previous normed input (B, d), recurrent state (B, d)


def product(a: Tensor, weight: Tensor, dtype: torch.dtype) -> Tensor:
    """Product of quantised activations (.., K) with quantised weights (N, K), in `dtype`."""
    w = round_to(weight, spec.WEIGHT_BITS, 127 / 128)
    return nn.functional.linear(a.to(dtype), w.to(dtype))


def linear(a: Tensor, weight: Tensor, dtype: torch.dtype) -> Tensor:
    """`product`, as float32."""
    return product(a, weight, dtype).float()


def norm(x: Tensor) -> Tensor:
    """Root-mean-square norm without gain (Zhang and Sennrich 2019), rounded to int8 in Q5."""
    a = x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 2.0 ** (-2 * spec.RESIDUAL_BITS))
    return round_to(a, spec.ACTIVATION_BITS, 127 / 32)


def block_in(x: Tensor, last: Tensor, weight: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """First half of a block: norm, pre-activations of the gates from this and the previous input (B, d).

    Returns the normed input (T, B, d) and the pre-activations (T, B, 3d) in `dtype`, without bias.
    """
    a = norm(x)
    return a, product(torch.cat([a, torch.cat([last[None], a[:-1]])], -1), weight, dtype)


def block_out(x: Tensor, u: Tensor, w: Tensor, mlp_in: Tensor, mlp_out: Tensor, dtype: torch.dtype) -> Tensor:
    """Second half of a block: read-out u of the recurrence and squared-ReLU MLP (So et al. 2021), both residual."""
    x = x + linear(u, w, dtype)
    z = linear(norm(x), mlp_in, dtype)
    u = round_to(torch.relu(z).square(), spec.HIDDEN_BITS, 127 / 16)
    return x + linear(u, mlp_out, dtype)


class QatNetwork(nn.Module):
    """Parameters by the names of NetworkConfig.shapes(); "ngram" is a plain tensor, which Trainer updates itself."""

    def __init__(self, config: NetworkConfig, seed: int = 0) -> None:
        super().__init__()
        self.config = config
        g = torch.Generator().manual_seed(seed)
        self.p = nn.ParameterDict()
        for name, shape in config.shapes().items():
            if name == "ngram":
                continue
            value = torch.zeros(shape)
            if name == "byte":
                value = torch.randn(shape, generator=g) * 0.5
            elif len(shape) == 2 and not name.endswith("mlp_out"):
                value = torch.randn(shape, generator=g) / math.sqrt(shape[1]) * (0.5 if name == "out" else 1.0)
            elif name.endswith("gates_bias"):  # forget gates from 1 / 2 to 1 / 1000: time constants of 2 to 1000 bytes
                value[: config.d] = -torch.linspace(0.0, math.log(1000.0), config.d)
            self.p[name.replace(".", "_")] = nn.Parameter(value)
        self.ngram = torch.zeros(config.shapes()["ngram"])
        self.block_in, self.block_out, self.recurrence = block_in, block_out, scan.recurrence

    def compile(self, whole: bool = False) -> None:
        """Fuse element-wise operations (needs a C++ compiler, or Triton; saves time in runs of several minutes).

        whole: compile everything up to the loss as one graph, for GPUs; else parts, which compile faster.
        """
        if whole:
            self.loss = torch.compile(self.loss, dynamic=False)  # type: ignore[method-assign]
            return
        self.block_in = torch.compile(block_in, dynamic=False)
        self.block_out = torch.compile(block_out, dynamic=False)
        self.recurrence = torch.compile(scan.recurrence, dynamic=False)

    def gather(self, rows: Tensor) -> Tensor:
        """n-gram rows (T, B, tables) int64 -> their embeddings (T, B, tables * ngram_d), float."""
        c = self.config
        flat = rows + torch.arange(c.tables, device=rows.device) * c.rows
        return self.ngram.view(-1, c.ngram_d)[flat].flatten(2)

    def init_state(self, batch: int) -> State:
        """The state at the start of a lane: zeros."""
        device = self.p["out"].device
        zero = torch.zeros(batch, self.config.d, device=device)
        return [(zero, zero)] * self.config.blocks

    def forward(
        self, last_byte: Tensor, ngrams: Tensor, state: State, dtype: torch.dtype = torch.float32
    ) -> tuple[Tensor, State]:
        """last_byte (T, B) int64, ngrams (T, B, tables * ngram_d) -> logits (T, B, 256) in nats, state."""
        byte = nn.functional.embedding(last_byte, self.p["byte"])
        x = round_to(torch.cat([byte, ngrams], -1), spec.EMBEDDING_BITS, 127 / 64)
        after: State = []
        for k in range(self.config.blocks):
            x, kept = self.block(k, x, state[k], dtype)
            after.append(kept)
        return linear(norm(x), self.p["out"], dtype) + self.p["out_bias"], after

    def loss(
        self, last_byte: Tensor, ngrams: Tensor, target: Tensor, state: State, dtype: torch.dtype
    ) -> tuple[Tensor, State]:
        """Mean cross-entropy of target (T, B) int64 in nats; the state after it."""
        logits, after = self(last_byte, ngrams, state, dtype)
        return nn.functional.cross_entropy(logits.flatten(0, 1), target.flatten()), after

    def block(
        self, k: int, x: Tensor, before: tuple[Tensor, Tensor], dtype: torch.dtype
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Block k on the residual stream x (T, B, d), from its state before -> x, its state after."""
        w = {n: self.p[f"block{k}_{n}"] for n in ("gates", "gates_bias", "state_out", "mlp_in", "mlp_out")}
        last, h0 = before
        a, z = self.block_in(x, last, w["gates"], dtype)
        bias = w["gates_bias"]
        bias = bias + (torch.round(bias * 2**spec.RESIDUAL_BITS) / 2**spec.RESIDUAL_BITS - bias).detach()
        u, h = self.recurrence(z, bias, h0)
        x = self.block_out(x, u, w["state_out"], w["mlp_in"], w["mlp_out"], dtype)
        return x, (a[-1].detach(), h[-1].detach())
