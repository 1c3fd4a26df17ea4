"""Blocks of sound, of a picture, of an array of numbers: whether they are coded as such, and how."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from arzip.block_codec.coded import Coded
from arzip.block_codec.text import repeated_share
from arzip.engine.backend import OnBytes, OnCosts
from arzip.engine.engine import Engine
from arzip.engine.plan import Plan
from arzip.errors import DamagedError
from arzip.format.records import SALVAGE_HINT, Method, join_profile
from arzip.format.stream import Block
from arzip.levels import Level
from arzip.media import array_payload, picture_payload
from arzip.media import payload as sound_payload
from arzip.media.array_layout import ArrayLayout
from arzip.media.payload import Layout
from arzip.media.picture_payload import PictureLayout
from arzip.system.workers import Workers

# profiles of blocks of samples, which have predictors of their own
MEDIA_PROFILES = {module.PROFILE: module for module in (picture_payload, sound_payload, array_payload)}
MEDIA_PROBE_BYTES = 1 << 16
GUESS_PROBE_BYTES = 1 << 14  # of what has no header
UNSURE = 0.05  # of a cost: what is nearer to another one is measured on MEDIA_PROBE_BYTES, too
AnyLayout = Layout | PictureLayout | ArrayLayout
MAX_ARRAY_REPEATS = 1 / 64  # of an array: what repeats more is left to context mixing, which takes repeats out


def is_worthwhile(engine: Engine, raw: bytes, layout: AnyLayout, level: Level, workers: Workers) -> bool:
    """Whether a predictor of sound, pictures or arrays makes less of a block's middle than context mixing alone."""
    if isinstance(layout, ArrayLayout) and repeated_share(raw, level) > MAX_ARRAY_REPEATS:
        return False
    return _shares(engine, raw, [layout], level, workers, MEDIA_PROBE_BYTES)[0] < 1


def guessed(
    engine: Engine, raw: bytes, layouts: Sequence[AnyLayout], level: Level, workers: Workers
) -> AnyLayout | None:
    """The layout whose predictor makes the least of what has no header; None if context mixing alone makes less."""
    shares = _shares(engine, raw, layouts, level, workers, GUESS_PROBE_BYTES)
    if abs(min(shares) - 1) < UNSURE:
        shares = _shares(engine, raw, layouts, level, workers, MEDIA_PROBE_BYTES)
    best = min(range(len(shares)), key=shares.__getitem__)
    return layouts[best] if shares[best] < 1 else None


def _shares(
    engine: Engine, raw: bytes, layouts: Sequence[AnyLayout], level: Level, workers: Workers, probe_bytes: int
) -> list[float]:
    """What the predictor of each layout makes of so many bytes of a block's middle, as a share of what context mixing
    alone makes of those of the best one.
    """
    with workers.hold(1):
        costs, samples = [], []
        for layout in layouts:
            sample, kind = _coder(layout).middle(raw, layout, probe_bytes)
            coded = _coder(layout).encode(sample, kind, lambda _: workers.check())
            costs.append(8 * len(coded) / len(sample))
            samples.append(sample)
        sample = samples[min(range(len(costs)), key=costs.__getitem__)]
        alone = engine.cost_bits(sample, Plan(1, False, level.cm_only_profile)) / len(sample)
    return [cost / max(alone, 1e-9) for cost in costs]


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


def decode_media(block: Block, fields: bytes, workers: Workers, on_bytes: OnBytes) -> bytes:
    """The raw bytes of a block of samples, not yet checked. Arguments as of `decode`. Raises DamagedError."""
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
