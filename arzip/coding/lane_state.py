"""A block and its lanes: the state that coding carries from step to step.

The block is cut into L contiguous parts; step t codes byte t of every lane. The first `n % L` lanes are one byte
longer than the others: the lanes that still have bytes are always the first ones. Must not import models.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from arzip.coding import range_coder
from arzip.jit.compile import njit

CHUNK_BYTES = 1 << 15  # coded between two calls of on_bytes; bounds the RAM that bits and probabilities take


class LaneState(NamedTuple):
    """State of coding a block of n bytes in L lanes.

    Encoding: text is read, stream (words) is written through registers; if they have elements, bits (uint8)
    and their P(bit = 1) (uint32, in 1 / 2**22) are written too. Decoding: stream is read, text is written.
    A wide block has registers (L, 3) and stream (L, words): a stream for each lane.
    """

    text: NDArray[np.uint8]  # (n,)
    starts: NDArray[np.int64]  # (L + 1,) where each lane starts, and the end
    last: NDArray[np.uint8]  # (L,) each lane's newest byte, zero at first
    low: NDArray[np.int64]  # (L,) the byte's bits so far, as its smallest possible value
    total: NDArray[np.int64]  # (L,) sum of the network's frequencies that are still possible
    upper: NDArray[np.int64]  # (L,) the part of it on which the next bit is 1
    network_p: NDArray[np.int64]  # (L,) the network's P(bit = 1)
    probability: NDArray[np.int64]  # (L,) the final P(bit = 1)
    bit: NDArray[np.int64]  # (L,)
    flags: NDArray[np.int64]  # (3,) whether network and context mixing take part; whether this is decoding
    registers: NDArray[np.uint64]
    stream: NDArray[np.uint32]
    bits: NDArray[np.uint8]
    probabilities: NDArray[np.uint32]

    @property
    def is_decoding(self) -> bool:
        """Whether the block is being decoded."""
        return bool(self.flags[2])


def lane_starts(size_bytes: int, lanes: int) -> NDArray[np.int64]:
    """Start of each lane in the block, then its end: (L + 1,)."""
    short, longer = divmod(size_bytes, lanes)
    k = np.arange(lanes + 1)
    return np.asarray(k * short + np.minimum(k, longer), np.int64)


def steps_of(size_bytes: int, lanes: int) -> int:
    """Number of steps of a block."""
    return -(-size_bytes // lanes)


def chunk_steps(lanes: int) -> int:
    """Number of steps of a chunk."""
    return -(-CHUNK_BYTES // lanes)


def new_lane_state(
    text: NDArray[np.uint8], lanes: int, components: tuple[bool, bool], payload: bytes | None, record: bool = False
) -> LaneState:
    """A block before its first step. payload: bytes to decode; None: encode. record: store bits and probabilities."""
    low, total, upper, network_p, probability, bit = np.zeros((6, lanes), np.int64)
    bits = 8 * lanes * chunk_steps(lanes) if record else 0
    stream = np.zeros(0, np.uint32) if payload is None else range_coder.words(payload)
    registers = range_coder.init_encoder() if payload is None else range_coder.init_decoder(stream)
    starts, last = lane_starts(text.size, lanes), np.zeros(lanes, np.uint8)
    flags = np.array([*components, payload is not None], np.int64)
    written, probabilities = np.empty(bits, np.uint8), np.empty(bits, np.uint32)
    return LaneState(
        text,
        starts,
        last,
        low,
        total,
        upper,
        network_p,
        probability,
        bit,
        flags,
        registers,
        stream,
        written,
        probabilities,
    )


def max_stream_bytes(lane_bytes: int) -> int:
    """How long the stream of a wide block's lane of so many bytes may be; a block that costs more is not made wide."""
    return 2 * lane_bytes + 64


def new_wide_state(
    text: NDArray[np.uint8],
    lanes: int,
    components: tuple[bool, bool],
    streams: Sequence[bytes] | None,
    record: bool = False,
) -> LaneState:
    """A wide block before its first step. streams: what to decode, of each lane; None to encode.

    Raises ValueError if a stream is longer than `max_stream_bytes`.
    """
    block = new_lane_state(text, lanes, components, None, record)
    block.flags[2] = streams is not None
    room = -(-max_stream_bytes(steps_of(text.size, lanes)) // 4) + 2  # two words that a decoder reads ahead
    stream = np.zeros((lanes, room), np.uint32)
    registers = np.tile(range_coder.init_encoder(), (lanes, 1))
    for lane, data in enumerate(streams or ()):
        if len(data) > max_stream_bytes(int(block.starts[lane + 1] - block.starts[lane])):
            raise ValueError(f"the stream of lane {lane} is too long")
        words = range_coder.words(data)
        stream[lane, : words.size] = words
        registers[lane] = range_coder.init_decoder(words)
    return block._replace(registers=registers, stream=stream)


def finish_streams(block: LaneState) -> list[bytes] | None:
    """The stream of each lane of a wide block that was encoded; None if one is longer than `max_stream_bytes`."""
    if (block.registers[:, range_coder.NEXT] == block.stream.shape[1]).any():
        return None  # `wide.code_bit` stopped there
    streams = [range_coder.finish(*lane) for lane in zip(block.registers, block.stream, strict=True)]
    lane_bytes = np.diff(block.starts)
    fit = all(len(data) <= max_stream_bytes(int(n)) for data, n in zip(streams, lane_bytes, strict=True))
    return streams if fit else None


def reserve(block: LaneState, steps: int) -> LaneState:
    """The block, its stream enlarged for so many more steps."""
    words = int(block.registers[range_coder.NEXT]) + range_coder.words_needed(8 * block.last.size * steps)
    if block.stream.size >= words:
        return block
    return block._replace(stream=np.concatenate([block.stream, np.zeros(words, np.uint32)]))


@njit(_nrt=False)
def active_lanes(starts, t):
    """Number of lanes, always the first ones, that have a byte at step t."""
    lanes = starts.size - 1
    shortest = starts[lanes] - starts[lanes - 1]
    return lanes if t < shortest else starts[lanes] - shortest * lanes


@njit(_nrt=False)
def group_lanes(starts, t, group):
    """The lanes [first, end) of a lane group, 0 or 1, that have a byte at step t."""
    lanes = starts.size - 1
    half = (lanes + 1) // 2
    active = active_lanes(starts, t)
    if group == 0:
        return 0, min(active, half)
    return half, max(active, half)
