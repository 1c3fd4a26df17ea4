"""Payload -> the raw bytes of a block."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from arzip.block_codec.coded import COMPONENTS, WITH_REPEATS, Scaled
from arzip.block_codec.samples import MEDIA_PROFILES, decode_media
from arzip.context_mixing.profile import PROFILES
from arzip.engine.backend import OnBytes
from arzip.engine.devices import DeviceFailedError
from arzip.engine.engine import Engine
from arzip.engine.plan import Plan
from arzip.errors import DamagedError, UnsupportedError
from arzip.format import lane_streams
from arzip.format.opened_head import OpenedHead
from arzip.format.records import SALVAGE_HINT, Method, split_fields
from arzip.format.stream import Block
from arzip.media import picture_series
from arzip.media.picture_series import Shape
from arzip.preprocess import bcj, long_range, opened
from arzip.preprocess.long_range import MatchArray
from arzip.system.workers import Workers

_NO_MATCHES = MatchArray()


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
        return decode_media(block, fields, workers, on_bytes)
    decoder = _Decoder(block, fields, open_, workers, on_devices)
    if frame.method is not Method.OPENED:
        components, repeats = COMPONENTS[frame.method], frame.method in WITH_REPEATS.values()
        return decoder.decode(block.payload, *components, repeats, frame.raw_bytes, on_bytes)
    try:
        head, at = OpenedHead.parse(block.payload, frame.raw_bytes)
        end, size = at + head.deviation_bytes, head.recipe_bytes + head.contents_bytes
        behind = end + head.picture_bytes
        deviations, pictures = block.payload[at:end], block.payload[end:behind]
        main_bytes = frame.raw_bytes // (2 if pictures else 1)
        scaled = Scaled(on_bytes, main_bytes, size)
        joined = decoder.decode(block.payload[behind:], head.network, head.memory, head.repeats, size, scaled)
        with workers.hold(1):
            shapes = [Shape(*each) for each in opened.apart_of(head, deviations, joined, frame.raw_bytes)]
            scaled = Scaled(on_bytes, frame.raw_bytes - main_bytes, sum(shape.size for shape in shapes))
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
