"""The manual page is made of the commands' texts, is current, and renders without a warning."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.metadata import files
from pathlib import Path

import pytest

import arzip
from arzip import cli
from arzip.cli.environment import VARIABLES
from arzip.format.records import Header

ROOT = Path(__file__).parents[2]
SHARE = ROOT / "docs" / "share"
GOLDEN = ROOT / "tests" / "golden" / "good"


def run(*command: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]


def needs(program: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"no {program} here")


def test_the_page_is_current() -> None:
    checked = run(sys.executable, ROOT / "scripts" / "man_page.py", "--check")
    assert checked.returncode == 0, checked.stderr


def test_a_page_that_says_something_else_is_seen(tmp_path: Path) -> None:
    for part in ("scripts/man_page.py", "docs/share/arzip.1"):
        (tmp_path / part).parent.mkdir(parents=True)
        shutil.copy(ROOT / part, tmp_path / part)
    page = tmp_path / "docs" / "share" / "arzip.1"
    page.write_text(page.read_text("utf-8").replace("sound", "bad"), "utf-8")
    checked = run(sys.executable, tmp_path / "scripts" / "man_page.py", "--check")
    assert checked.returncode == 1 and "make man" in checked.stderr
    assert run(sys.executable, tmp_path / "scripts" / "man_page.py").returncode == 0
    assert page.read_text("utf-8") == (SHARE / "arzip.1").read_text("utf-8")


@pytest.mark.parametrize(
    "command", [["man", "--warnings", "-l"], ["groff", "-ww", "-man", "-Tutf8"], ["mandoc", "-W", "error"]]
)
def test_the_page_renders_without_a_warning(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    needs(command[0])
    monkeypatch.setenv("MANWIDTH", "100")
    done = run(*command, SHARE / "arzip.1")
    assert done.returncode == 0 and done.stderr == ""
    assert "ARZIP(1)" in done.stdout


def test_the_page_has_every_command_option_and_variable() -> None:
    text = (SHARE / "arzip.1").read_text("utf-8").replace("\\-", "-")
    words = {name for parameter in cli.arzip.params for name in parameter.opts if name.startswith("-")}
    words -= {"--filelist0", "--filelist"}
    words |= {"--filelist[0]", *VARIABLES, *(f"arzip {name} " for name in cli.COMMANDS)}
    assert [word for word in sorted(words) if word not in text] == []


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("text-6.arz", "arzip compressed data, format version 1, model "),
        ("picture-9.arz", "arzip compressed data, format version 1, model "),
    ],
)
def test_file_knows_archives(name: str, said: str) -> None:
    needs("file")
    magic = SHARE / "arzip.magic"
    assert said in run("file", "-m", magic, GOLDEN / name).stdout
    assert run("file", "--brief", "--mime-type", "-m", magic, GOLDEN / name).stdout == "application/x-arzip\n"


def test_file_knows_an_archive_without_a_model_and_nothing_else(tmp_path: Path) -> None:
    needs("file")
    (tmp_path / "a").write_bytes(Header().pack())
    (tmp_path / "b").write_bytes(b"\x8fAZ\n\x1a")
    magic = SHARE / "arzip.magic"
    assert "without a model" in run("file", "-m", magic, tmp_path / "a").stdout
    assert "arzip" not in run("file", "--brief", "-m", magic, tmp_path / "b").stdout


def test_the_wheel_has_the_page() -> None:
    """Of an installed package, the page lies where man looks: share/man of the prefix."""
    if Path(arzip.__file__).is_relative_to(ROOT / "arzip"):
        pytest.skip("runs against the checkout, not against an installed package")
    installed = {Path(str(path)).as_posix().split("share/")[-1] for path in files("arzip") or []}
    assert {"man/man1/arzip.1", "arzip/arzip.magic"} <= installed
