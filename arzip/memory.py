"""How much memory a block takes, coded or decoded: from its frame, or from its level. Standard library only: `list`
must start fast.

Upper bounds of what is allocated: tables that a short block doesn't fill stay with the system. The sizes of tables
are those of `context_mixing.state.create`, to which a test holds them; others measure whole processes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from arzip import levels
from arzip.context_mixing.profile import PROFILES, Profile
from arzip.errors import LimitError
from arzip.format.opened_head import OPENED_MAX_BYTES, OpenedHead, max_opened_bytes
from arzip.format.records import Frame, Method
from arzip.format.stream import PICTURE_PROFILE, Member
from arzip.format.varint import parse_varint
from arzip.levels import Level

COMPILED = Path(__file__).parent / "jit" / "compiled"
# Python and numpy, and numba where it compiles the loops: measured, Linux x86-64, CPython 3.11.
PROGRAM_BYTES = 80_000_000 if COMPILED.is_dir() else 165_000_000
MODEL_BYTES = 62_000_000  # of the largest that is shipped, while it is read
SLOT_BYTES, ENTRY_BYTES, WEIGHT_BYTES = 16, 8, 4
STATES, LENGTHS_AND_MISSES, RUN_ENTRIES, JOINT_ENTRIES = 256, 128, 256, 256 * 32
APM_ENTRIES = tuple(25 * contexts for contexts in (256, 1 << 16, 1 << 16, 257 << 8))
WEIGHT_SET_ROWS = (264, 256, 256, 256, 64, 512, 32, 2048, 2048, 257, 256)
LAST_SEEN_BYTES, INDIRECT_BYTES = 256 * 2 * 8, 4 * (256 + 65536)  # of a lane
NETWORK_LANE_BYTES = 1 << 15
PROBE_SAMPLES = 6  # as in the planner
INDIRECT_KINDS = frozenset({53, 54, 61})
BLOCK_COPIES = 4  # of a block's bytes: as text, with repeats put back, joined, as bytes to be written
OPENED_COPIES = 4  # of what a block is put together from, and of what streams are opened to
CODING_COPIES = 6  # of a block's bytes: read, without repeats, filtered, as text, as a stream, as a payload
WIDE_COPIES = 4  # the room for streams of lanes, and what is packed of them
MATCH_TABLE_SHARE = 4  # a block has at most so many bytes for each of the table that finds its repeats
MEDIA_COPIES = 12  # samples are numbers of 4 bytes, and 8 beside the predictor
MEDIA_TABLES_BYTES = 24_000_000
ROW_BYTES, MAX_ROW = 16_000, 1 << 15  # state of a pixel's channel of a row; of these, at most
START_BYTES = OPENED_MAX_BYTES  # of a payload: what says more of what decoding takes


def member_bytes(member: Member, model_bytes: int = MODEL_BYTES) -> int:
    """Bytes that decoding an archive takes with -T1: the program, the model, its largest block, and the next one.

    model_bytes: while its file is read. While a block is decoded, one is written and one waits.
    """
    blocks = list(zip(member.frames, member.starts, strict=True))
    waiting = 2 * max((f.raw_bytes + f.coded_bytes for f in member.frames), default=0) if len(blocks) > 1 else 0
    return PROGRAM_BYTES + model_bytes + max((decoding_bytes(*block) for block in blocks), default=0) + waiting


def decoding_bytes(frame: Frame, start: bytes) -> int:
    """Bytes that decoding a block takes beside program and model. start: of its payload, START_BYTES suffice."""
    size, head = frame.raw_bytes, None
    if frame.method is Method.STORED:
        return 2 * size
    if frame.method is Method.OPENED:
        try:
            head = OpenedHead.parse(start, size)[0]
        except ValueError:
            return 2 * size  # decoding raises the error
    memory = head.memory if head else frame.method is not Method.NETWORK
    total = BLOCK_COPIES * size + 2 * frame.coded_bytes  # one payload waits
    total += WIDE_COPIES * size if frame.wide else 0
    if frame.method is Method.MEMORY and frame.cm_profile >= len(PROFILES):  # samples
        return total + MEDIA_TABLES_BYTES + MEDIA_COPIES * size + _row_bytes(frame, start)
    if head:
        inner = head.recipe_bytes + head.contents_bytes
        total += OPENED_COPIES * inner
        if head.picture_bytes:
            total += MEDIA_TABLES_BYTES + ROW_BYTES * MAX_ROW + OPENED_COPIES * (max_opened_bytes(size) - inner)
        size = inner
    if memory and frame.cm_profile < len(PROFILES):
        total += tables_bytes(PROFILES[frame.cm_profile], frame.lanes, size)
    return total + NETWORK_LANE_BYTES * frame.lanes


def _row_bytes(frame: Frame, start: bytes) -> int:
    """Bytes of the state of a row of pixels; 0 for sound."""
    if frame.cm_profile != PICTURE_PROFILE:
        return 0
    try:
        row = start[2] * parse_varint(start, 3)[0]
    except (IndexError, ValueError):
        row = 0  # decoding raises the error
    return ROW_BYTES * min(row, MAX_ROW)


def coding_bytes(choices: Level, size: int, may_open: bool, samples: bool = False, row: int = 0) -> int:
    """Bytes that coding a block of `size` bytes takes beside program and model.

    may_open: it holds streams of deflate, which may be opened. samples: it holds sound or a picture; row: pixels a row
    times channels of that.
    """
    opened_bytes = max_opened_bytes(size) if may_open else 0
    total = (
        (CODING_COPIES + WIDE_COPIES * choices.wide) * size
        + OPENED_COPIES * opened_bytes
        + max(size, opened_bytes) // MATCH_TABLE_SHARE
    )
    if samples:
        total += MEDIA_TABLES_BYTES + MEDIA_COPIES * size + ROW_BYTES * min(row, MAX_ROW)
    if may_open and choices.pictures:
        total += MEDIA_TABLES_BYTES + ROW_BYTES * MAX_ROW
    coded = max(size, min(opened_bytes, levels.max_opened(size, choices)))
    plans = [(levels.lanes_alone(coded, choices), choices.cm_only_profile)]
    if choices.min_gain < levels.NEVER:
        plans.append(levels.lanes_and_profile(coded, choices))
        probed = PROBE_SAMPLES * choices.sample_bytes  # with the network and without
        total += 2 * tables_bytes(PROFILES[plans[-1][1]], PROBE_SAMPLES, min(probed, coded))
    return total + max(tables_bytes(PROFILES[p], n, coded) + NETWORK_LANE_BYTES * n for n, p in plans)


@dataclass(frozen=True)
class Budget:
    """The memory that a process may take, and what of it program and model take. limit_bytes: 0 for no limit."""

    limit_bytes: int
    basic_bytes: int

    def share(self, needed_bytes: int, what: str, hint: str = "") -> float:
        """The part of what is left that something takes. Raises LimitError where that isn't enough.

        what: its name; hint: what takes less.
        """
        needed, left = self.basic_bytes + needed_bytes, self.limit_bytes - self.basic_bytes
        if needed_bytes > left:
            message = f"{what} takes {-(-needed >> 20):,} MiB of memory; the limit is {self.limit_bytes >> 20:,} MiB"
            raise LimitError(message + hint)
        return needed_bytes / max(left, 1)


def tables_bytes(profile: Profile, lanes: int, size: int) -> int:
    """Bytes of the state of context mixing for a block of `size` bytes in so many lanes, without its text."""
    contexts, matches, runs = map(len, (profile.contexts, profile.matches, profile.runs))
    joints = len(profile.joints) + matches + runs if profile.joints else 0
    slots = 1 << min(profile.slots_bits, max(12, (2 * size * contexts).bit_length() - 1))
    direct_bits = min(profile.direct_bits, max(16, (8 * size).bit_length()))
    entries = contexts * STATES + matches * LENGTHS_AND_MISSES + runs * RUN_ENTRIES + joints * JOINT_ENTRIES
    entries += sum(1 << min(8 + 8 * order, direct_bits) for order in profile.direct)
    entries += sum(APM_ENTRIES[kind] for kind in profile.apms)
    entries += matches << min(profile.match_bits, max(8, size.bit_length()))
    run_entries = runs << min(profile.run_bits, max(10, (2 * size).bit_length()))
    inputs = -(-(2 * (contexts + len(profile.direct) + matches + runs + joints) + 3) // 16) * 16
    weights = sum(WEIGHT_SET_ROWS[kind] for kind in profile.mixer_contexts) * inputs
    indirect = INDIRECT_BYTES if INDIRECT_KINDS & set(profile.contexts) else 0
    tables = slots * SLOT_BYTES + entries * ENTRY_BYTES + (run_entries + weights) * WEIGHT_BYTES
    return tables + lanes * (LAST_SEEN_BYTES + indirect)
