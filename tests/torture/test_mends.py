"""Every mend that undo_mends.py undoes is where it says, in no kernel, and every fault of TRUST.md has one."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from torture.mends import MENDS, Mend

ROOT = Path(__file__).parents[2]
UNDONE = {f"{mend.fault} {mend.undoing}: {mend.tests[0]}": mend for mend in MENDS}


def kernels(source: str) -> list[str]:
    """The texts of a module's functions that are compiled."""
    tree = ast.parse(source)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    compiled = [f for f in functions if any("njit" in ast.unparse(d) for d in f.decorator_list)]
    return [ast.get_source_segment(source, function) or "" for function in compiled]


@pytest.mark.parametrize("mend", UNDONE.values(), ids=UNDONE)
def test_a_mend_can_be_undone(mend: Mend) -> None:
    before = source = (ROOT / mend.file).read_text("utf-8")
    for text, undone in mend.edits:
        assert source.count(text) == 1 and undone != text
        source = source.replace(text, undone)
    if mend.file.endswith(".py"):
        assert kernels(source) == kernels(before)
    for test in mend.tests:
        path, name = test.split("::")
        assert f"def {name.split('[')[0]}(" in (ROOT / "tests" / path).read_text("utf-8")


def test_every_fault_has_a_mend_to_be_undone() -> None:
    text = (ROOT / "docs" / "TRUST.md").read_text("utf-8")
    faults = set(re.findall(r"^\| (\d+[a-j]?)\. ", text, re.MULTILINE))
    assert len(faults) == 21 and faults == {mend.fault for mend in MENDS}
