"""One block: raw bytes -> payload and what its frame says of it, and back. Takes repeats out, filters, plans, asks the
engine.

Must not know streams of blocks, nor how probabilities are computed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from arzip import levels, planner
from arzip.context_mixing.profile import PROFILES
from arzip.engine.backend import OnBytes, OnCosts
from arzip.engine.engine import Engine
from arzip.engine.plan import Plan
from arzip.errors import DamagedError, UnsupportedError
from arzip.format import lane_streams
from arzip.format.records import SALVAGE_HINT, Method, join_profile
from arzip.format.stream import Block
from arzip.levels import Level
from arzip.preprocess import bcj, long_range
from arzip.preprocess.long_range import LongMatch
from arzip.system.workers import Workers

# which method a frame names when (network, memory) take part
_METHODS = {(True, False): Method.NETWORK, (False, True): Method.MEMORY, (True, True): Method.MIXED}
_COMPONENTS = {method: components for components, method in _METHODS.items()} | {Method.REPEATS: (True, True)}


class Coded(NamedTuple):
    """A block and what it became; the fields are those of the frame."""

    raw: bytes
    payload: bytes
    method: Method
    lanes: int
    profile_byte: int


def encode(
    engine: Engine, raw: bytes, level: Level, workers: Workers, on_bytes: OnBytes, on_costs: OnCosts | None
) -> Coded:
    """Code a block of at least one byte as the level says. on_bytes, on_costs: as of Engine.encode."""
    with workers.hold(1):
        matches = long_range.find(raw) if levels.lanes_and_profile(len(raw), level)[0] > 1 else []
        rest = long_range.extract(raw, matches)
        segments = long_range.segments(matches, len(rest))
        kinds = bcj.choose(rest, segments)
        text = bcj.apply(rest, kinds, segments)
        plan = planner.choose(engine, text, level, workers.threads)
        has_room = plan.wide or (plan.lanes > 1 and plan.components == _COMPONENTS[Method.REPEATS])
        if matches and not has_room:
            text, matches = bcj.apply(raw, kinds), []  # one lane sees whatever it repeats
    with workers.hold(engine.threads_for(plan, decoding=False)):
        if plan.wide:
            streams = engine.encode_wide(text, plan, on_bytes, on_costs)
            payload = lane_streams.pack(streams) if streams else b""
        else:
            payload = engine.encode(text, plan, on_bytes, on_costs)
    if plan.wide and not streams:  # a lane costs more than the format allows
        on_bytes(-len(text))
        return encode(engine, raw, replace(level, wide=False), workers, on_bytes, on_costs)
    on_bytes(len(raw) - len(text))
    method = _METHODS[plan.components]
    if matches and plan.components == _COMPONENTS[Method.REPEATS]:
        method = Method.REPEATS
    if matches or plan.wide:
        payload = long_range.pack(matches) + payload
    return Coded(raw, payload, method, plan.lanes, join_profile(plan.cm_profile or 0, kinds, plan.wide))


def decode(block: Block, digest: bytes, open_: Callable[[bytes], Engine], workers: Workers, on_bytes: OnBytes) -> bytes:
    """The raw bytes of a block, not yet checked. digest: of its model; open_: the engine of that.

    Raises UnsupportedError, DamagedError, and what open_ raises.
    """
    frame = block.frame
    if frame.method is Method.STORED:
        on_bytes(frame.raw_bytes)
        return block.payload
    network, memory = _COMPONENTS[frame.method]
    if frame.cm_profile >= (len(PROFILES) if memory else 1):
        raise UnsupportedError(f"block {block.number} needs profile {frame.cm_profile}: get a newer arzip")
    if frame.filter not in bcj.KNOWN:
        raise UnsupportedError(f"block {block.number} needs filter {frame.filter}: get a newer arzip")
    matches, start = _matches(block)
    rest_bytes = frame.raw_bytes - sum(match.size for match in matches)
    if not digest or frame.lanes > rest_bytes:
        raise DamagedError(f"block {block.number} is damaged: its frame doesn't fit; {SALVAGE_HINT}", block.number)
    plan = Plan(frame.lanes, network, frame.cm_profile if memory else None, frame.wide)
    engine = open_(digest)
    with workers.hold(engine.threads_for(plan, True, frame.single_block)):
        text = _decode_text(engine, block, block.payload[start:], rest_bytes, plan, on_bytes)
    on_bytes(frame.raw_bytes - rest_bytes)
    rest = bcj.undo(text, frame.filter, long_range.segments(matches, rest_bytes))
    return long_range.restore(rest, matches)


def _decode_text(engine: Engine, block: Block, payload: bytes, size_bytes: int, plan: Plan, on_bytes: OnBytes) -> bytes:
    """What a block's lanes hold, from what of its payload is range coded. Raises DamagedError."""
    if not plan.wide:
        return engine.decode(payload, size_bytes, plan, on_bytes)
    try:
        streams = lane_streams.parse(payload, plan.lanes)
        return engine.decode_wide(streams, size_bytes, plan, on_bytes, block.frame.single_block)
    except ValueError as error:
        message = f"block {block.number} is damaged: its streams don't fit; {SALVAGE_HINT}"
        raise DamagedError(message, block.number) from error


def _matches(block: Block) -> tuple[list[LongMatch], int]:
    """What was taken out of the block, and where the rest's stream begins."""
    if block.frame.method is not Method.REPEATS and not block.frame.wide:
        return [], 0
    try:
        return long_range.parse(block.payload, block.frame.raw_bytes)
    except ValueError as error:
        message = f"block {block.number} is damaged: its repeats don't fit; {SALVAGE_HINT}"
        raise DamagedError(message, block.number) from error
