"""What is installed is all of what the checkout has: no sub-package and no weights file is forgotten."""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import pytest

import arzip
from arzip.jit import ready
from arzip.version import __version__
from arzip.weights.registry import HINTS, file_digest, paths

CHECKOUT = Path(__file__).parent.parent
INSTALLED = Path(arzip.__file__).parent


def test_every_module_is_installed() -> None:
    sources = {path.relative_to(CHECKOUT / "arzip") for path in (CHECKOUT / "arzip").rglob("*.py")}
    assert sources and sources == {path.relative_to(INSTALLED) for path in INSTALLED.rglob("*.py")}
    assert (INSTALLED / "py.typed").exists()


def test_every_kernel_for_cuda_is_installed() -> None:
    kernels = {path.name for path in (CHECKOUT / "arzip" / "engine" / "ptx").glob("*")}
    assert kernels and kernels == {path.name for path in (INSTALLED / "engine" / "ptx").glob("*")}


def test_a_plain_install_has_no_torch_and_no_numba() -> None:
    """Where the wheel brings kernels: elsewhere it needs numba."""
    if not ready.IS_INSTALLED or not (INSTALLED / "jit" / "compiled").is_dir():
        pytest.skip("no installed package with compiled kernels")
    tomllib = pytest.importorskip("tomllib")
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    needed = requires("arzip") or []
    assert needed and not [name for name in needed if name.startswith(("torch", "numba")) and "extra" not in name]
    assert all(any(requirement.startswith("torch") for requirement in extras[name]) for name in ("cuda", "train"))
    assert extras["all"] == ["arzip[bench,cuda,jit,pandas,plot,train,zarr]"]


def test_every_weights_file_is_found() -> None:
    assert {path.name for path in (CHECKOUT / "models").glob("*.safetensors*")} <= {path.name for path in paths()}


def test_hints_which_model_has_a_digest_are_right() -> None:
    """Written anew by hand when a model changes: a wrong one costs time only."""
    hints = json.loads((CHECKOUT / "models" / HINTS).read_text("utf-8"))
    assert hints == {path.name: file_digest(path).hex() for path in (CHECKOUT / "models").glob("*.safetensors*")}
    assert any((path.parent / HINTS).is_file() for path in paths())


def test_metadata_has_the_version() -> None:
    try:
        assert version("arzip") == __version__
    except PackageNotFoundError:
        pytest.skip("runs in a checkout that isn't installed")
