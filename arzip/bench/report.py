"""The result as one self-contained HTML file: sortable tables and the plot, light and dark."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from string import Template

from arzip.bench import plot, table
from arzip.bench.results import Result


def html(result: Result) -> str:
    """The result as an HTML page. Raises ArzipError if the plot can't be drawn."""
    corpora = result.corpora()
    totals = []
    for corpus in corpora if len(corpora) == 1 else ["", *corpora]:
        lines = [table.total_cells(total) for total in result.totals(corpus)]
        best = _indices_of_min([total.packed_bytes for total in result.totals(corpus)])
        title = f"{corpus or 'All corpora'}: all files"
        totals.append(
            f"<h2>{escape(title)}</h2>\n<div class=wide>{_table('', table.TOTAL_HEADINGS, lines, best)}</div>"
        )
    best = set[int]()
    for file in result.files():
        sizes = [row.packed_bytes if (row.corpus, row.file) == file else None for row in result.rows]
        best |= _indices_of_min(sizes)
    rows = _table("rows", table.ROW_HEADINGS, [table.row_cells(row) for row in result.rows], best)
    page = Template(files("arzip.bench").joinpath("report.html").read_text(encoding="utf-8"))
    return page.substitute(
        title=escape(f"Compressors on {', '.join(corpora)}"),
        machine=escape(table.machine_line(result)),
        plot=plot.svg(result),
        totals="\n".join(totals),
        rows=rows,
        notes="\n".join(f"<li>{escape(note)}</li>" for note in [*table.failures(result), *table.notes(result)]),
    )


def _indices_of_min(values: Sequence[int | None]) -> set[int]:
    """The indices of the smallest values."""
    present = [value for value in values if value is not None]
    return {index for index, value in enumerate(values) if present and value == min(present)}


def _table(name: str, headings: Sequence[str], lines: Sequence[Sequence[str]], best: set[int]) -> str:
    """An HTML table. data-key of a cell: its sort key; "" is sorted last in both directions."""
    sides = ["left" if heading in table.WORDS else "" for heading in headings]
    heads = "".join(
        f'<th scope="col" class="{side}"><button>{escape(heading)}</button></th>'
        for heading, side in zip(headings, sides, strict=True)
    )
    rows = []
    for index, cells in enumerate(lines):
        tone = "best" if index in best else "failed" if any(cell.startswith(table.FAILED) for cell in cells) else ""
        row = "".join(
            f'<td class="{side}" data-key="{escape(_key(cell, side), quote=True)}">{escape(cell)}</td>'
            for cell, side in zip(cells, sides, strict=True)
        )
        rows.append(f'<tr class="{tone}">{row}</tr>')
    found = f' id="{name}"' if name else ""
    return f"<table{found}><thead><tr>{heads}</tr></thead>\n<tbody>\n" + "\n".join(rows) + "\n</tbody></table>"


def _key(cell: str, side: str) -> str:
    """Sort key of a cell: a number without commas and spread, a word as it is, "" for a missing value."""
    if side:
        return cell
    number = re.match(r"[\d,]+(\.\d+)?", cell)
    return number[0].replace(",", "") if number else ""
