"""Run models; see arzip/context_mixing/run_model.py."""

from __future__ import annotations

import torch
from torch import Tensor

from arzip.context_mixing.run_model import MAX_COUNT
from arzip.context_mixing.state import RUN_COUNT, RUN_EXPECTED, RUN_FIELDS, RUN_KEY
from arzip.context_mixing.torch_ops.state import LaneGroup
from arzip.context_mixing.torch_ops.uint64 import shift_right


def find_entries(group: LaneGroup) -> None:
    """Look up the expected byte and run length of each run model, by the hashes of the next byte -> run."""
    h = group.hashes[:, group.runs]
    index = shift_right(h, 20) & group.run_table.shape[1] - 1
    checksum = shift_right(h, 44) & 0xFFFF
    entry = group.run_table[group.run_rows, index]
    is_known = (entry >> 16 == checksum) & (entry & 0xFFFF != 0)
    found = {RUN_KEY: index << 16 | checksum, RUN_EXPECTED: (entry & 255) + 1, RUN_COUNT: entry >> 8 & 255}
    found = {name: value if name == RUN_KEY else value * is_known for name, value in found.items()}
    group.run.copy_(torch.stack([found[field] for field in range(RUN_FIELDS)], 2))


def insert(group: LaneGroup, byte: Tensor) -> None:
    """Insert the bytes just coded (L,) into the run tables."""
    run, expected, count = group.run.unbind(2)
    count = torch.where(expected == byte[:, None] + 1, (count + 1).clamp(max=MAX_COUNT), 1)
    entry = (run & 0xFFFF) << 16 | count << 8 | byte[:, None]
    at = (run >> 16) + group.run_rows * group.run_table.shape[1]
    group.run_table.view(-1).scatter_reduce_(0, at.flatten(), entry.flatten(), "amax", include_self=False)
