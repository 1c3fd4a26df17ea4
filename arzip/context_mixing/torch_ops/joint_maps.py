"""See arzip/context_mixing/joint_maps.py: what one source says, looked up beside a second opinion."""

from __future__ import annotations

import torch
from torch import Tensor

from arzip.context_mixing.state import JOINT_ENTRIES, JOINT_STEPS, MAP_COUNT_BITS
from arzip.context_mixing.torch_ops.state import Crew


def entries(crew: Crew, at: Tensor, expecting: Tensor, flip: Tensor, network: Tensor | None) -> tuple[Tensor, Tensor]:
    """The joint maps' entries (L, J + K + R) and whether they have an opinion.

    at: the entries of contexts and direct maps; expecting, flip: those of matches and runs, whose opinion is about
    the bit being 0 where flip is 1.
    """
    p = crew.maps[at[:, -1]] >> MAP_COUNT_BITS + 10 if network is None else network >> 10
    step = (crew.stretch[p].long() + 2048 >> 7)[:, None]
    history = at[:, crew.joints] - crew.history_bases[crew.joints]
    expects = expecting < crew.maps.shape[0] - 1
    state = (expecting - crew.expecting_bases) * expects
    side = torch.where(flip > 0, JOINT_STEPS - 1 - step, step)
    places = torch.cat([history * JOINT_STEPS + step, state * JOINT_STEPS + side], 1)
    known = torch.cat([history > 0, expects], 1)
    base = crew.map_bases[len(crew.orders) + 2]
    places += base + JOINT_ENTRIES * torch.arange(places.shape[1], device=places.device)
    return torch.where(known, places, crew.maps.shape[0] - 1), known
