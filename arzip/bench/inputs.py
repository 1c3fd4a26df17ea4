"""The files to measure: files, folders and corpora by name, or the sample set. Reads no content."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from arzip.bench.samples import samples
from arzip.errors import ArzipError

SAMPLES = "samples"


@dataclass(frozen=True)
class Item:
    """A file to measure. corpus: the group whose totals it counts in."""

    corpus: str
    name: str
    path: Path
    size_bytes: int


def resolve(names: Sequence[str], scratch: Path) -> list[Item]:
    """The files that the arguments name; without arguments the sample set, which is written to `scratch`.

    An argument is an existing file or folder (searched recursively), CORPUS or CORPUS/FILE. Raises ArzipError.
    """
    items: list[Item] = []
    for name in names or (SAMPLES,):
        path = Path(name)
        if path.is_dir():
            found = sorted(file for file in path.rglob("*") if file.is_file())
            items += _items(path.resolve().name, ((str(file.relative_to(path)), file) for file in found))
        elif path.exists():
            items += _items("files", [(path.name, path)])
        else:
            corpus, _, wanted = name.partition("/")
            known = _written(scratch / SAMPLES) if corpus == SAMPLES else _corpus(corpus)
            found = [file for file in known if wanted in ("", file.name)]
            if not found:
                raise ArzipError(f"{name}: no file {wanted!r} in the corpus {corpus}")
            items += _items(corpus, ((file.name, file) for file in found))
    if not items:
        raise ArzipError(f"no files in {', '.join(names)}")
    return list(dict.fromkeys(items))


def _items(corpus: str, files: Iterable[tuple[str, Path]]) -> list[Item]:
    """Items of these files, with names made printable."""
    printable = ((name.encode(errors="backslashreplace").decode(), path) for name, path in files)
    return [Item(corpus, name, path.resolve(), path.stat().st_size) for name, path in printable]


def _written(folder: Path) -> list[Path]:
    folder.mkdir(exist_ok=True)
    for name, content in samples():
        (folder / name).write_bytes(content)
    return [folder / name for name, _ in samples()]


def _corpus(name: str) -> list[Path]:
    """The corpus in the folder that ARZIP_CORPORA names, or as corpora.catalog has it. Raises ArzipError."""
    folder = Path(os.environ.get("ARZIP_CORPORA", ""), name)
    if os.environ.get("ARZIP_CORPORA") and folder.is_dir():
        return sorted(path for path in folder.iterdir() if path.is_file())
    try:
        corpora = importlib.import_module("arzip.bench.corpora.catalog")
    except ModuleNotFoundError:
        raise _unknown(name, [SAMPLES]) from None
    known: list[str] = corpora.names()
    if name not in known:
        raise _unknown(name, [SAMPLES, *known])
    return [Path(path) for path in corpora.files(name)]


def _unknown(name: str, known: Iterable[str]) -> ArzipError:
    return ArzipError(f"{name}: no such file, folder or corpus; the corpora are {', '.join(known)}")
