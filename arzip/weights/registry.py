"""The registry of models: where weights files are found, by name, path or digest.

Standard library only: `list` and `models` must not wait for numpy. Must not read tensors.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import json
import math
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from arzip.errors import ModelError, ModelMissingError
from arzip.format.records import DIGEST_BYTES
from arzip.system.user_dirs import user_data

HINTS = "digests.json"
SUFFIX = ".safetensors"
PACKED = SUFFIX + ".gz"
GZIP = b"\x1f\x8b"
HEADER_LIMIT_BYTES = 1 << 24
_HEADER_LENGTH = struct.Struct("<Q")


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
        yield from [folder] if folder.is_file() else sorted([*folder.glob("*" + SUFFIX), *folder.glob("*" + PACKED)])


def find(name_or_path: str) -> Path:
    """The weights file of this name, or at this path. Raises ModelMissingError, which lists the names found."""
    path = Path(name_or_path)
    if path.name.endswith((SUFFIX, PACKED)) or len(path.parts) > 1:
        if path.is_file():
            return path
        raise ModelMissingError(f"{path}: no such model file")
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
        found: dict[str, str] = json.loads((folder / HINTS).read_text("utf-8"))
        return found
    except (OSError, ValueError):
        return {}


@functools.cache
def file_digest(path: Path) -> bytes:
    """First four bytes of the file's SHA-256. Raises ModelError if it can't be read."""
    try:
        with open(path, "rb") as file:
            return _sha256(file)[:DIGEST_BYTES]
    except OSError as error:
        raise ModelError(f"{path}: can't read the model: {error.strerror}") from error


def _sha256(file: object) -> bytes:
    digest = hashlib.sha256()
    while chunk := file.read(1 << 20):  # type: ignore[attr-defined]
        digest.update(chunk)
    return digest.digest()


def read_info(path: Path) -> ModelInfo:
    """Read a weights file's header. Raises ModelError if it is not a safetensors file."""
    try:
        size = path.stat().st_size
        with open(path, "rb") as plain, gzip.open(plain) if plain.peek(2).startswith(GZIP) else plain as file:
            (length,) = _HEADER_LENGTH.unpack(file.read(_HEADER_LENGTH.size))
            if length > HEADER_LIMIT_BYTES:
                raise ValueError("its header is too long")
            header = json.loads(file.read(length))
        metadata = json.loads(header.pop("__metadata__")["arzip"])["about"]
        parameters = sum(math.prod(entry["shape"]) for entry in header.values())
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ModelError(f"{path}: a damaged model file ({error})") from error
    except OSError as error:
        raise ModelError(f"{path}: can't read the model: {error.strerror}") from error
    except (struct.error, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{path}: not an arzip model, or a damaged one ({error})") from error
    return ModelInfo(name_of(path), path, file_digest(path).hex(), parameters, size, metadata)


def find_models() -> list[ModelInfo]:
    """Metadata of all models found."""
    return [read_info(path) for path in paths()]
