"""Where memory ends, the command says so: no internal error, no traceback, no endless wait."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import compress, english

import arzip
from arzip.cli.args import Settings
from arzip.cli.messages import ERROR, Reporter
from arzip.codec import Options
from arzip.weights import file, registry


class PanicException(BaseException):
    """As that of extension modules in Rust, which is no Exception."""


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("can't start new thread"),
        ImportError("libstdc++.so.6: failed to map segment from shared object"),
        OSError("x.so: cannot allocate memory in static TLS block"),
        PanicException("PyObject pointer is null"),
    ],
)
def test_whatever_says_that_memory_is_short_is_told_in_three_words(
    error: BaseException, capsys: pytest.CaptureFixture[str]
) -> None:
    def job(name: str) -> None:
        raise error

    assert Reporter(Settings()).each(["x"], job) == ERROR
    assert capsys.readouterr().err == "arzip: x: not enough memory\n"


def test_a_file_whose_name_speaks_of_memory_is_reported_as_what_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    def job(name: str) -> None:
        Path(f"/nowhere/{name}").read_bytes()

    assert Reporter(Settings()).each(["bad_alloc"], job) == ERROR
    assert "not enough memory" not in capsys.readouterr().err


def test_other_panics_are_not_swallowed() -> None:
    def job(name: str) -> None:
        raise PanicException("another")

    with pytest.raises(PanicException):
        Reporter(Settings()).each(["x"], job)


def test_memory_for_a_model_is_there_before_it_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    """safetensors ended in a panic where memory ended, and in some bands of limits didn't come back."""
    monkeypatch.setattr(file, "LOAD_ROOM", 1 << 62)
    monkeypatch.setattr(file, "load", lambda data: pytest.fail("parsed"))
    with pytest.raises(MemoryError):
        file.load_weights(registry.find("small"))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="address space is limited on Linux")
@pytest.mark.parametrize("megabytes", [40, 110, 170, 230, 290])
def test_any_limit_of_address_space_ends_in_an_error_or_in_the_whole_output(megabytes: int, tmp_path: Path) -> None:
    import resource

    raw, archive, target = english(4000), tmp_path / "x.arz", tmp_path / "x"
    archive.write_bytes(compress(raw, Options(6, threads=1)))
    limit = (megabytes << 20, megabytes << 20)
    done = subprocess.run(
        [sys.executable, "-m", "arzip", "-d", "-T2", str(archive)],
        env={**os.environ, "PYTHONPATH": str(Path(arzip.__file__).parents[1]), "RUST_BACKTRACE": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, limit),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    assert "Traceback" not in done.stderr and "internal error" not in done.stderr
    assert (target.read_bytes() == raw) if done.returncode == 0 else not target.exists()
    assert not list(tmp_path.glob(".arzip-*"))
