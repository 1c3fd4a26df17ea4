"""A second decoder of arzip's archives, written after docs/FORMAT.md alone and laid out in its order.

It imports the standard library and numpy, nothing of arzip. It is slow on purpose: its parts are meant to be read
beside the spec, whose names they use. Where it and the spec disagree, one of them is wrong; tests hold it to every
golden archive.

    container.py      Container                        parts.py          varints, CRC-16
    blocks.py         Block coding                     repeats.py, filters.py, lanes.py, range_decoder.py
    weights.py        The weights file                 network.py        The network
    memory/           The memory                       sound.py, picture.py, media.py
    opened.py         Opened blocks (RECOMPRESSION_FORMAT.md), with rows.py, deflate.py, tokens.py, deviations.py,
                      trees.py
    numbers.py        notation and tables              errors.py         what a reader says

A new kind of block gets a module, and a line in blocks.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from . import container
from .blocks import decode_block
from .container import Frame
from .weights import find_model


def decode_blocks(archive: bytes, models: Path) -> Iterator[bytes]:
    """The raw bytes, block by block. models: a folder of weights files. Raises an ArchiveError."""

    def decode(frame: Frame, payload: bytes, digest: bytes | None) -> bytes:
        is_coded = frame.method != 1 and digest is not None
        return decode_block(frame, payload, find_model(models, digest) if is_coded else None)

    return container.read(archive, decode)


def decode(archive: bytes, models: Path) -> bytes:
    """What an archive stands for. models: a folder of weights files. Raises an ArchiveError."""
    return b"".join(decode_blocks(archive, models))
