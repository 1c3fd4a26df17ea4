"""The cache of compiled kernels: what is damaged in it is compiled anew."""

from __future__ import annotations

import errno
import importlib.util
import pickle
from pathlib import Path
from typing import Any

import pytest

SOURCE = "from arzip.jit.compile import njit\n\n@njit()\ndef twice(n):\n    return 2 * n\n"


def load(path: Path) -> Any:
    """The module at `path`, run anew."""
    spec = importlib.util.spec_from_file_location("kernels_of_a_test", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def cut(data: bytes) -> bytes:
    """Half a file."""
    return data[: len(data) // 2]


def of_a_class_that_is_gone(data: bytes) -> bytes:
    """A cache's index as an older version of the package may have left it."""
    version = pickle.dumps(pickle.loads(data))
    return version + b"\x80\x04\x8c\x0barzip.codec\x94\x8c\x04Gone\x94\x93\x94."


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module with a kernel, which is cached beside it."""
    monkeypatch.setattr("numba.core.config.CACHE_DIR", str(tmp_path / "cache"))
    module = tmp_path / "kernels_of_a_test.py"
    module.write_text(SOURCE)
    return module


def test_without_a_place_for_a_cache_kernels_are_compiled_all_the_same(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("numba.core.caching.CacheImpl._locator_classes", [])
    assert load(source).twice(3) == 6


@pytest.mark.parametrize("fault", [OSError(errno.ENOSPC, "full"), PermissionError(), OSError(errno.EIO, "broken")])
@pytest.mark.parametrize("name", ["_save_data", "_save_index", "_load_data", "_load_index"])
def test_a_cache_that_cannot_be_used_is_done_without(
    source: Path, fault: OSError, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise fault

    assert load(source).twice(3) == 6
    monkeypatch.setattr(f"numba.core.caching.IndexDataCacheFile.{name}", fail)
    assert load(source).twice(4) == 8
    source.write_text(SOURCE + "# another source\n")
    assert load(source).twice(5) == 10


@pytest.mark.parametrize("suffix", ["nbi", "nbc"])
@pytest.mark.parametrize("damage", [cut, lambda _: b"", lambda _: b"\xff" * 500, of_a_class_that_is_gone])
def test_damaged_cache_file_is_compiled_anew(tmp_path: Path, monkeypatch: Any, suffix: str, damage: Any) -> None:
    monkeypatch.setattr("numba.core.config.CACHE_DIR", str(tmp_path / "cache"))
    module = tmp_path / "kernels_of_a_test.py"
    module.write_text(SOURCE)
    assert load(module).twice(3) == 6
    [file] = (tmp_path / "cache").rglob(f"*.{suffix}")
    whole = file.read_bytes()
    if suffix == "nbc" and damage is of_a_class_that_is_gone:
        pytest.skip("the object file names no class")
    file.write_bytes(damage(whole))
    assert load(module).twice(4) == 8
    again = load(module)
    assert again.twice(5) == 10 and sum(again.twice.dispatcher.stats.cache_hits.values()) == 1  # and cached once more
