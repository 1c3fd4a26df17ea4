"""The APM stages; see arzip/context_mixing/apm.py."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from arzip.context_mixing.state import APM_STEPS, EXPECTED, MAP_COUNT_BITS, PARTIAL, RECENT
from arzip.context_mixing.torch_ops.state import LaneGroup
from arzip.context_mixing.torch_ops.uint64 import hash_pair
from arzip.probability import P_ONE

CONTEXTS: dict[int, Callable[[LaneGroup], Tensor]] = {
    0: lambda group: group.lane[:, PARTIAL],
    1: lambda group: (group.lane[:, RECENT] & 255) << 8 | group.lane[:, PARTIAL],
    2: lambda group: hash_pair(group.lane[:, RECENT] & 0xFFFFFF, group.lane[:, PARTIAL]) & 0xFFFF,
    3: lambda group: group.match[:, 0, EXPECTED] << 8 | group.lane[:, PARTIAL],
}


def refine(group: LaneGroup) -> Tensor:
    """Append the stages' entries to map_index; average them with the mixer's P. Returns P(1) in Q22, (L,)."""
    position = (group.logit + 12 * 256).clamp(0, 24 * 256 - 1)[:, None]
    weight = position & 255
    at = torch.stack([CONTEXTS[kind](group) for kind in group.apms], 1) * APM_STEPS
    at += group.apm_bases + (position >> 8)
    low, high = group.maps[at], group.maps[at + 1]
    p = (low >> MAP_COUNT_BITS) * (256 - weight) + (high >> MAP_COUNT_BITS) * weight >> 8
    near = weight >> 7
    group.map_index = torch.cat([group.map_index, at + near], 1)
    group.map_value = torch.cat([group.map_value, torch.where(near > 0, high, low)], 1)
    group.inverted = torch.cat([group.inverted, torch.zeros_like(at)], 1)
    mean = 2 * group.probability + (p * group.apm_weights).sum(1)
    return (mean // (2 + sum(2 if kind else 1 for kind in group.apms))).clamp(12, P_ONE - 12)
