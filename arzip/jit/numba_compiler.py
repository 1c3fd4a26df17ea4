"""Kernels compiled by numba at run time, cached on disk. Imported when the first has to be compiled.

numba's cache notices a change of the file that a function stands in, but not of the functions it calls
elsewhere; a stale kernel would make archives that others can't open. So here a cache belongs to the source
of all packages that kernels stand in or take constants from: any change there, and everything is compiled anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numba
from llvmlite import binding
from numba.core import event
from numba.core.caching import FunctionCache, IndexDataCacheFile
from numba.core.registry import cpu_target

from arzip.jit import cpu_features
from arzip.jit.compile_events import compiler_starts
from arzip.jit.sources import source_stamp

binding.initialize_native_asmparser()  # kernels may hold lines of assembly
FOR_ALL: dict[str, Any] = {}  # options that every kernel is compiled with
_STAMP = f"{source_stamp()}{cpu_features.HAS_AMX}"  # numba's own key leaves the tile registers out


class _CacheFile(IndexDataCacheFile):
    """A function's cache on disk; an index or an object file that can't be read counts as absent and is written anew.

    numba unpickles an index before it compares stamps: one that older sources have left may name types that are gone.
    """

    def _load_index(self) -> Any:
        try:
            return super()._load_index()
        except OSError:
            raise
        except Exception:  # unpickling damaged bytes raises nearly anything
            return {}

    def _load_data(self, name: str) -> Any:
        try:
            return super()._load_data(name)
        except OSError:
            raise
        except Exception:
            return None


class _Cache(FunctionCache):
    """A function's cache; what can't be read is compiled, and what can't be written isn't kept."""

    @contextmanager
    def _guard_against_spurious_io_errors(self) -> Iterator[None]:
        with suppress(OSError):
            yield


class _Listener(event.Listener):
    """Hears of every compilation."""

    def on_start(self, event: Any) -> None:
        compiler_starts()

    def on_end(self, event: Any) -> None:
        """Nothing to do."""


event.register("numba:compile", _Listener())


def dispatcher(function: Callable[..., Any], options: dict[str, Any]) -> Any:
    """numba's dispatcher of a function, with the cache described above."""
    try:
        made = numba.njit(**{"cache": True, **options, **FOR_ALL})(function)
    except RuntimeError:  # neither the package's folder nor the user's can be written
        return numba.njit(**{**options, **FOR_ALL, "cache": False})(function)
    cache = getattr(made, "_cache", None)
    if isinstance(cache, FunctionCache):
        cache.__class__ = _Cache
        cache._cache_file.__class__ = _CacheFile
        cache._cache_file._source_stamp = _STAMP
    return made


def type_of(value: Any) -> Any:
    """numba's type of an intrinsic or an external function."""
    context = cpu_target.typing_context
    context.refresh()
    return context.resolve_value_type(value)
