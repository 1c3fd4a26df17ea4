"""Export of a result to files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from arzip.bench import results, table
from arzip.bench.results import Result
from arzip.errors import OutputError
from arzip.system.files import write_whole


def check(formats: Sequence[str], base: str) -> None:
    """Raises ArzipError if `write` would fail, so that nothing is measured in vain."""
    folder = Path(base).parent
    if formats and base != "-" and not os.access(folder, os.W_OK):
        raise OutputError(f"{folder}: no such folder, or it can't be written to")
    if {"html", "png"} & set(formats):
        from arzip.system import figures

        figures.check()


def write(result: Result, formats: Sequence[str], base: str) -> list[Path]:
    """Write `base`.md and so on; png also `base`-dark.png. Returns their paths. Raises ArzipError."""
    written = []
    for form in formats:
        for name, data in _content(result, form, Path(base).name, "png" in formats):
            path = Path(base + name)
            write_whole(path, data)
            written.append(path)
    return written


def text(result: Result, form: str, plot: str | None = None) -> str:
    """The result as "md", "csv", "json" or "html". Raises ArzipError where a plot can't be drawn."""
    if form == "html":
        from arzip.bench import report

        return report.html(result)
    return {"md": lambda r: table.markdown(r, plot), "csv": table.csv_text, "json": results.dump}[form](result)


def _content(result: Result, form: str, name: str, has_plot: bool) -> list[tuple[str, bytes]]:
    if form == "png":
        from arzip.bench import plot

        return [(".png", plot.png(result)), ("-dark.png", plot.png(result, plot.DARK))]
    return [(f".{form}", text(result, form, f"{name}.png" if has_plot else None).encode())]
