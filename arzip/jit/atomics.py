"""Counters that two threads hand work over by: one waits until the other has counted far enough.

A counter is an element of an int64 array, STRIDE elements from the next (a cache line each). Waiting spins
for some microseconds, then gives the processor away, so two threads on one core get on as well.
"""

from __future__ import annotations

import os
from typing import Any

from arzip.jit.compile import Intrinsic, njit

STRIDE = 16
SPINS = 4000
CAN_YIELD = hasattr(os, "sched_yield")

_load: Any = Intrinsic("arzip.jit.atomics_ir", "load")
_store: Any = Intrinsic("arzip.jit.atomics_ir", "store")
_add: Any = Intrinsic("arzip.jit.atomics_ir", "add")
_swap: Any = Intrinsic("arzip.jit.atomics_ir", "swap")
_yield_processor: Any = Intrinsic("arzip.jit.atomics_ir", "yield_processor")


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
