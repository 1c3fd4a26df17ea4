"""Files by path or URL, as every process of a cluster opens them, by fsspec. Must not know archives."""

from __future__ import annotations

import io
import os
import posixpath
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from arzip.errors import ArzipError, OutputError
from arzip.system import extras, files, outputs

READ_AHEAD_BYTES = 1 << 14  # of a URL: what is read for a frame or an index; payloads are longer


def is_url(name: str) -> bool:
    """Whether a name is a URL of fsspec's and not a path."""
    return "://" in name


def absolute(name: str) -> str:
    """A name that means the same file on every machine which has that file: a URL, or an absolute path."""
    return name if is_url(name) else os.path.abspath(name)


def is_private(name: str) -> bool:
    """Whether only this process can open it."""
    return name.startswith("memory://")


def file_system(name: str) -> tuple[Any, str]:
    """The file system that a name lies in, and its path there. Raises ArzipError where fsspec or a part is missing."""
    extras.require("fsspec", "ray", "a URL or a cluster")
    import fsspec

    if not is_url(name):
        return fsspec.filesystem("file"), name
    try:
        return fsspec.core.url_to_fs(name)  # type: ignore[no-any-return]
    except (ImportError, ValueError) as error:
        raise ArzipError(f"{name}: {error}") from error


def local_path(name: str) -> str | None:
    """The path of a file on this machine; None for others."""
    system, path = file_system(name)
    return str(path) if "file" in _protocols(system) else None


def _protocols(system: Any) -> tuple[str, ...]:
    return (system.protocol,) if isinstance(system.protocol, str) else tuple(system.protocol)


@contextmanager
def reading(name: str) -> Iterator[Any]:
    """A file that can seek. Raises ArzipError if it can't be opened."""
    system, path = file_system(name)
    try:
        if "file" in _protocols(system):
            file = open(path, "rb")  # noqa: SIM115
        else:
            file = system.open(path, "rb", block_size=READ_AHEAD_BYTES, cache_type="readahead")
    except OSError as error:
        raise ArzipError(_reason(error)) from error
    with file:
        yield file


def read_range(name: str, start: int, size: int) -> bytes:
    """`size` bytes from `start`, by one request. Raises OSError, also if the file is shorter."""
    system, path = file_system(name)
    data: bytes = system.cat_file(path, start, start + size) if size else b""
    if len(data) < size:
        raise OSError(f"{name}: has become shorter while it was read")
    return data


def size_and_stamp(name: str) -> tuple[int, str]:
    """The size of a file in bytes, and a word that changes when it is written anew. Raises ArzipError."""
    system, path = file_system(name)
    try:
        if "file" in _protocols(system):
            status = os.stat(path)
            return status.st_size, str(status.st_mtime_ns)
        info = system.info(path)
        if info["type"] != "file":
            raise ArzipError("is a directory; -r takes the files in it")
        marks = (info.get(key) for key in ("ETag", "etag", "md5Hash", "generation", "mtime", "created"))
        return int(info["size"]), str(next((mark for mark in marks if mark), ""))
    except OSError as error:
        raise ArzipError(_reason(error)) from error


def is_folder(name: str) -> bool:
    """Whether a name is that of a folder."""
    system, path = file_system(name)
    return bool(system.isdir(path))


def exists(name: str) -> bool:
    """Whether there is such a file or folder."""
    system, path = file_system(name)
    return bool(system.exists(path))


def find(folder: str) -> list[tuple[str, int]]:
    """Path below the folder, and size in bytes, of each regular file in it and below it, in order; no links."""
    system, root = file_system(folder)
    found = system.find(root, detail=True)
    return sorted(
        (posixpath.relpath(path, root), int(info["size"] or 0))
        for path, info in found.items()
        if info["type"] == "file" and not info.get("islink")
    )


def join(folder: str, path: str) -> str:
    """The name of a file below a folder."""
    return f"{folder.rstrip('/')}/{path}"


def make_folder_of(name: str) -> None:
    """Make the folder that a file is to lie in, where there are folders."""
    system, path = file_system(name)
    system.makedirs(posixpath.dirname(path), exist_ok=True)


def put(name: str, data: bytes) -> None:
    """Write a small file at once."""
    system, path = file_system(name)
    system.pipe_file(path, data)


def get(name: str) -> bytes:
    """All of a small file. Raises OSError."""
    system, path = file_system(name)
    return bytes(system.cat_file(path))


def list_names(folder: str) -> list[str]:
    """Names of what is directly in a folder; none if there is no such folder."""
    system, path = file_system(folder)
    try:
        return [posixpath.basename(str(found)) for found in system.ls(path, detail=False)]
    except FileNotFoundError:
        return []


def remove(name: str) -> None:
    """Remove a file."""
    system, path = file_system(name)
    system.rm_file(path)


def remove_folder(folder: str) -> None:
    """Remove a folder and all that is in it."""
    system, path = file_system(folder)
    if system.exists(path):
        system.rm(path, recursive=True)


@contextmanager
def writing(name: str, source: str, overwrite: bool) -> Iterator[Any]:
    """A sink for a file, which appears on a clean exit and on no other; a local one with the source's mode and time.

    Raises OutputError, also if the file is there and `overwrite` is false.
    """
    path, source_path = local_path(name), local_path(source)
    if path is not None:
        with _like(source_path) as like, outputs.open_output(path, like, overwrite=overwrite) as sink:
            yield sink
        return
    if not overwrite and exists(name):
        raise OutputError(f"{name}: exists already; -f overwrites it")
    system, there = file_system(name)
    private = is_private(name)
    temporary = f"{there}.tmp" if private else there
    try:
        file = system.open(temporary, "wb", autocommit=private)
    except OSError as error:
        raise OutputError(f"{name}: {_reason(error)}") from error
    try:
        yield file
        file.close()
        if private:
            system.mv(temporary, there)
        else:
            file.commit()
    except BaseException:
        if private:
            system.rm(temporary)
        else:
            file.discard()
        raise


@contextmanager
def _like(path: str | None) -> Iterator[files.InputFile]:
    """What an output takes its mode and time from; of a file that isn't here, nothing."""
    if path is None:
        yield files.InputFile("", io.BytesIO(), os.stat_result((0,) * 10))
        return
    with files.open_source(path, special=True) as source:
        yield source


def _reason(error: OSError) -> str:
    return files.reason(error) if error.strerror else f"{type(error).__name__}: {error}"
