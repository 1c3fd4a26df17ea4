"""undo_mends.py [FAULT]...: undo the mend of each fault in a copy of the checkout, and see its tests fail.

Prints a table: fault, what is undone, the tests that fail then. Exit 1 if an edit doesn't apply, a test passes with the
mend undone, or one fails with nothing undone. The mends stand in mends.py; docs/TRUST.md keeps the table.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from mends import MENDS, Mend

ROOT = Path(__file__).parents[2]
COPIED = ("arzip", "tests", "docs", "scripts", "models", "README.md", "pyproject.toml", "Makefile")
ADDRESS_BYTES = 6 << 30  # of a test: a frame of 65,535 lanes took 17 GB
LIMIT_SECONDS = 600
TESTS_FAILED = 1  # pytest's exit code


def main() -> None:
    wanted = set(sys.argv[1:])
    chosen = [each for each in MENDS if not wanted or each.fault in wanted]
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        copy(root)
        tests = sorted({test for each in chosen for test in each.tests})
        code, out = run(root, tests)
        if code:
            sys.exit(f"with nothing undone:\n{out}")
        print("| fault | undone | fails then |\n|---|---|---|", flush=True)
        wrong = sum(undo(root, each) for each in chosen)
    sys.exit(wrong > 0)


def copy(root: Path) -> None:
    """The checkout, without what Python compiled."""
    for part in COPIED:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, root / part, ignore=shutil.ignore_patterns("__pycache__"))
        elif (ROOT / part).exists():
            shutil.copy2(ROOT / part, root / part)


def undo(root: Path, mend: Mend) -> bool:
    """Run a mend's tests without it and print the line; whether one passes all the same."""
    path = root / mend.file
    whole = path.read_text("utf-8")
    text = whole
    for there, undone in mend.edits:
        if text.count(there) != 1:
            sys.exit(f"{mend.file}: not there, or not once: {there!r}")
        text = text.replace(there, undone)
    path.write_text(text, "utf-8")
    keep_kernels(root)
    outcomes = {test: run(root, [test]) for test in mend.tests}
    path.write_text(whole, "utf-8")
    keep_kernels(root)
    named = [test.split("::")[1].removeprefix("test_") for test in mend.tests]
    passed = [test for test, (code, _) in outcomes.items() if code != TESTS_FAILED]
    ending = f"; **PASSES: {', '.join(passed)}**" if passed else ""
    print(f"| {mend.fault} | {mend.undoing} | {', '.join(f'`{each}`' for each in named)}{ending} |", flush=True)
    for test in passed:
        print(outcomes[test][1], file=sys.stderr)
    return bool(passed)


def keep_kernels(root: Path) -> None:
    """Let compiled kernels stand for the sources as they are: no edit is in one (test_mends.py)."""
    code = "from arzip.jit.sources import source_stamp; print(source_stamp())"
    stamp = subprocess.check_output([sys.executable, "-c", code], cwd=root, text=True).strip()
    for path in root.glob("arzip/jit/compiled/*.json"):
        index = json.loads(path.read_text("utf-8"))
        path.write_text(json.dumps({**index, "stamp": stamp}), "utf-8")


def run(root: Path, tests: list[str]) -> tuple[int, str]:
    """pytest's exit code and what it said; it stops at the first test that fails."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    environment = {**os.environ, "PYTHONPATH": ".", "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            [*command, *(f"tests/{test}" for test in tests)],
            cwd=root,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=LIMIT_SECONDS * (1 if len(tests) == 1 else 4),
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_BYTES, ADDRESS_BYTES)),
        )
    except subprocess.TimeoutExpired:
        return TESTS_FAILED, "no end"
    return done.returncode, done.stdout[-3000:]


if __name__ == "__main__":
    main()
