"""docs/FORMAT.md, 'Block coding': from a frame and its payload to the raw bytes."""

from __future__ import annotations

from dataclasses import dataclass

from . import filters, opened, repeats
from .container import Frame
from .errors import Damaged, Unsupported, require
from .lanes import Predictor, decode_lanes, lane_sizes
from .memory import Memory
from .memory.profiles import PROFILES
from .network import Network
from .parts import Parts
from .picture import decode_picture
from .range_decoder import RangeDecoder
from .sound import decode_sound
from .weights import Model

NETWORK, MEMORY, REPEATS = 1, 2, 4
TAKES_PART = {2: NETWORK, 3: MEMORY, 4: NETWORK | MEMORY, 5: NETWORK | MEMORY | REPEATS, 7: MEMORY | REPEATS}
OPENED = 6
PICTURE, SOUND = 4, 5  # profiles
STREAM_EXCESS = 64


@dataclass
class Coding:
    """How a text is coded: lanes, profile and filter of the frame, and what takes part."""

    lanes: int
    profile: int
    filter: int
    is_wide: bool
    parts: int


def decode_block(frame: Frame, payload: bytes, model: Model | None) -> bytes:
    """The raw bytes of a block."""
    if frame.method == 1:
        return payload
    if model is None:
        raise Damaged("a coded block without a model")
    if frame.method == 3 and frame.profile in (PICTURE, SOUND):
        require(frame.filter == 0 and frame.lanes == 1 and not frame.is_wide, "lanes or a filter of samples")
        return (decode_picture if frame.profile == PICTURE else decode_sound)(payload, frame.raw_bytes)
    if frame.method != OPENED:
        parts = TAKES_PART[frame.method]
        return decode_text(Parts(payload), frame.raw_bytes, coding_of(frame, parts), model)
    source = Parts(payload)
    head = opened.read_head(source, frame.raw_bytes)
    text = decode_text(source, head.recipe_bytes + head.contents_bytes, coding_of(frame, head.parts), model)
    return opened.close(head, text[: head.recipe_bytes], text[head.recipe_bytes :], frame.raw_bytes)


def coding_of(frame: Frame, parts: int) -> Coding:
    return Coding(frame.lanes, frame.profile, frame.filter, frame.is_wide, parts | REPEATS * frame.is_wide)


def decode_text(source: Parts, n: int, coding: Coding, model: Model, steps: int | None = None) -> bytes:
    """n bytes that stand in a block, or that a block is put together from.

    steps: to decode only so many bytes of each lane; what follows them is 0 before filters are undone.
    """
    if coding.filter > filters.ARM64 or coding.profile >= (len(PROFILES) if coding.parts & MEMORY else 1):
        raise Unsupported("a profile or a filter of later readers")
    matches = repeats.read_matches(source, n) if coding.parts & REPEATS else []
    rest = n - sum(match.size for match in matches)
    require(coding.lanes <= rest, "fewer bytes than lanes")
    streams = read_streams(source, rest, coding.lanes) if coding.is_wide else [source.rest()]
    predictor = Predictor(
        Network(model, coding.lanes) if coding.parts & NETWORK else None,
        memory_of(rest, coding, model) if coding.parts & MEMORY else None,
    )
    text = decode_lanes(predictor, rest, coding.lanes, [RangeDecoder(s) for s in streams], coding.is_wide, steps)
    return repeats.restore(filters.undo(text, repeats.segments(matches, rest), coding.filter), matches)


def memory_of(n: int, coding: Coding, model: Model) -> Memory:
    has_network = bool(coding.parts & NETWORK)
    initial = model.initial_state(coding.profile, has_network)
    return Memory(PROFILES[coding.profile], n, lane_sizes(n, coding.lanes), has_network, initial, model.ngrams)


def read_streams(source: Parts, n: int, lanes: int) -> list[bytes]:
    """'Wide blocks': the streams of the lanes."""
    sizes = [source.varint() for _ in range(lanes - 1)]
    streams = [source.take(size) for size in sizes]
    streams.append(source.rest())
    for stream, m in zip(streams, lane_sizes(n, lanes), strict=True):
        require(len(stream) <= 2 * m + STREAM_EXCESS, "a stream is too long")
    return streams
