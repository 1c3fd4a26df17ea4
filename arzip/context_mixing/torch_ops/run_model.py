"""See arzip/context_mixing/run_model.py: which byte followed a context the last time, and how often in a row."""

from __future__ import annotations

import torch
from torch import Tensor

from arzip.context_mixing.run_model import LONGEST
from arzip.context_mixing.state import RUN, RUN_COUNT, RUN_EXPECTED, RUN_FIELDS
from arzip.context_mixing.torch_ops.state import Crew
from arzip.context_mixing.torch_ops.uint64 import shift_right


def find(crew: Crew) -> None:
    """Look up what each run's context expects next; `hashes` are those of the byte that comes."""
    h = crew.hashes[:, crew.runs]
    index = shift_right(h, 20) & crew.run_table.shape[1] - 1
    check = shift_right(h, 44) & 0xFFFF
    entry = crew.run_table[crew.run_rows, index]
    known = (entry >> 16 == check) & (entry & 0xFFFF != 0)
    found = {RUN: index << 16 | check, RUN_EXPECTED: (entry & 255) + 1, RUN_COUNT: entry >> 8 & 255}
    found = {name: value if name == RUN else value * known for name, value in found.items()}
    crew.run.copy_(torch.stack([found[field] for field in range(RUN_FIELDS)], 2))


def enter(crew: Crew, byte: Tensor) -> None:
    """Remember the bytes (L,) that came."""
    run, expected, count = crew.run.unbind(2)
    count = torch.where(expected == byte[:, None] + 1, (count + 1).clamp(max=LONGEST), 1)
    entry = (run & 0xFFFF) << 16 | count << 8 | byte[:, None]
    at = (run >> 16) + crew.run_rows * crew.run_table.shape[1]
    crew.run_table.view(-1).scatter_reduce_(0, at.flatten(), entry.flatten(), "amax", include_self=False)
