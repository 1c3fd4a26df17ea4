"""Archives as files: `ArzipFile`, `open`."""

from __future__ import annotations

import builtins
import io
import os
from typing import TYPE_CHECKING, Any

from arzip.api.incremental import ArzipCompressor
from arzip.api.options import check
from arzip.api.reader import BlockReader
from arzip.levels import DEFAULT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from typing_extensions import Buffer

_MODES = {"r": "rb", "rb": "rb", "w": "wb", "wb": "wb", "x": "xb", "xb": "xb"}
_NO_APPEND = (
    "an archive can't be appended to: its blocks learn from what stands before them in the same archive. "
    "Write another archive; one after the other in a file, they are read as one"
)


class ArzipFile(io.BufferedIOBase):
    """An archive as a binary file of what it holds: to be read, with seeking, or to be written, from its beginning.

    filename: a path, or an open binary file, which `close` leaves open. mode: "r" (or "rb"), "w" (replaces the file),
    "x" (creates it, raises FileExistsError). level (6 unless given), wide, opens, block_size: as of `compress`, only
    to write. model, threads, dictionary: as of `compress` and `decompress`.

    Reading goes through all archives of the file. It raises what `arzip.decompress` does, when it comes to the damage.
    Seeking needs a file that can seek: it reads the archives' frames, and only the block that is read next is decoded
    (block_size; levels.py: up to 64 MiB each), and checked by itself. An archive that isn't closed is not complete.

    Raises ValueError on a mode that is none, and on "a"; TypeError and ValueError on other bad arguments.
    One thread at a time may use a file; while a block is coded, in compiled loops, others run, as the GIL is free.

    >>> import io
    >>> stored = io.BytesIO()
    >>> with ArzipFile(stored, "w", level=1) as file:
    ...     file.write(b"one line\\nanother\\n")
    17
    >>> ArzipFile(io.BytesIO(stored.getvalue())).readlines()
    [b'one line\\n', b'another\\n']
    """

    def __init__(
        self,
        filename: str | bytes | os.PathLike[Any] | Any,
        mode: str = "r",
        *,
        level: int | None = None,
        model: str | os.PathLike[str] | None = None,
        threads: int = 0,
        wide: bool = False,
        opens: bool = True,
        block_size: int = 0,
        dictionary: Buffer | None = None,
    ) -> None:
        self._file: Any = None
        self._closes = False
        self._reader: io.BufferedReader | None = None
        self._compressor: ArzipCompressor | None = None
        if isinstance(mode, str) and mode in ("a", "ab"):
            raise ValueError(_NO_APPEND)
        if not isinstance(mode, str) or mode not in _MODES:
            raise ValueError(f"invalid mode: {mode!r}; it is one of {', '.join(_MODES)}")
        reading = mode.startswith("r")
        if reading and (level is not None or wide or not opens or block_size):
            raise ValueError("level, wide, opens, block_size are for writing: an archive says itself how it is read")
        self._mode = "rb" if reading else "wb"
        number = DEFAULT if level is None else level
        choices: dict[str, Any] = {"wide": wide, "opens": opens, "block_size": block_size, "dictionary": dictionary}
        given = check(number, model=model, threads=threads, **choices)
        if isinstance(filename, str | bytes | os.PathLike):
            self._file, self._closes = builtins.open(filename, _MODES[mode]), True  # noqa: SIM115
        elif hasattr(filename, "read" if reading else "write"):
            self._file = filename
        else:
            raise TypeError("filename must be a str, bytes or PathLike object, or a file")
        if reading:
            self._reader = io.BufferedReader(BlockReader(self._file, given))
        else:
            self._compressor = ArzipCompressor(number, model=model, threads=threads, **choices)
            self._written = 0

    def close(self) -> None:
        """End the archive, if it is being written; close the file, if it was opened here. May be called again."""
        if self._file is None:
            return
        file, self._file = self._file, None
        try:
            if self._reader is not None:
                self._reader.close()
            elif self._compressor is not None:
                file.write(self._compressor.flush())
        finally:
            self._reader = self._compressor = None
            if self._closes:
                file.close()

    @property
    def closed(self) -> bool:
        """Whether the file is closed."""
        return self._file is None

    @property
    def name(self) -> Any:
        """The name of the underlying file. Raises AttributeError if it has none, ValueError once closed."""
        return self._open_file().name

    @property
    def mode(self) -> str:
        """'rb' or 'wb'."""
        return self._mode

    def fileno(self) -> int:
        """The descriptor of the underlying file. Raises io.UnsupportedOperation if it has none."""
        return int(self._open_file().fileno())

    def readable(self) -> bool:
        """Whether the file was opened to be read."""
        self._open_file()
        return self._reader is not None

    def writable(self) -> bool:
        """Whether the file was opened to be written."""
        self._open_file()
        return self._compressor is not None

    def seekable(self) -> bool:
        """Whether `seek` works: when reading from a file that can seek."""
        self._open_file()
        return self._reader is not None and self._reader.seekable()

    def peek(self, size: int = -1) -> bytes:
        """Some of the bytes that come next, at least one except at the end, without moving on."""
        return self._readable().peek(size)

    def read(self, size: int | None = -1) -> bytes:
        """The next `size` bytes, fewer only at the end; all that are left if size is negative or None."""
        return self._readable().read(size)

    def read1(self, size: int = -1) -> bytes:
        """The next bytes, at most `size`, from one block; b'' at the end."""
        return self._readable().read1(size if size >= 0 else io.DEFAULT_BUFFER_SIZE)

    def readinto(self, buffer: Buffer, /) -> int:
        """Fill a writable buffer with the next bytes; returns how many, fewer only at the end."""
        return self._readable().readinto(buffer)

    def readinto1(self, buffer: Buffer, /) -> int:
        """As `readinto`, from one block."""
        return self._readable().readinto1(buffer)

    def readline(self, size: int | None = -1) -> bytes:
        """The next line with its newline, at most `size` bytes of it if that is not negative."""
        return self._readable().readline(size)

    def __next__(self) -> bytes:
        if line := self._readable().readline():
            return line
        raise StopIteration

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to `offset` from the start, from here (whence 1) or from the end (2); beyond the ends, to these.

        Returns the new position. Raises io.UnsupportedOperation where `seekable` is false.
        """
        return self._readable().seek(offset, whence)

    def tell(self) -> int:
        """The position in what the archive holds."""
        self._open_file()
        return self._written if self._reader is None else self._reader.tell()

    def write(self, data: Buffer) -> int:
        """Add bytes; returns how many. They are in the underlying file when the block is full, or the file closed."""
        if not self.writable():
            raise io.UnsupportedOperation("File not open for writing")
        assert self._compressor is not None
        view = memoryview(data)
        if coded := self._compressor.compress(view):
            self._file.write(coded)
        self._written += view.nbytes
        return view.nbytes

    def writelines(self, lines: Iterable[Buffer]) -> None:
        """Write each of `lines`; newlines are not added."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Does nothing: what is not in the underlying file yet waits for the rest of its block."""
        self._open_file()

    def _open_file(self) -> Any:
        if self._file is None:
            raise ValueError("I/O operation on closed file")
        return self._file

    def _readable(self) -> io.BufferedReader:
        self._open_file()
        if self._reader is None:
            raise io.UnsupportedOperation("File not open for reading")
        return self._reader


