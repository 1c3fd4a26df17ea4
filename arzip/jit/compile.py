"""`njit` as every kernel here uses it: compiled once, cached on disk for the next start.

numba's cache notices a change of the file that a function stands in, but not of the functions it calls
elsewhere; a stale kernel would make archives that others can't open. So here a cache belongs to the source
of all packages that kernels stand in or take constants from: any change there, and everything is compiled anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numba
from llvmlite import ir
from numba import config, types
from numba.core import event
from numba.core.caching import IndexDataCacheFile
from numba.core.registry import CPUDispatcher
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

from arzip.jit import cpu_features
from arzip.jit.spmd import launch_of

# Packages and modules of arzip that kernels take nothing from: a change there leaves the compiled kernels valid.
WITHOUT_KERNELS = frozenset(
    {
        *("__init__", "__main__", "api", "bench", "block_codec", "cli", "codec", "levels", "planner"),
        *("system", "version", "weights"),
    }
)


def _package_stamp() -> str:
    """A digest of all source files that kernels may depend on, and of CPU features that numba's own key leaves out."""
    digest, package = hashlib.blake2b(bytes([cpu_features.HAS_AMX]), digest_size=16), Path(__file__).parent.parent
    for path in sorted(package.rglob("*.py")):
        if path.relative_to(package).with_suffix("").parts[0] not in WITHOUT_KERNELS:
            digest.update(path.read_bytes())
    return digest.hexdigest()


_STAMP = _package_stamp()


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


def njit(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """numba.njit with a cache that the whole package's source is the key of. No fastmath, ever."""
    assert not options.get("fastmath")

    def compile_(function: Callable[..., Any]) -> Any:
        dispatcher = numba.njit(**{"cache": True, **options})(function)
        cache_file = getattr(getattr(dispatcher, "_cache", None), "_cache_file", None)
        if cache_file is not None:
            cache_file.__class__ = _CacheFile
            cache_file._source_stamp = _STAMP
        return dispatcher

    return compile_


class _Part(CPUDispatcher):
    """A function without a way in from Python, which would crash there."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(f"{self.py_func.__qualname__} is a part of kernels: call it from compiled code")


def inline_njit(function: Callable[..., Any]) -> Any:
    """A part of kernels, put into whichever calls it. Python can't: a way in for a memory's 50 arrays takes a fifth of
    the time to compile.
    """
    if config.DISABLE_JIT:  # type: ignore[attr-defined]
        return function
    part = njit(forceinline=True, _nrt=False, no_cpython_wrapper=True, no_cfunc_wrapper=True)(function)
    part.__class__ = _Part
    return part


class _Once(event.Listener):
    """Calls a function when the compiler first starts."""

    def __init__(self, tell: Callable[[], None]) -> None:
        self.tell: Callable[[], None] | None = tell

    def on_start(self, event: Any) -> None:
        if self.tell:
            tell, self.tell = self.tell, None
            tell()

    def on_end(self, event: Any) -> None:
        """Nothing to do."""


@contextmanager
def on_first_compile(tell: Callable[[], None]) -> Iterator[None]:
    """Within it, `tell` is called if kernels have to be compiled: no cache fits, and it will take a while."""
    with event.install_listener("numba:compile", _Once(tell)):
        yield


def _prefetch(typingctx, array, index):
    """Have the cache line of a contiguous array's element (by its place in memory) fetched: only a hint."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if launch_of(context):
            return context.get_dummy_value()  # other warps hide the wait; PTX has no such instruction for LLVM's own
        data = make_array(signature.args[0])(context, builder, args[0]).data
        byte, flag = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, flag, flag, flag])
        function = builder.module.declare_intrinsic("llvm.prefetch", [byte], kind)
        hints = [ir.Constant(flag, k) for k in (0, 3, 1)]  # to read, to keep, data
        builder.call(function, [builder.bitcast(builder.gep(data, [args[1]]), byte), *hints])
        return context.get_dummy_value()

    return types.void(array, types.int64), codegen


prefetch: Any = intrinsic(_prefetch)
