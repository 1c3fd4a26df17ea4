"""The folder of a user's data: models and corpora. Standard library only."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def user_data() -> Path:
    """The folder for arzip's data of this user: in XDG_DATA_HOME if that is set, else in the system's usual place."""
    if named := os.environ.get("XDG_DATA_HOME"):
        return Path(named) / "arzip"
    try:
        home = Path.home()
    except RuntimeError:  # a user without HOME whom the system doesn't know
        return Path(os.devnull) / "arzip"  # a place where nothing can be
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "arzip"
    if sys.platform == "darwin":
        return home / "Library" / "Application Support" / "arzip"
    return home / ".local" / "share" / "arzip"
