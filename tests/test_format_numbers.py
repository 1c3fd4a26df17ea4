"""Every number of docs/FORMAT.md stands in the second decoder's modules of the same section: a tripwire.

test_format_tables.py reads tables; here it is the formulas between them. A number that is changed in the text alone is
missing in the code, unless the code has the same number for another purpose.
"""

from __future__ import annotations

import ast
import json
import re
import sys
import zlib
from functools import cache
from pathlib import Path

import pytest
from reference import decoder, spec

FOLDER = Path(decoder.__file__).parent
SMALLEST = 12  # numbers below are everywhere
MODULES = {
    "Block coding": ("blocks.py", "repeats.py", "filters.py", "lanes.py", "range_decoder.py", "opened.py"),
    "The network": ("network.py", "weights.py"),
    "The memory": ("memory/*.py",),
    "Sound": ("sound.py", "media.py"),
    "Pictures": ("picture.py", "media.py", "sound.py"),
    "Arrays": ("array.py", "media.py"),
    "Opened files (a section of FORMAT.md)": (
        "opened.py",
        "deflate.py",
        "tokens.py",
        "deviations.py",
        "trees.py",
        "rows.py",
    ),
}
PROSE = {  # numbers that no formula needs: of other specs, of bits, spelt in binary or hexadecimal, ends of ranges
    "Block coding": {23, 1951, 1979, 10000, 100101, 1 << 50},
    "The network": {12, 1952},
    "The memory": {183, 245, 4095},
    "Sound": {31},
    "Opened files (a section of FORMAT.md)": {25, 31, 50, 284, 1951, 1 << 21},
}


def folded(node: ast.AST) -> int | None:
    """The value of an expression of whole numbers."""
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        return int(node.value)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = folded(node.operand)
        return None if value is None else -value
    if isinstance(node, ast.BinOp):
        left, right = folded(node.left), folded(node.right)
        if left is not None and right is not None:
            by_kind = {ast.Add: left + right, ast.Sub: left - right, ast.Mult: left * right}
            if isinstance(node.op, ast.LShift | ast.Pow) and 0 <= right < 100:
                return left << right if isinstance(node.op, ast.LShift) else left**right
            return by_kind.get(type(node.op))
    return None


@cache
def numbers_of(pattern: str) -> frozenset[int]:
    """All numbers in modules."""
    found: set[int] = set()
    paths = [*FOLDER.glob(pattern)]
    assert paths, pattern
    for node in (node for path in paths for node in ast.walk(ast.parse(path.read_text("utf-8")))):
        if isinstance(node, ast.expr) and (value := folded(node)) is not None:
            found |= {abs(value)}
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.RShift) and (by := folded(node.right)):
            found |= {1 << by}
        elif isinstance(node, ast.Constant) and isinstance(node.value, bytes):
            found |= {*node.value}
    return frozenset(found)


def numbers_in(text: str) -> set[int]:
    """Numbers from SMALLEST on in a section, those of tables' rows left out."""
    lines = [line for line in text.splitlines() if not line.startswith(("|", "Code:"))]
    found = set()
    for number, power in re.findall(r"(?<![\w.])(0x[0-9A-Fa-f]+|\d+)(?:\^(\d+))?(?![\w.]*\w)", "\n".join(lines)):
        found.add(int(number, 16 if number.startswith("0x") else 10) ** int(power or 1))
    return {number for number in found if number >= SMALLEST}


@pytest.mark.parametrize("title", MODULES)
def test_every_number_of_a_section_is_in_the_decoder(title: str) -> None:
    path = spec.RECOMPRESSION if title.startswith("Opened") else spec.FORMAT
    known = frozenset[int]().union(*(numbers_of(pattern) for pattern in (*MODULES[title], "numbers.py")))
    assert numbers_in(spec.section(title, path)) - known == PROSE.get(title, set())


def test_planted_number_is_seen() -> None:
    text = "z = clip((32 + x) >> 6, -3200, 3200), 0x9E3779B97F4A7C15, 2^13; RFC1951, 2.5"
    assert numbers_in(text) == {32, 3200, 0x9E3779B97F4A7C15, 1 << 13}
    assert 11585 in numbers_of("network.py") and 11586 not in numbers_of("network.py")


# Formulas that stand by themselves, indented, have small numbers too: each is known by its CRC-32. Whoever changes one
# changes the decoder and the kernels with it, and then runs this file with --write.

KNOWN = Path(__file__).parent / "reference" / "formulas.json"


def formulas(text: str) -> dict[str, str]:
    """CRC-32 -> first line, of each indented paragraph; spaces don't count."""
    found = {}
    for paragraph in re.findall(r"(?:^    .+\n)+", text, re.MULTILINE):
        lines = [" ".join(line.split()) for line in paragraph.splitlines()]
        found[f"{zlib.crc32(chr(10).join(lines).encode()):08x}"] = lines[0]
    return found


def all_formulas() -> dict[str, str]:
    return formulas(spec.text_of(spec.FORMAT)) | formulas(spec.text_of(spec.RECOMPRESSION))


def test_no_formula_has_changed() -> None:
    known = json.loads(KNOWN.read_text("utf-8"))
    assert len(known) > 30
    gone = {crc: line for crc, line in known.items() if crc not in all_formulas()}
    assert gone == {}, "formulas of the spec have changed: so must the decoder and the kernels; then --write"


def test_planted_change_of_a_formula_is_seen() -> None:
    text = "\n    x = y + 2\n    z = (3)\n\n"
    assert formulas(text) == formulas(text.replace("= y", "=   y")) != formulas(text.replace("2", "3"))
    assert [*formulas(text).values()] == ["x = y + 2"]


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit("usage: python tests/test_format_numbers.py --write")
    KNOWN.write_text(json.dumps(all_formulas(), indent=1) + "\n", "utf-8")
