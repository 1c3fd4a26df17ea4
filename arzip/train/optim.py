"""Optimisers that a CUDA graph can hold: Muon over stacked matrices, Adagrad for the rows of the n-gram tables.

Learning rates may be tensors on the device. Must not import network code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # Jordan et al. 2024, as torch.optim.Muon
NEWTON_SCHULZ_STEPS = 5
EPS = 1e-7
Rate = float | Tensor


def orthogonalise(g: Tensor, dtype: torch.dtype) -> Tensor:
    """Matrices (n, rows <= columns) -> approximately the nearest orthogonal ones, computed in `dtype`."""
    a, b, c = NEWTON_SCHULZ
    x = g.to(dtype)
    x = x / torch.linalg.vector_norm(x, dim=(1, 2), keepdim=True).clamp(min=EPS)
    for _ in range(NEWTON_SCHULZ_STEPS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x


class Muon(torch.optim.Optimizer):
    """torch.optim.Muon's update, for all matrices of one shape (or its transpose) at once; no scalar on the host."""

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: Rate,
        weight_decay: float = 0.0,
        momentum: float = 0.95,
        dtype: torch.dtype = torch.bfloat16,
    ) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})
        self.dtype = dtype

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Nesterov momentum, orthogonalised; every matrix must have a gradient."""
        for group in self.param_groups:
            by_shape: dict[tuple[int, int], list[Tensor]] = {}
            for p in group["params"]:
                by_shape.setdefault((min(p.shape), max(p.shape)), []).append(p)
            for params in by_shape.values():
                self.update(params, group["lr"], group["weight_decay"], group["momentum"])

    def update(self, params: list[Tensor], lr: Rate, weight_decay: float, momentum: float) -> None:
        """Update matrices of one shape, or its transpose."""
        for p in params:
            if "momentum_buffer" not in self.state[p]:
                self.state[p]["momentum_buffer"] = torch.zeros_like(p)
        buffers: list[Any] = [self.state[p]["momentum_buffer"] for p in params]
        grads: list[Any] = [p.grad for p in params]
        torch._foreach_lerp_(buffers, grads, 1 - momentum)
        update = torch.stack([as_wide(g.lerp(b, momentum)) for g, b in zip(grads, buffers, strict=True)])
        for p, u in zip(params, orthogonalise(update, self.dtype).unbind(), strict=True):
            p.mul_(1 - lr * weight_decay)
            scale = max(1.0, p.shape[0] / p.shape[1]) ** 0.5
            p.sub_((u.mT if p.shape[0] > p.shape[1] else u).float() * (lr * scale))


def as_wide(m: Tensor) -> Tensor:
    """A matrix with at least as many columns as rows: itself or its transpose."""
    return m.mT if m.shape[0] > m.shape[1] else m


@torch.no_grad()
def sparse_adagrad(table: Tensor, total: Tensor, rows: Tensor, grad: Tensor, lr: Rate, limit: float) -> None:
    """Adagrad (Duchi et al. 2011) in place, on the rows that a batch touched only: fast on a CPU.

    table, total (tables, N, w): values, sums of squared gradients. rows (n, tables), grad (n, tables, w).
    limit: values are clipped to +-limit.
    """
    for k in range(len(table)):
        touched, where = torch.unique(rows[:, k], return_inverse=True)
        g = grad.new_zeros(len(touched), table.shape[2]).index_add_(0, where, grad[:, k])
        total[k, touched] += g * g
        step = lr * g / total[k, touched].sqrt()
        table[k, touched] = (table[k, touched] - step).clamp_(-limit, limit)


def apply_adagrad(table: Tensor, total: Tensor, g: Tensor, lr: Rate, limit: float) -> None:
    """Adagrad in place with a dense gradient g; a gradient of 0 changes nothing. Compiled, it is one pass."""
    total.add_(g * g)
    table.sub_(lr * g / total.sqrt()).clamp_(-limit, limit)


class DenseAdagrad:
    """`sparse_adagrad` without data-dependent shapes: gradients are summed in a table of fixed address."""

    def __init__(self, table: Tensor) -> None:
        self.grad = torch.zeros_like(table)
        self.base = torch.arange(len(table), device=table.device) * table.shape[1]
        self.apply = apply_adagrad

    def compile(self) -> None:
        """Fuse the passes over the table."""
        self.apply = torch.compile(apply_adagrad, dynamic=False)

    @torch.no_grad()
    def step(self, table: Tensor, total: Tensor, rows: Tensor, grad: Tensor, lr: Rate, limit: float) -> None:
        """As `sparse_adagrad`."""
        width = table.shape[2]
        self.grad.zero_()
        self.grad.view(-1, width).index_add_(0, (rows + self.base).flatten(), grad.reshape(-1, width))
        self.apply(table, total, self.grad, lr, limit)
