"""See arzip/context_mixing/apm.py: how often bits that were given such a probability, in a small context, were one."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from arzip.context_mixing.state import APM_STEPS, EXPECTED, MAP_COUNT_BITS, PARTIAL, RECENT
from arzip.context_mixing.torch_ops.state import Crew
from arzip.context_mixing.torch_ops.uint64 import mix
from arzip.probability import P_ONE

CONTEXTS: dict[int, Callable[[Crew], Tensor]] = {
    0: lambda crew: crew.lane[:, PARTIAL],
    1: lambda crew: (crew.lane[:, RECENT] & 255) << 8 | crew.lane[:, PARTIAL],
    2: lambda crew: mix(crew.lane[:, RECENT] & 0xFFFFFF, crew.lane[:, PARTIAL]) & 0xFFFF,
    3: lambda crew: crew.match[:, 0, EXPECTED] << 8 | crew.lane[:, PARTIAL],
}


def refine(crew: Crew) -> Tensor:
    """The final maps' entries near the final logit join those consulted. Returns P in Q22, (L,)."""
    position = (crew.logit + 12 * 256).clamp(0, 24 * 256 - 1)[:, None]
    weight = position & 255
    at = torch.stack([CONTEXTS[kind](crew) for kind in crew.finals], 1) * APM_STEPS
    at += crew.final_bases + (position >> 8)
    low, high = crew.maps[at], crew.maps[at + 1]
    p = (low >> MAP_COUNT_BITS) * (256 - weight) + (high >> MAP_COUNT_BITS) * weight >> 8
    near = weight >> 7
    crew.entry = torch.cat([crew.entry, at + near], 1)
    crew.old = torch.cat([crew.old, torch.where(near > 0, high, low)], 1)
    crew.flip = torch.cat([crew.flip, torch.zeros_like(at)], 1)
    mean = 2 * crew.probability + (p * crew.shares).sum(1)
    return (mean // (2 + sum(2 if kind else 1 for kind in crew.finals))).clamp(12, P_ONE - 12)
