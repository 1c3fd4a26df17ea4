"""Write README.md's benchmark, between its two marks, from the newest result in benchmarks/. --check: only compare.

Exit code 1 if there is no result, or with --check if README.md says something else.
"""

from __future__ import annotations

import sys
from pathlib import Path

from arzip.bench import results, table
from arzip.errors import ArzipError

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"


def newest(folder: Path) -> Path | None:
    """The result with the latest date inside; None where there is none."""
    dated = []
    for path in sorted(folder.glob("*.json")):
        dated.append((results.load(path).machine["date"], path))
    return max(dated)[1] if dated else None


def section(path: Path) -> str:
    """Table, plot and notes of a result."""
    result, folder = results.load(path), path.parent.name
    picture = (
        f'<picture>\n<source media="(prefers-color-scheme: dark)" srcset="{folder}/{path.stem}-dark.png">\n'
        f'<img alt="Bits per byte against KB/s" src="{folder}/{path.stem}.png">\n</picture>'
    )
    notes = "\n".join(f"- {note}" for note in table.notes(result))
    every = f"Every file and codec: [{folder}/{path.stem}.md]({folder}/{path.stem}.md)."
    return "\n\n".join([f"{table.machine_line(result)}.", table.summary(result), picture, notes, every])


def filled(readme: str, content: str) -> str:
    """The text with the content between its marks."""
    before, rest = readme.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{content}\n{END}{after}"


def main(root: Path, check: bool) -> None:
    path = newest(root / "benchmarks")
    if path is None:
        sys.exit("bench-readme: no result in benchmarks/; make one by: make bench")
    readme = root / "README.md"
    before = readme.read_text(encoding="utf-8")
    after = filled(before, section(path))
    if check and before != after:
        sys.exit(f"bench-readme: README.md doesn't say what {path.name} does; run: make bench-readme")
    if before != after:
        readme.write_text(after, encoding="utf-8")


if __name__ == "__main__":
    try:
        main(ROOT, "--check" in sys.argv[1:])
    except ArzipError as error:
        sys.exit(f"bench-readme: {error}")
