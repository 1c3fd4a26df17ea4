"""A block with its deflate streams opened: recipe and contents joined to what is modelled, and back.

What opens streams is imported when there are any. Must not import models.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from arzip.format.opened_head import OpenedHead, max_opened_bytes
from arzip.preprocess import long_range
from arzip.preprocess.long_range import LongMatch
from arzip.preprocess.recompress.inflate import pad
from arzip.preprocess.recompress.starts import find_starts

if TYPE_CHECKING:
    from arzip.preprocess.recompress.opening import Choose, Opened, Picture

MIN_SHARE = 1 / 512  # of the block that its streams must take, below MIN_BYTES of them
MIN_BYTES = 4096
RECIPE_ROOM = 1 << 10  # bytes
TRIES, RETRY_SHARE = 3, 0.9  # of the texts that there seems to be room for


class OpenedBlock(NamedTuple):
    """What is modelled in the place of a block, the long matches in it, and what stands beside it.

    joined: recipe and contents. text_bytes: of all streams, nested ones as well. refused: streams that the budget did
    not suffice for. apart: pictures that are coded apart. spans: start and end of each outer stream in the block.
    """

    joined: bytes
    matches: list[LongMatch]
    deviations: bytes
    recipe_bytes: int
    streams: int
    corrected: int
    text_bytes: int
    refused: int
    apart: list[Picture]
    spans: list[tuple[int, int]]

    @property
    def apart_bytes(self) -> int:
        """Values of the pictures that are coded apart."""
        return sum(len(picture.values) for picture in self.apart)

    @property
    def rest_bytes(self) -> int:
        """Bytes of what no long match covers."""
        return len(self.joined) - sum(match.size for match in self.matches)

    def head(self, network: bool, memory: bool, repeats: bool, picture_bytes: int = 0) -> OpenedHead:
        """What the payload begins with if these take part. picture_bytes: of the stream of pictures coded apart."""
        contents_bytes = len(self.joined) - self.recipe_bytes
        counts = (self.recipe_bytes, contents_bytes, self.streams, self.corrected, len(self.deviations))
        return OpenedHead(network, memory, repeats, *counts, picture_bytes)


def may_open(raw: bytes) -> bool:
    """Whether streams seem to begin in a block."""
    return bool(find_starts(pad(raw)))


def open_block(raw: bytes, max_bytes: int, choose: Choose | None = None) -> OpenedBlock | None:
    """Open a block; None if it holds no streams to speak of. max_bytes: to be modelled, long matches apart.

    choose: as of `open_streams`.
    """
    if not may_open(raw):
        return None
    from arzip.preprocess.recompress.opening import FAILED_WORK, Budget, open_streams

    limit = max_opened_bytes(len(raw)) - len(raw) - RECIPE_ROOM
    for _ in range(TRIES):
        if limit <= 0:
            return None
        opened = open_streams(raw, Budget(limit, limit, FAILED_WORK * len(raw) + (1 << 20)), choose)
        block = _join(opened, raw) if opened is not None else None
        if block is None:
            return None
        apart = block.apart_bytes
        rest = block.rest_bytes + apart
        if rest <= max_bytes and len(block.joined) + apart <= max_opened_bytes(len(raw)):
            return block
        limit = min(limit - 1, int(RETRY_SHARE * block.text_bytes * (max_bytes - len(raw)) / rest))
    return None


def _join(opened: Opened, raw: bytes) -> OpenedBlock | None:
    """What is modelled, and its long matches; None if the streams aren't worth it."""
    outer = [stream for stream in opened.streams if stream.depth == 1]
    stream_bytes = sum(stream.stream_bytes for stream in outer)
    if stream_bytes < min(MIN_BYTES, MIN_SHARE * len(raw)):
        return None
    joined = opened.recipe + opened.contents
    corrected = sum(stream.deviation_bytes > 0 for stream in opened.streams)
    text_bytes = sum(stream.text_bytes for stream in opened.streams)
    counts = (len(opened.recipe), len(opened.streams), corrected, text_bytes, opened.refused)
    return OpenedBlock(joined, long_range.find(joined), opened.deviations, *counts, opened.apart, opened.spans)


def apart_of(head: OpenedHead, deviations: bytes, joined: bytes, raw_bytes: int) -> list[tuple[int, int, int]]:
    """Bytes, channels and pixels a row of each picture that is coded apart from a block of `raw_bytes`.

    Raises ValueError if the recipe is none, or they are too large.
    """
    from arzip.preprocess.recompress.recipe import Reader

    if not head.picture_bytes:
        return []
    reader = Reader(joined[: head.recipe_bytes], deviations)
    reader.number(), reader.number(), reader.level()
    if len(joined) + sum(size for size, _, _ in reader.apart) > max_opened_bytes(raw_bytes):
        raise ValueError("pictures that are too large")
    return reader.apart


def close_block(
    head: OpenedHead, deviations: bytes, joined: bytes, raw_bytes: int, apart: Iterable[bytes] = ()
) -> bytes:
    """The block of `raw_bytes`. Raises ValueError if what is given doesn't make one. apart: values of pictures."""
    from arzip.preprocess.recompress.closing import close_streams

    recipe, contents = joined[: head.recipe_bytes], joined[head.recipe_bytes :]
    counts = (head.streams, head.corrected)
    return close_streams(recipe, deviations, contents, raw_bytes, counts, apart=apart)
