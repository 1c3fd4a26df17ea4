"""Counters that two threads hand work over by: one waits until the other has counted far enough.

A counter is an element of an int64 array, STRIDE elements from the next (a cache line each). Waiting spins
for some microseconds, then gives the processor away, so two threads on one core get on as well.
"""

from __future__ import annotations

import os
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from arzip.compiled import njit

STRIDE = 16
SPINS = 4000
CAN_YIELD = hasattr(os, "sched_yield")

_yield_processor = types.ExternalFunction("sched_yield", types.int32()) if CAN_YIELD else None


def _address(builder: Any, args: Any) -> Any:
    return builder.inttoptr(builder.add(args[0], builder.shl(args[1], ir.Constant(ir.IntType(64), 3))), _POINTER)


_POINTER = ir.IntType(64).as_pointer()


@intrinsic
def _load(typingctx, base, index):  # type: ignore[no-untyped-def]
    """int64 at base + 8 index, with all that the storing thread wrote before it."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load_atomic(_address(builder, args), ordering="acquire", align=8)

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def _store(typingctx, base, index, value):  # type: ignore[no-untyped-def]
    """The counterpart of `_load`."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store_atomic(args[2], _address(builder, args), ordering="release", align=8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), codegen


@njit()
def publish(counters, which, value):  # type: ignore[no-untyped-def]
    """Set a counter: everything written before is there for whoever sees it."""
    _store(counters.ctypes.data, which * STRIDE, value)


@njit()
def wait_for(counters, which, value):  # type: ignore[no-untyped-def]
    """Return once the counter is at least `value`."""
    spins = 0
    while _load(counters.ctypes.data, which * STRIDE) < value:
        spins += 1
        if spins > SPINS:
            _yield_processor()
