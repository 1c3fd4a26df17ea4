"""Outputs, which appear only when they are complete.

Invariant: the path of an output holds either its old content or all of the new data, whatever happens in between (an
error, a signal, a full disk, a kill). Where the system can, an unfinished output has no name, so that nothing of it is
left; elsewhere it is a file .arzip-*.tmp. Must not import archive code or print; raises errors.
"""

from __future__ import annotations

import errno
import io
import os
import select
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO

from arzip.errors import OutputError
from arzip.system.files import InputFile, explained, reason, unfinished

HOLE_BYTES = 1 << 14  # that are all zero, at a multiple of so many, become a hole
_ZEROS = bytes(HOLE_BYTES)
_PREFIX, _SUFFIX = ".arzip-", ".tmp"
STALE_SECONDS = 600  # of age: then an unfinished output without a lock is removed


class OutputFile(io.FileIO):
    """An unbuffered output. `write` takes all bytes or raises OutputError; a closed pipe raises BrokenPipeError.

    Unbuffered, so that no buffer is flushed, and fails again, when Python exits. is_new: a new file, not a device, a
    pipe or the standard output. sparse: zeros of a new file become holes.
    """

    def __init__(
        self, descriptor: int, label: str, *, closefd: bool = True, is_new: bool = False, sparse: bool = False
    ) -> None:
        super().__init__(descriptor, "w", closefd=closefd)
        self.label, self.is_new, self.sparse = label, is_new, sparse and is_new
        self._size = 0
        self._ends_in_hole = self._is_on_disk = False

    def write(self, data: Any, /) -> int:
        view = memoryview(data).cast("B")
        self._is_on_disk = False
        if not self.sparse:
            return self._put(view)
        start = end = 0  # of units to be written
        while end < len(view):
            after = min(len(view), end + HOLE_BYTES - (self._size + end) % HOLE_BYTES)
            if after - end == HOLE_BYTES and _is_zero(view[end:after]):
                self._put(view[start:end])
                os.lseek(self.fileno(), HOLE_BYTES, os.SEEK_CUR)
                start, self._ends_in_hole = after, True
            else:
                self._ends_in_hole = False
            end = after
        self._put(view[start:])
        self._size += len(view)
        return len(view)

    def finish(self) -> None:
        """Have all that was written on the disk: to be called before the file gets its name, and where it is read back.

        Once is enough: it takes some 10 ms, a third of what a short file takes.
        """
        if self._is_on_disk:
            return
        if self._ends_in_hole:
            os.ftruncate(self.fileno(), self._size)
        os.fsync(self.fileno())
        self._is_on_disk = True

    def read_back(self) -> BinaryIO:
        """A new file, after `finish`, from its beginning: from the disk, as far as the system lets us."""
        if hasattr(os, "posix_fadvise"):
            with suppress(OSError):
                os.posix_fadvise(self.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        os.lseek(self.fileno(), 0, os.SEEK_SET)
        return open(os.dup(self.fileno()), "rb")

    def _put(self, view: memoryview) -> int:
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


@contextmanager
def open_output(path: str, source: InputFile, *, overwrite: bool, sparse: bool = False) -> Iterator[OutputFile]:
    """A sink for `path`. The file appears on a clean exit, with the source's mode and mtime, and on no other exit.

    A symbolic link is followed: what it leads to is replaced. A device or a pipe is written to directly. sparse: zeros
    become holes. Raises OutputError, also when `path` exists and `overwrite` is false.
    """
    target = os.path.realpath(path)
    with explained(path):
        special = _open_special(path, source, overwrite)
    if special is not None:
        with special:
            yield special
        return
    with explained(path):
        # not readable by others until complete; without a source to copy the mode from, the umask decides
        descriptor, temporary = _open_temporary(os.path.dirname(target), 0o600 if source.is_regular else 0o666)
    try:
        with OutputFile(descriptor, path, is_new=True, sparse=sparse) as sink:
            yield sink
            with explained(path):
                sink.finish()
                if source.is_regular:
                    _carry(source.status, descriptor)
                if not temporary:
                    _name(sink, target, overwrite)
        if temporary:
            with explained(path):
                _publish(temporary, target, overwrite)
    finally:
        _discard(temporary)


def _open_special(path: str, source: InputFile, overwrite: bool) -> OutputFile | None:
    """A device or a pipe that is there; None where a file is to be made. Raises OutputError where none may be."""
    status = os.stat(path) if os.path.exists(path) else None
    if status is None:
        return None
    if stat.S_ISDIR(status.st_mode):
        raise OutputError(f"{path}: is a directory")
    if os.path.samestat(status, source.status):
        raise OutputError(f"{path}: is the input itself")
    if not stat.S_ISREG(status.st_mode):
        return OutputFile(os.open(path, os.O_WRONLY), path)
    if not overwrite:
        raise OutputError(f"{path}: exists already; -f overwrites it")
    return None


def _open_temporary(folder: str, mode: int) -> tuple[int, str]:
    """The descriptor of a new file in a folder, to be written and read, and its path; "" if it has none."""
    if hasattr(os, "O_TMPFILE") and os.path.exists("/proc/self/fd"):
        with suppress(OSError):  # not every file system can; what else is wrong happens again below
            return os.open(folder, os.O_TMPFILE | os.O_RDWR, mode), ""
    _remove_stale(folder)
    path = _new_path(folder)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)
    except OSError:
        _discard(path)
        raise
    _lock(descriptor)
    return descriptor, path


