"""Hostile archives with right checks make no kernel leave its arrays. See decode.py."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import arzip

LONG = pytest.mark.skipif(not os.environ.get("ARZIP_LONG_TESTS"), reason="compiles for minutes: ARZIP_LONG_TESTS=1")
TESTS = Path(__file__).parents[1]


def run(*args: str, **environment: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(Path(arzip.__file__).parents[1]), str(TESTS)])
    command = [sys.executable, str(TESTS / "hostile" / "decode.py"), *args]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": path, **environment}
    )


def test_hostile_blocks_are_decoded_to_what_they_stand_for_or_refused() -> None:
    done = run("200")
    assert done.returncode == 0, done.stderr
    words = [line.split() for line in done.stdout.splitlines()]
    counts = {(kind, " ".join(outcome)): int(count) for kind, *outcome, count in words}
    kinds = {kind for kind, _ in counts}
    assert kinds == {"plain", "media", "recipes", "records", "dictionary"}
    assert all(counts[kind, "sound"] and counts[kind, "refused"] for kind in kinds - {"records", "dictionary"})
    assert all(counts[kind, "sound"] and counts[kind, "other bytes"] for kind in ("records", "dictionary"))


@LONG
def test_hostile_blocks_make_no_kernel_leave_its_arrays(tmp_path: Path) -> None:
    checked = {
        **{"NUMBA_BOUNDSCHECK": "1", "ARZIP_KERNELS": "numba", "NUMBA_CACHE_DIR": str(tmp_path / "kernels")},
        **{
            "NUMBA_OPT": "1",
            "NUMBA_LOOP_VECTORIZE": "0",
            "NUMBA_SLP_VECTORIZE": "0",
        },  # compiles faster
    }
    planted = run("--planted", **checked)
    assert planted.returncode != 0 and "IndexError in" in planted.stderr
    made = run(os.environ.get("ARZIP_HOSTILE_TRIALS", "3000"), "--make", str(tmp_path / "blocks"))
    assert made.returncode == 0, made.stderr
    done = run("--checked", str(tmp_path / "blocks"), **checked)
    assert done.returncode == 0, done.stderr
    print(done.stdout)
