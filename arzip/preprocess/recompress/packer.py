"""Who made a deflate stream: a few numbers that the match finder's parameters follow from."""

from __future__ import annotations

import functools
import struct
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from arzip.preprocess.recompress import matcher
from arzip.preprocess.recompress.tables import WINDOW

LEVELS = (  # good, lazy, nice, chain: zlib's, and Excel's
    (0, 0, 0, 1),
    (4, 4, 8, 4),
    (4, 5, 16, 8),
    (4, 6, 32, 32),
    (4, 4, 16, 16),
    (8, 16, 32, 32),
    (8, 16, 128, 128),
    (8, 32, 128, 256),
    (32, 128, 258, 1024),
    (32, 258, 258, 4096),
    (4, 4, 258, 16),
)
EXCEL = 10
EXCEL_HASH_BITS = 14
GREEDY_LEVELS = (0, 1, 2, 3, EXCEL)
GNU_EARLY_LEVEL = 3  # from here on GNU gzip may end blocks early
ONLY_FIXED, STRATEGIES = 4, 5  # strategies: those of the match finder, and this
FAMILIES = 4  # bit 0: the hash takes 4 bytes; bit 1: matches reach over the whole window and the text's first byte
LOOKAHEAD = 262
STORED_LIMIT = 65535
RULES = 2
_RECORD = struct.Struct("<BBB")


class Packer(NamedTuple):
    """level 0 to 9, or EXCEL; memory 1 to 9 (zlib's memLevel); window 9 to 15 bits; strategy; rule: 0 zlib's end of
    blocks, 1 GNU gzip's; family.
    """

    level: int = 6
    memory: int = 8
    window: int = 15
    strategy: int = matcher.DEFAULT
    rule: int = 0
    family: int = 0

    def pack(self) -> bytes:
        """Three bytes."""
        return _RECORD.pack(
            self.level | self.strategy << 4, self.memory | (self.window - 8) << 4, self.rule | self.family << 1
        )


PACKED_BYTES = _RECORD.size


def parse(data: bytes) -> Packer:
    """The inverse of `Packer.pack`. Raises ValueError."""
    first, second, third = _RECORD.unpack(data)
    packer = Packer(first & 15, second & 15, (second >> 4) + 8, first >> 4, third & 1, third >> 1)
    if packer.level >= len(LEVELS) or not 1 <= packer.memory <= 9 or not 9 <= packer.window <= 15:
        raise ValueError("a packer that there isn't")
    if packer.strategy >= STRATEGIES or packer.family >= FAMILIES:
        raise ValueError("a packer that there isn't")
    return packer


@functools.cache
def parameters(packer: Packer) -> NDArray[np.int64]:
    """The match finder's parameters (PARAMETERS,), not to be changed."""
    values = np.zeros(matcher.PARAMETERS, np.int64)
    four, whole = packer.family & 1, packer.family >> 1
    values[: matcher.CHAIN + 1] = LEVELS[packer.level]
    values[matcher.GREEDY] = packer.level in GREEDY_LEVELS
    values[matcher.STRATEGY] = matcher.DEFAULT if packer.strategy == ONLY_FIXED else packer.strategy
    values[matcher.HASH_BITS] = 15 if packer.rule else packer.memory + 7
    values[matcher.HASH_BYTES] = 4 if four else 3
    values[matcher.REACH] = min(WINDOW, 1 << packer.window) - (0 if whole else LOOKAHEAD)
    values[matcher.FROM_START] = whole
    values[matcher.TOO_FAR] = WINDOW if whole else 4096
    values[matcher.LIMIT] = (1 << packer.memory + 6) - 1
    values[matcher.ONLY] = 2 if packer.strategy == ONLY_FIXED else 0
    if packer.rule:
        values[matcher.RULE] = matcher.GNU_EARLY if packer.level >= GNU_EARLY_LEVEL else matcher.GNU
        values[matcher.LIMIT] = 32767
    if packer.level == EXCEL:
        values[matcher.HASH_BITS] = EXCEL_HASH_BITS
    if packer.level == 0:
        values[matcher.STRATEGY], values[matcher.LIMIT], values[matcher.ONLY] = matcher.HUFFMAN, STORED_LIMIT, 1
    return values
