"""docs/FORMAT.md, 'Block coding': from a frame and its payload to the raw bytes."""

from __future__ import annotations

from dataclasses import dataclass

from . import filters, opened, repeats
from .array import decode_array
from .container import Frame
from .errors import Damaged, Unsupported, require
from .lanes import AfterDictionary, Predictor, decode_lanes, lane_sizes
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
PICTURE, SOUND, ARRAY = 4, 5, 6  # profiles of method 3
SAMPLES = {PICTURE: decode_picture, SOUND: decode_sound, ARRAY: decode_array}
STREAM_EXCESS = 64


@dataclass
class Coding:
    """How a text is coded: lanes, profile and filter of the frame, and what takes part."""

    lanes: int
    profile: int
    filter: int
    is_wide: bool
    parts: int


def is_samples(frame: Frame) -> bool:
    """Whether a block is one of 'Pictures', 'Sound' or 'Arrays'."""
    return frame.method == 3 and frame.profile in SAMPLES


def starts_after_dictionary(frame: Frame) -> bool:
    """'Dictionary': whether a block starts after the one that its header names, if there is one."""
    return frame.method != 1 and frame.lanes == 1 and not frame.is_wide and not is_samples(frame)


def decode_block(frame: Frame, payload: bytes, model: Model | None, dictionary: bytes = b"") -> bytes:
    """The raw bytes of a block. dictionary: what it starts after, b"" for nothing."""
    if frame.method == 1:
        return payload
    if model is None:
        raise Damaged("a coded block without a model")
    if is_samples(frame):
        return decode_samples(frame, payload)
    if frame.method != OPENED:
        parts = TAKES_PART[frame.method]
        return decode_text(Parts(payload), frame.raw_bytes, coding_of(frame, parts), model, dictionary)
    source = Parts(payload)
    head = opened.read_head(source, frame.raw_bytes)
    size = head.recipe_bytes + head.contents_bytes
    text = decode_text(source, size, coding_of(frame, head.parts), model, dictionary)
    return opened.close(head, text[: head.recipe_bytes], text[head.recipe_bytes :], frame.raw_bytes)


def decode_samples(frame: Frame, payload: bytes, steps: int | None = None) -> bytes:
    """The raw bytes of a block of a picture, sound or an array.

    steps: to decode only so many pixels, frames or items; what follows them is 0.
    """
    require(frame.filter == 0 and frame.lanes == 1 and not frame.is_wide, "lanes or a filter of samples")
    return SAMPLES[frame.profile](payload, frame.raw_bytes, steps)


def coding_of(frame: Frame, parts: int) -> Coding:
    return Coding(frame.lanes, frame.profile, frame.filter, frame.is_wide, parts | REPEATS * frame.is_wide)


def decode_text(
    source: Parts, n: int, coding: Coding, model: Model, dictionary: bytes = b"", steps: int | None = None
) -> bytes:
    """n bytes that stand in a block, or that a block is put together from.

    dictionary: what the only lane starts after, b"" for nothing.
    steps: to decode only so many bytes of each lane; what follows them is 0 before filters are undone.
    """
    if coding.filter > filters.ARM64 or coding.profile >= (len(PROFILES) if coding.parts & MEMORY else 1):
        raise Unsupported("a profile or a filter of later readers")
    matches = repeats.read_matches(source, n) if coding.parts & REPEATS else []
    rest = n - sum(match.size for match in matches)
    require(coding.lanes <= rest, "fewer bytes than lanes")
    streams = read_streams(source, rest, coding.lanes) if coding.is_wide else [source.rest()]
    known = len(dictionary)
    predictor = Predictor(
        Network(model, coding.lanes) if coding.parts & NETWORK else None,
        memory_of(known + rest, coding, model, known > 0) if coding.parts & MEMORY else None,
    )
    coders = [AfterDictionary(dictionary, RangeDecoder(stream)) for stream in streams]
    most = None if steps is None else known + steps
    text = decode_lanes(predictor, known + rest, coding.lanes, coders, coding.is_wide, most)[known:]
    return repeats.restore(filters.undo(text, repeats.segments(matches, rest), coding.filter), matches)


def memory_of(n: int, coding: Coding, model: Model, is_after_dictionary: bool) -> Memory:
    """n: bytes of the block, those of a dictionary with it."""
    has_network = bool(coding.parts & NETWORK)
    initial = model.initial_state(coding.profile, has_network)
    tables_for = 1 << (n - 1).bit_length() if is_after_dictionary else n
    sizes = lane_sizes(n, coding.lanes)
    return Memory(PROFILES[coding.profile], n, sizes, has_network, initial, model.ngrams, tables_for)


def read_streams(source: Parts, n: int, lanes: int) -> list[bytes]:
    """'Wide blocks': the streams of the lanes."""
    sizes = [source.varint() for _ in range(lanes - 1)]
    streams = [source.take(size) for size in sizes]
    streams.append(source.rest())
    for stream, m in zip(streams, lane_sizes(n, lanes), strict=True):
        require(len(stream) <= 2 * m + STREAM_EXCESS, "a stream is too long")
    return streams
