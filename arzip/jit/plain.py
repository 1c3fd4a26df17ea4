"""Kernels as plain Python, which numba's NUMBA_DISABLE_JIT asks for: for tests of single ones."""

from __future__ import annotations

import os

from arzip.errors import ArzipError

DISABLED = os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("0", "")


class NotCompiledError(ArzipError):
    """Kernels were to run as plain Python, which most can't."""

    def __init__(self) -> None:
        super().__init__("NUMBA_DISABLE_JIT is set, and arzip must compile its loops: unset it")


def require_compiled() -> None:
    """Raises NotCompiledError if kernels are plain Python in this process."""
    if DISABLED:
        raise NotCompiledError
