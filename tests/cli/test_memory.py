"""The memory that `list` names, held to what context mixing allocates."""

from __future__ import annotations

import numpy as np
import pytest

from arzip.cli import memory
from arzip.context_mixing import state
from arzip.context_mixing.profile import PROFILES


@pytest.mark.parametrize("number", range(len(PROFILES)))
@pytest.mark.parametrize(("lanes", "size"), [(1, 1), (1, 300_000), (24, 1 << 20)])
def test_tables_are_as_large_as_context_mixing_makes_them(number: int, lanes: int, size: int) -> None:
    profile = PROFILES[number]
    made = state.create(profile, np.zeros(lanes, np.int64), size)
    allocated = sum(array.nbytes for name, array in made._asdict().items() if name != "text")
    named = memory.tables_bytes(profile, lanes, size)
    assert 0.95 * allocated - 300_000 < named <= allocated
