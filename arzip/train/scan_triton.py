"""The gated recurrence as one Triton kernel each way: a thread a channel of a row, a loop over time.

A step's operands are loaded four to eight steps ahead, to hide the latency of memory in the sequential loop. Pointers
are advanced instead of offsets, which could exceed 2**31. Imported only if triton is installed; scan has the formulas.
Kernels have many parameters because Triton takes pointers and sizes one by one.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 128  # channels a program
WARPS = 4
HALF_UP = tl.constexpr(12582912.0)  # 1.5 * 2**23: adding and subtracting it rounds to integers, ties to even


@triton.jit
def clip(x, limit: tl.constexpr):  # type: ignore[no-untyped-def]
    """x within +-limit."""
    return tl.minimum(tl.maximum(x, -limit), limit)


@triton.jit
def load_gates(at, d, mask):  # type: ignore[no-untyped-def]
    """Pre-activations of the three gates of a step, float32."""
    f = tl.load(at, mask=mask, other=0.0).to(tl.float32)
    c = tl.load(at + d, mask=mask, other=0.0).to(tl.float32)
    o = tl.load(at + 2 * d, mask=mask, other=0.0).to(tl.float32)
    return f, c, o


@triton.jit
def load_steps(at, stride, d, mask, left):  # type: ignore[no-untyped-def]
    """`load_gates` of the next four steps; those beyond the last `left` steps give zeros."""
    return (
        load_gates(at, d, mask & (left > 0)),
        load_gates(at + stride, d, mask & (left > 1)),
        load_gates(at + 2 * stride, d, mask & (left > 2)),
        load_gates(at + 3 * stride, d, mask & (left > 3)),
    )


@triton.jit
def forward_kernel(z, bias, h0, u, h, width, d, STEPS: tl.constexpr, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    """z (T, B, 3d), bias (3d,), h0 (B, d) -> u (T, B, d), h (T, B, d); width = B d."""
    n = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    m = n < width
    bf, bc, bo = load_gates(bias + n % d, d, m)
    last = tl.load(h0 + n, mask=m, other=0.0)
    z_at = z + (n // d) * (3 * d) + n % d
    u_at, h_at = u + n, h + n
    ahead = load_steps(z_at, 3 * width, d, m, STEPS)
    for t in range(0, STEPS, 4):
        now = ahead
        z_at += 12 * width
        ahead = load_steps(z_at, 3 * width, d, m, STEPS - t - 4)
        for i in tl.static_range(4):
            f, c, o = now[i]
            last += tl.sigmoid(clip(f + bf, 8.0)) * (clip(c + bc, 4.0) - last)
            scaled = clip(last * tl.sigmoid(clip(o + bo, 8.0)), 3.96875) * 32.0
            rounded = ((scaled + HALF_UP) - HALF_UP) * 0.03125
            there = m & (t + i < STEPS)
            tl.store(u_at, rounded.to(u.dtype.element_ty), mask=there)
            tl.store(h_at, last, mask=there)
            u_at += width
            h_at += width


@triton.jit
def load_back(z_at, h_at, du_at, width, d, mask, left):  # type: ignore[no-untyped-def]
    """Operands of a backward step: three gates, the state before it, gradient of the read-out. Zeros if left <= 0."""
    there = mask & (left > 0)
    f, c, o = load_gates(z_at, d, there)
    before = tl.load(h_at, mask=mask & (left > 1), other=0.0)
    du = tl.load(du_at, mask=there, other=0.0).to(tl.float32)
    return f, c, o, before, du


@triton.jit
def load_back_steps(z_at, h_at, du_at, width, d, mask, left):  # type: ignore[no-untyped-def]
    """`load_back` of four steps, the latest first."""
    return (
        load_back(z_at, h_at, du_at, width, d, mask, left),
        load_back(z_at - 3 * width, h_at - width, du_at - width, width, d, mask, left - 1),
        load_back(z_at - 6 * width, h_at - 2 * width, du_at - 2 * width, width, d, mask, left - 2),
        load_back(z_at - 9 * width, h_at - 3 * width, du_at - 3 * width, width, d, mask, left - 3),
    )


@triton.jit
def backward_kernel(z, bias, h0, h, du, dz, db, width, d, STEPS: tl.constexpr, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    """As forward_kernel, and du (T, B, d) -> dz (T, B, 3d), db (B, 3d): the bias's gradient, for each row apart."""
    n = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    m = n < width
    bf, bc, bo = load_gates(bias + n % d, d, m)
    first = tl.load(h0 + n, mask=m, other=0.0)
    offset = (n // d) * (3 * d) + n % d
    end = tl.cast(width, tl.int64) * (STEPS - 1)
    z_at, dz_at = z + 3 * end + offset, dz + 3 * end + offset
    h_at, du_at = h + end - width + n, du + end + n
    state = tl.load(h + end + n, mask=m, other=0.0)
    carry = tl.zeros((BLOCK,), tl.float32)
    sum_f, sum_c, sum_o = carry, carry, carry
    ahead = load_back_steps(z_at, h_at, du_at, width, d, m, STEPS)
    for t in range(0, STEPS, 4):
        now = ahead
        z_at -= 12 * width
        h_at -= 4 * width
        du_at -= 4 * width
        ahead = load_back_steps(z_at, h_at, du_at, width, d, m, STEPS - t - 4)
        for i in tl.static_range(4):
            zf, zc, zo, before, grad = now[i]
            left = STEPS - t - i
            before = tl.where(left > 1, before, first)
            there = m & (left > 0)
            zf, zc, zo = zf + bf, zc + bc, zo + bo
            f, c, o = tl.sigmoid(clip(zf, 8.0)), clip(zc, 4.0), tl.sigmoid(clip(zo, 8.0))
            grad = tl.where(tl.abs(state * o) <= 3.96875, grad, 0.0)
            total = carry + grad * o
            df = tl.where(tl.abs(zf) <= 8.0, total * (c - before) * f * (1 - f), 0.0)
            dc = tl.where(tl.abs(zc) <= 4.0, total * f, 0.0)
            do = tl.where(tl.abs(zo) <= 8.0, grad * state * o * (1 - o), 0.0)
            sum_f += tl.where(left > 0, df, 0.0)
            sum_c += tl.where(left > 0, dc, 0.0)
            sum_o += tl.where(left > 0, do, 0.0)
            tl.store(dz_at, df.to(dz.dtype.element_ty), mask=there)
            tl.store(dz_at + d, dc.to(dz.dtype.element_ty), mask=there)
            tl.store(dz_at + 2 * d, do.to(dz.dtype.element_ty), mask=there)
            dz_at -= 3 * width
            carry = total * (1 - f)
            state = before
    tl.store(db + offset, sum_f, mask=m)
    tl.store(db + offset + d, sum_c, mask=m)
    tl.store(db + offset + 2 * d, sum_o, mask=m)


def forward(z: Tensor, bias: Tensor, h0: Tensor) -> tuple[Tensor, Tensor]:
    """Read-out, in z's dtype, and states, float32; all arguments contiguous."""
    steps, batch, d = z.shape[0], z.shape[1], z.shape[2] // 3
    u, h = z.new_empty(steps, batch, d), h0.new_empty(steps, batch, d)
    kernel: Any = forward_kernel
    grid = (triton.cdiv(batch * d, BLOCK),)
    kernel[grid](z, bias, h0, u, h, batch * d, d, STEPS=steps, BLOCK=BLOCK, num_warps=WARPS)
    return u, h


def backward(z: Tensor, bias: Tensor, h0: Tensor, h: Tensor, du: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of z and bias; all arguments contiguous."""
    steps, batch, d = h.shape
    dz, db = torch.empty_like(z), torch.empty(batch, 3 * d, dtype=torch.float32, device=z.device)
    kernel: Any = backward_kernel
    grid = (triton.cdiv(batch * d, BLOCK),)
    kernel[grid](z, bias, h0, h, du, dz, db, batch * d, d, STEPS=steps, BLOCK=BLOCK, num_warps=WARPS)
    return dz, db.sum(0)
