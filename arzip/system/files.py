"""The file system: sources are opened here, and outputs appear only when they are complete.

Invariant: the path of an output holds either its old content or all of the new data, whatever happens in between (an
error, a signal, a full disk). Must not import archive code or print; raises errors.
"""

from __future__ import annotations

import errno
import io
import os
import secrets
import select
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, BinaryIO

from arzip.errors import ArzipError, OutputError

_unfinished: set[str] = set()


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


class OutputFile(io.FileIO):
    """An unbuffered output. `write` takes all bytes or raises OutputError; a closed pipe raises BrokenPipeError.

    Unbuffered, so that no buffer is flushed, and fails again, when Python exits.
    """

    def __init__(self, descriptor: int, label: str, *, closefd: bool = True) -> None:
        super().__init__(descriptor, "w", closefd=closefd)
        self.label = label

    def write(self, data: Any, /) -> int:
        view = memoryview(data).cast("B")
        done = 0
        while done < len(view):
            try:
                count = super().write(view[done:])
            except BrokenPipeError:
                raise
            except OSError as error:
                raise OutputError(f"{self.label}: {reason(error)}") from error
            if count is None:  # a non-blocking pipe that is full
                select.select([], [self], [])
            done += count or 0
        return done


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
    if not os.path.samestat(then, now) or (then.st_size, then.st_mtime_ns) != (now.st_size, now.st_mtime_ns):
        raise SkippedError("is a link or has changed while it was read; --rm keeps it")
    os.unlink(source.name)


def is_present(path: str) -> bool:
    """Whether an output would replace a file at `path`. Devices and pipes are written to, not replaced."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return False


@contextmanager
def open_output(path: str, source: InputFile, *, overwrite: bool) -> Iterator[OutputFile]:
    """A sink for `path`. The file appears on a clean exit, with the source's mode and mtime, and on no other exit.

    A symbolic link is followed: what it leads to is replaced. A device or a pipe is written to directly.
    Raises OutputError, also when `path` exists and `overwrite` is false.
    """
    target = os.path.realpath(path)
    with _explained(path):
        status = os.stat(path) if os.path.exists(path) else None
        if status and stat.S_ISDIR(status.st_mode):
            raise OutputError(f"{path}: is a directory")
        if status and os.path.samestat(status, source.status):
            raise OutputError(f"{path}: is the input itself")
        if status and stat.S_ISREG(status.st_mode) and not overwrite:
            raise OutputError(f"{path}: exists already; -f overwrites it")
        special = status is not None and not stat.S_ISREG(status.st_mode)
        sink = OutputFile(os.open(path, os.O_WRONLY), path) if special else None
    if sink is not None:
        with sink:
            yield sink
        return
    temporary = os.path.join(os.path.dirname(target), f".arzip-{secrets.token_hex(8)}.tmp")
    _unfinished.add(temporary)
    try:
        with _explained(path):
            # not readable by others until complete; without a source to copy the mode from, the umask decides
            flags, mode = os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if source.is_regular else 0o666
            sink = OutputFile(os.open(temporary, flags, mode), path)
        with sink:
            yield sink
            with _explained(path):
                os.fsync(sink.fileno())
        with _explained(path):
            if source.is_regular:
                _carry(source.status, temporary)
            _publish(temporary, target, overwrite)
    finally:
        with suppress(OSError):
            os.unlink(temporary)
        _unfinished.discard(temporary)


def write_whole(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file, which appears when it is complete. Raises OutputError."""
    target = os.path.realpath(path)
    temporary = os.path.join(os.path.dirname(target), f".arzip-{secrets.token_hex(8)}.tmp")
    _unfinished.add(temporary)
    try:
        with _explained(os.fspath(path)):
            with open(temporary, "xb") as sink:
                sink.write(data)
                sink.flush()
                os.fsync(sink.fileno())
            os.replace(temporary, target)
    finally:
        with suppress(OSError):
            os.unlink(temporary)
        _unfinished.discard(temporary)


@contextmanager
def open_stdout(source: InputFile, *, allow_terminal: bool) -> Iterator[OutputFile]:
    """A sink for the standard output. Raises OutputError if that is a terminal or the source itself."""
    try:
        status = os.fstat(1)
    except OSError as error:
        raise OutputError(f"standard output: {reason(error)}") from error
    if os.isatty(1) and not allow_terminal:
        raise OutputError("an archive is not for a terminal; -o FILE or > FILE takes it, -f insists (help: arzip -h)")
    if source.is_regular and os.path.samestat(status, source.status):
        raise OutputError("standard output: is the input itself")
    with OutputFile(1, "standard output", closefd=False) as sink:
        yield sink


@contextmanager
def _explained(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(f"{path}: {reason(error)}") from error


def _carry(status: os.stat_result, path: str) -> None:
    """Give `path` the mode, mtime and, as far as the system lets us, the owner of the source. Best effort."""
    mode = stat.S_IMODE(status.st_mode) & 0o777
    try:
        os.chown(path, status.st_uid if os.geteuid() == 0 else -1, status.st_gid)
    except OSError:
        mode &= ~0o070 | (mode & 0o007) << 3  # another group than the source's: it gets only the permissions of others
    with suppress(OSError):  # some file systems have no modes
        os.chmod(path, mode)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def _publish(temporary: str, target: str, overwrite: bool) -> None:
    if overwrite:
        os.replace(temporary, target)
    else:
        try:
            os.link(temporary, target)  # unlike a rename, fails if the name has been taken in the meantime
        except FileExistsError:
            raise
        except OSError as error:  # a file system without hard links
            if os.path.lexists(target):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from error
            os.rename(temporary, target)
    with suppress(OSError):
        folder = os.open(os.path.dirname(target), os.O_RDONLY)
        try:
            os.fsync(folder)  # before --rm: the new name must outlive a power cut, too
        finally:
            os.close(folder)


def remove_unfinished() -> None:
    """Remove every output that is being written: for a signal, which may come at any point."""
    for path in list(_unfinished):
        with suppress(OSError):
            os.unlink(path)
