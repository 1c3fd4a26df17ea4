"""Match models; see arzip/context_mixing/match_model.py."""

from __future__ import annotations

import torch
from torch import Tensor

from arzip.context_mixing.match_model import MAX_LENGTH, MAX_MISSES, MAX_VERIFIED
from arzip.context_mixing.state import EXPECTED, LENGTH, MISS_HISTORY, POINTER, STEP
from arzip.context_mixing.torch_ops.state import LaneGroup
from arzip.context_mixing.torch_ops.uint64 import SPREAD, shift_right


def own_text(group: LaneGroup) -> Tensor:
    """The lanes' last bytes, newest first: (L, max(MAX_VERIFIED, largest minimum length))."""
    position = group.starts + group.clock[STEP]
    return group.text[(position[:, None] - 1 - group.back).clamp(min=0)]


def text_keys(group: LaneGroup, own: Tensor) -> Tensor:
    """Indices in `match_table` of the lanes' last bytes, for each match model (L, K); its end: too few."""
    h = group.lengths.expand(own.shape[0], -1)
    keys: dict[int, Tensor] = {}
    for i in range(max(group.min_lengths)):
        h = (h + (own[:, i, None].long() + 1)) * SPREAD
        h = h ^ shift_right(h, 31)
        keys |= {k: h[:, k] for k, n in enumerate(group.min_lengths) if n == i + 1}
    size = (group.match_table.shape[0] - 1) // len(group.min_lengths)
    at = (torch.stack([keys[k] for k in range(len(keys))], 1) >> 20 & size - 1) + group.match_table_bases
    return torch.where(group.lengths <= group.clock[STEP], at, group.match_table.shape[0] - 1)


def advance(group: LaneGroup, byte: Tensor, own: Tensor, keys: Tensor) -> None:
    """Advance each match pointer past `byte` (L,); look for one where there is no match. clock[STEP] is past `byte`."""
    text, step, min_lengths = group.text, group.clock[STEP], group.lengths
    pointer, length, history, _ = group.match.unbind(2)
    follows, hit = pointer > 0, text[pointer] == byte[:, None]
    length = torch.where(follows, (length + 1).clamp(max=MAX_LENGTH) * hit, length)
    history = torch.where(follows, (history << 1 | ~hit) & 0xFFFF, history)
    pointer = pointer + follows
    short = length < min_lengths
    found = group.match_table[keys]
    back = group.back[:MAX_VERIFIED]
    before = found[..., None] - 1 - back
    same = (text[before.clamp(min=0)] == own[:, None, :MAX_VERIFIED]) & (before >= 0) & (back < step)
    alike = same.long().cumprod(2).sum(2)
    better = short & (found > 0) & (found != pointer) & (alike >= min_lengths)
    unlucky = group.misses_of_history[history] > MAX_MISSES
    pointer = pointer * ~(short & (found == 0) & (length == 0) & unlucky)
    pointer = torch.where(better, found, pointer)
    pointer = pointer * (pointer < text.shape[0] - 8)
    expected = (text[pointer].long() + 1) * (pointer > 0)
    moved = {
        POINTER: pointer,
        LENGTH: torch.where(better, alike, length),
        MISS_HISTORY: history * ~better,
        EXPECTED: expected,
    }
    group.match.copy_(torch.stack([moved[field] for field in range(len(moved))], 2))


def insert(group: LaneGroup, keys: Tensor) -> None:
    """Insert each lane's position into the match tables. Call after `advance`."""
    position = (group.starts + group.clock[STEP])[:, None].expand_as(keys)
    at = torch.where((position & group.stride_masks) == 0, keys, group.match_table.shape[0] - 1)
    group.match_table.scatter_reduce_(0, at.flatten(), position.flatten(), "amax", include_self=False)
    group.match_table[-1] = 0
