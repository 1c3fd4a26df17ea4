"""What needs torch says what to install where there is none; everything else works without."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import words

import arzip
from arzip.jit import ready


@pytest.fixture
def without_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For processes that are started: importing torch raises ImportError; numba too, if kernels are at hand."""
    (tmp_path / "hidden").mkdir()
    for name in ("torch", "numba", "llvmlite")[: None if ready.open_library(ready.FOLDER) else 1]:
        (tmp_path / "hidden" / f"{name}.py").write_text(f"raise ImportError('no {name} here')\n")
    package = Path(arzip.__file__).parent.parent
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "hidden"), str(package)]))
    monkeypatch.chdir(tmp_path)


def run(*args: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([sys.executable, "-m", "arzip", *args], capture_output=True, check=False)


@pytest.mark.usefixtures("without_torch")
def test_without_torch_archives_are_made_and_opened(tiny_model: Path, tmp_path: Path) -> None:
    raw, model = words(3000), ["-m", str(tiny_model)]
    (tmp_path / "raw").write_bytes(raw)
    assert run("-6", *model, "raw").returncode == 0
    assert run("-dc", *model, "raw.arz").stdout == raw
    assert run("list", "raw.arz").returncode == 0
    assert b"bpb" in run("eval", "--by-position", *model, "raw").stdout
    assert len(run("sample", *model, "--bytes", "5").stdout) == 5
    assert run("models").returncode == 0
    bench = run("bench", "raw", "--codecs", "gzip,arzip:1", "--runs", "1", *model)
    assert bench.returncode == 0 and b"arzip" in bench.stdout, bench.stderr


@pytest.mark.usefixtures("without_torch")
def test_without_torch_a_command_that_needs_it_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "raw").write_bytes(words(100))
    done = run("train", "raw", "-o", "own.safetensors")
    message = done.stderr.decode()
    assert done.returncode == 1 and message.count("\n") == 1, message
    assert "pip install 'arzip[train]'" in message and "Traceback" not in message
    assert {path.name for path in tmp_path.iterdir()} == {"hidden", "raw"}


@pytest.mark.usefixtures("without_torch")
@pytest.mark.parametrize("command", [[], ["eval"]])
def test_without_a_gpu_one_line_says_that_the_cpu_does_the_same(
    command: list[str], tiny_model: Path, tmp_path: Path
) -> None:
    (tmp_path / "raw").write_bytes(words(100))
    done = run(*command, "--device", "cuda", "raw", "-m", str(tiny_model))
    message = done.stderr.decode()
    if done.returncode == 0:
        pytest.skip("a GPU is at hand")
    assert done.returncode == 1 and message.count("\n") == 1, message
    assert "no CUDA driver is at hand" in message and "use --device cpu: archives are the same" in message


@pytest.mark.usefixtures("without_torch")
def test_without_torch_the_training_tool_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "raw").write_bytes(words(100))
    command = [sys.executable, "-m", "arzip.train", "raw", "-o", "own.safetensors"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
    assert "pip install 'arzip[train]'" in done.stderr
    assert not (tmp_path / "own.safetensors").exists()
