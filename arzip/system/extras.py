"""Libraries that only some commands need, installed with an extra of the package."""

from __future__ import annotations

import importlib

from arzip.errors import ArzipError


def require(library: str, extra: str, purpose: str) -> None:
    """Raises ArzipError, which says what to install, unless `library` can be imported. purpose: its first words."""
    try:
        importlib.import_module(library)
    except ImportError as error:
        raise ArzipError(f"{purpose} needs {library}: pip install 'arzip[{extra}]'") from error
