"""Many short records, each an archive of its own: `compress_many`, `decompress_many`."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from arzip.api.oneshot import compress, decompress
from arzip.levels import DEFAULT

if TYPE_CHECKING:
    from typing_extensions import Buffer


def compress_many(
    records: Iterable[Buffer],
    level: int = DEFAULT,
    *,
    model: str | os.PathLike[str] | None = None,
    threads: int = 0,
) -> list[bytes]:
    """The archive of each record: [compress(record) for record in records]."""
    return [compress(record, level, model=model, threads=threads) for record in records]


def decompress_many(
    archives: Iterable[Buffer], *, model: str | os.PathLike[str] | None = None, threads: int = 0
) -> list[bytes]:
    """What each archive holds: [decompress(archive) for archive in archives]."""
    return [decompress(archive, model=model, threads=threads) for archive in archives]
