"""A block with its deflate streams opened: recipe and contents joined to what is modelled, and back.

What opens streams is imported when there are any. Must not import models.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from arzip.format.opened_head import OpenedHead, max_opened_bytes
from arzip.preprocess import long_range
from arzip.preprocess.long_range import LongMatch
from arzip.preprocess.recompress.inflate import pad
from arzip.preprocess.recompress.starts import find_starts

if TYPE_CHECKING:
    from arzip.preprocess.recompress.opening import Opened

MIN_SHARE = 1 / 512  # of the block that its streams must take, below MIN_BYTES of them
MIN_BYTES = 4096
SURE_BYTES = 1 << 20  # smaller blocks are coded both ways: some deflated data packs well as it is (tables of numbers)
SURE_RATIO = 1.25  # bytes to be modelled for each of the block: what deflate took out, the model takes out as well
SURE_DEVIATIONS = 0.01  # of the streams' bytes
RECIPE_ROOM = 1 << 10  # bytes
TRIES, RETRY_SHARE = 3, 0.9  # of the texts that there seems to be room for


class OpenedBlock(NamedTuple):
    """What is modelled in the place of a block, the long matches in it, and what stands beside it.

    joined: recipe and contents. stream_bytes: of the streams in the block itself. text_bytes: of all streams,
    nested ones as well. refused: streams that the budget did not suffice for.
    """

    joined: bytes
    matches: list[LongMatch]
    deviations: bytes
    recipe_bytes: int
    streams: int
    corrected: int
    stream_bytes: int
    text_bytes: int
    refused: int

    @property
    def rest_bytes(self) -> int:
        """Bytes of what no long match covers."""
        return len(self.joined) - sum(match.size for match in self.matches)

    def is_doubtful(self, raw_bytes: int) -> bool:
        """Whether the block may come out smaller if it stays closed."""
        sure = raw_bytes >= SURE_BYTES and len(self.joined) >= SURE_RATIO * raw_bytes
        return not sure or len(self.deviations) > SURE_DEVIATIONS * self.stream_bytes

    def head(self, network: bool, memory: bool, repeats: bool) -> OpenedHead:
        """What the payload begins with if these take part."""
        contents_bytes = len(self.joined) - self.recipe_bytes
        counts = (self.recipe_bytes, contents_bytes, self.streams, self.corrected, len(self.deviations))
        return OpenedHead(network, memory, repeats, *counts)


def open_block(raw: bytes, max_bytes: int) -> OpenedBlock | None:
    """Open a block; None if it holds no streams to speak of. max_bytes: to be modelled, long matches apart."""
    if not find_starts(pad(raw)):
        return None
    from arzip.preprocess.recompress.opening import FAILED_WORK, Budget, open_streams

    limit = max_opened_bytes(len(raw)) - len(raw) - RECIPE_ROOM
    for _ in range(TRIES):
        if limit <= 0:
            return None
        opened = open_streams(raw, Budget(limit, limit, FAILED_WORK * len(raw) + (1 << 20)))
        block = _join(opened, raw) if opened is not None else None
        if block is None or (block.rest_bytes <= max_bytes and len(block.joined) <= max_opened_bytes(len(raw))):
            return block
        limit = min(limit - 1, int(RETRY_SHARE * block.text_bytes * (max_bytes - len(raw)) / block.rest_bytes))
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
    counts = (len(opened.recipe), len(opened.streams), corrected, stream_bytes, text_bytes, opened.refused)
    return OpenedBlock(joined, long_range.find(joined), opened.deviations, *counts)


def close_block(head: OpenedHead, deviations: bytes, joined: bytes, raw_bytes: int) -> bytes:
    """The block of `raw_bytes`. Raises ValueError if what is given doesn't make one."""
    from arzip.preprocess.recompress.closing import close_streams

    recipe, contents = joined[: head.recipe_bytes], joined[head.recipe_bytes :]
    return close_streams(recipe, deviations, contents, raw_bytes, (head.streams, head.corrected))
