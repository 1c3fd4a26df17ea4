"""Where the bits go: what each byte of a file costs, added up by its place and by its kind.

Codes in one lane, so that a byte's cost is what its past makes of it; levels with more lanes spend somewhat more. Must
not know archives.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arzip import coder, levels, models, planning
from arzip.compiled import njit
from arzip.engine import Engine, Plan, open_engine
from arzip.levels import Level
from arzip.memory import predict as kernels
from arzip.memory.tables import P_ONE
from arzip.network import cpu
from arzip.network.weights import load_weights

SEGMENTS = 20
PIECE_BYTES = 1 << 15
CLASSES = ("letter", "digit", "space", "newline", "punctuation", "control", "high")


@njit(nogil=True)
def spend(network, state, memory, parts, text, first, end, costs):  # type: ignore[no-untyped-def]
    """Code text[first:end] of one lane and write each byte's -log2 p into costs; parts: network, memory or both."""
    opinion, chance, bits = np.zeros((3, 1), np.int64)
    last = np.zeros(1, np.uint8)
    for t in range(first, end):
        last[0] = text[t - 1] if t else 0
        if parts[0]:
            cpu.step(network, state, last, 0, 1)
        if parts[1]:
            kernels.turn(memory, t)
        low, high = 0, 256
        for bit in range(8):
            middle = (low + high) >> 1
            if parts[0]:
                upper, total = np.int64(0), np.int64(0)
                for i in range(low, high):
                    total += state.weights[0, i]
                    if i >= middle:
                        upper += state.weights[0, i]
                p = int((upper << coder.PROBABILITY_BITS) // total)
                opinion[0] = min(max(p, 1), P_ONE - 1)
            if parts[1]:
                kernels.predict(memory, 0, 1, opinion, chance)
            one = chance[0] if parts[1] else opinion[0]
            bits[0] = np.int64(text[t]) >> (7 - bit) & 1
            costs[t] -= np.log2((one if bits[0] else P_ONE - one) / P_ONE)
            if parts[1]:
                kernels.update(memory, 0, 1, bits)
            if bits[0]:
                low = middle
            else:
                high = middle
        if parts[1]:
            bits[0] = text[t]
            kernels.end_byte(memory, 0, 1, bits, t)


def byte_costs(raw: bytes, level_number: int, model: str | None) -> NDArray[np.float64]:
    """What each byte of `raw` costs in bits: (n,). Raises ModelError when the model can't be had."""
    level = levels.level(level_number)
    path = models.find(model or level.model)
    engine = open_engine(path, "cpu")
    network = cpu.load_network(load_weights(path))
    costs = np.zeros(len(raw))
    for at in range(0, len(raw), level.block_bytes):
        block = raw[at : at + level.block_bytes]
        block_costs(engine, network, block, level, costs[at : at + len(block)])
    return costs


def block_costs(engine: Engine, network: cpu.Network, raw: bytes, level: Level, costs: NDArray[np.float64]) -> None:
    """The costs of one block -> costs (n,)."""
    chosen = planning.choose(engine, raw, level)
    plan = Plan(1, chosen.network, chosen.profile)
    memory = engine.memory(plan, np.zeros(1, np.int64), len(raw))
    used = network if plan.network else cpu.no_network()
    state = cpu.init_state(used, 1)
    text, parts = np.frombuffer(bytearray(raw), np.uint8), np.array(plan.parts)
    for first in range(0, len(raw), PIECE_BYTES):  # signals are heard in between
        spend(used, state, memory, parts, text, first, min(first + PIECE_BYTES, len(raw)), costs)


@dataclass(frozen=True)
class Anatomy:
    """The two tables: rows as `--json` prints them."""

    by_position: list[dict[str, Any]]
    by_byte_class: list[dict[str, Any]]


def dissect(raw: bytes, costs: NDArray[np.float64]) -> Anatomy:
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
    return Anatomy(positions, classes)


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
    """(256,): each byte value's place in CLASSES."""
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
