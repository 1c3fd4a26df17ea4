"""The files that a command works on: those named, those of a list, with -r those in folders."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import partial

from arzip.cli.args import Settings
from arzip.cli.messages import Reporter
from arzip.cli.names import is_archive_name
from arzip.system import compressed, files


def gather(names: Sequence[str], settings: Settings, reporter: Reporter, *, of_archives: bool) -> list[str]:
    """What to work on, in order; "-" alone if no file, list or folder is named. Faults are reported, not raised.

    of_archives: of folders, take archives alone, not all others. Raises click.UsageError on settings that contradict
    each other or the names.
    """
    settings.check(names, compressing=not of_archives)
    found = list(names)
    for path, end in ((settings.filelist, b"\n"), (settings.filelist0, b"\0")):
        if path is not None:
            reporter.each([path], partial(_add_listed, found, end))
    if not (found or settings.filelist is not None or settings.filelist0 is not None):
        return ["-"]
    if settings.recursive:
        found = [path for name in found for path in _walk(name, reporter, of_archives)]
    if settings.exclude_compressed:
        found = [name for name in found if not _excluded(name, settings, reporter)]
    return found


def _add_listed(found: list[str], end: bytes, path: str) -> None:
    """Append the names in a file, each ended by `end`. Raises ArzipError if it can't be read."""
    with files.open_source(path, special=True) as source:
        found += [os.fsdecode(name) for name in source.stream.read().split(end) if name]


def _walk(name: str, reporter: Reporter, of_archives: bool) -> Iterator[str]:
    """`name`; of a folder, its regular files and those below it that are archives or, unless of_archives, are not."""
    if not os.path.isdir(name):
        yield name
        return

    def fail(error: OSError) -> None:
        reporter.fail(error.filename, files.reason(error))

    for folder, folders, inside in os.walk(name, onerror=fail):
        folders.sort()
        for path in (os.path.join(folder, file) for file in sorted(inside)):
            if is_archive_name(path) != of_archives:
                reporter.log(path, "is not an archive, skipped" if of_archives else "is an archive, skipped")
            elif os.path.islink(path) or not os.path.isfile(path):
                reporter.log(path, "is a link or no regular file, skipped")
            else:
                yield path


def _excluded(name: str, settings: Settings, reporter: Reporter) -> bool:
    if name == "-" or not compressed.is_compressed(name, deflate_too=settings.no_open):
        return False
    reporter.log(name, "is compressed already, excluded")
    return True
