"""A whole archive at once: `compress`, `decompress`."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

from arzip.api.options import as_bytes, check
from arzip.levels import DEFAULT

if TYPE_CHECKING:
    from typing_extensions import Buffer


def compress(
    data: Buffer,
    level: int = DEFAULT,
    *,
    model: str | os.PathLike[str] | None = None,
    threads: int = 0,
    wide: bool = False,
    opens: bool = True,
    block_size: int = 0,
    dictionary: Buffer | None = None,
) -> bytes:
    """The archive of `data`, any bytes-like object: the bytes that the command makes of a file with these contents.

    level: 1 .. 9, fast to small. model: name or path of a weights file; None: the level's. threads: maximum, 0 for as
    many as there are cores; it doesn't change the archive. wide: blocks made for GPUs. opens: whether deflate streams
    (in zip, docx, png, pdf, gz ..) are opened. block_size: of blocks, at most, in bytes, 4096 .. 64 MiB; 0 for the
    level's. Smaller ones keep more threads busy, and reading a part decodes less; the archive is larger.
    dictionary: bytes, up to 1 MiB, that the data resembles, as `train_dictionary` makes them of samples: blocks of one
    lane start after them, and reading needs the same bytes. What is learnt of the latest two is kept.

    Raises TypeError, ValueError on arguments that are none, and ModelError (an ArzipError) if there is no such model.
    Safe to call from several threads at once. Coding itself runs in compiled loops without the GIL.

    >>> archive = compress(b"hello " * 40, level=1)
    >>> len(archive) < 60
    True
    >>> decompress(archive) == b"hello " * 40
    True
    """
    raw, given = (
        as_bytes(data),
        check(
            level,
            model=model,
            threads=threads,
            wide=wide,
            opens=opens,
            block_size=block_size,
            dictionary=dictionary,
        ),
    )
    from arzip import codec

    sink = io.BytesIO()
    codec.compress(io.BytesIO(raw), sink, given.options())
    return sink.getvalue()


def decompress(
    data: Buffer,
    *,
    max_length: int = -1,
    model: str | os.PathLike[str] | None = None,
    threads: int = 0,
    dictionary: Buffer | None = None,
) -> bytes:
    """What the archive `data`, or several one after the other, holds.

    max_length: return the first so many bytes, if there are more; blocks behind them are neither decoded nor checked.
    -1: everything. model: a weights file that is tried first, for archives of a model that isn't installed.
    threads: maximum, 0 for as many as there are cores. dictionary: the one that `compress` was given, if any.

    Raises NotAnArchiveError, DamagedError (TruncatedError where the end is missing; a tail that is no archive counts as
    damage), UnsupportedError, ModelMissingError, DictionaryMissingError: all ArzipErrors, and no bytes are returned.

    >>> decompress(compress(b"one", level=1) + compress(b"two", level=1), max_length=5)
    b'onetw'
    """
    archive, given = as_bytes(data), check(model=model, threads=threads, dictionary=dictionary)
    if max_length < 0:
        from arzip import codec

        sink = io.BytesIO()
        codec.decompress(io.BytesIO(archive), sink, given.options())
        return sink.getvalue()
    from arzip.api.reader import BlockReader

    with io.BufferedReader(BlockReader(io.BytesIO(archive), given)) as reader:
        return reader.read(max_length)
