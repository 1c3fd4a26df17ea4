"""Process set-up and exit: replaces closed standard streams, removes partial outputs on signals, skips teardown."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

from arzip.system.files import remove_unfinished

GRACE_SECONDS = 0.5  # from a signal to the end of the process, whatever its threads still do

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


def fill_standard_streams() -> None:
    """Replace closed standard streams (arzip >&-) by descriptors on which I/O fails.

    Otherwise the next file that is opened would get the number of a standard stream, and messages end up in an archive.
    """
    for descriptor, wrong_way in enumerate((os.O_WRONLY, os.O_RDONLY, os.O_RDONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, wrong_way)  # takes the lowest free descriptor, which is this one


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Context in which SIGINT, SIGTERM and SIGHUP remove unfinished outputs and raise SystemExit(128 + number).

    Leaving it may wait for threads that compile, or read what has no end: the process ends without them.
    """
    late: list[threading.Timer] = []

    def end(code: int) -> None:
        remove_unfinished()
        os._exit(code)

    def stop(number: int, frame: FrameType | None) -> None:
        remove_unfinished()
        if not late:
            late.append(threading.Timer(GRACE_SECONDS, end, (128 + number,)))
            late[0].daemon = True
            late[0].start()
        raise SystemExit(128 + number)

    before = {number: signal.getsignal(number) for number in SIGNALS}
    taken = {number: handler for number, handler in before.items() if handler is not signal.SIG_IGN}
    for number in taken:  # one that is ignored (nohup, a background job) stays so
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in taken.items():
            signal.signal(number, handler)
        for timer in late:
            timer.cancel()


def leave(code: int) -> NoReturn:
    """Exit without teardown: Python's teardown of numba takes an eighth of a second."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):  # absent, closed, or a broken pipe: reported before
            stream.flush()
    os._exit(code)
