"""One block: raw bytes -> payload and what its frame says of it, and back. Takes repeats out, filters, plans, asks the
engine.

Must not know streams of blocks, nor how probabilities are computed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from arzip import levels, planner
from arzip.context_mixing.profile import PROFILES
from arzip.engine.backend import OnBytes, OnCosts
from arzip.engine.engine import Engine
from arzip.engine.plan import Plan
from arzip.errors import DamagedError, UnsupportedError
from arzip.format.records import SALVAGE_HINT, Method, join_profile
from arzip.format.stream import Block
from arzip.levels import Level
from arzip.media import payload as sound_payload
from arzip.media import picture_payload
from arzip.media.payload import Layout
from arzip.media.picture_payload import PictureLayout
from arzip.preprocess import bcj, long_range
from arzip.preprocess.long_range import LongMatch
from arzip.system.workers import Workers

# which method a frame names when (network, memory) take part
_METHODS = {(True, False): Method.NETWORK, (False, True): Method.MEMORY, (True, True): Method.MIXED}
# profiles of blocks of samples, which have predictors of their own
MEDIA_PROFILES = {module.PROFILE: module for module in (picture_payload, sound_payload)}
MEDIA_PROBE_BYTES = 1 << 16
AnyLayout = Layout | PictureLayout
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
        if matches and (plan.lanes == 1 or plan.components != _COMPONENTS[Method.REPEATS]):
            text, matches = bcj.apply(raw, kinds), []  # one lane sees whatever it repeats
    with workers.hold(engine.threads_for(plan, decoding=False)):
        payload = engine.encode(text, plan, on_bytes, on_costs)
    on_bytes(len(raw) - len(text))
    method = _METHODS[plan.components]
    if matches:
        method, payload = Method.REPEATS, long_range.pack(matches) + payload
    return Coded(raw, payload, method, plan.lanes, join_profile(plan.cm_profile or 0, kinds))


def is_worthwhile(engine: Engine, raw: bytes, layout: AnyLayout, level: Level, workers: Workers) -> bool:
    """Whether the predictor of sound or pictures makes less of a block's middle than context mixing alone."""
    coder = _coder(layout)
    with workers.hold(1):
        sample, kind = coder.middle(raw, layout, MEDIA_PROBE_BYTES)
        coded = coder.encode(sample, kind, lambda _: workers.check())
        return bool(8 * len(coded) < engine.cost_bits(sample, Plan(1, False, level.cm_only_profile)))


def encode_media(raw: bytes, layout: AnyLayout, workers: Workers, on_bytes: OnBytes, on_costs: OnCosts | None) -> Coded:
    """Code a block of samples that lie as `layout` says. on_bytes, on_costs: as of Engine.encode."""
    coder = _coder(layout)
    with workers.hold(1):
        payload = coder.encode(raw, layout, on_bytes, on_costs)
    return Coded(raw, payload, Method.MEMORY, 1, join_profile(coder.PROFILE, 0))


def _coder(layout: AnyLayout) -> Any:
    return sound_payload if isinstance(layout, Layout) else picture_payload


def _decode_media(block: Block, digest: bytes, workers: Workers, on_bytes: OnBytes) -> bytes:
    try:
        if not digest or block.frame.lanes != 1 or block.frame.filter:
            raise ValueError("frame")
        with workers.hold(1):
            decode_payload = MEDIA_PROFILES[block.frame.cm_profile].decode
            raw: bytes = decode_payload(block.payload, block.frame.raw_bytes, on_bytes)
            return raw
    except ValueError as error:
        message = f"block {block.number} is damaged: its samples don't fit; {SALVAGE_HINT}"
        raise DamagedError(message, block.number) from error


def decode(block: Block, digest: bytes, open_: Callable[[bytes], Engine], workers: Workers, on_bytes: OnBytes) -> bytes:
    """The raw bytes of a block, not yet checked. digest: of its model; open_: the engine of that.

    Raises UnsupportedError, DamagedError, and what open_ raises.
    """
    frame = block.frame
    if frame.method is Method.STORED:
        on_bytes(frame.raw_bytes)
        return block.payload
    if frame.method is Method.MEMORY and frame.cm_profile in MEDIA_PROFILES:
        return _decode_media(block, digest, workers, on_bytes)
    network, memory = _COMPONENTS[frame.method]
    if frame.cm_profile >= (len(PROFILES) if memory else 1):
        raise UnsupportedError(f"block {block.number} needs profile {frame.cm_profile}: get a newer arzip")
    if frame.filter not in bcj.KNOWN:
        raise UnsupportedError(f"block {block.number} needs filter {frame.filter}: get a newer arzip")
    matches, start = _matches(block)
    rest_bytes = frame.raw_bytes - sum(match.size for match in matches)
    if not digest or frame.lanes > rest_bytes:
        raise DamagedError(f"block {block.number} is damaged: its frame doesn't fit; {SALVAGE_HINT}", block.number)
    plan = Plan(frame.lanes, network, frame.cm_profile if memory else None)
    engine = open_(digest)
    with workers.hold(engine.threads_for(plan, decoding=True)):
        text = engine.decode(block.payload[start:], rest_bytes, plan, on_bytes)
    on_bytes(frame.raw_bytes - rest_bytes)
    rest = bcj.undo(text, frame.filter, long_range.segments(matches, rest_bytes))
    return long_range.restore(rest, matches)


def _matches(block: Block) -> tuple[list[LongMatch], int]:
    """What was taken out of the block, and where the rest's stream begins."""
    if block.frame.method is not Method.REPEATS:
        return [], 0
    try:
        return long_range.parse(block.payload, block.frame.raw_bytes)
    except ValueError as error:
        message = f"block {block.number} is damaged: its repeats don't fit; {SALVAGE_HINT}"
        raise DamagedError(message, block.number) from error
