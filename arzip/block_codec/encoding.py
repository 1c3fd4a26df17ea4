"""Raw bytes -> payload and what the block's frame says of it: opened or closed, alone or with others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from arzip import levels, planner
from arzip.block_codec.coded import METHODS, WITH_REPEATS, Coded, Scaled, Sum
from arzip.block_codec.picture_forms import PictureForms
from arzip.block_codec.text import Text, encode_text, prepare, profile_byte, repeats
from arzip.engine.backend import OnBytes, OnCosts
from arzip.engine.engine import Engine
from arzip.engine.plan import Plan
from arzip.engine.records import RecordEngine
from arzip.format.records import Method
from arzip.levels import Level
from arzip.media import picture_series
from arzip.media.picture_series import Shape
from arzip.preprocess import long_range, opened
from arzip.preprocess.opened import OpenedBlock
from arzip.system.workers import Workers

SMALL_BYTES = 1 << 18  # blocks below are coded opened and closed
REPEATED_SHARE = 0.25  # of an opened block that repeats must cover to be taken out of a single lane


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
            choice = PictureForms(engine, level, workers)
            block = opened.open_block(raw, levels.max_opened(len(raw), level), choice)
    if block is None:
        return _encode_closed(engine, raw, level, workers, on_bytes, on_costs)
    costs, closed_costs = Sum(), Sum()
    scaled = Scaled(on_bytes, len(raw), len(block.joined) + block.apart_bytes)
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
    alike: dict[Plan, list[tuple[int, Text]]] = {}
    for number, raw in enumerate(raws):
        has_streams = opens and opened.open_block(raw, levels.max_opened(len(raw), level)) is not None
        if has_streams or levels.lanes_and_profile(len(raw), level)[0] > 1:
            results[number] = encode(engine, raw, level, workers, lambda _: workers.check(), None, opens)
            continue
        chosen = prepare(engine, raw, [], level, workers)
        alike.setdefault(chosen.plan, []).append((number, chosen))
    for plan, members in alike.items():
        payloads = engine.encode_records([chosen.text for _, chosen in members], plan, workers.check)
        for (number, chosen), payload in zip(members, payloads, strict=True):
            method = METHODS[plan.components]
            results[number] = Coded(raws[number], payload, method, plan.lanes, profile_byte(chosen))
    return [results[number] for number in range(len(raws))]


def _encode_closed(
    engine: Engine, raw: bytes, level: Level, workers: Workers, on_bytes: OnBytes, on_costs: OnCosts | None
) -> Coded:
    """Code a block as it is."""
    with workers.hold(1):
        several = levels.lanes_and_profile(len(raw), level)[0] > 1
        chosen = prepare(engine, raw, long_range.find(raw) if several else repeats(raw, level), level, workers)
    payload = encode_text(engine, raw, chosen, workers, on_bytes, on_costs)
    if payload is None:
        return _encode_closed(engine, raw, replace(level, wide=False), workers, on_bytes, on_costs)
    with_repeats = chosen.matches and (chosen.plan.use_network or not chosen.plan.wide)  # any wide block has a list
    method = (WITH_REPEATS if with_repeats else METHODS)[chosen.plan.components]
    return Coded(raw, payload, method, chosen.plan.lanes, profile_byte(chosen))


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
        chosen = prepare(engine, block.joined, block.matches, level, workers, much)
    payload = encode_text(engine, block.joined, chosen, workers, on_bytes, on_costs)
    if payload is None:
        return _encode_opened(engine, raw, block, replace(level, wide=False), workers, on_bytes, on_costs)
    pictures = b""
    if block.apart:
        shaped = [(picture.values, Shape(len(picture.values), *picture[2:])) for picture in block.apart]
        with workers.hold(1):
            pictures = picture_series.encode(shaped, on_bytes, on_costs)
    head = block.head(*chosen.plan.components, bool(chosen.matches), len(pictures))
    payload = head.pack() + block.deviations + pictures + payload
    return Coded(raw, payload, Method.OPENED, chosen.plan.lanes, profile_byte(chosen), head, block.refused)
