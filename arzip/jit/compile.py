"""`njit` as every kernel here uses it: without numba until something has to be compiled.

A kernel that Python calls is looked for among those that the package brings compiled (`ready`); only what isn't there
is compiled by numba (`numba_compiler`), once, and cached on disk. So a start needs neither numba nor LLVM, and kernels
compiled ahead of time and at run time come from one source. LLVM IR that kernels are made of beside Python stands in
modules called *_ir, which are imported when a kernel is compiled: see `Intrinsic`.
"""

from __future__ import annotations

import functools
import importlib
import threading
from collections.abc import Callable
from typing import Any, ClassVar

from arzip.jit import ready
from arzip.jit.plain import DISABLED

_compiling = threading.RLock()


class Kernel:
    """A function for numba. Python calls it unless it is a part; other kernels call it by its name as any other."""

    def __init__(self, function: Callable[..., Any], options: dict[str, Any], is_part: bool = False) -> None:
        assert not options.get("fastmath")
        functools.update_wrapper(self, function)
        self.py_func, self.options, self.is_part = function, options, is_part

    @property
    def name(self) -> str:
        """Module and function."""
        return f"{self.py_func.__module__}.{self.py_func.__qualname__}"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.is_part:
            raise TypeError(f"{self.py_func.__qualname__} is a part of kernels: call it from compiled code")
        if not kwargs:
            call = ready.find(self.name, args)
            if call:
                return call(args)
        return self.dispatcher(*args, **kwargs)

    @functools.cached_property
    def dispatcher(self) -> Any:
        """numba's, for this processor. Raises MissingNumbaError."""
        with _compiling:
            try:
                from arzip.jit import numba_compiler
            except ImportError as error:
                raise ready.MissingNumbaError from error
            return numba_compiler.dispatcher(self.py_func, self.options)

    @property
    def targetoptions(self) -> dict[str, Any]:
        """What numba's inliner asks a dispatcher for."""
        return self.options

    @property
    def _numba_type_(self) -> Any:
        """How numba sees this object among the globals of another kernel."""
        return self.dispatcher._numba_type_


class Intrinsic:
    """An operation that is written as LLVM IR in another module, which needs numba: imported with the compiler."""

    modules: ClassVar[set[str]] = set()  # of all

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name
        self.modules.add(module)

    @functools.cached_property
    def lowering(self) -> Any:
        """numba's intrinsic, or an external function."""
        return getattr(importlib.import_module(self.module), self.name)

    @property
    def _numba_type_(self) -> Any:
        """How numba sees this object among the globals of a kernel."""
        from arzip.jit import numba_compiler

        return numba_compiler.type_of(self.lowering)

    def __call__(self, *args: Any) -> Any:
        raise TypeError(f"{self.name} is a part of kernels: call it from compiled code")


def njit(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """numba.njit with a cache that the sources of all kernels are the key of. No fastmath, ever."""
    return lambda function: function if DISABLED else Kernel(function, options)


def inline_njit(function: Callable[..., Any]) -> Any:
    """A part of kernels, put into whichever calls it. Python can't: a way in for a memory's 50 arrays takes a fifth of
    the time to compile.
    """
    if DISABLED:
        return function
    options = {"forceinline": True, "_nrt": False, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    return Kernel(function, options, is_part=True)


prefetch: Any = Intrinsic("arzip.jit.atomics_ir", "prefetch")
"""prefetch(array, index): have the cache line of a contiguous array's element fetched; only a hint."""
