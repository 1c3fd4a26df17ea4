"""Cost breakdown: the bits that each byte of a file costs, summed by position and by byte class.

Codes in one lane, so that every byte is predicted from all bytes before it; with more lanes it costs somewhat more.
Must not import archive code.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arzip import levels, planner
from arzip.engine.engine import Engine, open_engine
from arzip.levels import Level
from arzip.weights import registry

SEGMENTS = 20
CLASSES = ("letter", "digit", "space", "newline", "punctuation", "control", "high")


def byte_costs(raw: bytes, level_number: int, model: str | None) -> NDArray[np.float64]:
    """Cost of each byte of `raw` in bits (n,). Raises ModelError if the model can't be loaded."""
    level = levels.level(level_number)
    engine = open_engine(registry.find(model or level.model), "cpu")
    blocks = [raw[at : at + level.block_bytes] for at in range(0, len(raw), level.block_bytes)]
    return np.concatenate([np.zeros(0), *(block_costs(engine, block, level) for block in blocks)])


def block_costs(engine: Engine, raw: bytes, level: Level) -> NDArray[np.float64]:
    """Cost of each byte of a block in bits (n,)."""
    chosen = planner.choose(engine, raw, level)
    return engine.byte_costs(raw, replace(chosen, lanes=1))


@dataclass(frozen=True)
class CostBreakdown:
    """The two tables: rows as `--json` prints them."""

    by_position: list[dict[str, Any]]
    by_byte_class: list[dict[str, Any]]


def break_down(raw: bytes, costs: NDArray[np.float64]) -> CostBreakdown:
    """Add up the costs (n,) of a file's bytes."""
    text, total = np.frombuffer(raw, np.uint8), float(costs.sum())
    edges = [len(raw) * k // SEGMENTS for k in range(SEGMENTS + 1)]
    positions = [{"first": a, "end": b} | _sums(costs[a:b], len(raw), total) for a, b in pairwise(edges) if b > a]
    kinds = class_of()[text]
    classes = [
        {"class": name} | _sums(costs[kinds == k], len(raw), total)
        for k, name in enumerate(CLASSES)
        if (kinds == k).any()
    ]
    return CostBreakdown(positions, classes)


def _sums(costs: NDArray[np.float64], size_bytes: int, total_bits: float) -> dict[str, Any]:
    bits = float(costs.sum())
    return {
        "bytes": costs.size,
        "bytes_share": costs.size / size_bytes,
        "bits": bits,
        "bits_share": bits / total_bits if total_bits else 0.0,
        "bits_per_byte": bits / costs.size,
    }


def class_of() -> NDArray[np.uint8]:
    """Index in CLASSES of each byte value: (256,)."""
    kinds = np.full(256, CLASSES.index("punctuation"), np.uint8)
    kinds[:32] = kinds[127] = CLASSES.index("control")
    kinds[128:] = CLASSES.index("high")
    for k in range(128):
        if chr(k).isalpha():
            kinds[k] = CLASSES.index("letter")
        elif chr(k).isdigit():
            kinds[k] = CLASSES.index("digit")
    kinds[[ord(" "), ord("\t")]] = CLASSES.index("space")
    kinds[[ord("\n"), ord("\r")]] = CLASSES.index("newline")
    return kinds
