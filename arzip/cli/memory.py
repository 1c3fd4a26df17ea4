"""How much memory decoding takes, from what an archive's frames say. Standard library only: `list` must start fast.

An upper bound of what is allocated: tables that a short block doesn't fill stay with the system. The sizes of tables
are those of `context_mixing.state.create`, to which a test holds them.
"""

from __future__ import annotations

from pathlib import Path

from arzip.context_mixing.profile import PROFILES, Profile
from arzip.format.opened_head import OpenedHead
from arzip.format.records import Frame, Method
from arzip.format.stream import Member

COMPILED = Path(__file__).parents[1] / "jit" / "compiled"
# Python, numpy, a model, and numba where it compiles the loops: measured, Linux x86-64, CPython 3.11.
PROGRAM_BYTES = 100_000_000 if COMPILED.is_dir() else 185_000_000
SLOT_BYTES, ENTRY_BYTES, WEIGHT_BYTES = 16, 8, 4
STATES, LENGTHS_AND_MISSES, RUN_ENTRIES, JOINT_ENTRIES = 256, 128, 256, 256 * 32
APM_ENTRIES = tuple(25 * contexts for contexts in (256, 1 << 16, 1 << 16, 257 << 8))
WEIGHT_SET_ROWS = (264, 256, 256, 256, 64, 512, 32, 2048, 2048, 257, 256)
LAST_SEEN_BYTES, INDIRECT_BYTES = 256 * 2 * 8, 4 * (256 + 65536)  # of a lane
INDIRECT_KINDS = frozenset({53, 54, 61})
BLOCK_COPIES = 4  # of a block's bytes: in the payload, as text, joined, as bytes to be written
MEDIA_COPIES = 12  # samples are numbers of 4 bytes, and 8 beside the predictor
MEDIA_TABLES_BYTES = 24_000_000


def member_bytes(member: Member) -> int:
    """Bytes that decoding an archive takes with -T1, a block at a time: the program, and its largest block."""
    blocks = zip(member.frames, member.opened, strict=True)
    return PROGRAM_BYTES + max((block_bytes(frame, head) for frame, head in blocks), default=0)


def block_bytes(frame: Frame, head: OpenedHead | None) -> int:
    """Bytes that decoding a block takes beside the program. head: what its payload says of opened streams."""
    size = frame.raw_bytes + (head.recipe_bytes + head.contents_bytes if head else 0)
    if frame.method is Method.STORED:
        return 2 * size
    uses_memory = head.memory if head else frame.method is not Method.NETWORK
    if uses_memory and frame.cm_profile >= len(PROFILES):  # samples
        return MEDIA_TABLES_BYTES + MEDIA_COPIES * size
    tables = tables_bytes(PROFILES[frame.cm_profile], frame.lanes, size) if uses_memory else 0
    return BLOCK_COPIES * size + tables


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
