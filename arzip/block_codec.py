"""One block: raw bytes -> payload and what its frame says of it, and back. Opens streams, takes repeats out, filters,
plans, asks the engine.

Must not know streams of blocks, nor how probabilities are computed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from arzip import levels, planner
from arzip.context_mixing.profile import PROFILES
from arzip.engine.backend import OnBytes, OnCosts
from arzip.engine.devices import DeviceFailedError
from arzip.engine.engine import Engine
from arzip.engine.plan import Plan
from arzip.engine.records import RecordEngine
from arzip.errors import DamagedError, UnsupportedError
from arzip.format import lane_streams
from arzip.format.opened_head import OpenedHead
from arzip.format.records import SALVAGE_HINT, Method, join_profile, split_fields
from arzip.format.stream import Block
from arzip.levels import Level
from arzip.media import array_payload, picture_payload, picture_series
from arzip.media import payload as sound_payload
from arzip.media.array_layout import ArrayLayout
from arzip.media.payload import Layout
from arzip.media.picture_payload import PictureLayout
from arzip.media.picture_series import Shape
from arzip.preprocess import bcj, long_range, opened
from arzip.preprocess.long_range import LongMatch, MatchArray
from arzip.preprocess.opened import OpenedBlock
from arzip.preprocess.recompress.recipe import FILTERED
from arzip.system.workers import Workers

if TYPE_CHECKING:
    from arzip.preprocess.recompress.opening import Picture

# which method a frame names when (network, memory) take part
_METHODS = {(True, False): Method.NETWORK, (False, True): Method.MEMORY, (True, True): Method.MIXED}
# profiles of blocks of samples, which have predictors of their own
MEDIA_PROFILES = {module.PROFILE: module for module in (picture_payload, sound_payload, array_payload)}
MEDIA_PROBE_BYTES, MAX_PROBED = 1 << 16, 1 << 20
GUESS_PROBE_BYTES = 1 << 14  # of what has no header
SMALL_BYTES = 1 << 18  # blocks below are coded opened and closed
SHARED_BITS = 64  # of a picture's stream that the pictures of a block have together
AnyLayout = Layout | PictureLayout | ArrayLayout
MAX_ARRAY_REPEATS = 1 / 64  # of an array: what repeats more is left to context mixing, which takes repeats out
_WITH_REPEATS = {(False, True): Method.MEMORY_REPEATS, (True, True): Method.REPEATS}
_COMPONENTS = {method: components for methods in (_METHODS, _WITH_REPEATS) for components, method in methods.items()}
_NO_MATCHES = MatchArray()
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
            choice = _PictureForms(engine, level, workers)
            block = opened.open_block(raw, levels.max_opened(len(raw), level), choice)
    if block is None:
        return _encode_closed(engine, raw, level, workers, on_bytes, on_costs)
    costs, closed_costs = _Sum(), _Sum()
    scaled = _Scaled(on_bytes, len(raw), len(block.joined) + block.apart_bytes)
    coded = _encode_opened(engine, raw, block, level, workers, scaled, costs if on_costs else None)
    if not _is_sure(engine, raw, block, len(coded.payload), workers):
        quiet, added = (lambda _: on_bytes(0)), closed_costs if on_costs else None
        closed = _encode_closed(engine, raw, level, workers, quiet, added)
        if len(closed.payload) <= len(coded.payload):
            coded, costs = closed, closed_costs
    if on_costs:
        on_costs(costs.total)
    return coded


def _is_sure(engine: Engine, raw: bytes, block: OpenedBlock, payload_bytes: int, workers: Workers) -> bool:
    """Whether an opened block is shorter than the closed one: than its streams alone, whatever else the block holds.

    Some deflated data packs well as it is: tables of numbers.
    """
    if len(raw) < SMALL_BYTES:
        return False
    with workers.hold(1):
        packed = b"".join(raw[start:end] for start, end in block.spans)
        return planner.is_surely_less(engine, payload_bytes, long_range.extract(packed, long_range.find(packed)))


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
        several = levels.lanes_and_profile(len(raw), level)[0] > 1
        chosen = _prepare(engine, raw, long_range.find(raw) if several else _repeats(raw, level), level, workers)
    payload = _encode_text(engine, raw, chosen, workers, on_bytes, on_costs)
    if payload is None:
        return _encode_closed(engine, raw, replace(level, wide=False), workers, on_bytes, on_costs)
    with_repeats = chosen.matches and (chosen.plan.use_network or not chosen.plan.wide)  # any wide block has a list
    method = (_WITH_REPEATS if with_repeats else _METHODS)[chosen.plan.components]
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
    pictures = b""
    if block.apart:
        shaped = [(picture.values, Shape(len(picture.values), *picture[2:])) for picture in block.apart]
        with workers.hold(1):
            pictures = picture_series.encode(shaped, on_bytes, on_costs)
    head = block.head(*chosen.plan.components, bool(chosen.matches), len(pictures))
    payload = head.pack() + block.deviations + pictures + payload
    return Coded(raw, payload, Method.OPENED, chosen.plan.lanes, _profile_byte(chosen), head, block.refused)


def _prepare(
    engine: Engine, raw: bytes, matches: list[LongMatch], level: Level, workers: Workers, any_lanes: bool = False
) -> _Text:
    """Take matches out, filter and plan. any_lanes: all are taken out of a single lane as well, not only long ones."""
    rest = long_range.extract(raw, matches)
    segments = list(long_range.segments(matches, len(rest)))
    kinds = bcj.choose(rest, segments)
    text = bcj.apply(rest, kinds, segments)
    plan = planner.choose(engine, text, level, workers.threads)
    if plan.lanes == 1 and not any_lanes and (longer := _repeats(raw, level)) != matches:
        return _prepare(engine, raw, longer, level, workers, any_lanes=True)  # one lane sees what it repeats
    return _Text(text, matches, kinds, plan)


def repeated_share(raw: bytes, level: Level) -> float:
    """The part of a piece of a stream that long repeats cover."""
    return sum(match.size for match in _repeats(raw, level)) / max(len(raw), 1)


def _repeats(raw: bytes, level: Level) -> list[LongMatch]:
    """What is taken out of a block of one lane."""
    return long_range.find(raw, level.min_repeat) if len(raw) > levels.SHORT_BYTES else []


def _encode_text(
    engine: Engine, raw: bytes, chosen: _Text, workers: Workers, on_bytes: OnBytes, on_costs: OnCosts | None
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
    engine: Engine, chosen: _Text, workers: Workers, on_bytes: OnBytes, on_costs: OnCosts | None
) -> list[bytes] | None:
    """The streams of a wide block, by a GPU if there is one; its costs are the CPU's. None: see Engine.encode_wide."""
    if on_costs is None and engine.is_for_devices(chosen.plan):
        with suppress(DeviceFailedError):
            return engine.encode_on_device(chosen.text, chosen.plan, on_bytes)
    with workers.hold(engine.threads_for(chosen.plan, decoding=False)):
        return engine.encode_wide(chosen.text, chosen.plan, on_bytes, on_costs)


