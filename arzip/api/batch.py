"""Many records in one archive, each to be read by its number: `compress_batch`, `open_batch`.

A batch is an archive with a block for each record (docs/FORMAT.md, 'Container'), so `arzip -d` reads all of it.
"""

from __future__ import annotations

import builtins
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, overload

from arzip.api.options import Arguments, as_bytes, check
from arzip.api.records import several
from arzip.format.stream import Block, Member, list_events, read_block, with_fields
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
    dictionary: Buffer | None = None,
) -> bytes:
    """One archive of all records, a block for each, for `open_batch`. It saves the header that an archive of its own
    has (`compress_many`). Arguments and errors: as of `compress_many`; ValueError on a record above 64 MiB.

    >>> import io
    >>> batch = compress_batch([b"first", b"", b"third"], level=1)
    >>> with open_batch(io.BytesIO(batch)) as records:
    ...     len(records), records[-1], records[:2]
    (3, b'third', [b'first', b''])
    """
    given = check(level, model=model, threads=threads, opens=opens, dictionary=dictionary)
    raws = [as_bytes(record) for record in several(records)]
    from arzip.api import record_codec

    return record_codec.compress_batch(raws, given.options())


class _Entry(NamedTuple):
    """Where a record's block is, from where the archives begin, its number there, and the fields of its header."""

    offset: int
    number: int
    fields: bytes


class Batch(Sequence[bytes]):
    """The records of a batch: batch[number] decodes that one alone; a slice is a list.

    source: an open binary file that can seek, read from where it stands: archives one after the other, of which each
    block is a record, and each one without blocks an empty record; so archives of `compress_many` that were joined are
    a batch, too. Opening reads headers and frames. Several threads may use it. Raises what `arzip.decompress` does: on
    opening, if frames are damaged; damage within a record only when that is read.
    """

    def __init__(self, source: Any, given: Arguments, closes: bool = False) -> None:
        self._source, self._given, self._closes = source, given, closes
        self._lock = threading.Lock()
        self._base = source.tell()
        self._entries = list(_list_records(source))

    def __len__(self) -> int:
        return len(self._entries)

    @overload
    def __getitem__(self, number: int) -> bytes: ...

    @overload
    def __getitem__(self, number: slice) -> list[bytes]: ...

    def __getitem__(self, number: int | slice) -> bytes | list[bytes]:
        entries = self._entries[number] if isinstance(number, slice) else [self._entries[number]]
        items = [(self._read(entry), entry.fields) for entry in entries if entry]
        from arzip.api import record_codec

        decoded = iter(record_codec.decode_checked(items, self._given.options()))
        raws = [next(decoded) if entry else b"" for entry in entries]
        return raws if isinstance(number, slice) else raws[0]

    def _read(self, entry: _Entry) -> Block:
        with self._lock:
            self._source.seek(self._base + entry.offset)
            return read_block(self._source, entry.number)

    def close(self) -> None:
        """Close the file, if `open_batch` has opened it."""
        if self._closes:
            self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *fault: object) -> None:
        self.close()


def _list_records(source: Any) -> Iterator[_Entry | None]:
    """The entry of each record; None for an empty one."""
    for event, fields in with_fields(list_events(source)):
        if isinstance(event, Block):
            yield _Entry(event.offset, event.number, fields)
        elif isinstance(event, Member) and not event.frames:
            yield None


def open_batch(
    filename: str | bytes | os.PathLike[Any] | Any,
    *,
    model: str | os.PathLike[str] | None = None,
    threads: int = 0,
    dictionary: Buffer | None = None,
) -> Batch:
    """The records of a batch as a sequence. filename: a path, or an open binary file, which stays open.

    Raises TypeError if it is neither, and what Batch does. model, threads, dictionary: as of `decompress`. See
    `compress_batch`.

    >>> import io
    >>> open_batch(io.BytesIO(compress_batch([b"a", b"b", b"c"], level=1)))[1]
    b'b'
    """
    given = check(model=model, threads=threads, dictionary=dictionary)
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
