"""One word for one thing: words that gave way to the field's own don't come back, in identifiers or in prose.

Wire names, tensor names, JSON keys and metadata keys are strings and thereby exempt; printed texts are, too.
"""

from __future__ import annotations

import ast
import io
import re
import shutil
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

import arzip

PACKAGE = Path(arzip.__file__).parent
DOCUMENTS = [PACKAGE.parent / "docs" / "FORMAT.md", PACKAGE.parent / "README.md"]
# A part of an identifier (words between underscores and capitals) -> what to say instead.
RETIRED = {
    "abstain": "skip",
    "anatomy": "cost breakdown",
    "announced": "on_first_compile",
    "chance": "probability",
    "chances": "bit_probabilities",
    "claim": "take_ticket, replace_slots",
    "consult": "lookup",
    "crew": "lane group",
    "crews": "lane groups",
    "dissect": "break_down",
    "finals": "apms",
    "followers": "indirect",
    "haste": "lr_scale",
    "histories": "states",
    "jobs": "fileio, tiles",
    "judge": "compare_codecs, test split",
    "least": "min",
    "lone": "single_block",
    "most": "max",
    "nowhere": "null",
    "opine": "network_probabilities",
    "opinion": "network_p, prediction",
    "opinions": "prefilled, mixer inputs",
    "pace": "learning_rate",
    "places": "positions",
    "primed": "initial, pretrained",
    "priming": "pretraining",
    "rivals": "architectures",
    "selector": "mixer_context",
    "selectors": "mixer_contexts",
    "settle": "clamp",
    "smallest": "min",
    "strangers": "foreign_magic",
    "stretches": "bands",
    "talk": "reporter",
    "teach": "update",
    "tick": "on_bytes",
    "verdict": "summary_line",
}
EXEMPT = {"tick_params"}  # matplotlib's
# Whole identifiers that gave way, made of words that are fine elsewhere.
RETIRED_NAMES = {
    "DEVICE_MEMORY_LANES": "DEVICE_CM_LANES",
    "DeviceMemory": "DeviceState",
    "FOLLOWERS": "INDIRECT_CONTEXTS",
    "FloatNetwork": "QatNetwork",
    "GIVE_UP": "MAX_MISSES",
    "HISTORIES": "STATES",
    "LINE_WORD": "FIRST_FIELD",
    "Memory": "CMState",
    "NO_MEMORY": "NO_CM_PROFILE",
    "OwnData": "UserData",
    "ROW": "RECORD_LENGTH",
    "ROW2": "RECORD_LENGTH2",
    "choose_rows": "detect_record_length",
    "final_weights": "layer2_weights",
    "history_tables": "state_table",
    "inlined": "inline_njit",
    "known_ngrams": "ngrams_of",
    "map_parts": "map_slices",
    "no_network": "empty_network",
    "over_field": "field_byte_above",
    "second_opinion": "prediction_step",
    "weight_sum": "freq_sum",
}
# Words of comments, docstrings and documents. Strings of a program are not prose: names of tensors stand there.
RETIRED_PROSE = {
    "abstains": "is skipped",
    "anatomy": "cost breakdown",
    "consult": "look up",
    "consulted": "looked up",
    "consults": "looks up",
    "crew": "lane group",
    "crews": "lane groups",
    "haste": "lr_scale",
    "nobody": "a subject and a verb",
    "opinion": "prediction, probability",
    "opinions": "predictions, probabilities",
    "pace": "learning rate",
    "primed": "pretrained",
    "settles": "clamps",
    "taught": "updated",
    "teaches": "updates",
    "whoever": "a subject and a verb",
}


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
    whole = sorted(set(identifiers(source)) & set(RETIRED_NAMES))
    return [f"{name}: {RETIRED[word]}" for name, word in sorted(found)] + [f"{n}: {RETIRED_NAMES[n]}" for n in whole]


def prose(source: str) -> str:
    """The comments and docstrings of a module."""
    parts = [t.string for t in tokenize.generate_tokens(io.StringIO(source).readline) if t.type == tokenize.COMMENT]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            parts.append(ast.get_docstring(node) or "")
    return "\n".join(parts)


def retired_prose(text: str) -> list[str]:
    """The retired words of a text, with what to say instead; `code` with underscores counts as one word."""
    found = set(re.findall(r"\w+", text.lower())) & set(RETIRED_PROSE)
    return [f"{word}: {RETIRED_PROSE[word]}" for word in sorted(found)]


def complaints(package: Path) -> dict[str, list[str]]:
    """Module -> retired words in it, of the modules of a package that have any."""
    found = {}
    for path in package.rglob("*.py"):
        source = path.read_text("utf-8")
        if words_found := [*retired(source), *retired_prose(prose(source))]:
            found[str(path.relative_to(package))] = words_found
    return found


def test_retired_words_do_not_come_back() -> None:
    assert complaints(PACKAGE) == {}


def test_a_word_planted_in_the_package_is_seen(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    shutil.copy(PACKAGE / "levels.py", tmp_path)
    planted = (PACKAGE / "train" / "trainer.py").read_text("utf-8") + "\nopinion = 1  # whoever reads it\n"
    (tmp_path / "train" / "trainer.py").write_text(planted, "utf-8")
    assert {path: len(found) for path, found in complaints(tmp_path).items()} == {"train/trainer.py": 2}


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


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_documents_use_the_same_words(path: Path) -> None:
    if not path.exists():
        pytest.skip("no documents beside an installed package")
    assert retired_prose(path.read_text("utf-8")) == []


def test_a_planted_name_or_sentence_is_seen() -> None:
    assert retired("from x import CMState, states") == [] == retired_prose("A lane group looks up `primed_on_bytes`.")
    assert retired("class Memory: pass") == ["Memory: CMState"]
    planted = '"""Whoever reads."""\nx = "opinion"  # the crew\ndef f():\n    "It consults."\n'
    assert [line.split(":")[0] for line in retired_prose(prose(planted))] == ["consults", "crew", "whoever"]
