"""The registry of models: where weights files are found, by name, path or digest.

Standard library only: `list` and `models` must not wait for numpy. Must not read tensors.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from arzip.errors import ModelError, ModelMissingError
from arzip.format.records import DIGEST_BYTES
from arzip.system.files import open_regular
from arzip.system.user_dirs import user_data
from arzip.weights.head import head_of, opened

HINTS = "digests.json"
SUFFIX = ".safetensors"
PACKED = SUFFIX + ".gz"
HINTS_LIMIT_BYTES = 1 << 20


@dataclass(frozen=True)
class ModelInfo:
    """Metadata of a weights file. `digest` is the first four bytes of the file's SHA-256, in hex."""

    name: str
    path: Path
    digest: str
    parameters: int
    file_bytes: int
    metadata: dict[str, str]


def user_folder() -> Path:
    """The folder for a user's own models."""
    return user_data() / "models"


def folders() -> list[Path]:
    """Folders that are searched for models, in order: ARZIP_MODEL_PATH, the user's data folder, the package."""
    named = [Path(p) for p in os.environ.get("ARZIP_MODEL_PATH", "").split(os.pathsep) if p]
    package = Path(__file__).resolve().parent.parent
    return [*named, user_folder(), package / "models", package.parent / "models"]


def name_of(path: Path) -> str:
    """The name of a model: its file name without the suffixes."""
    return path.name.removesuffix(".gz").removesuffix(SUFFIX)


def paths() -> Iterator[Path]:
    """All weights files found; of two with one name, `find` returns the first."""
    for folder in folders():
        if os.path.isfile(folder):
            yield folder
        else:
            found: list[Path] = []
            with suppress(OSError):  # a folder that may not be read
                found = sorted([*folder.glob("*" + SUFFIX), *folder.glob("*" + PACKED)])
            yield from (path for path in found if os.path.isfile(path))  # no pipe, nor a folder of that name


def find(name_or_path: str) -> Path:
    """The weights file of this name, or at this path. Raises ModelMissingError, which lists the names found."""
    path = Path(name_or_path)
    if path.name.endswith((SUFFIX, PACKED)) or len(path.parts) > 1:
        if os.path.isfile(path):
            return path
        raise ModelMissingError(f"{path}: {'not a regular file' if os.path.exists(path) else 'no such model file'}")
    names = []
    for path in paths():
        if name_of(path) == name_or_path:
            return path
        names.append(name_of(path))
    raise ModelMissingError(f"no model is called {name_or_path!r}; at hand: {', '.join(names) or 'none'}")


def find_digest(digest: bytes, preferred: Path | None = None) -> Path:
    """The weights file with this digest; `preferred` is tried first. Raises ModelMissingError."""
    at_hand = sorted(paths(), key=lambda path: digest.hex() not in _hints(path.parent).get(path.name, ""))
    for path in ([preferred] if preferred else []) + at_hand:
        with suppress(ModelError):  # skip unreadable files
            if file_digest(path) == digest:
                return path
    raise ModelMissingError(
        f"the model with digest {digest.hex()} is not at hand: it is the {SUFFIX} file whose SHA-256 begins so; "
        f"name it with --model, put it into {user_folder()}, or name its folder in ARZIP_MODEL_PATH"
    )


def loading_bytes(path: Path) -> int:
    """About how much memory reading a weights file takes, which goes on while it is used."""
    return int(path.stat().st_size * (3.5 if path.name.endswith(".gz") else 1.3))


def hinted(digest: bytes) -> Path | None:
    """The weights file that has this digest, by a hint; reads none. None: it isn't among the package's own."""
    return next((path for path in paths() if digest.hex() in _hints(path.parent).get(path.name, "") and digest), None)


@functools.cache
def _hints(folder: Path) -> dict[str, str]:
    """File name -> digest, as the package's own folder of models says: only a hint which file to read first."""
    try:
        with open_regular(folder / HINTS, HINTS_LIMIT_BYTES) as file:
            found = json.load(file)
    except (OSError, ValueError, RecursionError):
        return {}
    pairs = found.items() if isinstance(found, dict) else ()
    return {name: digest for name, digest in pairs if isinstance(digest, str)}


def file_version(path: Path) -> tuple[int, ...]:
    """What changes when another file takes this path, or the file is written. Raises OSError."""
    status = path.stat()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def file_digest(path: Path) -> bytes:
    """First four bytes of the file's SHA-256. Raises ModelError if it can't be read."""
    try:
        return _file_digest(path, file_version(path))
    except OSError as error:
        raise ModelError(f"{path}: can't read the model: {error.strerror}") from error


@functools.lru_cache(maxsize=256)
def _file_digest(path: Path, version: tuple[int, ...]) -> bytes:
    with opened(path) as file:
        return _sha256(file)[:DIGEST_BYTES]


def _sha256(file: object) -> bytes:
    digest = hashlib.sha256()
    while chunk := file.read(1 << 20):  # type: ignore[attr-defined]
        digest.update(chunk)
    return digest.digest()


def read_info(path: Path) -> ModelInfo:
    """Read a weights file's head. Raises ModelError if it is not a model."""
    head = head_of(path)
    return ModelInfo(name_of(path), path, file_digest(path).hex(), head.parameters, path.stat().st_size, head.about)
