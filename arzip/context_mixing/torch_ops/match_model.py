"""See arzip/context_mixing/match_model.py: the longest earlier text that ends like a lane's own, and what followed."""

from __future__ import annotations

import torch
from torch import Tensor

from arzip.context_mixing.match_model import GIVE_UP, LONGEST, VERIFIED
from arzip.context_mixing.state import EXPECTED, LENGTH, POINTER, RECORD, STEP
from arzip.context_mixing.torch_ops.state import Crew
from arzip.context_mixing.torch_ops.uint64 import SPREAD, shift_right


def own_text(crew: Crew) -> Tensor:
    """The lanes' last bytes, newest first: (L, max(VERIFIED, longest of shortest))."""
    place = crew.starts + crew.clock[STEP]
    return crew.text[(place[:, None] - 1 - crew.back).clamp(min=0)]


def text_keys(crew: Crew, own: Tensor) -> Tensor:
    """Indices into `recent` of the lanes' last bytes, for each match model (L, K); its end where they are too few."""
    h = crew.lengths.expand(own.shape[0], -1)
    keys: dict[int, Tensor] = {}
    for i in range(max(crew.shortest)):
        h = (h + (own[:, i, None].long() + 1)) * SPREAD
        h = h ^ shift_right(h, 31)
        keys |= {k: h[:, k] for k, n in enumerate(crew.shortest) if n == i + 1}
    size = (crew.recent.shape[0] - 1) // len(crew.shortest)
    at = (torch.stack([keys[k] for k in range(len(keys))], 1) >> 20 & size - 1) + crew.recent_bases
    return torch.where(crew.lengths <= crew.clock[STEP], at, crew.recent.shape[0] - 1)


def follow(crew: Crew, byte: Tensor, own: Tensor, keys: Tensor) -> None:
    """Move each match past `byte` (L,); where there is none, look for one. `clock[STEP]` counts `byte` already."""
    text, step, shortest = crew.text, crew.clock[STEP], crew.lengths
    pointer, length, record, _ = crew.match.unbind(2)
    follows, hit = pointer > 0, text[pointer] == byte[:, None]
    length = torch.where(follows, (length + 1).clamp(max=LONGEST) * hit, length)
    record = torch.where(follows, (record << 1 | ~hit) & 0xFFFF, record)
    pointer = pointer + follows
    short = length < shortest
    found = crew.recent[keys]
    back = crew.back[:VERIFIED]
    before = found[..., None] - 1 - back
    same = (text[before.clamp(min=0)] == own[:, None, :VERIFIED]) & (before >= 0) & (back < step)
    alike = same.long().cumprod(2).sum(2)
    better = short & (found > 0) & (found != pointer) & (alike >= shortest)
    unlucky = crew.misses_of_record[record] > GIVE_UP
    pointer = pointer * ~(short & (found == 0) & (length == 0) & unlucky)
    pointer = torch.where(better, found, pointer)
    pointer = pointer * (pointer < text.shape[0] - 8)
    expected = (text[pointer].long() + 1) * (pointer > 0)
    moved = {
        POINTER: pointer,
        LENGTH: torch.where(better, alike, length),
        RECORD: record * ~better,
        EXPECTED: expected,
    }
    crew.match.copy_(torch.stack([moved[field] for field in range(len(moved))], 2))


def enter(crew: Crew, keys: Tensor) -> None:
    """Remember where each lane's last bytes stand; called after every lane has looked."""
    place = (crew.starts + crew.clock[STEP])[:, None].expand_as(keys)
    at = torch.where((place & crew.stride_masks) == 0, keys, crew.recent.shape[0] - 1)
    crew.recent.scatter_reduce_(0, at.flatten(), place.flatten(), "amax", include_self=False)
    crew.recent[-1] = 0
