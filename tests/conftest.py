"""Fixtures for all tests. Imports what is heavy only when a test asks for it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from arzip.codec import Options

# The first example may wait for a compiler, and machines are slow at times: no deadline.
settings.register_profile("arzip", deadline=None)
settings.load_profile("arzip")

# Files that take longest come first, so that no process has one of them left when the others are done (`make test`).
LONGEST = (
    "test_memory",
    "test_cuda",
    "test_context_mixing",
    "test_ready",
    "test_slot",
    "test_spmd",
    "test_finetune",
    "test_second_decoder",
    "test_opened",
    "test_wide",
    "test_how_to",
    "test_bcj",
    "test_network",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests by file: LONGEST, then the others as they were found."""
    places = {name: at for at, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(LONGEST)))


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights file of a tiny random network that expects small letters."""
    import tiny_network

    from arzip.weights.file import dump_weights

    path = tmp_path_factory.mktemp("models") / "tiny.safetensors"
    path.write_bytes(dump_weights(tiny_network.SHAPE, tiny_network.lively(), {"name": "tiny"}))
    return path


@pytest.fixture
def options(tiny_model: Path) -> Options:
    """The tiny model, one thread."""
    from arzip.codec import Options

    return Options(model=str(tiny_model), threads=1)


@pytest.fixture
def tiny_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks and windows of 1000 bytes in up to 7 lanes of at least 16 bytes, at every level."""
    from arzip import levels

    tiny = levels.Level(1000, levels.ALWAYS, 7, levels.FAST, levels.FAST)
    monkeypatch.setattr(levels, "LEVELS", (tiny,) * 9)
    monkeypatch.setattr(levels, "WINDOW_BYTES", 1000)
    monkeypatch.setattr(levels, "LANE_BYTES", 16)
