"""Typed errors for everything a user can cause. Every message is one line that says what to do. Imports nothing."""

from __future__ import annotations


class ArzipError(Exception):
    """Anything a user can cause; the command prints it as one line and exits 1."""


class NotAnArchiveError(ArzipError):
    """The data doesn't begin as an arzip archive does."""


class DamagedError(ArzipError):
    """A check of the archive fails. `block`: number of the block, from 1; 0: the damage is in no block."""

    def __init__(self, message: str, block: int = 0) -> None:
        super().__init__(message)
        self.block = block


class TruncatedError(DamagedError, EOFError):
    """The archive ends before its end record. An EOFError too, as readers of other compressed files raise it."""


class UnsupportedError(ArzipError):
    """The archive is sound, but needs a feature or a version that this arzip doesn't have."""


class ModelError(ArzipError):
    """A weights file that is damaged or not an arzip model."""


class ModelMissingError(ModelError):
    """The model that an archive was made with is not installed."""


class LimitError(ArzipError):
    """It would take more memory, or make more output, than is allowed."""


class DictionaryMissingError(ArzipError):
    """The dictionary that an archive was made with was not given, or another one."""


class OutputError(ArzipError):
    """The output can't be written, or must not be overwritten."""
