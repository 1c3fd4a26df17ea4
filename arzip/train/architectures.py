"""Architectures compared with the recurrence, as float networks only; docs/LOG.md has their results.

Embedding, roundings and MLP are those of QatNetwork, tensors time-major. Must not import data or optimiser code.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from arzip.network.config import NetworkConfig
from arzip.train.qat_network import QatNetwork, State, linear, norm
from arzip.train.scan import read_out

WINDOW = 128  # bytes that attention looks back
HEADS = 4
TAPS = 3  # of a convolution


class MlpBlocks(QatNetwork, ABC):
    """Blocks of a layer over earlier positions, which a subclass implements as `look_back`, and an MLP."""

    @abstractmethod
    def extra_shapes(self) -> dict[str, tuple[int, ...]]:
        """Name -> shape of a block's parameters that replace the recurrence's."""

    @abstractmethod
    def look_back(self, k: int, a: Tensor, past: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Inputs a (T, B, d) and state (B, n) -> output (T, B, d), state after them."""

    kept: int  # activations of so many bytes make up the state

    def __init__(self, config: NetworkConfig, seed: int = 0) -> None:
        super().__init__(config, seed)
        g = torch.Generator().manual_seed(seed + 1)
        for k in range(config.blocks):
            for name in ("gates", "gates_bias"):
                del self.p[f"block{k}_{name}"]
            for name, shape in self.extra_shapes().items():
                value = (
                    torch.randn(shape, generator=g) / math.sqrt(shape[-1]) if len(shape) == 2 else torch.zeros(shape)
                )
                self.p[f"block{k}_{name}"] = nn.Parameter(value)

    def init_state(self, batch: int) -> State:
        """Zeros (B, n): flat, so that the trainer clears a row as it does the recurrence's."""
        zero = torch.zeros(batch, self.kept * self.config.d)
        return [(zero, torch.zeros(batch, 1))] * self.config.blocks

    def block(
        self, k: int, x: Tensor, before: tuple[Tensor, Tensor], dtype: torch.dtype
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """As QatNetwork.block."""
        seen, kept = self.look_back(k, norm(x), before[0], dtype)
        state_out, mlp_in, mlp_out = (self.p[f"block{k}_{n}"] for n in ("state_out", "mlp_in", "mlp_out"))
        x = self.block_out(x, read_out(seen, torch.ones(())), state_out, mlp_in, mlp_out, dtype)
        return x, (kept.detach(), before[1])


class Attention(MlpBlocks):
    """Causal attention over the last WINDOW bytes, with a learnt bias for each distance and head."""

    kept = WINDOW

    def extra_shapes(self) -> dict[str, tuple[int, ...]]:
        """Queries, keys and values; biases by distance."""
        return {"qkv": (3 * self.config.d, self.config.d), "distance": (HEADS * (WINDOW + 1),)}

    def look_back(self, k: int, a: Tensor, past: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """As MlpBlocks.look_back."""
        steps, batch, d = a.shape
        whole = torch.cat([past.view(batch, WINDOW, d).transpose(0, 1), a])
        q, key, value = (
            m.view(len(whole), batch, HEADS, d // HEADS).permute(1, 2, 0, 3)
            for m in linear(whole, self.p[f"block{k}_qkv"], dtype).chunk(3, -1)
        )
        distance = torch.arange(steps)[:, None] + WINDOW - torch.arange(len(whole))[None]
        bias = self.p[f"block{k}_distance"].view(HEADS, -1)[:, distance.clamp(0, WINDOW)]
        bias = bias.masked_fill((distance < 0) | (distance > WINDOW), -1e9)
        out = nn.functional.scaled_dot_product_attention(q[:, :, WINDOW:], key, value, bias[None].to(q.dtype))
        return out.permute(2, 0, 1, 3).reshape(steps, batch, d), whole[-WINDOW:].transpose(0, 1).reshape(batch, -1)


class Convolution(MlpBlocks):
    """A gated causal convolution of TAPS taps, 4 ** block bytes apart (van den Oord et al. 2016)."""

    kept = 64

    def extra_shapes(self) -> dict[str, tuple[int, ...]]:
        """Both halves of the gate."""
        return {"taps": (2 * self.config.d, TAPS * self.config.d)}

    def look_back(self, k: int, a: Tensor, past: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """As MlpBlocks.look_back."""
        batch, d = a.shape[1:]
        whole = torch.cat([past.view(batch, self.kept, d).transpose(0, 1), a])
        apart = 4**k
        taps = torch.cat([whole[self.kept - i * apart : len(whole) - i * apart] for i in range(TAPS)], -1)
        c, f = linear(taps, self.p[f"block{k}_taps"], dtype).chunk(2, -1)
        kept = whole[-self.kept :].transpose(0, 1).reshape(batch, -1)
        return torch.tanh(c) * torch.sigmoid(f) * 2, kept


class NibbleTree(QatNetwork):
    """The recurrence with a tree as output: 16 high nibbles, then the 16 low ones of that high one."""

    def __init__(self, config: NetworkConfig, seed: int = 0) -> None:
        super().__init__(config, seed)
        g = torch.Generator().manual_seed(seed + 2)
        high = torch.randn(16, config.d, generator=g) * 0.5 / math.sqrt(config.d)
        self.p["out"] = nn.Parameter(torch.cat([self.p["out"].detach(), high]))
        self.p["out_bias"] = nn.Parameter(torch.zeros(256 + 16))

    def forward(
        self, last_byte: Tensor, ngrams: Tensor, state: State, dtype: torch.dtype = torch.float32
    ) -> tuple[Tensor, State]:
        """As QatNetwork.forward."""
        logits, after = super().forward(last_byte, ngrams, state, dtype)
        low = logits[..., :256].reshape(*logits.shape[:-1], 16, 16)
        high = torch.log_softmax(logits[..., 256:], -1)
        return (high[..., None] + torch.log_softmax(low, -1)).flatten(-2), after


class Tied(QatNetwork):
    """The recurrence whose output rows are the bytes' embeddings, through one small matrix."""

    def __init__(self, config: NetworkConfig, seed: int = 0) -> None:
        super().__init__(config, seed)
        g = torch.Generator().manual_seed(seed + 2)
        self.p["out"] = nn.Parameter(torch.randn(config.byte_d, config.d, generator=g) * 0.5 / math.sqrt(config.d))
        self.p["out_bias"] = nn.Parameter(torch.zeros(config.byte_d))
        self.p["tied_bias"] = nn.Parameter(torch.zeros(256))

    def forward(
        self, last_byte: Tensor, ngrams: Tensor, state: State, dtype: torch.dtype = torch.float32
    ) -> tuple[Tensor, State]:
        """As QatNetwork.forward."""
        narrow, after = super().forward(last_byte, ngrams, state, dtype)
        return narrow @ self.p["byte"].T + self.p["tied_bias"], after
