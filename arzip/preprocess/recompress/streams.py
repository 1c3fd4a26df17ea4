"""One deflate stream -> what must be kept beside its text so that the very same stream can be rebuilt, and back.

The packer is estimated; a stream that can't be rebuilt exactly, or not cheaply, is none. Never calls zlib. Must not
know where streams stand.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from arzip.preprocess.recompress import coding, replay
from arzip.preprocess.recompress.estimating import MANY, Guesses, estimate, follow
from arzip.preprocess.recompress.inflate import BLOCK_FIELDS, COMPLETE, Inflated
from arzip.preprocess.recompress.packer import Packer, parameters

MAX_SHARE = 0.25  # of the stream's bytes that deviations may take

_NO_TOKENS = np.zeros(0, np.int32)
_NO_BLOCKS = np.zeros((1, BLOCK_FIELDS), np.int64)
_NO_HEADERS = np.zeros(0, np.int16)
_NO_COUNTS = np.zeros(0, np.int64)


class Kept(NamedTuple):
    """Beside the text: the packer, whether the stream is cut off, and its deviations; none: zlib would write it so."""

    packer: Packer
    is_cut: bool
    deviations: bytes


def close(text: bytes, kept: Kept, models: NDArray[np.uint32], limit: int) -> bytes:
    """The deflate stream, of `limit` bytes at most. Updates the models. Raises ValueError."""
    coder = coding.decoder(models, kept.deviations) if kept.deviations else coding.exact()
    raw = np.frombuffer(bytearray(text), np.uint8)  # writable: kernels are compiled for such
    stream = raw, _NO_TOKENS, _NO_BLOCKS, _NO_HEADERS, np.zeros(1, np.uint8)
    values = parameters(kept.packer)[None]
    status, _, out, bits = replay.replay(*stream, values, _NO_COUNTS, coder, kept.is_cut, 0, limit)
    size = (int(bits) + 7) // 8
    if status != replay.DONE or size > limit:
        raise ValueError("deviations that lead to no stream")
    return bytes(out[:size])


def open_stream(
    stream: bytes, inflated: Inflated, window: int, guesses: Guesses, models: NDArray[np.uint32]
) -> Kept | None:
    """What to keep beside the text of a stream whose bytes are given; None: it is better left closed.

    window: its size in bits. guesses: of the file; is updated, and so are the models if the stream has deviations.
    """
    if len(inflated.blocks) < 2:  # it breaks off in its first block's head
        return None
    filler = stream[-1] >> (inflated.end_bit & 7) if inflated.end_bit & 7 else 0
    is_cut = inflated.status != COMPLETE
    text, trial = bytes(inflated.text), models

    def rebuilds(packer: Packer) -> bool:
        return _gives(stream, text, Kept(packer, is_cut, b""), models)

    packer, early, deviations, is_rebuilt = estimate(inflated, filler, window, guesses, rebuilds)
    kept = Kept(packer, is_cut, b"")
    if deviations:
        trial = models.copy()
        status, coder = follow(inflated, early, [packer], _NO_COUNTS, coding.encoder(trial), filler, MANY)
        kept = Kept(packer, is_cut, coding.finish(coder) or b"\0")
        if status != replay.DONE or len(kept.deviations) > MAX_SHARE * len(stream):
            return None
    if not is_rebuilt and not _gives(stream, text, kept, models.copy()):
        return None
    models[:] = trial
    guesses.add(packer, not deviations)
    return kept


def _gives(stream: bytes, text: bytes, kept: Kept, models: NDArray[np.uint32]) -> bool:
    """Whether what is kept gives the stream back. Updates the models."""
    try:
        return close(text, kept, models, len(stream)) == stream
    except ValueError:
        return False
