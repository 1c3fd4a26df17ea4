"""The hash table of states and the n-gram table; see hash_table.py and ngram_table.py one folder up.

Lanes that have nothing to write, write zeros to slot 0, which is empty.
"""

from __future__ import annotations

import torch
from torch import Tensor

from arzip.context_mixing.state import BIT, PARTIAL, SLOT_BYTES
from arzip.context_mixing.state_table import FIRST_PRIOR, PRIOR_CLASSES
from arzip.context_mixing.torch_ops.state import LaneGroup
from arzip.context_mixing.torch_ops.uint64 import hash_pair, shift_right


def find_slots(group: LaneGroup) -> None:
    """Find each context's slot for the next nibble, and replace those that miss."""
    slots = group.slots
    h = hash_pair(group.hashes, group.lane[:, PARTIAL, None]) if group.clock[BIT] else group.hashes
    checksum = shift_right(h, 56) | 1
    index = h & (slots.shape[0] // SLOT_BYTES - 1)
    first = torch.where(index < 2, index | 2, index) * SLOT_BYTES
    other = first ^ SLOT_BYTES
    hit, other_hit = slots[first] == checksum, slots[other] == checksum
    take = ~(hit | other_hit)
    turned = other_hit | take & (slots[other + 1] < slots[first + 1])
    replace_slots(group, h, torch.where(~hit & turned, other, first), checksum, take)


def replace_slots(group: LaneGroup, h: Tensor, at: Tensor, checksum: Tensor, take: Tensor) -> None:
    """Replace slots at byte `at` (L, C): clear them; the largest checksum stays, other lanes use slot 0."""
    slots, taken = group.slots, at * take
    slots.view(-1, SLOT_BYTES).index_fill_(0, taken.flatten() // SLOT_BYTES, 0)
    slots.scatter_reduce_(0, taken.flatten(), (checksum * take).to(torch.uint8).flatten(), "amax")
    mine = slots[at] == checksum
    group.slot.copy_(at * mine)
    if group.prior_kinds.shape[0]:
        fill_slot(group, h[:, group.prior_kinds], (taken * mine)[:, group.prior_kinds])


def fill_slot(group: LaneGroup, h: Tensor, at: Tensor) -> None:
    """Set the states of cleared slots at byte `at` (L, n), 0: none, from the n-gram rows of contexts h."""
    row = shift_right(h, 24) & group.ngrams.shape[0] - 1
    rows = group.ngrams[torch.stack([row, row ^ 1])].long()  # (2, L, n, ROW_BYTES)
    fits = (rows[..., 0] == shift_right(h, 48) & 255) & (rows[..., 1] != 0)
    pairs = torch.where(fits[0, ..., None], rows[0], rows[1])[..., 1:]
    classes = group.count_classes[group.node_counts[pairs].sum(-3)]  # (L, n, SLOT_BYTES, 2)
    state = classes[..., 0] * PRIOR_CLASSES + classes[..., 1]
    there = ((fits[0] | fits[1]) & (at > 0))[..., None] & (state > 0)
    state = ((FIRST_PRIOR - 1 + state) * there).to(torch.uint8)
    group.slots.scatter_reduce_(0, (at[..., None] + group.nodes_of_slot).flatten(), state.flatten(), "amax")
