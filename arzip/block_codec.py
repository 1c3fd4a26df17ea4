"""One block: raw bytes -> payload and what its frame says of it, and back. Opens streams, takes repeats out, filters,
plans, asks the engine.

Must not know streams of blocks, nor how probabilities are computed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from arzip import levels, planner
from arzip.context_mixing.profile import PROFILES
from arzip.engine.backend import OnBytes, OnCosts
from arzip.engine.engine import Engine
from arzip.engine.plan import Plan
from arzip.engine.records import RecordEngine
from arzip.errors import DamagedError, UnsupportedError
from arzip.format import lane_streams
from arzip.format.opened_head import OpenedHead
from arzip.format.records import SALVAGE_HINT, Method, join_profile
from arzip.format.stream import Block
from arzip.levels import Level
from arzip.media import payload as sound_payload
from arzip.media import picture_payload
from arzip.media.payload import Layout
from arzip.media.picture_payload import PictureLayout
from arzip.preprocess import bcj, long_range, opened
from arzip.preprocess.long_range import LongMatch
from arzip.preprocess.opened import OpenedBlock
from arzip.system.workers import Workers

# which method a frame names when (network, memory) take part
_METHODS = {(True, False): Method.NETWORK, (False, True): Method.MEMORY, (True, True): Method.MIXED}
# profiles of blocks of samples, which have predictors of their own
MEDIA_PROFILES = {module.PROFILE: module for module in (picture_payload, sound_payload)}
MEDIA_PROBE_BYTES = 1 << 16
AnyLayout = Layout | PictureLayout
_COMPONENTS = {method: components for components, method in _METHODS.items()} | {Method.REPEATS: (True, True)}
REPEATED_SHARE = 0.25  # of an opened block that repeats must cover to be taken out of a single lane


class Coded(NamedTuple):
    """A block and what it became; the fields are those of the frame. opened: how an opened one's payload begins.

    refused: how many of its streams were too long for the level.
    """

    raw: bytes
    payload: bytes
    method: Method
    lanes: int
    profile_byte: int
    opened: OpenedHead | None = None
    refused: int = 0


class _Text(NamedTuple):
    """Bytes on their way to the engine: what is left of them, the matches taken out, the filter, the plan."""

    text: bytes
    matches: list[LongMatch]
    kinds: int
    plan: Plan


def encode(
    engine: Engine,
    raw: bytes,
    level: Level,
    workers: Workers,
    on_bytes: OnBytes,
    on_costs: OnCosts | None,
    opens: bool = True,
) -> Coded:
    """Code a block of at least one byte as the level says. on_bytes, on_costs: as of Engine.encode.

    opens: whether deflate streams may be opened; on_costs then gets sums.
    """
    block = None
    if opens:
        with workers.hold(1):
            block = opened.open_block(raw, levels.max_opened(len(raw), level))
    if block is None:
        return _encode_closed(engine, raw, level, workers, on_bytes, on_costs)
    costs, closed_costs = _Sum(), _Sum()
    scaled = _Scaled(on_bytes, len(raw), len(block.joined))
    coded = _encode_opened(engine, raw, block, level, workers, scaled, costs if on_costs else None)
    if block.is_doubtful(len(raw)):
        quiet, added = (lambda _: on_bytes(0)), closed_costs if on_costs else None
        closed = _encode_closed(engine, raw, level, workers, quiet, added)
        if len(closed.payload) <= len(coded.payload):
            coded, costs = closed, closed_costs
    if on_costs:
        on_costs(costs.total)
    return coded


def encode_records(
    engine: RecordEngine, raws: Sequence[bytes], level: Level, workers: Workers, opens: bool = True
) -> list[Coded]:
    """What `encode` makes of each block of at least one byte; those of one plan of one lane are coded together.

    engine: of this thread alone.
    """
    results: dict[int, Coded] = {}
    alike: dict[Plan, list[tuple[int, _Text]]] = {}
    for number, raw in enumerate(raws):
        has_streams = opens and opened.open_block(raw, levels.max_opened(len(raw), level)) is not None
        if has_streams or levels.lanes_and_profile(len(raw), level)[0] > 1:
            results[number] = encode(engine, raw, level, workers, lambda _: workers.check(), None, opens)
            continue
        chosen = _prepare(engine, raw, [], level, workers)
        alike.setdefault(chosen.plan, []).append((number, chosen))
    for plan, members in alike.items():
        payloads = engine.encode_records([chosen.text for _, chosen in members], plan, workers.check)
        for (number, chosen), payload in zip(members, payloads, strict=True):
            method = _METHODS[plan.components]
            results[number] = Coded(raws[number], payload, method, plan.lanes, _profile_byte(chosen))
    return [results[number] for number in range(len(raws))]


def _encode_closed(
    engine: Engine, raw: bytes, level: Level, workers: Workers, on_bytes: OnBytes, on_costs: OnCosts | None
) -> Coded:
    """Code a block as it is."""
    with workers.hold(1):
        matches = long_range.find(raw) if levels.lanes_and_profile(len(raw), level)[0] > 1 else []
        chosen = _prepare(engine, raw, matches, level, workers)
    payload = _encode_text(engine, raw, chosen, workers, on_bytes, on_costs)
    if payload is None:
        return _encode_closed(engine, raw, replace(level, wide=False), workers, on_bytes, on_costs)
    method = _METHODS[chosen.plan.components]
    if chosen.matches and chosen.plan.components == _COMPONENTS[Method.REPEATS]:
        method = Method.REPEATS
    return Coded(raw, payload, method, chosen.plan.lanes, _profile_byte(chosen))


def _encode_opened(
    engine: Engine,
    raw: bytes,
    block: OpenedBlock,
    level: Level,
    workers: Workers,
    on_bytes: OnBytes,
    on_costs: OnCosts | None,
) -> Coded:
    """Code the recipe and the contents of a block."""
    with workers.hold(1):
        much = block.rest_bytes <= (1 - REPEATED_SHARE) * len(block.joined)
        chosen = _prepare(engine, block.joined, block.matches, level, workers, much)
    payload = _encode_text(engine, block.joined, chosen, workers, on_bytes, on_costs)
    if payload is None:
        return _encode_opened(engine, raw, block, replace(level, wide=False), workers, on_bytes, on_costs)
    head = block.head(*chosen.plan.components, bool(chosen.matches))
    payload = head.pack() + block.deviations + payload
    return Coded(raw, payload, Method.OPENED, chosen.plan.lanes, _profile_byte(chosen), head, block.refused)


def _prepare(
    engine: Engine, raw: bytes, matches: list[LongMatch], level: Level, workers: Workers, any_lanes: bool = False
) -> _Text:
    """Take matches out, filter and plan. any_lanes: matches are taken out of a single lane as well."""
    rest = long_range.extract(raw, matches)
    segments = long_range.segments(matches, len(rest))
    kinds = bcj.choose(rest, segments)
    text = bcj.apply(rest, kinds, segments)
    plan = planner.choose(engine, text, level, workers.threads)
    if matches and plan.lanes == 1 and not any_lanes:
        text, matches = bcj.apply(raw, kinds, [(0, len(raw), 0)]), []  # one lane sees whatever it repeats
    return _Text(text, matches, kinds, plan)


def _encode_text(
    engine: Engine, raw: bytes, chosen: _Text, workers: Workers, on_bytes: OnBytes, on_costs: OnCosts | None
) -> bytes | None:
    """The list of matches, if it has a place, and the stream or streams; None if a wide block has no room for one."""
    matches = long_range.pack(chosen.matches) if chosen.matches or chosen.plan.wide else b""
    with workers.hold(engine.threads_for(chosen.plan, decoding=False)):
        if not chosen.plan.wide:
            coded = engine.encode(chosen.text, chosen.plan, on_bytes, on_costs)
        elif streams := engine.encode_wide(chosen.text, chosen.plan, on_bytes, on_costs):
            coded = lane_streams.pack(streams)
        else:
            on_bytes(-len(chosen.text))
            return None
    on_bytes(len(raw) - len(chosen.text))
    return matches + coded


def _profile_byte(chosen: _Text) -> int:
    return join_profile(chosen.plan.cm_profile or 0, chosen.kinds, chosen.plan.wide)


class _Sum:
    """Adds costs up."""

    def __init__(self) -> None:
        self.total: NDArray[np.float64] = np.zeros(1)

    def __call__(self, costs: NDArray[np.float64]) -> None:
        self.total += costs.sum()


class _Scaled:
    """Progress on the bytes of an opened block as progress on those of the block."""

    def __init__(self, on_bytes: OnBytes, raw_bytes: int, all_bytes: int) -> None:
        self._on_bytes, self._raw_bytes, self._all_bytes = on_bytes, raw_bytes, all_bytes
        self._done = self._told = 0

    def __call__(self, done: int) -> None:
        self._done += done
        now = self._raw_bytes * self._done // self._all_bytes
        self._on_bytes(now - self._told)
        self._told = now


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
        if not digest or block.frame.lanes != 1 or block.frame.filter or block.frame.wide:
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
    decoder = _Decoder(block, digest, open_, workers)
    if frame.method is not Method.OPENED:
        components, repeats = _COMPONENTS[frame.method], frame.method is Method.REPEATS
        return decoder.decode(block.payload, *components, repeats, frame.raw_bytes, on_bytes)
    try:
        head, at = OpenedHead.parse(block.payload, frame.raw_bytes)
        end, size = at + head.deviation_bytes, head.recipe_bytes + head.contents_bytes
        scaled = _Scaled(on_bytes, frame.raw_bytes, size)
        joined = decoder.decode(block.payload[end:], head.network, head.memory, head.repeats, size, scaled)
        with workers.hold(1):
            return opened.close_block(head, block.payload[at:end], joined, frame.raw_bytes)
    except ValueError as error:
        message = f"block {block.number} is damaged: what was opened doesn't fit together; {SALVAGE_HINT}"
        raise DamagedError(message, block.number) from error


class _Decoder(NamedTuple):
    """Decodes what stands in a block's payload. digest, engine_of, workers: as of `decode`."""

    block: Block
    digest: bytes
    engine_of: Callable[[bytes], Engine]
    workers: Workers

    def decode(self, data: bytes, network: bool, memory: bool, repeats: bool, size: int, on_bytes: OnBytes) -> bytes:
        """The `size` bytes that `data` stands for; network, memory, repeats: what takes part."""
        frame, number = self.block.frame, self.block.number
        if frame.cm_profile >= (len(PROFILES) if memory else 1):
            raise UnsupportedError(f"block {number} needs profile {frame.cm_profile}: get a newer arzip")
        if frame.filter not in bcj.KNOWN:
            raise UnsupportedError(f"block {number} needs filter {frame.filter}: get a newer arzip")
        matches, start = _matches(number, data, size) if repeats or frame.wide else ([], 0)
        rest_bytes = size - sum(match.size for match in matches)
        if not self.digest or frame.lanes > rest_bytes:
            raise DamagedError(f"block {number} is damaged: its frame doesn't fit; {SALVAGE_HINT}", number)
        plan = Plan(frame.lanes, network, frame.cm_profile if memory else None, frame.wide)
        engine = self.engine_of(self.digest)
        with self.workers.hold(engine.threads_for(plan, True, frame.single_block)):
            text = self._decode_text(engine, data[start:], rest_bytes, plan, on_bytes)
        on_bytes(size - rest_bytes)
        rest = bcj.undo(text, frame.filter, long_range.segments(matches, rest_bytes))
        return long_range.restore(rest, matches)

    def _decode_text(self, engine: Engine, data: bytes, size: int, plan: Plan, on_bytes: OnBytes) -> bytes:
        """What the lanes hold, from the stream or the streams."""
        if not plan.wide:
            return engine.decode(data, size, plan, on_bytes)
        try:
            streams = lane_streams.parse(data, plan.lanes)
            return engine.decode_wide(streams, size, plan, on_bytes, self.block.frame.single_block)
        except ValueError as error:
            message = f"block {self.block.number} is damaged: its streams don't fit; {SALVAGE_HINT}"
            raise DamagedError(message, self.block.number) from error


def _matches(number: int, data: bytes, size: int) -> tuple[list[LongMatch], int]:
    """What was taken out of `size` bytes of a block, and where the rest's stream begins in data."""
    try:
        return long_range.parse(data, size)
    except ValueError as error:
        message = f"block {number} is damaged: its repeats don't fit; {SALVAGE_HINT}"
        raise DamagedError(message, number) from error
