"""A trained network's file on its way back, in pieces of a limited size; written often, so each time as a whole.

exports.json says which pieces make up which file, and its SHA-256: a file that was interrupted half-way is noticed.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

EXPORTS = "exports.json"
PIECE_BYTES = 15 << 20


def write(folder: Path, name: str, data: bytes, facts: dict[str, Any]) -> None:
    """Put a file into `folder` in pieces NAME.0, NAME.1 .., replacing what was there. facts: what else to say of it."""
    pieces = [data[at : at + PIECE_BYTES] for at in range(0, len(data), PIECE_BYTES)]
    names = [f"{name}.{k}" for k in range(len(pieces))]
    for piece_name, piece in zip(names, pieces, strict=True):
        (folder / (piece_name + ".part")).write_bytes(piece)
    for piece_name in names:
        (folder / (piece_name + ".part")).replace(folder / piece_name)
    entry = {"pieces": names, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} | facts
    part = folder / (EXPORTS + ".part")
    part.write_text(json.dumps(read_index(folder) | {name: entry}, indent=1), "utf-8")
    part.replace(folder / EXPORTS)


def read_index(folder: Path) -> dict[str, dict[str, Any]]:
    """What exports.json says, by the files' names; nothing if there is none."""
    path = folder / EXPORTS
    index: dict[str, dict[str, Any]] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    return index


def read(folder: Path, name: str) -> bytes:
    """The whole file. Raises ValueError where it is missing, incomplete, or its pieces are of two writings."""
    entry = read_index(folder).get(name)
    if entry is None:
        raise ValueError(
            f"{folder}: no export is called {name!r}; there are: {', '.join(read_index(folder)) or 'none'}"
        )
    try:
        data = b"".join((folder / piece).read_bytes() for piece in entry["pieces"])
    except OSError as error:
        raise ValueError(f"{error.filename}: {error.strerror}") from error
    if hashlib.sha256(data).hexdigest() != entry["sha256"]:
        raise ValueError(f"{name}: its pieces don't make the file that {EXPORTS} describes")
    return data
