"""The command `arzip`, and `python -m arzip`."""

from __future__ import annotations

import os
import signal

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # numpy's, which nothing here calls: threads take address space
if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C while modules are imported ends the process: no traceback

from arzip.cli import main, process


def run() -> None:
    """Run the command line of this process, and exit."""
    try:
        code = main()
    except SystemExit as stop:  # a signal
        code = stop.code if isinstance(stop.code, int) else 1
    process.leave(code)


if __name__ == "__main__":
    run()