def _profile_byte(chosen: _Text) -> int:
    return join_profile(chosen.plan.cm_profile or 0, chosen.kinds, chosen.plan.wide)


class _PictureForms:
    """Chooses how the pictures of a block are coded: each of MAX_PROBED bytes in all by what its middle costs, later
    ones as the last one with as many channels.
    """

    def __init__(self, engine: Engine, level: Level, workers: Workers) -> None:
        self._engine, self._level, self._workers = engine, level, workers
        self._left = MAX_PROBED
        self._last: dict[int, int] = {}

    def __call__(self, picture: Picture) -> int:
        if self._left > 0 or picture.channels not in self._last:
            self._left -= min(len(picture.values), MEDIA_PROBE_BYTES)
            self._last[picture.channels] = self._cheapest(picture)
        return self._last[picture.channels]

    def _cheapest(self, picture: Picture) -> int:
        row = picture.width * max(picture.channels, 1)
        height = len(picture.values) // row
        taken = max(1, min(height, MEDIA_PROBE_BYTES // row))
        first = (height - taken) // 2
        values = picture.values[first * row : (first + taken) * row]
        plan = Plan(1, False, self._level.cm_only_profile)
        filtered = self._engine.cost_bits(picture.text[first * (row + 1) : (first + taken) * (row + 1)], plan)
        costs = {FILTERED: filtered, 0: self._engine.cost_bits(values, plan)}
        if picture.channels and self._level.pictures and not self._level.light:
            shape = Shape(len(values), picture.channels, picture.width)
            stream = picture_series.encode([(values, shape)], lambda _: self._workers.check())
            costs[picture.channels] = 8 * len(stream) - SHARED_BITS
        return min(costs, key=costs.__getitem__)


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
        now = self._raw_bytes * self._done // max(self._all_bytes, 1)
        self._on_bytes(now - self._told)
        self._told = now


def is_worthwhile(engine: Engine, raw: bytes, layout: AnyLayout, level: Level, workers: Workers) -> bool:
    """Whether a predictor of sound, pictures or arrays makes less of a block's middle than context mixing alone."""
    if isinstance(layout, ArrayLayout) and repeated_share(raw, level) > MAX_ARRAY_REPEATS:
        return False
    return cheapest(engine, raw, [layout], level, workers, MEDIA_PROBE_BYTES) is not None


def cheapest(
    engine: Engine, raw: bytes, layouts: Sequence[AnyLayout], level: Level, workers: Workers, probe_bytes: int
) -> AnyLayout | None:
    """The layout whose predictor makes the least of so many bytes of a block's middle; None if context mixing alone
    makes less.
    """
    with workers.hold(1):
        costs = []
        for layout in layouts:
            sample, kind = _coder(layout).middle(raw, layout, probe_bytes)
            coded = _coder(layout).encode(sample, kind, lambda _: workers.check())
            costs.append(8 * len(coded) / len(sample))
        best = min(range(len(costs)), key=costs.__getitem__)
        sample, _ = _coder(layouts[best]).middle(raw, layouts[best], probe_bytes)
        alone = engine.cost_bits(sample, Plan(1, False, level.cm_only_profile)) / len(sample)
    return layouts[best] if costs[best] < alone else None


def encode_media(raw: bytes, layout: AnyLayout, workers: Workers, on_bytes: OnBytes, on_costs: OnCosts | None) -> Coded:
    """Code a block of samples that lie as `layout` says. on_bytes, on_costs: as of Engine.encode."""
    coder = _coder(layout)
    with workers.hold(1):
        payload = coder.encode(raw, layout, on_bytes, on_costs)
    return Coded(raw, payload, Method.MEMORY, 1, join_profile(coder.PROFILE, 0))


def _coder(layout: AnyLayout) -> Any:
    if isinstance(layout, ArrayLayout):
        return array_payload
    return sound_payload if isinstance(layout, Layout) else picture_payload


def _decode_media(block: Block, fields: bytes, workers: Workers, on_bytes: OnBytes) -> bytes:
    try:
        if not fields or block.frame.lanes != 1 or block.frame.filter or block.frame.wide:
            raise ValueError("frame")
        with workers.hold(1):
            decode_payload = MEDIA_PROFILES[block.frame.cm_profile].decode
            raw: bytes = decode_payload(block.payload, block.frame.raw_bytes, on_bytes)
            return raw
    except ValueError as error:
        message = f"block {block.number} is damaged: its samples don't fit; {SALVAGE_HINT}"
        raise DamagedError(message, block.number) from error


def decode(
    block: Block,
    fields: bytes,
    open_: Callable[[bytes], Engine],
    workers: Workers,
    on_bytes: OnBytes,
    on_devices: bool = True,
) -> bytes:
    """The raw bytes of a block, not yet checked. fields: of its archive's header; open_: the engine for these.

    on_devices: a GPU may decode it, if there is one.
    Raises UnsupportedError, DamagedError, and what open_ raises.
    """
    frame = block.frame
    if frame.method is Method.STORED:
        on_bytes(frame.raw_bytes)
        return block.payload
    if frame.method is Method.MEMORY and frame.cm_profile in MEDIA_PROFILES:
        return _decode_media(block, fields, workers, on_bytes)
    decoder = _Decoder(block, fields, open_, workers, on_devices)
    if frame.method is not Method.OPENED:
        components, repeats = _COMPONENTS[frame.method], frame.method in _WITH_REPEATS.values()
        return decoder.decode(block.payload, *components, repeats, frame.raw_bytes, on_bytes)
    try:
        head, at = OpenedHead.parse(block.payload, frame.raw_bytes)
        end, size = at + head.deviation_bytes, head.recipe_bytes + head.contents_bytes
        behind = end + head.picture_bytes
        deviations, pictures = block.payload[at:end], block.payload[end:behind]
        main_bytes = frame.raw_bytes // (2 if pictures else 1)
        scaled = _Scaled(on_bytes, main_bytes, size)
        joined = decoder.decode(block.payload[behind:], head.network, head.memory, head.repeats, size, scaled)
        with workers.hold(1):
            shapes = [Shape(*each) for each in opened.apart_of(head, deviations, joined, frame.raw_bytes)]
            scaled = _Scaled(on_bytes, frame.raw_bytes - main_bytes, sum(shape.size for shape in shapes))
            values = picture_series.decode(pictures, shapes, scaled) if shapes else []
            return opened.close_block(head, deviations, joined, frame.raw_bytes, values)
    except ValueError as error:
        message = f"block {block.number} is damaged: what was opened doesn't fit together; {SALVAGE_HINT}"
        raise DamagedError(message, block.number) from error


class _Decoder(NamedTuple):
    """Decodes what stands in a block's payload. fields, engine_of, workers, on_devices: as of `decode`."""

    block: Block
    fields: bytes
    engine_of: Callable[[bytes], Engine]
    workers: Workers
    on_devices: bool

    def decode(self, data: bytes, network: bool, memory: bool, repeats: bool, size: int, on_bytes: OnBytes) -> bytes:
        """The `size` bytes that `data` stands for; network, memory, repeats: what takes part."""
        frame, number = self.block.frame, self.block.number
        if frame.cm_profile >= (len(PROFILES) if memory else 1):
            raise UnsupportedError(f"block {number} needs profile {frame.cm_profile}: get a newer arzip")
        if frame.filter not in bcj.KNOWN:
            raise UnsupportedError(f"block {number} needs filter {frame.filter}: get a newer arzip")
        matches, start = _matches(number, data, size) if repeats or frame.wide else (_NO_MATCHES, 0)
        rest_bytes = size - sum(match.size for match in matches)
        if not self.fields or frame.lanes > rest_bytes:
            raise DamagedError(f"block {number} is damaged: its frame doesn't fit; {SALVAGE_HINT}", number)
        plan = Plan(frame.lanes, network, frame.cm_profile if memory else None, frame.wide)
        after_dictionary = plan.lanes == 1 and not plan.wide
        fields = self.fields if after_dictionary else split_fields(self.fields)[0]
        text = self._decode_text(self.engine_of(fields), data[start:], rest_bytes, plan, on_bytes)
        on_bytes(size - rest_bytes)
        rest = bcj.undo(text, frame.filter, long_range.segments(matches, rest_bytes))
        return long_range.restore(rest, matches)

    def _decode_text(self, engine: Engine, data: bytes, size: int, plan: Plan, on_bytes: OnBytes) -> bytes:
        """What the lanes hold, from the stream or the streams."""
        single = self.block.frame.single_block
        if not plan.wide:
            alone = single or not self.workers.is_crowded()
            with self.workers.hold(engine.threads_for(plan, True, alone)):
                return engine.decode(data, size, plan, on_bytes, alone)
        try:
            streams = lane_streams.parse(data, plan.lanes)
            if self.on_devices and engine.is_for_devices(plan):
                with suppress(DeviceFailedError):
                    return engine.decode_on_device(streams, size, plan, on_bytes)
            with self.workers.hold(engine.threads_for(plan, True, single)):
                return engine.decode_wide(streams, size, plan, on_bytes, single)
        except ValueError as error:
            message = f"block {self.block.number} is damaged: its streams don't fit; {SALVAGE_HINT}"
            raise DamagedError(message, self.block.number) from error


def _matches(number: int, data: bytes, size: int) -> tuple[MatchArray, int]:
    """What was taken out of `size` bytes of a block, and where the rest's stream begins in data."""
    try:
        return long_range.parse(data, size)
    except ValueError as error:
        message = f"block {number} is damaged: its repeats don't fit; {SALVAGE_HINT}"
        raise DamagedError(message, number) from error
