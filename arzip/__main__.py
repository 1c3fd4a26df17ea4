"""The command `arzip`, and `python -m arzip`."""

from __future__ import annotations

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
