"""Who wants to know that a kernel has to be compiled, which takes a while: the command, which then says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

_listeners: list[Callable[[], None]] = []


def compiler_starts() -> None:
    """Tell those who listen that a kernel is being compiled."""
    while _listeners:
        _listeners.pop()()


@contextmanager
def on_first_compile(tell: Callable[[], None]) -> Iterator[None]:
    """Within it, `tell` is called if kernels have to be compiled: none fits, here or in a cache; it takes a while."""
    _listeners.append(tell)
    try:
        yield
    finally:
        if tell in _listeners:
            _listeners.remove(tell)
