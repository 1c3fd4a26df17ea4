"""What the levels -1 .. -9 stand for. Decoding never looks here: what was chosen stands in each frame."""

from __future__ import annotations

from dataclasses import dataclass

from arzip.context_mixing import profile
from arzip.context_mixing.profile import PROFILES

DEFAULT = 6
FAST, FULL, MIDDLE, LARGE = map(PROFILES.index, (profile.FAST, profile.FULL, profile.MIDDLE, profile.LARGE))
LANE_BYTES = 32000  # a lane is no shorter: each starts without a past
LARGE_BYTES = 1 << 20  # of a block that has much to be learnt from
NEVER, ALWAYS = 2.0, -2.0  # gains that no probe measures
USELESS = 0.003  # samples start without a past, which flatters the network: what brings less there brings nothing


@dataclass(frozen=True)
class Level:
    """What to code a block with.

    block_bytes: its size. min_gain: the share of bits that the network must save in a probe to take part. lanes,
    cm_profile: with the network, how many lanes at most and which profile. cm_only_profile: that of the context
    mixing without the network, in one lane, since lanes buy nothing there and cost much on records and logs; and with
    the network where a block is too short for lanes. sample_bytes: of each of the probe's samples. model: whose
    weights. sound, pictures: whether their samples get blocks and a predictor of their own. large: the level whose
    lanes and profile are taken for blocks above LARGE_BYTES; 0: its own.
    """

    block_bytes: int
    min_gain: float
    lanes: int
    cm_profile: int
    cm_only_profile: int
    sample_bytes: int = 2048
    model: str = "small"
    large: int = 0
    sound: bool = True
    pictures: bool = True


LEVELS = (
    Level(5 << 17, NEVER, 1, FAST, FAST, sound=False, pictures=False),
    Level(8 << 20, NEVER, 1, FAST, FAST, sound=False, pictures=False),
    Level(8 << 20, NEVER, 1, MIDDLE, MIDDLE, sound=False, pictures=False),
    Level(8 << 20, NEVER, 1, FULL, FULL, pictures=False),
    Level(16 << 20, 0.04, 24, MIDDLE, FULL, model="nano", pictures=False),
    Level(32 << 20, 0.06, 24, MIDDLE, FULL, large=7, pictures=False),
    Level(32 << 20, 0.05, 12, FULL, FULL),
    Level(32 << 20, USELESS, 2, LARGE, LARGE, 8192),
    Level(64 << 20, USELESS, 1, LARGE, LARGE, 8192, "base"),
)


def level(number: int) -> Level:
    """The choices of level 1 .. 9."""
    assert 1 <= number <= len(LEVELS), number
    return LEVELS[number - 1]


def lanes_and_profile(size_bytes: int, choices: Level) -> tuple[int, int]:
    """Lanes and profile of a block beside the network: as many lanes as the level allows, none below LANE_BYTES."""
    if choices.large and size_bytes > LARGE_BYTES:
        choices = level(choices.large)
    return max(1, min(choices.lanes, size_bytes // LANE_BYTES)), choices.cm_profile