def _new_path(folder: str) -> str:
    path = os.path.join(folder, f"{_PREFIX}{os.urandom(8).hex()}{_SUFFIX}")
    unfinished.add(path)
    return path


def _discard(path: str) -> None:
    if path:
        with suppress(OSError):
            os.unlink(path)
        unfinished.discard(path)


def _lock(descriptor: int) -> bool:
    """Hold a lock on a file until it is closed, or the process ends; whether it could be had."""
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (ImportError, OSError):
        return False
    return True


def _remove_stale(folder: str) -> None:
    """Remove unfinished outputs of processes that are no more. Best effort."""
    with suppress(OSError):
        for entry in os.scandir(folder):
            if not (entry.name.startswith(_PREFIX) and entry.name.endswith(_SUFFIX)) or entry.path in unfinished:
                continue
            with suppress(OSError):
                if not entry.is_file(follow_symlinks=False) or time.time() - entry.stat().st_mtime < STALE_SECONDS:
                    continue
                descriptor = os.open(entry.path, os.O_RDWR)
                try:
                    if _lock(descriptor):
                        os.unlink(entry.path)
                finally:
                    os.close(descriptor)


def _name(sink: OutputFile, target: str, overwrite: bool) -> None:
    """Give a complete file without a name its name."""
    if not overwrite:
        try:
            _link(sink, target)
        except FileExistsError:
            raise
        except OSError:  # a file system without hard links: another way below
            pass
        else:
            return _sync_folder(target)
    path = _new_path(os.path.dirname(target))
    try:
        try:
            _link(sink, path)
        except OSError:
            _copy(sink, path)
        _publish(path, target, overwrite)
    finally:
        _discard(path)


def _link(sink: OutputFile, path: str) -> None:
    folder = os.open("/proc/self/fd", os.O_RDONLY)
    try:
        os.link(str(sink.fileno()), path, src_dir_fd=folder)  # src_dir_fd: else Python doesn't follow the link
    finally:
        os.close(folder)


def _copy(sink: OutputFile, path: str) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    with sink.read_back() as written, OutputFile(descriptor, path, is_new=True, sparse=sink.sparse) as copy:
        while piece := written.read(1 << 20):
            copy.write(piece)
        copy.finish()
        _carry(os.fstat(sink.fileno()), descriptor)


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


def _carry(status: os.stat_result, path: str | int) -> None:
    """Give a file, by path or descriptor, the source's mode, mtime and, where we may, its owner. Best effort."""
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
    _sync_folder(target)


def _sync_folder(target: str) -> None:
    """Have a file's name on the disk."""
    with suppress(OSError):
        folder = os.open(os.path.dirname(target), os.O_RDONLY)
        try:
            os.fsync(folder)  # before --rm: the new name must outlive a power cut, too
        finally:
            os.close(folder)


def _is_zero(unit: memoryview) -> bool:
    return not (unit[0] or unit[-1]) and unit.tobytes() == _ZEROS
