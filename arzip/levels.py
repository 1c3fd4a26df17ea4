"""What the levels -1 .. -9 stand for. Decoding never looks here: what was chosen stands in each frame."""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT = 6
LANE_BYTES = 4096  # a lane is no shorter: each starts without a past


@dataclass(frozen=True)
class Level:
    """block_bytes: size of a block; lanes: at most so many; model: name of the weights; network: whether it
    takes part; profile: the memory's place in PROFILES."""

    block_bytes: int
    lanes: int
    model: str
    network: bool
    profile: int


def level(number: int) -> Level:
    """The choices of level 1 .. 9."""
    assert 1 <= number <= len(LEVELS), number
    return LEVELS[number - 1]


def lanes_for(size_bytes: int, most: int) -> int:
    """Number of lanes of a block: as many as the level allows, but none shorter than LANE_BYTES."""
    return max(1, min(most, size_bytes // LANE_BYTES))


LEVELS = (
    Level(8 << 20, 16, "small", False, 0),
    Level(8 << 20, 4, "small", False, 0),
    Level(16 << 20, 4, "small", False, 1),
    Level(16 << 20, 24, "small", True, 0),
    Level(16 << 20, 12, "small", True, 0),
    Level(16 << 20, 12, "small", True, 0),
    Level(32 << 20, 6, "small", True, 1),
    Level(32 << 20, 2, "small", True, 1),
    Level(64 << 20, 1, "small", True, 1),
)
