"""Names of archives and of what they were made from. Must not open files."""

from __future__ import annotations

import os

from arzip.errors import ArzipError
from arzip.system.files import SkippedError

SUFFIX = ".arz"
TAR_SUFFIX = ".tarz"  # of name.tar.arz where only one suffix is wanted, as .tgz is; read, never written
SUFFIXES = (SUFFIX, TAR_SUFFIX)


def is_archive_name(name: str) -> bool:
    """Whether the name ends as an archive's does, in letters of any case."""
    return os.path.splitext(name)[1].lower() in SUFFIXES


def archive_name(name: str, force: bool) -> str:
    """report.txt -> report.txt.arz. Raises SkippedError on an archive, unless forced."""
    if is_archive_name(name) and not force:
        suffix = os.path.splitext(name)[1]
        raise SkippedError(f"has the suffix {suffix} already, skipped; -f compresses it once more")
    return name + SUFFIX


def original_name(name: str, force: bool) -> str:
    """report.txt.arz -> report.txt, a.tarz -> a.tar. Raises ArzipError on another suffix, whatever `force` is."""
    stem, suffix = os.path.splitext(name)  # of ".arz", all is stem
    if suffix.lower() not in SUFFIXES:
        raise ArzipError(f"unknown suffix, it isn't {SUFFIX}; say with -o or -c where the output goes")
    return stem + ".tar" * (suffix.lower() == TAR_SUFFIX)
