"""docs/FORMAT.md and docs/RECOMPRESSION_FORMAT.md as tables and sections, for tests that hold constants to them."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
FORMAT = DOCS / "FORMAT.md"
RECOMPRESSION = DOCS / "RECOMPRESSION_FORMAT.md"
Row = list[str]


def text_of(path: Path = FORMAT) -> str:
    return path.read_text("utf-8")


def section(title: str, path: Path = FORMAT) -> str:
    """What stands under a heading, up to the next one of its depth or above."""
    text = text_of(path)
    match = re.search(rf"^(#+) {re.escape(title)}$", text, re.MULTILINE)
    assert match, f"no section {title!r}"
    end = re.compile(rf"^#{{1,{len(match[1])}}} ", re.MULTILINE).search(text, match.end())
    return text[match.end() : end.start() if end else len(text)]


def cells(line: str) -> Row:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def tables(text: str) -> list[tuple[Row, list[Row]]]:
    """Header and rows of each table."""
    found: list[tuple[Row, list[Row]]] = []
    lines = text.splitlines()
    for header, ruler, at in zip(lines, lines[1:], range(2, len(lines) + 1), strict=False):
        if re.fullmatch(r"\|(-+\|)+", ruler):
            rows = []
            while at < len(lines) and lines[at].startswith("|"):
                rows.append(cells(lines[at]))
                at += 1
            found.append((cells(header), rows))
    return found


def table(text: str, first: str) -> list[Row]:
    """The rows of the table whose first column is called `first`."""
    (rows,) = (rows for header, rows in tables(text) if header[0] == first)
    return rows


def numbers(text: str) -> list[int]:
    """Whole numbers in it: 0-2 stands for 0, 1, 2; 2^k is a number."""
    found = []
    for start, power, end in re.findall(r"(\d+)(?:\^(\d+))?(?:-(\d+))?", text):
        value = int(start) ** int(power or 1)
        found += range(value, int(end) + 1) if end else [value]
    return found


def one(pattern: str, text: str) -> list[int]:
    """The numbers in the groups of a pattern that is found once."""
    (match,) = re.finditer(pattern, " ".join(text.split()))
    return [number for group in match.groups() for number in numbers(group)]
