"""See arzip/context_mixing/update.py: what a coded bit teaches maps, bit histories and mixer weights.

`collect` adds or takes maxima of what was read before the step; `settle` brings the results into range, where
lanes that share a number all write the same.
"""

from __future__ import annotations

import torch
from torch import Tensor

from arzip.context_mixing.adaptive_map import COUNT_MASK
from arzip.context_mixing.logistic import OUTPUT_LIMIT
from arzip.context_mixing.mixer_simd import GRADIENT_BITS
from arzip.context_mixing.state import CLASSES, HASTE, MAP_COUNT_BITS, PARTIAL, STEP, WEIGHT_LIMIT
from arzip.context_mixing.torch_ops.state import Crew
from arzip.context_mixing.update import RATE
from arzip.probability import P_ONE


def pace(clock: list[int], rates: list[int]) -> None:
    """Set the mixers' learning rate for the step that the clock shows."""
    clock[RATE] = rates[0] + (rates[1] * 2048 // (2048 + clock[STEP] * rates[3]) if rates[1] else 0)


def judge_haste(crew: Crew) -> None:
    """Set the lanes' shares, in 1 / 16, of the mixers' learning rate: by the classes of their last 6 bytes."""
    kind = crew.lane[:, CLASSES, None] >> crew.class_shifts & 7
    letters, binary = ((kind == 1) | (kind == 4)).sum(1), (kind >= 6).sum(1)
    # a byte that is binary is no letter
    crew.lane[:, HASTE] = torch.where(binary > 0, crew.haste_of_binary[binary], crew.haste_of_letters[letters])


def collect(crew: Crew, bits: Tensor) -> None:
    """Add what the lanes' bits (L,), 0 or 1, teach to maps, slots and weights."""
    y, word = bits[:, None], crew.old
    target = (y ^ crew.flip) * (P_ONE - 1)
    change = (target - (word >> MAP_COUNT_BITS)) * crew.reciprocal[word & COUNT_MASK] >> 16
    crew.maps.index_add_(0, crew.entry.flatten(), ((change << MAP_COUNT_BITS) + 1).flatten())
    history = crew.entry[:, : len(crew.kinds)] - crew.history_bases
    following = crew.history.flatten()[2 * history + y] * (crew.slot > 0)
    crew.slots.scatter_reduce_(0, crew.nodes.flatten(), following.flatten(), "amax", include_self=False)
    rate = crew.clock[RATE] * crew.lane[:, HASTE] >> 4
    error = ((y << 22) - crew.squash[crew.mixed + OUTPUT_LIMIT]) * rate[:, None] >> GRADIENT_BITS
    gradient = crew.inputs[:, None] * error[..., None].int() + (1 << 11) >> 12  # int32: see mixer_simd.py
    crew.weights.index_add_(0, crew.chosen.flatten(), gradient.flatten(0, 1))
    error = ((bits << 22) - crew.probability) * crew.rates[2] >> GRADIENT_BITS
    crew.final_weights.index_add_(0, crew.lane[:, PARTIAL], crew.mixed * error[:, None] + (1 << 13) >> 14)


def settle(crew: Crew) -> None:
    """Bring what the lanes have added into range."""
    crew.weights[crew.chosen] = crew.weights[crew.chosen].clamp(-WEIGHT_LIMIT, WEIGHT_LIMIT)
    word = crew.maps[crew.entry]
    p = (word >> MAP_COUNT_BITS).clamp(0, P_ONE - 1)
    crew.maps[crew.entry] = p << MAP_COUNT_BITS | torch.minimum(word & COUNT_MASK, crew.limits)
