"""Many short records, each an archive of its own: `compress_many`, `decompress_many`."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from arzip.api.options import as_bytes, check
from arzip.levels import DEFAULT

if TYPE_CHECKING:
    from typing_extensions import Buffer


def compress_many(
    records: Iterable[Buffer],
    level: int = DEFAULT,
    *,
    model: str | os.PathLike[str] | None = None,
    threads: int = 0,
    opens: bool = True,
    dictionary: Buffer | None = None,
) -> list[bytes]:
    """The archive of each record, in order: the bytes of [compress(record, level, ..) for record in records].

    Records of up to 4096 bytes are coded together: the network predicts for a batch of them in lockstep, and context
    mixing uses its tables again. Longer ones are coded one after the other. records: bytes-like objects. model,
    threads, opens, dictionary, and what is raised: as of `compress`; an error means that no archive is returned. A
    dictionary of such records makes them much smaller; a model that was trained on them (`arzip train`) does, too. With
    a dictionary, `compress_batch` saves the header of each archive.

    >>> records = [b'{"id": 1, "name": "ada"}', b"", b'{"id": 2, "name": "bob"}']
    >>> archives = compress_many(records, level=1)
    >>> decompress_many(archives) == records
    True
    """
    given = check(level, model=model, threads=threads, opens=opens, dictionary=dictionary)
    raws = [as_bytes(record) for record in several(records)]
    from arzip.api import record_codec

    return record_codec.compress_records(raws, given.options())


def decompress_many(
    archives: Iterable[Buffer],
    *,
    model: str | os.PathLike[str] | None = None,
    threads: int = 0,
    dictionary: Buffer | None = None,
) -> list[bytes]:
    """What each archive holds, in order: [decompress(archive, ..) for archive in archives]. Raises as that does.

    The archives are decoded side by side on threads, with tables that are used again.

    >>> decompress_many(compress_many([b"one", b"two"], level=1))
    [b'one', b'two']
    """
    given = check(model=model, threads=threads, dictionary=dictionary)
    packed = [as_bytes(archive) for archive in several(archives)]
    from arzip.api import record_codec

    return record_codec.decompress_records(packed, given.options())


def several(items: Iterable[Buffer]) -> Iterable[Buffer]:
    """Raises TypeError on a single bytes-like object, whose items would be numbers."""
    if isinstance(items, bytes | bytearray | memoryview | str):
        raise TypeError(f"many records are wanted, not one of type {type(items).__name__}")
    return items
