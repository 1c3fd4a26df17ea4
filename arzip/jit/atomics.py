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

from arzip.jit.compile import njit

STRIDE = 16
SPINS = 4000
CAN_YIELD = hasattr(os, "sched_yield")

_yield_processor: Any = types.ExternalFunction("sched_yield", types.int32()) if CAN_YIELD else None


def _address(builder: Any, args: Any) -> Any:
    return builder.inttoptr(builder.add(args[0], builder.shl(args[1], ir.Constant(ir.IntType(64), 3))), _POINTER)


_POINTER = ir.IntType(64).as_pointer()


@intrinsic
def _load(typingctx, base, index):
    """int64 at base + 8 index, with all that the storing thread wrote before it."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load_atomic(_address(builder, args), ordering="acquire", align=8)

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def _store(typingctx, base, index, value):
    """The counterpart of `_load`."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store_atomic(args[2], _address(builder, args), ordering="release", align=8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), codegen


@intrinsic
def _add(typingctx, base, index, value):
    """Add to the int64 at base + 8 index atomically, with the ordering of `_load` and `_store`."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.atomic_rmw("add", _address(builder, args), args[2], ordering="acq_rel")

    return types.int64(types.int64, types.int64, types.int64), codegen


@intrinsic
def _swap(typingctx, base, index, old, new):
    """Replace the int64 at base + 8 index, if it is `old`, by `new`; whether it was."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pair = builder.cmpxchg(_address(builder, args), args[2], args[3], ordering="acq_rel", failordering="acquire")
        return builder.extract_value(pair, 1)

    return types.boolean(types.int64, types.int64, types.int64, types.int64), codegen


@njit()
def store_release(counters, which, value):
    """Set a counter; a thread that loads the value also sees everything written before."""
    _store(counters.ctypes.data, which * STRIDE, value)


@njit()
def load_acquire(counters, which):
    """Read a counter, and with it all that was written before it was set."""
    return _load(counters.ctypes.data, which * STRIDE)


@njit()
def increment(counters, which):
    """Add one to a counter that several threads add to."""
    _add(counters.ctypes.data, which * STRIDE, 1)


@njit()
def take_ticket(counters, which, end):
    """Take the next number of a counter, which no other thread gets, if it is below `end`; else return -1."""
    value = load_acquire(counters, which)
    while value < end:
        if _swap(counters.ctypes.data, which * STRIDE, value, value + 1):
            return value
        value = load_acquire(counters, which)
    return -1


@njit()
def spin_until(counters, which, value):
    """Return once the counter is at least `value`."""
    spins = 0
    while load_acquire(counters, which) < value:
        spins += 1
        if spins > SPINS:
            _yield_processor()
