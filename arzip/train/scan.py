"""The gated recurrence h_t = h_{t-1} + f_t (c_t - h_{t-1}) over windows, in three ways that agree to rounding.

`recurrence`: tensor operations around a loop over time; the reference, and what a CPU runs.
`fused_recurrence`: the custom operator "arzip::recurrence", opaque to torch.compile; on CUDA it is one Triton kernel
each way, which computes the gates as it goes and keeps only h. On other devices it calls the reference.
Must not import network code.
"""

from __future__ import annotations

import torch
from torch import Tensor

from arzip.network import config as spec

GATE_LIMIT = 8.0  # pre-activations of the gates are clipped to the sigmoid table
CANDIDATE_LIMIT = 4.0
LIMITS = (GATE_LIMIT, CANDIDATE_LIMIT, GATE_LIMIT)  # of the three pre-activations
ACTIVATION_LIMIT = 127 / 32


def round_to(x: Tensor, bits: int, limit: float) -> Tensor:
    """Round to multiples of 2**-bits and clip to +-limit; the gradient passes where nothing was clipped."""
    clipped = x.clamp(-limit, limit)
    return clipped + (torch.round(clipped * 2**bits) * 2.0**-bits - clipped).detach()


def scan_back(f: Tensor, grad: Tensor) -> Tensor:
    """dh_t = grad_t + (1 - f_{t+1}) dh_{t+1}: the gradient of all that follows from h_t."""
    dh = torch.empty_like(grad)
    dh[-1] = grad[-1]
    keep = 1 - f
    for t in range(f.shape[0] - 2, -1, -1):
        torch.addcmul(grad[t], dh[t + 1], keep[t + 1], out=dh[t])
    return dh


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
        dh = scan_back(f, grad)
        before = torch.cat([h0[None], h[:-1]])
        return dh * (c - before), dh * f, dh[0] * (1 - f[0])


def gates(z: Tensor, bias: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Pre-activations z (T, B, 3d) and their bias (3d,) -> forget gate f, candidate c, output gate o, float32."""
    f, c, o = (z.float() + bias).chunk(3, -1)
    f, o = (torch.sigmoid(g.clamp(-GATE_LIMIT, GATE_LIMIT)) for g in (f, o))
    return f, c.clamp(-CANDIDATE_LIMIT, CANDIDATE_LIMIT), o


def read_out(h: Tensor, o: Tensor) -> Tensor:
    """The gated state, rounded as activations are."""
    return round_to(h * o, spec.ACTIVATION_BITS, ACTIVATION_LIMIT)


def recurrence(z: Tensor, bias: Tensor, h0: Tensor) -> tuple[Tensor, Tensor]:
    """z (T, B, 3d), bias (3d,), state h0 (B, d) -> read-out (T, B, d), all states h (T, B, d). No gradient for h0."""
    f, c, o = gates(z, bias)
    h: Tensor = Scan.apply(f, c, h0)  # type: ignore[no-untyped-call]
    return read_out(h, o), h


@torch.library.custom_op("arzip::recurrence", mutates_args=())
def fused_recurrence(z: Tensor, bias: Tensor, h0: Tensor) -> tuple[Tensor, Tensor]:
    """As `recurrence`; the read-out, whose values are small integers / 32, has z's dtype. No gradient through h."""
    if z.is_cuda:
        from arzip.train import scan_triton

        return scan_triton.forward(z.contiguous(), bias, h0.contiguous())
    u, h = recurrence(z, bias, h0)
    return u.to(z.dtype), h


@torch.library.custom_op("arzip::recurrence_backward", mutates_args=())
def _fused_backward(z: Tensor, bias: Tensor, h0: Tensor, h: Tensor, du: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of z, in its dtype, and of bias (3d,), float32."""
    if z.is_cuda:
        from arzip.train import scan_triton

        return scan_triton.backward(z.contiguous(), bias, h0.contiguous(), h, du.contiguous())
    f, c, o = gates(z, bias)
    inside = [(y.abs() <= limit) for y, limit in zip((z.float() + bias).chunk(3, -1), LIMITS, strict=True)]
    du = torch.where((h * o).abs() <= ACTIVATION_LIMIT, du.float(), 0.0)
    dh = scan_back(f, du * o)
    before = torch.cat([h0[None], h[:-1]])
    grads = dh * (c - before) * f * (1 - f), dh * f, du * h * o * (1 - o)
    dz = torch.cat([torch.where(there, g, 0.0) for there, g in zip(inside, grads, strict=True)], -1)
    return dz.to(z.dtype), dz.sum((0, 1))


@fused_recurrence.register_fake
def _(z: Tensor, bias: Tensor, h0: Tensor) -> tuple[Tensor, Tensor]:
    steps, batch, d = z.shape[0], z.shape[1], z.shape[2] // 3
    return z.new_empty(steps, batch, d), h0.new_empty(steps, batch, d)


@_fused_backward.register_fake
def _(z: Tensor, bias: Tensor, h0: Tensor, h: Tensor, du: Tensor) -> tuple[Tensor, Tensor]:
    return torch.empty_like(z, memory_format=torch.contiguous_format), torch.empty_like(bias)


def _keep(ctx, inputs, output) -> None:  # type: ignore[no-untyped-def]
    ctx.save_for_backward(*inputs, output[1])
    ctx.set_materialize_grads(False)


def _backward(ctx, du, _):  # type: ignore[no-untyped-def]
    return (*_fused_backward(*ctx.saved_tensors, du), None)


fused_recurrence.register_autograd(_backward, setup_context=_keep)
