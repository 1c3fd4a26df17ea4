"""What a reader says to an archive that it can't open; the words are those of docs/FORMAT.md."""

from __future__ import annotations


class ArchiveError(Exception):
    """Any of them."""


class NotAnArchive(ArchiveError):
    """No arzip archive."""


class Truncated(ArchiveError):
    """The file ends too early."""


class Damaged(ArchiveError):
    """Something breaks what the spec says."""


class Unsupported(ArchiveError):
    """A version, a feature, a method, a profile or a filter of later readers."""


class ModelMissing(ArchiveError):
    """None of the models at hand has the digest of the header."""


class DictionaryMissing(ArchiveError):
    """A block needs the dictionary that the header names, and it isn't at hand."""


def require(condition: object, text: str) -> None:
    """Raises Damaged unless the condition holds."""
    if not condition:
        raise Damaged(text)