def open(
    filename: str | bytes | os.PathLike[Any] | Any,
    mode: str = "rb",
    *,
    level: int | None = None,
    model: str | os.PathLike[str] | None = None,
    threads: int = 0,
    wide: bool = False,
    opens: bool = True,
    block_size: int = 0,
    dictionary: Buffer | None = None,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
) -> ArzipFile | io.TextIOWrapper:
    """Open an archive: in binary ("r", "rb", "w", "wb", "x", "xb") as ArzipFile, as text ("rt", "wt", "xt") through it.

    encoding, errors, newline: as of the built-in open, for text only. Everything else, and what is raised: as of
    ArzipFile.

    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "notes.arz")
    >>> with open(path, "wt", level=1, encoding="utf-8") as file:
    ...     file.write("na\\u00efve\\n")
    6
    >>> with open(path, "rt", encoding="utf-8") as file:
    ...     file.read() == "na\\u00efve\\n"
    True
    """
    text = "t" in mode
    if text and "b" in mode:
        raise ValueError(f"invalid mode: {mode!r}; it is binary or text")
    if not text and (encoding is not None or errors is not None or newline is not None):
        raise ValueError("encoding, errors and newline are for text: open with a mode that has a t")
    given: dict[str, Any] = {"level": level, "model": model, "threads": threads, "wide": wide, "opens": opens}
    given |= {"block_size": block_size, "dictionary": dictionary}
    file = ArzipFile(filename, mode.replace("t", "", 1), **given)
    return io.TextIOWrapper(file, io.text_encoding(encoding), errors, newline) if text else file
