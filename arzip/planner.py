"""The encoder's choice of a Plan: a probe of a few samples measures whether the network is worth its time.

Decoding reads the choice from the frame. Must not import format.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from arzip import levels
from arzip.engine.engine import Engine
from arzip.engine.plan import Plan
from arzip.levels import Level

SAMPLES = 6  # a tile of the network's products
SHORT_LANE_BYTES = 512


def choose(engine: Engine, raw: bytes, level: Level, threads: int = 1) -> Plan:
    """The plan for a block of `raw` bytes, at least one; threads: maximum for the probe."""
    lanes, cm_profile = levels.lanes_and_profile(len(raw), level)
    wide = level.wide and lanes > 1
    cm_only = Plan(lanes if wide else 1, False, level.cm_only_profile, wide)
    mixed = Plan(lanes, True, cm_profile, wide)
    min_gain = level.min_gain
    if min_gain >= levels.NEVER:
        return cm_only
    if mixed.lanes == 1:  # a block this short takes less time than start-up does
        mixed, min_gain = Plan(1, True, level.cm_only_profile), min(min_gain, levels.USELESS)
    if min_gain <= levels.ALWAYS or (mixed.lanes == 1 and len(raw) <= levels.SHORT_BYTES):
        return mixed
    return mixed if network_gain(engine, raw, mixed, level.sample_bytes, threads) >= min_gain else cm_only


def network_gain(engine: Engine, raw: bytes, plan: Plan, sample_bytes: int, threads: int) -> float:
    """Share of the bits of context mixing that the network saves, on samples from all over the block."""
    sample = raw
    if len(raw) > SAMPLES * sample_bytes:
        positions = [(len(raw) - sample_bytes) * k // (SAMPLES - 1) for k in range(SAMPLES)]
        sample = b"".join(raw[at : at + sample_bytes] for at in positions)
    lanes = max(1, min(SAMPLES, len(sample) // SHORT_LANE_BYTES))
    plans = [Plan(lanes, network, plan.cm_profile) for network in (True, False)]  # a wide one costs the same bits
    with ThreadPoolExecutor(min(threads, 2)) as pool:
        with_network, without = pool.map(lambda plan: engine.cost_bits(sample, plan), plans)
    return 1 - with_network / without
