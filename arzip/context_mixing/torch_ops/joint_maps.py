"""Joint maps; see arzip/context_mixing/joint_maps.py."""

from __future__ import annotations

import torch
from torch import Tensor

from arzip.context_mixing.state import JOINT_ENTRIES, JOINT_STEPS, MAP_COUNT_BITS
from arzip.context_mixing.torch_ops.state import LaneGroup


def entries(
    group: LaneGroup, at: Tensor, expecting: Tensor, inverted: Tensor, network_p: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The joint maps' entries (L, J + K + R), and whether they are looked up.

    at: the entries of contexts and direct maps; expecting, inverted: those of match and run models, which model P(0)
    where inverted is 1.
    """
    p = group.maps[at[:, -1]] >> MAP_COUNT_BITS + 10 if network_p is None else network_p >> 10
    step = (group.stretch[p].long() + 2048 >> 7)[:, None]
    bit_state = at[:, group.joints] - group.state_bases[group.joints]
    expects = expecting < group.maps.shape[0] - 1
    state = (expecting - group.expecting_bases) * expects
    side = torch.where(inverted > 0, JOINT_STEPS - 1 - step, step)
    indices = torch.cat([bit_state * JOINT_STEPS + step, state * JOINT_STEPS + side], 1)
    known = torch.cat([bit_state > 0, expects], 1)
    base = group.map_bases[len(group.orders) + 2]
    indices += base + JOINT_ENTRIES * torch.arange(indices.shape[1], device=indices.device)
    return torch.where(known, indices, group.maps.shape[0] - 1), known
