"""The reference of the API holds what `import arzip` offers; the picture shows what the command printed."""

from __future__ import annotations

import html
import importlib.util
import re
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

import arzip

ROOT = Path(__file__).parents[2]


def script(name: str) -> ModuleType:
    """A module of scripts/."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def words_of(svg: str) -> str:
    """The text of a picture, which is cut where its style changes; without blanks."""
    return re.sub(r"\s", "", html.unescape("".join(re.findall(r"<text[^>]*>([^<]*)</text>", svg))))


def test_the_reference_has_every_name(tmp_path: Path) -> None:
    pytest.importorskip("pdoc")
    script("api_reference").write(tmp_path, ("arzip",))
    page = (tmp_path / "arzip.html").read_text("utf-8")
    assert [name for name in arzip.__all__ if f'id="{name}"' not in page] == []
    assert [name for name in arzip.__all__ if not getattr(arzip, name).__doc__] == []


def test_a_module_whose_library_is_missing_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pdoc")
    monkeypatch.setitem(sys.modules, "numcodecs.abc", None)
    monkeypatch.delitem(sys.modules, "arzip.api.numcodecs", raising=False)
    missing = script("api_reference").write(tmp_path, ("arzip", "arzip.api.numcodecs"))
    assert missing == ["arzip.api.numcodecs"] and (tmp_path / "arzip.html").exists()


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
def test_the_picture_shows_what_was_printed() -> None:
    picture = script("picture")
    shown = words_of(picture.record(("arzip --version", "wc -c < topics.txt")).export_svg(title="arzip"))
    assert f"$arzip--versionarzip{arzip.__version__}" in shown and str(picture.SAMPLE_BYTES) in shown
    with pytest.raises(SystemExit, match="no such file"):
        picture.record(("arzip missing",))


def test_the_picture_has_every_command() -> None:
    shown = words_of((ROOT / "docs" / "command.svg").read_text("utf-8"))
    assert [line for line in script("picture").COMMANDS if line.replace(" ", "") not in shown] == []
