"""See arzip/context_mixing/mixer_inputs.py: what maps, histories and matches say -> inputs -> one logit."""

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
    MATCH_RECORDS,
    PARTIAL,
    RECENT,
    RECORD,
    RUN_COUNT,
    RUN_EXPECTED,
    STEP,
)
from arzip.context_mixing.torch_ops import joint_maps as joint
from arzip.context_mixing.torch_ops.state import Crew


def gather(crew: Crew, network: Tensor | None) -> None:
    """Consult every map and turn its opinion into two inputs of the mixer."""
    bit, partial = crew.clock[BIT], crew.lane[:, PARTIAL, None]
    crew.nodes = crew.slot + (partial & (1 << bit % 4) - 1 | 1 << bit % 4)
    history = crew.slots[crew.nodes].long()
    crew.seen = history > 0
    expected = torch.cat([crew.match[..., EXPECTED], crew.run[..., RUN_EXPECTED]], 1) + 255
    expects = (expected >= 256) & (expected >> 8 - bit == partial)  # a byte with a leading one, if there is one
    likely, models = expected >> 7 - bit & 1, len(crew.shortest)
    crew.expects, crew.likely = expects[:, :models], likely[:, :models]
    crew.buckets = crew.bucket_of_length[crew.match[..., LENGTH]]
    match = crew.buckets * MATCH_RECORDS + crew.bucket_of_record[crew.match[..., RECORD] & 255]
    run = crew.run[..., RUN_COUNT].clamp(max=31) * 8 + bit
    at = torch.cat([history + crew.history_bases, crew.direct + partial], 1)
    expecting = torch.cat([match, run], 1) + crew.expecting_bases
    expecting = torch.where(expects, expecting, crew.maps.shape[0] - 1)
    # 1: an opinion on the bit being 1, -1: on its being 0, 0: none
    sides = (2 * likely - 1) * expects
    sign = torch.cat([crew.seen.long(), torch.ones_like(crew.direct), sides], 1)
    crew.entry = torch.cat([at, expecting], 1)
    if crew.joints.shape[0]:
        places, known = joint.entries(crew, at, expecting, 1 - likely, network)
        crew.entry = torch.cat([crew.entry, places], 1)
        sign = torch.cat([sign, known[:, : crew.joints.shape[0]].long(), sides], 1)
    crew.old = crew.maps[crew.entry]
    crew.flip = (sign < 0).long()
    p = crew.old >> MAP_COUNT_BITS + 10
    maps = sign.shape[1]
    crew.inputs[:, 0 : 2 * maps : 2] = sign * crew.stretch[p]
    crew.inputs[:, 1 : 2 * maps : 2] = sign * (p - 2048) >> 1
    if network is not None:
        p = network >> 10
        crew.inputs[:, 2 * maps + 1] = crew.stretch[p]
        crew.inputs[:, 2 * maps + 2] = p - 2048 >> 1


def _row_of_match(crew: Crew, network: Tensor | None) -> Tensor:
    row = 1 + 2 * crew.buckets[:, 0] + crew.likely[:, 0]
    return row * crew.expects[:, 0] * 8 + crew.clock[BIT]


def _row_of_network(crew: Crew, network: Tensor | None) -> Tensor:
    return torch.zeros_like(crew.starts) if network is None else crew.stretch[network >> 10].long() + 2048 >> 7


def _row_of_column(crew: Crew, network: Tensor | None) -> Tensor:
    column = (crew.starts + crew.clock[STEP]) % crew.rows[0].clamp(min=1) & 255
    return column * 8 + crew.clock[BIT]


def _row_of_bytes(crew: Crew, network: Tensor | None) -> Tensor:
    recent = crew.lane[:, RECENT]
    return crew.clock[BIT] << 8 | (recent >> 5 & 7) << 5 | (recent >> 13 & 7) << 2 | recent >> 22 & 3


ROWS: dict[int, Callable[[Crew, Tensor | None], Tensor]] = {
    0: _row_of_match,
    1: lambda crew, _: crew.lane[:, PARTIAL],
    2: lambda crew, _: crew.lane[:, RECENT] & 255,
    3: lambda crew, _: crew.lane[:, RECENT] >> 8 & 255,
    4: lambda crew, _: crew.seen[:, :7].sum(1) * 8 + crew.clock[BIT],
    5: lambda crew, _: crew.lane[:, CLASSES] & 511,
    6: _row_of_network,
    7: _row_of_column,
    8: _row_of_bytes,
    9: lambda crew, _: crew.match[:, 0, EXPECTED],
    10: lambda crew, _: crew.lane[:, RECENT] >> 16 & 255,
}


def select(crew: Crew, network: Tensor | None) -> None:
    """Choose a row of each weight set by the set's small context."""
    rows = torch.stack([ROWS[kind](crew, network) for kind in crew.selectors], 1)
    crew.chosen = rows + crew.set_bases


def blend(crew: Crew) -> None:
    """The mixers: first-layer logits (L, S), then the final mixer's logit and probability (L,)."""
    products = (crew.weights[crew.chosen] >> 4) * crew.inputs[:, None] >> 10  # int32: see mixer_simd.py
    crew.mixed = (products.sum(2) + 32 >> 6).clamp(-OUTPUT_LIMIT, OUTPUT_LIMIT)
    total = (crew.final_weights[crew.lane[:, PARTIAL]] * crew.mixed).sum(1)
    crew.logit = (total + (1 << 19) >> 20).clamp(-OUTPUT_LIMIT, OUTPUT_LIMIT)
    crew.probability = crew.squash[crew.logit + OUTPUT_LIMIT].long()
