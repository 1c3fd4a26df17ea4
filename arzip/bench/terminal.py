"""Output on the terminal: a table that grows, progress, and the final tables. The only importer of rich in bench."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from arzip.bench import table
from arzip.bench.results import Result, Row, unique

WIDTH = 160  # without a terminal
NARROW = 108  # on terminals narrower than this, optional columns are left out
LIVE_ROWS = 24  # rows of the growing table
Step = Callable[[str, Row | None], None]


@contextmanager
def progress(wanted: bool, count: int, result: Result) -> Iterator[Step]:
    """A function to call at the start of each cell (its name, None) and at its end (its name, the row)."""
    if not wanted:
        yield lambda name, row: None
        return
    columns = BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}")
    console, bar = Console(stderr=True), Progress(*columns)
    task = bar.add_task("", total=count)
    with Live(Group(_rows([], console), bar), console=console, transient=True, refresh_per_second=8) as live:

        def step(name: str, row: Row | None) -> None:
            bar.update(task, description=escape(name), advance=1 if row else 0)
            live.update(Group(_rows(result.rows[-LIVE_ROWS:], console), bar))

        yield step


def show(result: Result) -> None:
    """Rows, totals and notes on stdout."""
    console = Console(file=sys.stdout)
    if not console.is_terminal:
        console = Console(file=sys.stdout, width=WIDTH)
    console.print(_rows(result.rows, console))
    corpora = result.corpora()
    for corpus in corpora if len(corpora) == 1 else [*corpora, ""]:
        totals = result.totals(corpus)
        if totals and totals[0].files > 1:
            title = f"{corpus or 'all corpora'}: {totals[0].files} files, {totals[0].raw_bytes:,} bytes"
            lines = [table.total_cells(total) for total in totals]
            console.print(_table(title, table.TOTAL_HEADINGS, lines, drop=("files", "raw bytes", "measured", "device")))
    for note in [table.machine_line(result), *table.notes(result)]:
        console.print(f"- {note}", style="dim", markup=False, highlight=False)


def _rows(rows: Sequence[Row], console: Console) -> Table:
    """The table of rows, grouped by file. The device has a column unless all rows are of the CPU."""
    drop = ["file", "verified"] + ["device"] * all(row.device == "cpu" for row in rows)
    drop += ["ratio", "peak MB", "measured"] * (console.width < NARROW)
    headings = [heading for heading in table.ROW_HEADINGS if heading not in drop]
    grown = _table("", table.ROW_HEADINGS, [], drop=drop)
    for corpus, file in unique((row.corpus, row.file) for row in rows):
        own = [row for row in rows if (row.corpus, row.file) == (corpus, file)]
        heading = f"[bold]{escape(file)}[/] [dim]{own[0].raw_bytes:,}[/]"
        grown.add_row(heading, *[""] * (len(headings) - 1))
        best = min((row.packed_bytes for row in own if row.packed_bytes is not None), default=None)
        for row in own:
            cells = dict(zip(table.ROW_HEADINGS, table.row_cells(row), strict=True))
            style = "red" if not row.verified else "green" if row.packed_bytes == best else ""
            grown.add_row(*(escape(cells[heading]) for heading in headings), style=style)
        grown.add_section()
    return grown


def _table(title: str, headings: Sequence[str], lines: Sequence[Sequence[str]], drop: Sequence[str]) -> Table:
    grown = Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for heading in headings:
        if heading not in drop:
            grown.add_column(
                heading.replace(" ", "\n"), justify="left" if heading in table.WORDS else "right", no_wrap=True
            )
    for line in lines:
        grown.add_row(*(escape(c) for c, heading in zip(line, headings, strict=True) if heading not in drop))
    return grown
