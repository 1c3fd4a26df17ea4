"""Signals end the command at once: while it starts, compiles, or reads what has no end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

import arzip

PACKAGES = str(Path(arzip.__file__).parent.parent)
STUCK = """
import threading, time
from arzip.cli import process
from arzip.system.workers import Workers
submitted = threading.Event()  # a pool doesn't wait for a thread that it is just starting
try:
    with process.stopped_by_signals(), Workers(1) as workers:
        stuck = workers.submit(lambda _: (submitted.wait(), print("started", flush=True), time.sleep(60)), None)
        submitted.set()
        stuck.result()
except SystemExit as stop:
    process.leave(stop.code)
"""
AT_IMPORT = """
import builtins, os, signal, sys
real = __import__
def hook(name, *args, **kwargs):
    if name == "{name}":
        os.kill(os.getpid(), signal.SIGINT)
    return real(name, *args, **kwargs)
builtins.__import__ = hook
import arzip.__main__
arzip.__main__.run()
"""


def spawn(code: str, *args: str, **environment: str) -> subprocess.Popen[bytes]:
    """Python with SIGINT as a shell leaves it, whoever runs the tests."""
    heeded = partial(signal.signal, signal.SIGINT, signal.default_int_handler)
    return subprocess.Popen(
        [sys.executable, "-c", code, *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=heeded,
        env={**os.environ, "PYTHONPATH": PACKAGES, **environment},
    )


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_thread_that_does_not_stop_holds_nothing_up(number: int, code: int) -> None:
    process = spawn(STUCK)
    assert process.stdout and process.stdout.readline() == b"started\n"
    start = time.monotonic()
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (code, b"")
    assert time.monotonic() - start < 20


@pytest.mark.parametrize("name", ["click", "arzip.cli", "arzip.cli.actions", "arzip.cli.environment"])
def test_a_signal_while_modules_are_imported_ends_it_without_a_traceback(name: str) -> None:
    process = spawn(AT_IMPORT.format(name=name), "-h")
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (-signal.SIGINT, b"")


def test_a_process_that_ignores_ctrl_c_goes_on_ignoring_it() -> None:
    code = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)" + AT_IMPORT.format(name="click")
    process = spawn(code, "-V")
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0 and b"arzip" in out


@pytest.mark.parametrize("how", ["pipe", "endless"])
def test_a_model_path_without_an_end_is_no_model(how: str, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    os.mkfifo(path) if how == "pipe" else path.symlink_to("/dev/zero")
    (tmp_path / "a").write_bytes(b"words " * 100)
    run = "from arzip.__main__ import run\nrun()"
    for args in (["-1c", str(tmp_path / "a")], ["-1c", "-m", str(path), str(tmp_path / "a")], ["models"]):
        process = spawn(run, *args, ARZIP_MODEL_PATH=str(tmp_path))
        out, err = process.communicate(timeout=300)
        assert process.returncode == (1 if "-m" in args else 0), err
        assert bool(out) != ("-m" in args) and err.count(b"\n") == ("-m" in args)


def test_loops_that_may_not_be_compiled_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"words " * 1000)
    process = spawn("from arzip.__main__ import run\nrun()", "-1c", str(tmp_path / "a"), NUMBA_DISABLE_JIT="1")
    out, err = process.communicate(timeout=100)
    assert (process.returncode, out, err.count(b"\n")) == (1, b"", 1)
    assert b"NUMBA_DISABLE_JIT" in err


def test_an_output_that_is_the_input_is_named_once(tmp_path: Path) -> None:
    path = str(tmp_path / "x")
    Path(path).write_bytes(b"words")
    for args in ([path, "-o", path], ["-f", path, "-o", path]):
        process = spawn("from arzip.__main__ import run\nrun()", *args)
        assert process.communicate(timeout=60)[1].decode() == f"arzip: {path}: is the input itself\n"
