"""Many records in one file, each to be read by its number: `compress_batch`, `open_batch`.

A batch is archives one after the other (docs/FORMAT.md, 'Container'), one a record, so `arzip -d` reads all of it.
"""

from __future__ import annotations

import builtins
import os
import threading
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, overload

from arzip.api.options import Arguments, check
from arzip.api.records import compress_many
from arzip.errors import DamagedError
from arzip.format.stream import list_members
from arzip.levels import DEFAULT

if TYPE_CHECKING:
    from typing_extensions import Buffer, Self


def compress_batch(
    records: Iterable[Buffer],
    level: int = DEFAULT,
    *,
    model: str | os.PathLike[str] | None = None,
    threads: int = 0,
    opens: bool = True,
) -> bytes:
    """The archives of all records, one after the other, for `open_batch`. Arguments and errors: as of `compress_many`.

    >>> import io
    >>> batch = compress_batch([b"first", b"", b"third"], level=1)
    >>> with open_batch(io.BytesIO(batch)) as records:
    ...     len(records), records[-1], records[:2]
    (3, b'third', [b'first', b''])
    """
    return b"".join(compress_many(records, level, model=model, threads=threads, opens=opens))


class Batch(Sequence[bytes]):
    """The records of a file of archives, one an archive: batch[number] decodes that one alone; a slice is a list.

    source: an open binary file that can seek, read from where it stands. Opening reads the archives' headers and
    frames. Several threads may use it. Raises what `arzip.decompress` does: on opening, if frames are damaged; damage
    within a record only when that is read.
    """

    def __init__(self, source: Any, given: Arguments, closes: bool = False) -> None:
        self._source, self._given, self._closes = source, given, closes
        self._lock = threading.Lock()
        base = source.tell()
        self._extents = [(base + member.offset, member.archive_bytes) for member in list_members(source)]

    def __len__(self) -> int:
        return len(self._extents)

    @overload
    def __getitem__(self, number: int) -> bytes: ...

    @overload
    def __getitem__(self, number: slice) -> list[bytes]: ...

    def __getitem__(self, number: int | slice) -> bytes | list[bytes]:
        extents = self._extents[number] if isinstance(number, slice) else [self._extents[number]]
        archives = [self._read(*extent) for extent in extents]
        from arzip.api import record_codec

        found = record_codec.decompress_records(archives, self._given.options())
        return found if isinstance(number, slice) else found[0]

    def _read(self, offset: int, size: int) -> bytes:
        with self._lock:
            self._source.seek(offset)
            data: bytes = self._source.read(size)
        if len(data) < size:
            raise DamagedError("the file has become shorter since it was opened; get a whole copy")
        return data

    def close(self) -> None:
        """Close the file, if `open_batch` has opened it."""
        if self._closes:
            self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *fault: object) -> None:
        self.close()


def open_batch(
    filename: str | bytes | os.PathLike[Any] | Any,
    *,
    model: str | os.PathLike[str] | None = None,
    threads: int = 0,
) -> Batch:
    """The records of a batch as a sequence. filename: a path, or an open binary file, which stays open.

    Raises TypeError if it is neither, and what Batch does. model, threads: as of `decompress`. See `compress_batch`.

    >>> import io
    >>> open_batch(io.BytesIO(compress_batch([b"a", b"b", b"c"], level=1)))[1]
    b'b'
    """
    given = check(model=model, threads=threads)
    if not isinstance(filename, str | bytes | os.PathLike):
        if not hasattr(filename, "read"):
            raise TypeError("filename must be a str, bytes or PathLike object, or a file")
        return Batch(filename, given)
    source = builtins.open(filename, "rb")  # noqa: SIM115
    try:
        return Batch(source, given, closes=True)
    except BaseException:
        source.close()
        raise
