"""Kernels that the package brings compiled, and how Python calls them: the counterpart of `aot`, without numba.

A folder holds a shared library and an index for each target, which is a kind of processor. The first target whose
features this processor has is taken, if its kernels were made from these sources. A kernel is found by its name
and the types of its arguments; what isn't there is left to numba.
"""

from __future__ import annotations

import ctypes
import functools
import json
import math
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from arzip.errors import ArzipError
from arzip.jit import cpu_features
from arzip.jit.kernel_parameters import flatten
from arzip.jit.sources import source_stamp

FOLDER = Path(__file__).parent / "compiled"
MODE = os.environ.get("ARZIP_KERNELS", "auto")  # "auto", "numba" for none of these, "ready" for these alone
RESULT_WORDS = 64
# Sources and kernels of an installed package come from one wheel, so they needn't be compared at every start.
IS_INSTALLED = not {"site-packages", "dist-packages"}.isdisjoint(FOLDER.parts)

Call = Callable[[tuple[Any, ...]], Any]


class Target(NamedTuple):
    """A kind of processor: its name, what Linux calls the features it must have, what LLVM calls it and adds to it."""

    name: str
    features: frozenset[str]
    cpu: str
    llvm_features: str = ""


_V3 = frozenset({"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe"})
_V4 = _V3 | {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl", "avx512_vnni"}
# The best first.
TARGETS = (
    Target("x86-64-amx", _V4 | {"amx_tile", "amx_int8"}, "x86-64-v4", "+avx512vnni,+amx-tile,+amx-int8"),
    Target("x86-64-vnni", _V4, "x86-64-v4", "+avx512vnni"),
    Target("x86-64-v3", _V3, "x86-64-v3"),
)


class MissingNumbaError(ArzipError):
    """A kernel isn't ready for this processor or these arguments, and numba, which would compile it, isn't there."""

    def __init__(self) -> None:
        super().__init__("this arzip brings no kernels for this processor: pip install 'arzip[jit]' to compile them")


def kind_of(value: Any) -> Any:
    """What a kernel is compiled for, of one argument: hashable, and equal for equal types."""
    if isinstance(value, np.ndarray):
        flags = value.flags
        return value.dtype.str, value.ndim, flags.c_contiguous, flags.writeable
    if isinstance(value, tuple):
        return type(value), tuple(map(kind_of, value))
    return type(value)


def text_of(kind: Any) -> str:
    """`kind_of` as a text that stays the same in another process: the index's key."""
    if isinstance(kind, type):
        names = {int: "i8", bool: "b1", float: "f8", type(None): "none"}
        return names.get(kind) or np.dtype(kind).str[1:]
    if isinstance(kind[0], str):
        dtype, dimensions, contiguous, writeable = kind
        return f"{dtype}[{dimensions}{'' if contiguous else 's'}{'' if writeable else 'r'}]"
    return f"{'' if kind[0] is tuple else kind[0].__name__}({','.join(map(text_of, kind[1]))})"


def signature_of(args: tuple[Any, ...]) -> str:
    """The index's key of a kernel's arguments."""
    return text_of((tuple, tuple(map(kind_of, args))))


class _Library:
    """A target's shared library with its index."""

    def __init__(self, folder: Path, target: Target) -> None:
        index = json.loads((folder / f"{target.name}.json").read_text("utf-8"))
        self.stamp, self.kernels = index["stamp"], index["kernels"]
        self.path = folder / f"{target.name}.so"
        self.functions: ctypes.CDLL | None = None

    def find(self, name: str, args: tuple[Any, ...]) -> Call | None:
        """The kernel of this name for such arguments, if it is there."""
        found = self.kernels.get(name, {}).get(signature_of(args))
        if not found:
            return None
        if not self.functions:
            self.functions = ctypes.CDLL(str(self.path))
        return _caller(self.functions[found["symbol"]], found["result"])


def _caller(function: Any, result: Any) -> Call:
    """A compiled entry point as a function of the kernel's arguments. result: see `value_of`."""
    function.argtypes, function.restype = (ctypes.c_void_p, ctypes.c_void_p), ctypes.c_int

    def call(args: tuple[Any, ...]) -> Any:
        words = flatten(args)
        given, out = (ctypes.c_int64 * len(words))(*words), (ctypes.c_int64 * RESULT_WORDS)()
        if function(given, out):
            raise RuntimeError(f"kernel {function.__name__} has failed")
        return value_of(result, iter(out))

    return call


def value_of(kind: Any, words: Iterator[int]) -> Any:
    """A value that a kernel returned, made from the words that it takes: of arrays, copies.

    kind: "none", "int", "bool", {"dtype": .., "ndim": ..} for an array, a list of such for a tuple.
    """
    if kind == "none":
        return None
    if isinstance(kind, list):
        return tuple(value_of(part, words) for part in kind)
    if isinstance(kind, dict):
        dtype = np.dtype(kind["dtype"])
        address, owner, *shape = (next(words) for _ in range(2 + kind["ndim"]))
        size = math.prod(shape)
        data: Any = (ctypes.c_char * (size * dtype.itemsize)).from_address(address)
        array = np.frombuffer(data, dtype).copy()
        if owner:
            _release(owner)
        return array.reshape(shape)
    return bool(next(words)) if kind == "bool" else next(words)


def _release(owner: int) -> None:
    """Drop a reference to memory that a kernel allocated: the kernels of a call are done, so no other thread counts."""
    references = ctypes.c_int64.from_address(owner)
    references.value -= 1
    if not references.value:
        _free(owner)  # type: ignore[misc]


def fits(target: Target) -> bool:
    """Whether this processor can run a target's kernels, and they do what kernels compiled for it would do."""
    return target.features <= cpu_features.FEATURES and ("amx_int8" in target.features) == cpu_features.HAS_AMX


@functools.cache
def open_library(folder: Path) -> _Library | None:
    """The library of a folder for this processor, if it is of the sources at hand."""
    wanted = MODE != "numba" and not os.environ.get("NUMBA_CPU_NAME") and sys.platform.startswith("linux")
    if wanted and cpu_features.TARGET is None and folder.is_dir():
        for target in TARGETS:
            if fits(target) and (folder / f"{target.name}.json").is_file():
                library = _Library(folder, target)
                return library if IS_INSTALLED or library.stamp == source_stamp() else None
    return None


_free = ctypes.CDLL(None).free if sys.platform.startswith("linux") else None
if _free:
    _free.argtypes, _free.restype = (ctypes.c_void_p,), None
_calls: dict[Any, Call | None] = {}


def find(name: str, args: tuple[Any, ...]) -> Call | None:
    """The compiled kernel of this name for these arguments; None leaves it to numba.

    Raises LookupError if it isn't there and must be.
    """
    library = open_library(FOLDER)
    if not library:
        return None
    key = name, *map(kind_of, args)
    if key not in _calls:
        _calls[key] = library.find(name, args)
        if not _calls[key] and MODE == "ready":
            raise LookupError(f"{name}{signature_of(args)} is not among the kernels for {library.path.stem}")
    return _calls[key]
