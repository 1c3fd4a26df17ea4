"""Bytes to a stream: repeats are taken out, a filter is chosen, the plan made, the engine asked."""

from __future__ import annotations

from contextlib import suppress
from typing import NamedTuple

from arzip import levels, planner
from arzip.engine.backend import OnBytes, OnCosts
from arzip.engine.devices import DeviceFailedError
from arzip.engine.engine import Engine
from arzip.engine.plan import Plan
from arzip.format import lane_streams
from arzip.format.records import join_profile
from arzip.levels import Level
from arzip.preprocess import bcj, long_range
from arzip.preprocess.long_range import LongMatch
from arzip.system.workers import Workers


class Text(NamedTuple):
    """Bytes on their way to the engine: what is left of them, the matches taken out, the filter, the plan."""

    text: bytes
    matches: list[LongMatch]
    kinds: int
    plan: Plan


def prepare(
    engine: Engine, raw: bytes, matches: list[LongMatch], level: Level, workers: Workers, any_lanes: bool = False
) -> Text:
    """Take matches out, filter and plan. any_lanes: all are taken out of a single lane as well, not only long ones."""
    rest = long_range.extract(raw, matches)
    segments = list(long_range.segments(matches, len(rest)))
    kinds = bcj.choose(rest, segments)
    text = bcj.apply(rest, kinds, segments)
    plan = planner.choose(engine, text, level, workers.threads)
    if plan.lanes == 1 and not any_lanes and (longer := repeats(raw, level)) != matches:
        return prepare(engine, raw, longer, level, workers, any_lanes=True)  # one lane sees what it repeats
    return Text(text, matches, kinds, plan)


def repeated_share(raw: bytes, level: Level) -> float:
    """The part of a piece of a stream that long repeats cover."""
    return sum(match.size for match in repeats(raw, level)) / max(len(raw), 1)


def repeats(raw: bytes, level: Level) -> list[LongMatch]:
    """What is taken out of a block of one lane."""
    found = long_range.find(raw, level.min_repeat) if len(raw) > levels.SHORT_BYTES else []
    return found if sum(match.size for match in found) >= level.min_repeated * len(raw) else []


def encode_text(
    engine: Engine, raw: bytes, chosen: Text, workers: Workers, on_bytes: OnBytes, on_costs: OnCosts | None
) -> bytes | None:
    """The list of matches, if it has a place, and the stream or streams; None if a wide block has no room for one."""
    matches = long_range.pack(chosen.matches) if chosen.matches or chosen.plan.wide else b""
    if chosen.plan.wide:
        streams = _encode_wide(engine, chosen, workers, on_bytes, on_costs)
        if streams is None:
            on_bytes(-len(chosen.text))
            return None
        coded = lane_streams.pack(streams)
    else:
        alone = not workers.is_crowded()
        with workers.hold(engine.threads_for(chosen.plan, False, alone)):
            coded = engine.encode(chosen.text, chosen.plan, on_bytes, on_costs, alone)
    on_bytes(len(raw) - len(chosen.text))
    return matches + coded


def _encode_wide(
    engine: Engine, chosen: Text, workers: Workers, on_bytes: OnBytes, on_costs: OnCosts | None
) -> list[bytes] | None:
    """The streams of a wide block, by a GPU if there is one; its costs are the CPU's. None: see Engine.encode_wide."""
    if on_costs is None and engine.is_for_devices(chosen.plan):
        with suppress(DeviceFailedError):
            return engine.encode_on_device(chosen.text, chosen.plan, on_bytes)
    with workers.hold(engine.threads_for(chosen.plan, decoding=False)):
        return engine.encode_wide(chosen.text, chosen.plan, on_bytes, on_costs)


def profile_byte(chosen: Text) -> int:
    """What the frame says of profile, filters and lanes."""
    return join_profile(chosen.plan.cm_profile or 0, chosen.kinds, chosen.plan.wide)
