"""The folder of a user's data: models and corpora. Standard library only."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def user_data() -> Path:
    """The folder for arzip's data of this user: in XDG_DATA_HOME if that is set, else in the system's usual place."""
    if named := os.environ.get("XDG_DATA_HOME"):
        return Path(named) / "arzip"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "arzip"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "arzip"
    return Path.home() / ".local" / "share" / "arzip"
