"""See hash_table.py and ngram_table.py one folder up: hashed slots of bit histories; what is known of contexts.

Who has nothing to write writes zeros to slot 0, which is empty.
"""

from __future__ import annotations

import torch
from torch import Tensor

from arzip.context_mixing.state import BIT, PARTIAL, SLOT_BYTES
from arzip.context_mixing.state_table import PRIMED, PRIMED_CLASSES
from arzip.context_mixing.torch_ops.state import Crew
from arzip.context_mixing.torch_ops.uint64 import mix, shift_right


def find(crew: Crew) -> None:
    """Choose each context's slot for the nibble that comes, then `claim` it."""
    slots = crew.slots
    h = mix(crew.hashes, crew.lane[:, PARTIAL, None]) if crew.clock[BIT] else crew.hashes
    check = shift_right(h, 56) | 1
    index = h & (slots.shape[0] // SLOT_BYTES - 1)
    first = torch.where(index < 2, index | 2, index) * SLOT_BYTES
    other = first ^ SLOT_BYTES
    hit, other_hit = slots[first] == check, slots[other] == check
    take = ~(hit | other_hit)
    turned = other_hit | take & (slots[other + 1] < slots[first + 1])
    claim(crew, h, torch.where(~hit & turned, other, first), check, take)


def claim(crew: Crew, h: Tensor, at: Tensor, check: Tensor, take: Tensor) -> None:
    """Take over slots at byte `at` (L, C): clear, then the largest check byte wins, then losers get slot 0."""
    slots, taken = crew.slots, at * take
    slots.view(-1, SLOT_BYTES).index_fill_(0, taken.flatten() // SLOT_BYTES, 0)
    slots.scatter_reduce_(0, taken.flatten(), (check * take).to(torch.uint8).flatten(), "amax")
    mine = slots[at] == check
    crew.slot.copy_(at * mine)
    if crew.known_kinds.shape[0]:
        fill(crew, h[:, crew.known_kinds], (taken * mine)[:, crew.known_kinds])


def fill(crew: Crew, h: Tensor, at: Tensor) -> None:
    """Bring cleared slots at byte `at` (L, n), 0: none, to what the n-grams know of the contexts with hashes h."""
    row = shift_right(h, 24) & crew.ngrams.shape[0] - 1
    rows = crew.ngrams[torch.stack([row, row ^ 1])].long()  # (2, L, n, ROW_BYTES)
    fits = (rows[..., 0] == shift_right(h, 48) & 255) & (rows[..., 1] != 0)
    pairs = torch.where(fits[0, ..., None], rows[0], rows[1])[..., 1:]
    classes = crew.count_classes[crew.node_counts[pairs].sum(-3)]  # (L, n, SLOT_BYTES, 2)
    state = classes[..., 0] * PRIMED_CLASSES + classes[..., 1]
    there = ((fits[0] | fits[1]) & (at > 0))[..., None] & (state > 0)
    state = ((PRIMED - 1 + state) * there).to(torch.uint8)
    crew.slots.scatter_reduce_(0, (at[..., None] + crew.nodes_of_slot).flatten(), state.flatten(), "amax")
