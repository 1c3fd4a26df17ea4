"""Mixer inputs and the mixer; see mixer_inputs.py and mixer.py in arzip/context_mixing."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from arzip.context_mixing.logistic import OUTPUT_LIMIT
from arzip.context_mixing.state import (
    BIT,
    CLASSES,
    EXPECTED,
    LENGTH,
    MAP_COUNT_BITS,
    MISS_BUCKETS,
    MISS_HISTORY,
    PARTIAL,
    RECENT,
    RUN_COUNT,
    RUN_EXPECTED,
    STEP,
)
from arzip.context_mixing.torch_ops import joint_maps
from arzip.context_mixing.torch_ops.state import LaneGroup


def add_inputs(group: LaneGroup, network_p: Tensor | None) -> None:
    """Look up every map and write its two mixer inputs."""
    bit, partial = group.clock[BIT], group.lane[:, PARTIAL, None]
    group.nodes = group.slot + (partial & (1 << bit % 4) - 1 | 1 << bit % 4)
    state = group.slots[group.nodes].long()
    group.seen = state > 0
    expected = torch.cat([group.match[..., EXPECTED], group.run[..., RUN_EXPECTED]], 1) + 255
    expects = (expected >= 256) & (expected >> 8 - bit == partial)  # below 256: none is expected
    likely, models = expected >> 7 - bit & 1, len(group.min_lengths)
    group.expects, group.likely = expects[:, :models], likely[:, :models]
    group.buckets = group.bucket_of_length[group.match[..., LENGTH]]
    match = group.buckets * MISS_BUCKETS + group.bucket_of_misses[group.match[..., MISS_HISTORY] & 255]
    run = group.run[..., RUN_COUNT].clamp(max=31) * 8 + bit
    at = torch.cat([state + group.state_bases, group.direct + partial], 1)
    expecting = torch.cat([match, run], 1) + group.expecting_bases
    expecting = torch.where(expects, expecting, group.maps.shape[0] - 1)
    # 1: the entry models P(bit = 1), -1: P(bit = 0), 0: skipped
    sides = (2 * likely - 1) * expects
    sign = torch.cat([group.seen.long(), torch.ones_like(group.direct), sides], 1)
    group.map_index = torch.cat([at, expecting], 1)
    if group.joints.shape[0]:
        indices, known = joint_maps.entries(group, at, expecting, 1 - likely, network_p)
        group.map_index = torch.cat([group.map_index, indices], 1)
        sign = torch.cat([sign, known[:, : group.joints.shape[0]].long(), sides], 1)
    group.map_value = group.maps[group.map_index]
    group.inverted = (sign < 0).long()
    p = group.map_value >> MAP_COUNT_BITS + 10
    maps = sign.shape[1]
    group.inputs[:, 0 : 2 * maps : 2] = sign * group.stretch[p]
    group.inputs[:, 1 : 2 * maps : 2] = sign * (p - 2048) >> 1
    if network_p is not None:
        p = network_p >> 10
        group.inputs[:, 2 * maps + 1] = group.stretch[p]
        group.inputs[:, 2 * maps + 2] = p - 2048 >> 1


def _row_of_match(group: LaneGroup, network_p: Tensor | None) -> Tensor:
    row = 1 + 2 * group.buckets[:, 0] + group.likely[:, 0]
    return row * group.expects[:, 0] * 8 + group.clock[BIT]


def _row_of_network(group: LaneGroup, network_p: Tensor | None) -> Tensor:
    return torch.zeros_like(group.starts) if network_p is None else group.stretch[network_p >> 10].long() + 2048 >> 7


def _row_of_column(group: LaneGroup, network_p: Tensor | None) -> Tensor:
    column = (group.starts + group.clock[STEP]) % group.record_lengths[0].clamp(min=1) & 255
    return column * 8 + group.clock[BIT]


def _row_of_bytes(group: LaneGroup, network_p: Tensor | None) -> Tensor:
    recent = group.lane[:, RECENT]
    return group.clock[BIT] << 8 | (recent >> 5 & 7) << 5 | (recent >> 13 & 7) << 2 | recent >> 22 & 3


ROWS: dict[int, Callable[[LaneGroup, Tensor | None], Tensor]] = {
    0: _row_of_match,
    1: lambda group, _: group.lane[:, PARTIAL],
    2: lambda group, _: group.lane[:, RECENT] & 255,
    3: lambda group, _: group.lane[:, RECENT] >> 8 & 255,
    4: lambda group, _: group.seen[:, :7].sum(1) * 8 + group.clock[BIT],
    5: lambda group, _: group.lane[:, CLASSES] & 511,
    6: _row_of_network,
    7: _row_of_column,
    8: _row_of_bytes,
    9: lambda group, _: group.match[:, 0, EXPECTED],
    10: lambda group, _: group.lane[:, RECENT] >> 16 & 255,
}


def select_weight_sets(group: LaneGroup, network_p: Tensor | None) -> None:
    """Select one row of each weight set by its mixer context -> weight_rows (L, S)."""
    rows = torch.stack([ROWS[kind](group, network_p) for kind in group.mixer_contexts], 1)
    group.weight_rows = rows + group.set_bases


def mix(group: LaneGroup) -> None:
    """Compute layer 1's logits (L, S), and layer 2's logit and probability (L,)."""
    products = (group.weights[group.weight_rows] >> 4) * group.inputs[:, None] >> 10  # int32: see mixer_simd.py
    group.layer1_logits = (products.sum(2) + 32 >> 6).clamp(-OUTPUT_LIMIT, OUTPUT_LIMIT)
    total = (group.layer2_weights[group.lane[:, PARTIAL]] * group.layer1_logits).sum(1)
    group.logit = (total + (1 << 19) >> 20).clamp(-OUTPUT_LIMIT, OUTPUT_LIMIT)
    group.probability = group.squash[group.logit + OUTPUT_LIMIT].long()
