"""Compiled functions that only compiled functions call: without wrappers for Python, which cost compile time.

`bare` functions allocate nothing and count no references: each array handed on would cost two atomic additions a call.
"""

from __future__ import annotations

from typing import Any

from arzip.jit.compile import njit

bare: Any = njit(_nrt=False, no_cpython_wrapper=True, no_cfunc_wrapper=True)
part: Any = njit(no_cpython_wrapper=True, no_cfunc_wrapper=True)
