"""Kernels compiled ahead of time: they do what numba's would do, and everything Python calls is among them."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import arzip
from arzip.jit import ready
from arzip.jit.kernel_parameters import flatten
from arzip.jit.sources import source_stamp

ROOT = Path(arzip.__file__).parent.parent
TESTS = Path(__file__).parent.parent
COMPILER = shutil.which(os.environ.get("CC", "cc"))
LONG = os.environ.get("ARZIP_LONG_TESTS", "") not in ("", "0")
HERE = next((target for target in ready.TARGETS if ready.fits(target)), None)
needs_target = pytest.mark.skipif(not HERE, reason="kernels are shipped for no processor like this one")
needs_library = pytest.mark.skipif(
    not ready.open_library(ready.FOLDER), reason="this package brings no kernels for this processor"
)
# Kernels of all kinds of arguments and results that compiled ones have.
SOURCE = """
import numpy as np
from typing import Any, NamedTuple
from arzip.jit.compile import njit

class Pair(NamedTuple):
    left: Any
    right: Any

@njit()
def mixed(pair, flag, nothing, step):
    return np.int64(pair.left[0, 1]) + pair.right * step + (1 if flag else 0), flag, (flag, step)

@njit()
def grown(n, view):
    made = np.empty(n, np.uint8)
    for i in range(n):
        made[i] = i + view[i % view.size]
    return made, made[:2], n

@njit()
def nothing(a):
    a[:] += 1

@njit()
def fails(n):
    if n > 3:
        raise ValueError("too large")
    return n
"""
BUILD = """
import ctypes, json, sys
from pathlib import Path
import numpy as np
from numba import typeof
from arzip.jit import aot, ready
target = {t.name: t for t in ready.TARGETS}[sys.argv[1]]
sys.path.insert(0, sys.argv[2])
import kernels_to_ship as k
from kernels_to_ship_calls import calls
aot.build_for(target)
folder = Path(sys.argv[2])
for name, args in calls(k).items():
    made = aot.compile_kernel(getattr(k, name), [typeof(a) for a in args], target, "arzip_" + name)
    (folder / f"{name}.o").write_bytes(made.code)
    (folder / f"{name}.json").write_text(json.dumps(made.result))
"""
CALLS = """
import numpy as np

def calls(k):
    table = np.arange(6, dtype=np.int16).reshape(2, 3)
    return {
        "mixed": (k.Pair(table, np.int64(7)), True, None, 3),
        "grown": (10, np.arange(20, dtype=np.uint8)[::2]),
        "nothing": (np.arange(4, dtype=np.int64),),
        "fails": (2,),
    }
"""


class Shipped(NamedTuple):
    """Kernels of SOURCE, compiled ahead of time, and arguments for them."""

    calls: dict[str, ready.Call]
    arguments: dict[str, tuple[Any, ...]]


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shipped]:
    """SOURCE's kernels as the wheel's are made."""
    if not COMPILER or not HERE:
        pytest.skip("kernels are made on x86-64, with a C compiler")
    folder = tmp_path_factory.mktemp("kernels")
    (folder / "kernels_to_ship.py").write_text(SOURCE)
    (folder / "kernels_to_ship_calls.py").write_text(CALLS)
    environment = {**os.environ, "ARZIP_KERNEL_TARGET": ",".join(HERE.features), "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", BUILD, HERE.name, str(folder)], check=True, env=environment)
    objects = [str(path) for path in folder.glob("*.o")]
    subprocess.run([COMPILER, "-shared", "-o", str(folder / "all.so"), *objects], check=True)
    library = ctypes.CDLL(str(folder / "all.so"))
    names = [path.stem for path in folder.glob("*.json")]
    calls = {n: ready._caller(library[f"arzip_{n}"], json.loads((folder / f"{n}.json").read_text())) for n in names}
    sys.path.insert(0, str(folder))
    import kernels_to_ship  # type: ignore[import-not-found]
    import kernels_to_ship_calls  # type: ignore[import-not-found]

    yield Shipped(calls, kernels_to_ship_calls.calls(kernels_to_ship))
    sys.path.remove(str(folder))


def test_numbers_tuples_and_nothing_go_in_and_out(shipped: Shipped) -> None:
    assert shipped.calls["mixed"](shipped.arguments["mixed"]) == (1 + 7 * 3 + 1, True, (True, 3))


def test_arrays_that_a_kernel_allocates_are_returned_as_copies(shipped: Shipped) -> None:
    args = shipped.arguments["grown"]
    for _ in range(1000):
        made, first, n = shipped.calls["grown"](args)
    assert made.tolist() == [i + 2 * i for i in range(10)] and first.tolist() == [0, 3] and n == 10
    assert made.flags.writeable


def test_arrays_are_written_in_place(shipped: Shipped) -> None:
    array = np.arange(4, dtype=np.int64)
    assert shipped.calls["nothing"]((array,)) is None
    assert array.tolist() == [1, 2, 3, 4]


def test_a_kernel_that_fails_raises(shipped: Shipped) -> None:
    assert shipped.calls["fails"]((3,)) == 3
    with pytest.raises(RuntimeError, match="fails has failed"):
        shipped.calls["fails"]((4,))


def test_arguments_are_flat_words() -> None:
    array = np.zeros((2, 3), np.int32)
    address = array.ctypes.data
    assert flatten((array, None, True, (7,))) == [address, 2, 3, 1, 7]
    assert flatten(array[:, ::2]) == [address, 2, 2, 12, 8]


@pytest.mark.parametrize(
    "value, text",
    [
        (np.zeros((2, 2), np.uint8), "|u1[2]"),
        (np.zeros((2, 2), np.int32)[:, :1], "<i4[2s]"),
        (np.frombuffer(b"abc", np.uint8), "|u1[1r]"),
        ((1, True, None), "(i8,b1,none)"),
        (np.int64(1), "i8"),
    ],
)
def test_types_have_names(value: Any, text: str) -> None:
    assert ready.signature_of((value,)) == f"({text})"


def test_kernels_of_other_sources_are_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not HERE:
        pytest.skip("kernels are shipped for no processor like this one")
    index = tmp_path / f"{HERE.name}.json"
    monkeypatch.setattr(ready, "IS_INSTALLED", False)
    monkeypatch.setattr(ready, "MODE", "auto")
    for stamp, taken in (("of another day", False), (source_stamp(), True)):
        index.write_text(json.dumps({"stamp": stamp, "kernels": {}}))
        ready.open_library.cache_clear()
        assert bool(ready.open_library(tmp_path)) is taken
    ready.open_library.cache_clear()


def run(mode: str, levels: str, *kinds: str) -> list[str]:
    """Lines of every_kind.py, of all kinds of data or of these, with ARZIP_KERNELS set to `mode`."""
    paths = os.pathsep.join([str(ROOT), str(TESTS)])
    environment = {**os.environ, "ARZIP_KERNELS": mode, "PYTHONPATH": paths}
    command = [sys.executable, str(Path(__file__).with_name("every_kind.py")), levels, *kinds]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.splitlines()


@needs_library
def test_every_level_and_kind_of_data_needs_no_numba() -> None:
    *_, numba = run("ready", "123469" if LONG else "19")
    assert numba == "False"


@needs_library
def test_archives_are_those_of_numba() -> None:
    which = ("16",) if LONG else ("1", "short")
    *ahead, _ = run("ready", *which)
    *at_run_time, numba = run("numba", *which)
    assert numba == "True" and ahead == at_run_time
