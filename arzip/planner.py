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
SURE_SAMPLES, SURE_BYTES = 16, 1 << 13  # samples of streams, and bytes of each
SURE_SHARE = 0.85  # of what streams cost closed: what takes less is not compared


def choose(engine: Engine, raw: bytes, level: Level, threads: int = 1) -> Plan:
    """The plan for a block of `raw` bytes, at least one; threads: maximum for the probe."""
    lanes, cm_profile = levels.lanes_and_profile(len(raw), level)
    alone = levels.lanes_alone(len(raw), level)
    cm_only = Plan(alone, False, level.cm_only_profile, level.wide and alone > 1)
    mixed = Plan(lanes, True, cm_profile, level.wide and lanes > 1)
    min_gain = level.min_gain
    if min_gain >= levels.NEVER:
        return cm_only
    if mixed.lanes == 1:  # a block this short takes less time than start-up does
        mixed, min_gain = Plan(1, True, level.cm_only_profile), min(min_gain, levels.USELESS)
    if min_gain <= levels.ALWAYS or (mixed.lanes == 1 and len(raw) <= levels.SHORT_BYTES):
        return mixed
    return mixed if network_gain(engine, raw, mixed, level.sample_bytes, threads) >= min_gain else cm_only


def is_surely_less(engine: Engine, payload_bytes: int, packed: bytes) -> bool:
    """Whether a payload is clearly shorter than what deflate streams would cost as they are, by samples of those."""
    if payload_bytes >= SURE_SHARE * len(packed):  # they are all but random
        return False
    sample = _sample(packed, SURE_BYTES, SURE_SAMPLES)
    bits = engine.cost_bits(sample, Plan(1, False, levels.FAST))
    return bool(8 * payload_bytes * len(sample) < SURE_SHARE * bits * len(packed))


def network_gain(engine: Engine, raw: bytes, plan: Plan, sample_bytes: int, threads: int) -> float:
    """Share of the bits of context mixing that the network saves, on samples from all over the block."""
    sample = _sample(raw, sample_bytes)
    lanes = max(1, min(SAMPLES, len(sample) // SHORT_LANE_BYTES))
    plans = [Plan(lanes, network, plan.cm_profile) for network in (True, False)]  # a wide one costs the same bits
    with ThreadPoolExecutor(min(threads, 2)) as pool:
        with_network, without = pool.map(lambda plan: engine.cost_bits(sample, plan), plans)
    return 1 - with_network / without


def _sample(raw: bytes, sample_bytes: int, samples: int = SAMPLES) -> bytes:
    """Pieces of so many bytes from all over a text, or all of it."""
    if len(raw) <= samples * sample_bytes:
        return raw
    positions = [(len(raw) - sample_bytes) * k // (samples - 1) for k in range(samples)]
    return b"".join(raw[at : at + sample_bytes] for at in positions)
