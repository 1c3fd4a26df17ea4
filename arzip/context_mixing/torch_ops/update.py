"""Update after a coded bit; see arzip/context_mixing/update.py.

`accumulate` adds, or takes maxima of, values read before the step; `clamp` brings the sums into range, where lanes that
share a number all write the same.
"""

from __future__ import annotations

import torch
from torch import Tensor

from arzip.context_mixing.adaptive_map import COUNT_MASK
from arzip.context_mixing.logistic import OUTPUT_LIMIT
from arzip.context_mixing.mixer_simd import GRADIENT_BITS
from arzip.context_mixing.state import CLASSES, LR_SCALE, MAP_COUNT_BITS, PARTIAL, STEP, WEIGHT_LIMIT
from arzip.context_mixing.torch_ops.state import LaneGroup
from arzip.context_mixing.update import LEARNING_RATE
from arzip.probability import P_ONE


def set_learning_rate(clock: list[int], rates: list[int]) -> None:
    """Set layer 1's learning rate for the clock's step."""
    clock[LEARNING_RATE] = rates[0] + (rates[1] * 2048 // (2048 + clock[STEP] * rates[3]) if rates[1] else 0)


def set_lr_scale(group: LaneGroup) -> None:
    """Set the lanes' factors, in 1 / 16, of the learning rate, by the classes of their last 6 bytes."""
    kind = group.lane[:, CLASSES, None] >> group.class_shifts & 7
    letters, binary = ((kind == 1) | (kind == 4)).sum(1), (kind >= 6).sum(1)
    # binary bytes are never letters
    group.lane[:, LR_SCALE] = torch.where(
        binary > 0, group.lr_scale_of_binary[binary], group.lr_scale_of_letters[letters]
    )


def accumulate(group: LaneGroup, bits: Tensor) -> None:
    """Add the updates of the lanes' bits (L,), 0 or 1, to maps, slots and weights."""
    y, word = bits[:, None], group.map_value
    target = (y ^ group.inverted) * (P_ONE - 1)
    change = (target - (word >> MAP_COUNT_BITS)) * group.reciprocal[word & COUNT_MASK] >> 16
    group.maps.index_add_(0, group.map_index.flatten(), ((change << MAP_COUNT_BITS) + 1).flatten())
    state = group.map_index[:, : len(group.kinds)] - group.state_bases
    next_state = group.next_state.flatten()[2 * state + y] * (group.slot > 0)
    group.slots.scatter_reduce_(0, group.nodes.flatten(), next_state.flatten(), "amax", include_self=False)
    rate = group.clock[LEARNING_RATE] * group.lane[:, LR_SCALE] >> 4
    error = ((y << 22) - group.squash[group.layer1_logits + OUTPUT_LIMIT]) * rate[:, None] >> GRADIENT_BITS
    gradient = group.inputs[:, None] * error[..., None].int() + (1 << 11) >> 12  # int32: see mixer_simd.py
    group.weights.index_add_(0, group.weight_rows.flatten(), gradient.flatten(0, 1))
    error = ((bits << 22) - group.probability) * group.rates[2] >> GRADIENT_BITS
    group.layer2_weights.index_add_(0, group.lane[:, PARTIAL], group.layer1_logits * error[:, None] + (1 << 13) >> 14)


def clamp(group: LaneGroup) -> None:
    """Clamp the sums that the lanes have added."""
    group.weights[group.weight_rows] = group.weights[group.weight_rows].clamp(-WEIGHT_LIMIT, WEIGHT_LIMIT)
    word = group.maps[group.map_index]
    p = (word >> MAP_COUNT_BITS).clamp(0, P_ONE - 1)
    group.maps[group.map_index] = p << MAP_COUNT_BITS | torch.minimum(word & COUNT_MASK, group.limits)
