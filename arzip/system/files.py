"""The file system: sources are opened and removed here, and small files written whole. Outputs: `system.outputs`.

Must not import archive code or print; raises errors.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import BinaryIO

from arzip.errors import ArzipError, OutputError

unfinished: set[str] = set()  # paths of outputs that are being written


# A program that changes a file can put its mtime back, but not its ctime.
_CHANGES = ("st_size", "st_mtime_ns", "st_ctime_ns")


class SkippedError(ArzipError):
    """A file is skipped on purpose: a warning, not a failure."""


@dataclass(frozen=True)
class InputFile:
    """An open input. `size_bytes` is 0 if it is unknown (a pipe)."""

    name: str
    stream: BinaryIO
    status: os.stat_result

    @property
    def is_regular(self) -> bool:
        return stat.S_ISREG(self.status.st_mode)

    @property
    def size_bytes(self) -> int:
        return self.status.st_size if self.is_regular else 0


def reason(error: OSError) -> str:
    """The system's message of an error, without path and number: "no space left on device"."""
    text = error.strerror or str(error)
    return text[:1].lower() + text[1:]


@contextmanager
def open_source(name: str, *, special: bool = False) -> Iterator[InputFile]:
    """Open `name` for reading; "-" is the standard input. `special`: take symbolic links and devices too.

    Raises ArzipError if it can't be read, SkippedError if it is a link or device and `special` is not set.
    """
    try:
        stream = _open_stdin() if name == "-" else _open_named(name, special)
    except OSError as error:
        raise ArzipError(reason(error)) from error
    with stream:
        yield InputFile(name, stream, os.fstat(stream.fileno()))


def _open_stdin() -> BinaryIO:
    return open(0, "rb", closefd=False)


def _open_named(name: str, special: bool) -> BinaryIO:
    mode = os.stat(name).st_mode  # before opening, since opening a named pipe blocks until it has a writer
    if stat.S_ISDIR(mode):
        raise ArzipError("is a directory; -r takes the files in it")
    if os.path.islink(name) and not special:
        raise SkippedError("is a symbolic link, skipped; -f follows it")
    if not stat.S_ISREG(mode) and not special:
        raise SkippedError("is not a regular file, skipped; -f reads it all the same")
    return open(name, "rb")


def open_regular(path: str | os.PathLike[str], max_bytes: int) -> BinaryIO:
    """Open a regular file of at most so many bytes. Raises OSError on anything else, and never waits for a pipe."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    status = os.fstat(descriptor)
    fault = None
    if not stat.S_ISREG(status.st_mode):
        fault = OSError(errno.EINVAL, "not a regular file", os.fspath(path))
    elif status.st_size > max_bytes:
        fault = OSError(errno.EFBIG, os.strerror(errno.EFBIG), os.fspath(path))
    if fault:
        os.close(descriptor)
        raise fault
    return open(descriptor, "rb")


def remove_source(source: InputFile) -> None:
    """Remove the input's file, unless it was replaced or modified since it was opened."""
    then, now = source.status, os.lstat(source.name)
    if not os.path.samestat(then, now) or any(getattr(then, name) != getattr(now, name) for name in _CHANGES):
        raise SkippedError("is a link or has changed while it was read; --rm keeps it")
    os.unlink(source.name)


def is_present(path: str) -> bool:
    """Whether an output would replace a file at `path`. Devices and pipes are written to, not replaced."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return False


@contextmanager
def explained(path: str) -> Iterator[None]:
    """Raises OutputError, which names the output, in the place of OSError."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"{path}: {reason(error)}") from error


def write_whole(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file, which appears when it is complete. Raises OutputError."""
    target = os.path.realpath(path)
    temporary = os.path.join(os.path.dirname(target), f".arzip-{os.urandom(8).hex()}.tmp")
    unfinished.add(temporary)
    try:
        with explained(os.fspath(path)):
            with open(temporary, "xb") as sink:
                sink.write(data)
                sink.flush()
                os.fsync(sink.fileno())
            os.replace(temporary, target)
    finally:
        with suppress(OSError):
            os.unlink(temporary)
        unfinished.discard(temporary)


def remove_unfinished() -> None:
    """Remove every output that is being written: for a signal, which may come at any point."""
    for path in list(unfinished):
        with suppress(OSError):
            os.unlink(path)
