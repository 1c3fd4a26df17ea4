"""The standard evaluation corpora: their files, their folders on this machine, and whether all files are intact.

The data isn't shipped: the manifest holds size, SHA-256 and URL of each file; download.py fetches them.
Standard library only.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

from arzip.errors import ArzipError
from arzip.system.user_dirs import user_data

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class File:
    """A file of a corpus. member: its name in the download; prefix: whether it is only the beginning of that."""

    name: str
    size_bytes: int
    sha256: str
    member: str
    prefix: bool


@dataclass(frozen=True)
class Download:
    """A download: a .tar.gz, a .zip or a single file, and the files of the corpus in it."""

    url: str
    files: tuple[File, ...]


@dataclass(frozen=True)
class Corpus:
    """A corpus of the manifest. home: URL of the page that describes it."""

    name: str
    about: str
    home: str
    downloads: tuple[Download, ...]

    @property
    def files(self) -> list[File]:
        return [file for download in self.downloads for file in download.files]


def manifest_folder() -> Path:
    """Folder of the manifest: beside the package in a checkout, in the package if installed."""
    package = Path(__file__).resolve().parents[2]
    inside = package / "manifests"
    return inside if inside.is_dir() else package.parent / "corpora"


@functools.cache
def manifest() -> dict[str, Corpus]:
    """Every corpus by its name."""
    entries = json.loads((manifest_folder() / MANIFEST).read_text("utf-8"))["corpora"]
    return {entry["name"]: _corpus(entry) for entry in entries}


def _corpus(entry: dict[str, object]) -> Corpus:
    def file(fields: dict[str, object]) -> File:
        return File(**{"member": fields["name"], "prefix": False} | fields)  # type: ignore[arg-type]

    sources = tuple(
        Download(source["url"], tuple(file(fields) for fields in source["files"]))
        for source in entry["sources"]  # type: ignore[attr-defined]
    )
    return Corpus(str(entry["name"]), str(entry["about"]), str(entry["home"]), sources)


def names() -> list[str]:
    """Names of all corpora, downloaded or not."""
    return list(manifest())


def corpus(name: str) -> Corpus:
    """The corpus of this name. Raises ArzipError, which lists all names."""
    if name not in manifest():
        raise ArzipError(f"no corpus is called {name!r}: {', '.join(names())}")
    return manifest()[name]


def folders(name: str) -> list[Path]:
    """Folders that are searched for a corpus, in order: ARZIP_CORPORA, the user's data. Fetch writes to the first."""
    named = os.environ.get("ARZIP_CORPORA")
    return [Path(root) / name for root in [named] if root] + [user_data() / "corpora" / name]


def folder(name: str) -> Path:
    """The first folder that has all of the corpus, by names and sizes; else the one that fetch writes to."""
    for candidate in folders(name):
        if not missing(name, candidate):
            return candidate
    return folders(name)[0]


def missing(name: str, root: Path) -> list[File]:
    """The files of a corpus that aren't in this folder, or not in their size."""

    def is_there(file: File) -> bool:
        path = root / file.name
        return path.is_file() and path.stat().st_size == file.size_bytes

    return [file for file in corpus(name).files if not is_there(file)]


def files(name: str) -> list[Path]:
    """The files of a corpus on this machine, in the manifest's order. Raises ArzipError unless all are there."""
    root = folder(name)
    absent = missing(name, root)
    if absent:
        which = "it" if len(absent) == len(corpus(name).files) else ", ".join(file.name for file in absent)
        raise ArzipError(
            f"corpus {name}: {which} is not at hand: arzip corpora fetch {name}, or name in ARZIP_CORPORA the folder "
            f"that {name}/ lies in"
        )
    return [root / file.name for file in corpus(name).files]


def damage(name: str) -> dict[str, str]:
    """File -> "missing", or "damaged" if size or SHA-256 differ; intact files are left out."""
    found = {}
    for file in corpus(name).files:
        path = folder(name) / file.name
        if not path.is_file():
            found[file.name] = "missing"
        elif path.stat().st_size != file.size_bytes or sha256(path) != file.sha256:
            found[file.name] = "damaged"
    return found


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while piece := stream.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()
