"""Tar files in archives: `tar_open`, and the format "arztar" of shutil."""

from __future__ import annotations

import os
import shutil
import tarfile
from collections.abc import Callable
from typing import Any

from arzip.api.file import ArzipFile
from arzip.errors import ArzipError
from arzip.levels import DEFAULT

FORMAT = "arztar"
SUFFIXES = [".tar.arz", ".tarz"]
LEVEL = DEFAULT  # of make_archive, which passes none


class ArzipTarFile(tarfile.TarFile):
    """A tar file in an archive. Closing it closes the archive too."""

    archive: ArzipFile | None = None

    def close(self) -> None:
        """Write what is left, and close the archive."""
        try:
            super().close()
        finally:
            self._close_archive()

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        try:
            super().__exit__(kind, error, traceback)  # after a fault, writes nothing more and doesn't call close
        finally:
            self._close_archive()

    def _close_archive(self) -> None:
        archive, self.archive = self.archive, None
        if archive is not None:
            archive.close()


def tar_open(
    name: str | os.PathLike[str] | Any,
    mode: str = "r",
    *,
    level: int | None = None,
    model: str | os.PathLike[str] | None = None,
    threads: int = 0,
    **options: Any,
) -> ArzipTarFile:
    """Open the tar file in an archive, as tarfile.open opens one in a gzip file.

    name: a path, or an open binary file. mode: "r", "w" or "x". level, model, threads: as of ArzipFile. options: as of
    tarfile.TarFile (format, filter, encoding ..).

    Members that are read one after the other decode each block once; one in the middle needs the blocks that hold it,
    and the headers before it. Raises what ArzipFile does, and tarfile.TarError where the archive holds no tar file.

    >>> import io
    >>> stored = io.BytesIO()
    >>> with tar_open(stored, "w", level=1) as tar:
    ...     tar.addfile(tarfile.TarInfo("empty"))
    >>> tar_open(io.BytesIO(stored.getvalue())).getnames()
    ['empty']
    """
    if mode not in ("r", "w", "x"):
        raise ValueError(f"invalid mode: {mode!r}; it is one of r, w, x")
    archive = ArzipFile(name, mode, level=level, model=model, threads=threads)
    try:
        tar = ArzipTarFile.taropen(None, "r" if mode == "r" else "w", archive, **options)
    except BaseException:
        archive.close()
        raise
    assert isinstance(tar, ArzipTarFile)
    tar.archive = archive
    return tar


def register_shutil() -> None:
    """Teach shutil the format "arztar": make_archive writes base_name.tar.arz, unpack_archive reads .tar.arz and .tarz.

    For this process; called again, it changes nothing.

    >>> register_shutil()
    >>> "arztar" in dict(shutil.get_archive_formats())
    True
    """
    if FORMAT not in dict(shutil.get_archive_formats()):
        shutil.register_archive_format(FORMAT, _make, description="tar file in an arzip archive")
    if FORMAT not in (name for name, *_ in shutil.get_unpack_formats()):
        shutil.register_unpack_format(FORMAT, SUFFIXES, _unpack, description="tar file in an arzip archive")


def _make(base_name: str, base_dir: str, owner: str | None = None, group: str | None = None, **options: Any) -> str:
    """Pack a folder into base_name.tar.arz; returns its path. owner, group: names that all members get.

    options: what shutil passes beside; dry_run is heeded.
    """
    path = base_name + SUFFIXES[0]
    if options.get("dry_run"):
        return path
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with tar_open(path, "w", level=LEVEL) as tar:
        tar.add(base_dir, filter=_owned_by(owner, group))
    return path


def _owned_by(owner: str | None, group: str | None) -> Callable[[tarfile.TarInfo], tarfile.TarInfo]:
    """A filter that gives members an owner and a group. Raises KeyError on a name that the system doesn't have."""
    changes: dict[str, Any] = {}
    if owner is not None:
        import pwd

        changes |= {"uname": owner, "uid": pwd.getpwnam(owner).pw_uid}
    if group is not None:
        import grp

        changes |= {"gname": group, "gid": grp.getgrnam(group).gr_gid}

    def change(member: tarfile.TarInfo) -> tarfile.TarInfo:
        for name, value in changes.items():
            setattr(member, name, value)
        return member

    return change


def _unpack(filename: str, extract_dir: str, *, filter: Any = None) -> None:
    """Unpack an archive. filter: as of TarFile.extractall; "data" unless given. Raises shutil.ReadError."""
    safe: dict[str, Any] = {"filter": filter or "data"} if hasattr(tarfile, "data_filter") else {}
    try:
        with tar_open(filename) as tar:
            tar.extractall(extract_dir, **safe)
    except (ArzipError, tarfile.TarError) as error:
        raise shutil.ReadError(f"{filename}: {error}") from error
