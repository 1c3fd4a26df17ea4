"""The compression levels -1 .. -9. Encoding only: each frame holds the choices that decoding needs."""

from __future__ import annotations

from dataclasses import dataclass, replace

from arzip.context_mixing import profile
from arzip.context_mixing.profile import PROFILES

DEFAULT = 6
FAST, FULL, MIDDLE, LARGE = map(PROFILES.index, (profile.FAST, profile.FULL, profile.MIDDLE, profile.LARGE))
LANE_BYTES = 32000  # minimum length of a lane, as each lane starts with an empty state
WIDE_LANE_BYTES = 16384  # minimum length of a lane of a wide block
WIDE_ALONE_LANE_BYTES = 1 << 18  # of one that the probe leaves to context mixing alone: records and logs repeat much
# Blocks up to this size take the network unseen, if the level has one. A probe takes longer than coding does, and of 59
# pieces of audio, code, DNA, pictures, programs and text of 100 to 3000 bytes one was longer with it, by a byte.
SHORT_BYTES = 4096
MIN_BLOCK_BYTES, MAX_BLOCK_BYTES = SHORT_BYTES, 64 << 20  # that a user may choose
LARGE_BYTES = 1 << 20  # blocks above this size take the settings of `Level.large`
OPENED_FREE_BYTES = 1 << 20  # may be modelled for any block whose streams are opened
NEVER, ALWAYS = 2.0, -2.0  # values of min_gain outside the range of gains
USELESS = 0.003  # a smaller gain on samples is none on the block: with little past the network does better


@dataclass(frozen=True)
class Level:
    """How a block is coded.

    block_bytes: maximum size of a block. spread_bytes: a shorter stream is still cut into up to SPREAD_BLOCKS equal
    blocks of at least so many bytes, for as many threads; 0: it isn't. min_gain: share of bits that the network
    must save in a probe to be used. lanes, cm_profile: with the network, the maximum number of lanes and the
    profile. cm_only_profile: that of the context mixing without the network, in one lane, since lanes buy nothing
    there and cost much on records and logs; and with the network where a block is too short for lanes.
    sample_bytes: of each of the probe's samples. model: whose weights. large: the level whose lanes and profile are
    taken for blocks above LARGE_BYTES; 0: its own. min_repeat: bytes of the shortest repeat that is taken out of a
    block of one lane; min_repeated: share of the block that they must cover, since few of them save little time and the
    model learns from them. wide: blocks of more than one lane are wide, without the network too. opened_ratio: bytes
    of opened streams to be modelled for each byte of the block. sound, pictures, arrays: whether they get blocks and a
    predictor of their own; light: a light one for pictures; bitmaps: pictures of a bit a pixel get one, never a light
    one.
    """

    block_bytes: int
    min_gain: float
    lanes: int
    cm_profile: int
    cm_only_profile: int
    sample_bytes: int = 2048
    model: str = "small"
    large: int = 0
    wide: bool = False
    opened_ratio: int = 16
    sound: bool = True
    pictures: bool = True
    arrays: bool = True
    light: bool = False
    bitmaps: bool = True
    spread_bytes: int = 0
    min_repeat: int = 8192  # costs the model about as much as the list of repeats, but much more time
    min_repeated: float = 0.125


_FASTEST = Level(
    8 << 20, NEVER, 1, FAST, FAST, sound=False, pictures=False, arrays=False, min_repeat=1024, min_repeated=0
)
LEVELS = (
    replace(_FASTEST, spread_bytes=5 << 17),
    _FASTEST,
    replace(_FASTEST, cm_profile=MIDDLE, cm_only_profile=MIDDLE),
    Level(8 << 20, NEVER, 1, FULL, FULL, light=True, bitmaps=False),
    Level(16 << 20, 0.04, 24, MIDDLE, FULL, model="nano", light=True, bitmaps=False),
    Level(32 << 20, 0.06, 24, MIDDLE, FULL, large=7, light=True),
    Level(32 << 20, 0.05, 12, FULL, FULL),
    Level(32 << 20, USELESS, 2, LARGE, LARGE, 8192),
    Level(64 << 20, USELESS, 1, LARGE, LARGE, 8192, "base"),
)


WIDE_LANES = 256
WIDE_BLOCK_BYTES = 8 << 20
WIDE_PROFILES = (FAST, MIDDLE, FULL, LARGE, MIDDLE, FULL, FULL, LARGE, LARGE)
# The same levels in wide blocks: lanes for the threads of a GPU's multiprocessor, blocks for all of those.
WIDE_LEVELS = tuple(
    replace(
        choices,
        block_bytes=WIDE_BLOCK_BYTES,
        lanes=WIDE_LANES,
        cm_profile=wide_profile,
        cm_only_profile=wide_profile,
        large=0,
        wide=True,
    )
    for choices, wide_profile in zip(LEVELS, WIDE_PROFILES, strict=True)
)


# A stream is looked at in windows of so many bytes, the maximum of a block: where repeats cover REPEATED_SHARE of one,
# it becomes one block, whatever the level's block_bytes, as what is coded of it is short.
WINDOW_BYTES = 64 << 20
SPREAD_BLOCKS = 4
REPEATED_SHARE = 0.5
ALL_REPEATED_SHARE = 0.97  # of one in which samples aren't looked for


def level(number: int, wide: bool = False, block_bytes: int = 0) -> Level:
    """The choices of level 1 .. 9, in wide blocks or not; block_bytes: 0 for the level's."""
    assert 1 <= number <= len(LEVELS), number
    choices = (WIDE_LEVELS if wide else LEVELS)[number - 1]
    return replace(choices, block_bytes=block_bytes) if block_bytes else choices


def block_sizes(size_bytes: int, choices: Level, is_whole: bool) -> list[int]:
    """Sizes of the blocks of a part of a stream; is_whole: nothing comes before it."""
    size = choices.block_bytes
    if is_whole and choices.spread_bytes:
        blocks = max(-(-size_bytes // size), min(SPREAD_BLOCKS, size_bytes // choices.spread_bytes), 1)
        size = min(size, -(-size_bytes // blocks))
    full, rest = divmod(size_bytes, size)
    return [size] * full + [rest] * (rest > 0)


def max_opened(size_bytes: int, choices: Level) -> int:
    """How many bytes may be modelled in the place of a block of `size_bytes` whose streams are opened."""
    return OPENED_FREE_BYTES + choices.opened_ratio * size_bytes


def lanes_alone(size_bytes: int, choices: Level) -> int:
    """Lanes of a block without the network. Where a level never has one, as many as it would have with it."""
    if not choices.wide:
        return 1
    if choices.min_gain >= NEVER:
        return lanes_and_profile(size_bytes, choices)[0]
    return max(1, min(choices.lanes, size_bytes // WIDE_ALONE_LANE_BYTES))


def lanes_and_profile(size_bytes: int, choices: Level) -> tuple[int, int]:
    """Lanes and profile of a block with the network: as many lanes as the level allows, none below the minimum."""
    if choices.large and size_bytes > LARGE_BYTES:
        choices = level(choices.large)
    lane_bytes = WIDE_LANE_BYTES if choices.wide else LANE_BYTES
    return max(1, min(choices.lanes, size_bytes // lane_bytes)), choices.cm_profile
