"""The float twin of the integer network: the same roundings, with straight-through gradients.

Tensors are time-major, (T, B, d). `exact_dtype` float32 evaluates, bfloat16 trains: the operands of every
product are small integers, which bfloat16 holds exactly. Must not know data or optimisers.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from arzip.network import config as spec
from arzip.network.config import NetworkConfig

State = list[tuple[Tensor, Tensor]]  # for each block: previous normed input (B, d), recurrent state (B, d)


def round_to(x: Tensor, bits: int, limit: float) -> Tensor:
    """Round to multiples of 2**-bits and clip to +-limit; the gradient passes where nothing was clipped."""
    clipped = x.clamp(-limit, limit)
    return clipped + (torch.round(clipped * 2**bits) * 2.0**-bits - clipped).detach()


def linear(a: Tensor, weight: Tensor, dtype: torch.dtype) -> Tensor:
    """Product of quantised activations (.., K) with quantised weights (N, K), as float32."""
    w = round_to(weight, spec.WEIGHT_BITS, 127 / 128)
    return nn.functional.linear(a.to(dtype), w.to(dtype)).float()


def norm(x: Tensor) -> Tensor:
    """Root-mean-square norm without gain (Zhang and Sennrich 2019), rounded to int8 in Q5."""
    a = x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 2.0 ** (-2 * spec.RESIDUAL_BITS))
    return round_to(a, spec.ACTIVATION_BITS, 127 / 32)


class Scan(torch.autograd.Function):
    """h_t = h_{t-1} + f_t (c_t - h_{t-1}) over the first axis; returns all h (T, B, d)."""

    @staticmethod
    def forward(ctx, f: Tensor, c: Tensor, h0: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        h = torch.empty_like(f)
        last = h0
        for t in range(f.shape[0]):
            torch.lerp(last, c[t], f[t], out=h[t])
            last = h[t]
        ctx.save_for_backward(f, c, h0, h)
        return h

    @staticmethod
    def backward(ctx, grad: Tensor):  # type: ignore[no-untyped-def]
        f, c, h0, h = ctx.saved_tensors
        dh = torch.empty_like(h)
        dh[-1] = grad[-1]
        keep = 1 - f
        for t in range(f.shape[0] - 2, -1, -1):
            torch.addcmul(grad[t], dh[t + 1], keep[t + 1], out=dh[t])
        before = torch.cat([h0[None], h[:-1]])
        return dh * (c - before), dh * f, dh[0] * keep[0]


def mix_in(x: Tensor, last: Tensor, gates: Tensor, bias: Tensor, dtype: torch.dtype) -> tuple[Tensor, ...]:
    """First half of a block: gates from the current and the previous input. Returns a, f, c, o."""
    a = norm(x)
    pair = torch.cat([a, torch.cat([last[None], a[:-1]])], -1)
    b = bias + (torch.round(bias * 4096) / 4096 - bias).detach()
    f, c, o = (linear(pair, gates, dtype) + b).chunk(3, -1)
    return a, torch.sigmoid(f.clamp(-8, 8)), c.clamp(-4, 4), torch.sigmoid(o.clamp(-8, 8))


def mix_out(x: Tensor, h: Tensor, o: Tensor, w: Tensor, mlp_in: Tensor, mlp_out: Tensor, dtype: torch.dtype) -> Tensor:
    """Second half of a block: gated state and squared-ReLU MLP (Primer, So et al. 2021), both residual."""
    x = x + linear(round_to(h * o, spec.ACTIVATION_BITS, 127 / 32), w, dtype)
    z = linear(norm(x), mlp_in, dtype)
    u = round_to(torch.relu(z).square(), spec.HIDDEN_BITS, 127 / 16)
    return x + linear(u, mlp_out, dtype)


class FloatNetwork(nn.Module):
    """Parameters by the names of NetworkConfig.shapes(); "ngram" is a plain tensor, trained by hand."""

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
            elif name.endswith("gates_bias"):  # forget gates from 1 / 2 to 1 / 1000: every time scale is there
                value[: config.d] = -torch.linspace(0.0, math.log(1000.0), config.d)
            self.p[name.replace(".", "_")] = nn.Parameter(value)
        self.ngram = torch.zeros(config.shapes()["ngram"])
        self.mix_in, self.mix_out = mix_in, mix_out

    def compile(self) -> None:
        """Fuse the element-wise work (needs a C++ compiler; worth it for runs of over some minutes)."""
        self.mix_in = torch.compile(mix_in, dynamic=False)
        self.mix_out = torch.compile(mix_out, dynamic=False)

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

    def block(
        self, k: int, x: Tensor, before: tuple[Tensor, Tensor], dtype: torch.dtype
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Block k on the residual stream x (T, B, d), from its state before -> x, its state after."""
        w = {n: self.p[f"block{k}_{n}"] for n in ("gates", "gates_bias", "state_out", "mlp_in", "mlp_out")}
        last, h0 = before
        a, f, c, o = self.mix_in(x, last, w["gates"], w["gates_bias"], dtype)
        h: Tensor = Scan.apply(f, c, h0)  # type: ignore[no-untyped-call]
        x = self.mix_out(x, h, o, w["state_out"], w["mlp_in"], w["mlp_out"], dtype)
        return x, (a[-1].detach(), h[-1].detach())
