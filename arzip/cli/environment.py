"""Environment variables that stand for options which aren't given, as zstd's ZSTD_CLEVEL and ZSTD_NBTHREADS do."""

from __future__ import annotations

import os
from collections.abc import Callable

import click

LEVEL, THREADS = "ARZIP_LEVEL", "ARZIP_THREADS"
COMPLETION = "_ARZIP_COMPLETE"  # set by shells that ask what may follow; not for users
VARIABLES = {
    LEVEL: "The level, 1 to 9, where no option says it. Another value is ignored, with a warning.",
    THREADS: "The number of threads where -T doesn't say it; 0: one a core. Another value is ignored, with a warning.",
    "ARZIP_MODEL_PATH": "Files or folders with models, separated like PATH, searched before all others.",
    "ARZIP_CORPORA": "The folder that 'arzip corpora' fetches to and 'arzip bench' reads from.",
    "NO_COLOR": "If set and not empty, progress bars and tables have no colours.",
    "XDG_DATA_HOME": "The folder whose 'arzip' holds models and corpora of the user; ~/.local/share on Linux.",
}
Callback = Callable[[click.Context, click.Parameter, int | None], int]


def number_from(variable: str, first: int, last: int, default: int) -> Callback:
    """A callback for an option whose default is None: its value, else that of `variable`, else `default`.

    A value that is no number from `first` to `last` is ignored, with a warning on stderr; the exit code stays.
    """

    def callback(ctx: click.Context, param: click.Parameter, value: int | None) -> int:
        text = os.environ.get(variable, "").strip()
        if value is not None or not text:
            return default if value is None else value
        if text.isascii() and text.isdigit() and first <= int(text) <= last:
            return int(text)
        if not (ctx.resilient_parsing or ctx.params.get("quiet")):  # completing; -q comes first, as it was given
            click.echo(f"arzip: {variable}={text!a} is ignored: no number from {first} to {last}", err=True)
        return default

    return callback
