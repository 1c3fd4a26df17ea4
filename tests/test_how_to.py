"""Every recipe of docs/how-to is run as it is written, page by page, in an empty folder.

A page holds blocks of shell and Python, and, in comments that readers don't see, what prepares a page (setup), what
must be true after a block (check), and the name of the file that a block is the content of (file).
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import arzip

PAGES = sorted((Path(__file__).parents[1] / "docs" / "how-to").glob("*.md"))
NEEDS = {
    "tar": ["tar"],
    "rsync": ["rsync"],
    "logrotate": ["logrotate"],
    "git": ["git"],
    "pandas": ["pandas", "fsspec"],
    "zarr": ["zarr"],
    "cluster": ["ray", "fsspec"],
    "shell": ["tar"],
}
SEARCHED = os.pathsep.join([os.environ["PATH"], "/usr/sbin"])  # where logrotate lies
BLOCK = re.compile(
    r"<!-- (?P<kind>setup|check)\n(?P<hidden>.*?)-->"
    r"|(?:<!-- file: (?P<file>\S+) -->\n)?```(?P<language>\w*)\n(?P<code>.*?)```",
    re.DOTALL,
)


def blocks(page: str) -> list[tuple[str, str]]:
    """Kind (sh, python, or file and its name) and text of each block, in order."""
    found = []
    for block in BLOCK.finditer(page):
        kind = "sh" if block["kind"] else f"file {block['file']}" if block["file"] else block["language"]
        found.append((kind, block["hidden"] or block["code"]))
    return found


def script(page: str, folder: Path, command: Path) -> str:
    """One shell script of all blocks of a page; blocks of Python are run together, each after those before it."""
    lines, python = ["set -euo pipefail"], ""
    for kind, text in blocks(page):
        if kind == "sh":
            lines.append(text)
        elif kind == "python":
            python += text
            lines.append(f"{sys.executable} - <<'END_OF_PYTHON'\n{python}\nEND_OF_PYTHON")
        else:
            assert kind.startswith("file "), f"a block of {kind!r}"
            lines.append(f"cat > {kind.split()[1]} <<'END_OF_FILE'\n{text}END_OF_FILE")
    places = {"/usr/local/bin/arzip": str(command), "/var/log": f"{folder}/log", "/etc/logrotate.d": "."}
    whole = "\n".join(lines)
    for there, here in places.items():
        whole = whole.replace(there, here)
    return whole


def run(page: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a page in a folder beside which there is an `arzip`, of level 1 unless it says another."""
    command = folder.parent / "bin" / "arzip"
    command.parent.mkdir(parents=True)
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m arzip "$@"\n')
    command.chmod(0o755)
    folder.mkdir(mode=0o755)
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(command.parent), SEARCHED]),
        "PYTHONPATH": str(Path(arzip.__file__).parent.parent),
        "HOME": str(folder.parent),
        "ARZIP_LEVEL": "1",
        "GIT_CONFIG_NOSYSTEM": "1",
    }
    text = script(page, folder, command)
    return subprocess.run(
        ["bash", "-c", text], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_recipes_do_what_they_say(path: Path, tmp_path: Path) -> None:
    for name in NEEDS.get(path.stem, []):
        if (
            shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") is None
            and importlib.util.find_spec(name) is None
        ):
            pytest.skip(f"no {name} here")
    done = run(path.read_text("utf-8"), tmp_path / "here")
    assert done.returncode == 0, done.stderr


def test_a_recipe_that_fails_is_seen(tmp_path: Path) -> None:
    page = (
        "<!-- setup\nprintf x > a\n-->\n```sh\narzip a\n```\n<!-- check\ntest -e a.arz\n-->\n```python\nb = 1\n```\n"
        "<!-- file: c -->\n```\nd\n```\n"
    )
    assert [kind for kind, _ in blocks(page)] == ["sh", "sh", "sh", "python", "file c"]
    assert run(page, tmp_path / "one" / "here").returncode == 0
    assert (tmp_path / "one" / "here" / "c").read_text() == "d\n"
    for fault in (
        page.replace("a.arz", "b.arz"),
        page.replace("b = 1", "assert 0"),
        page.replace("arzip a", "arzip e"),
    ):
        assert run(fault, tmp_path / str(hash(fault)) / "here").returncode != 0


def test_there_are_recipes() -> None:
    assert {"git", "logrotate", "pandas", "rsync", "tar"} <= {path.stem for path in PAGES}
    assert all(blocks(path.read_text("utf-8")) for path in PAGES)
