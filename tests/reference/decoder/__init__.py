"""A second decoder of arzip's archives, written after docs/FORMAT.md alone and laid out in its order.

It imports the standard library and numpy, nothing of arzip. It is slow on purpose: its parts are meant to be read
beside the spec, whose names they use. Where it and the spec disagree, one of them is wrong; tests hold it to every
golden archive.

    container.py      Container                        parts.py          varints, CRC-16
    blocks.py         Block coding                     repeats.py, filters.py, lanes.py, range_decoder.py
    weights.py        The weights file                 network.py        The network
    memory/           The memory                       sound.py, picture.py, array.py, media.py
    opened.py         Opened blocks (RECOMPRESSION_FORMAT.md), with rows.py, deflate.py, tokens.py, deviations.py,
                      trees.py
    numbers.py        notation and tables              errors.py         what a reader says

A new kind of block gets a module, and a line in blocks.py.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from . import container
from .blocks import decode_block, starts_after_dictionary
from .container import Frame, Header
from .errors import DictionaryMissing
from .weights import find_model

MAX_DICTIONARY_BYTES = 1 << 20


def decode_blocks(archive: bytes, models: Path, dictionary: bytes = b"") -> Iterator[bytes]:
    """The raw bytes, block by block. Raises an ArchiveError.

    models: a folder of weights files. dictionary: what members that name one start after; b"": none is at hand.
    """

    def decode(frame: Frame, payload: bytes, header: Header) -> bytes:
        model = find_model(models, header.model) if frame.method != 1 and header.model else None
        known = b""
        if header.dictionary and starts_after_dictionary(frame):
            check_dictionary(dictionary, header.dictionary)
            known = dictionary
        return decode_block(frame, payload, model, known)

    return container.read(archive, decode)


def check_dictionary(dictionary: bytes, digest: bytes) -> None:
    """Raises DictionaryMissing unless the dictionary is the one with this digest."""
    is_one = 1 <= len(dictionary) <= MAX_DICTIONARY_BYTES
    if not is_one or hashlib.sha256(dictionary).digest()[:4] != digest:
        raise DictionaryMissing(f"the dictionary with digest {digest.hex()} is not at hand")


def decode(archive: bytes, models: Path, dictionary: bytes = b"") -> bytes:
    """What an archive stands for. models, dictionary: see decode_blocks. Raises an ArchiveError."""
    return b"".join(decode_blocks(archive, models, dictionary))
