"""What --cluster goes with; the work itself is tests/cluster's."""

from __future__ import annotations

from pathlib import Path

import pytest

from arzip.cli import main


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--resume", "a"], "--resume goes with --cluster"),
        (["--cluster", "local"], "needs names of files"),
        (["--cluster", "local", "-"], "needs names of files"),
        (["--cluster", "local", "-c", "a"], "needs names of files"),
        (["--cluster", "local", "--rm", "a"], "--rm doesn't go with --cluster"),
        (["--cluster", "local", "-d", "--salvage", "a"], "--salvage doesn't go with --cluster"),
        (["--cluster", "local", "-d", "--range", "1:2", "a"], "--range doesn't go with --cluster"),
        (["--cluster", "local", "--verify", "a"], "--verify doesn't go with --cluster"),
        (["--cluster", "local", "-d", "--max-output", "9", "a"], "--max-output doesn't go with --cluster"),
        (["--cluster", "local", "--filelist", "a"], "needs names of files"),
        (["--cluster", "local", "-l", "a"], "--cluster doesn't go with it"),
        (["--cluster", "local", "-t", "--resume", "a"], "--resume doesn't go with -t"),
        (["--cluster", "local", "-o", "x", "a", "b"], "-o names one output"),
    ],
)
def test_options_without_a_use_on_a_cluster_are_refused(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == 1
    assert message in capsys.readouterr().err
