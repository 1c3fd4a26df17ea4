"""The benchmark of what more cores bring runs, and restores what it times."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from helpers import english

ROOT = Path(__file__).parents[2]


def test_threads_and_records_are_timed(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(english(30_000))
    command = [sys.executable, ROOT / "benchmarks" / "cores.py", tmp_path / "text", "-o", tmp_path / "result.json"]
    options = ["--levels", "1", "--threads", "1,2", "--rounds", "1", "--records", "8"]
    printed = subprocess.run([*command, *options], check=True, capture_output=True, text=True, cwd=ROOT).stdout
    found = json.loads((tmp_path / "result.json").read_text("utf-8"))
    assert "-1, 2 threads: there" in printed
    assert set(found["levels"]["1"]["seconds"]) == {"1", "2"}
    assert found["records"]["records"] == 8
