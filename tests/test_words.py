"""One word for one thing: identifiers that gave way to the field's own don't come back."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import arzip

PACKAGE = Path(arzip.__file__).parent
NOT_YET = {"context_mixing", "network", "train"}  # packages whose names still have to follow
# A part of an identifier (words between underscores and capitals) -> what to say instead.
RETIRED = {
    "anatomy": "cost breakdown",
    "announced": "on_first_compile",
    "chance": "probability",
    "chances": "bit_probabilities",
    "crew": "lane group",
    "crews": "lane groups",
    "dissect": "break_down",
    "haste": "lr_scale",
    "jobs": "fileio, tiles",
    "least": "min",
    "lone": "single_block",
    "most": "max",
    "nowhere": "null",
    "opinion": "network_p, prediction",
    "opinions": "prefilled, mixer inputs",
    "pace": "learning_rate",
    "places": "positions",
    "strangers": "foreign_magic",
    "stretches": "bands",
    "talk": "reporter",
    "tick": "on_bytes",
}
EXEMPT = {"tick_params"}  # matplotlib's


def identifiers(source: str) -> Iterator[str]:
    """Every name that a module defines or uses: variables, attributes, parameters, functions, classes, imports."""
    for node in ast.walk(ast.parse(source)):
        for field in ("id", "attr", "arg", "name", "asname"):
            if isinstance(name := getattr(node, field, None), str):
                yield name


def words(identifier: str) -> set[str]:
    """The words of an identifier in small letters."""
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", identifier)}


def retired(source: str) -> list[str]:
    """The retired words in a module's identifiers, with what to say instead."""
    found = {(name, word) for name in identifiers(source) if name not in EXEMPT for word in words(name) & set(RETIRED)}
    return [f"{name}: {RETIRED[word]}" for name, word in sorted(found)]


def test_retired_words_do_not_come_back() -> None:
    found = {}
    for path in PACKAGE.rglob("*.py"):
        if path.relative_to(PACKAGE).parts[0] not in NOT_YET and (complaints := retired(path.read_text("utf-8"))):
            found[str(path.relative_to(PACKAGE))] = complaints
    assert found == {}


def test_a_planted_word_is_seen() -> None:
    assert retired("def fine(lane_group, shares): return almost(lane_group.probability)") == []
    for source in (
        "crew_lanes = 1",
        "def f(opinion): pass",
        "a.dissect()",
        "class Talk: pass",
        "import b as chances",
        "LEAST_BYTES",
    ):
        assert len(retired(source)) == 1
