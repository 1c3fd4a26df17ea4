"""requirements.py EXTRA...: print what these extras of pyproject.toml need, a requirement a line, without arzip itself.

`make` installs them while the wheel is built.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    from pip._vendor import tomli as tomllib


def requirements(extras: dict[str, list[str]], names: list[str]) -> set[str]:
    """Requirements of the extras of these names and of those that they name as arzip[..]. Raises KeyError."""
    found: set[str] = set()
    for line in (line for name in names for line in extras[name]):
        own = re.fullmatch(r"arzip\[(.+)\]", line)
        found |= requirements(extras, own[1].split(",")) if own else {line}
    return found


if __name__ == "__main__":
    project: dict[str, Any] = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())["project"]
    print(*sorted(requirements(project["optional-dependencies"], sys.argv[1:])), sep="\n")
