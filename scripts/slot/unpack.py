"""A slot's pack -> its files, on all cores, each compared with the digest taken when it was packed."""

from __future__ import annotations

import bz2
import json
import lzma
import shutil
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from hashlib import sha256
from pathlib import Path

from arzip.train.data import SHARES

MANIFEST = "pack.json"
UNPACKERS = {".xz": lzma.decompress, ".bz2": bz2.decompress}


def unpack_one(pack: Path, folder: Path, name: str, digest: str) -> int:
    """Unpack one file; its size. Raises ValueError if it isn't what was packed."""
    found = [pack / (name + suffix) for suffix in UNPACKERS if (pack / (name + suffix)).exists()]
    if not found:
        raise ValueError(f"{name} is missing from {pack}")
    data: bytes = UNPACKERS[found[0].suffix](found[0].read_bytes())
    if sha256(data).hexdigest() != digest:
        raise ValueError(f"{name} is damaged: it isn't what was packed")
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)
    return len(data)


def unpack(pack: Path, folder: Path, only: Iterable[str] = ("cases/", "wide", "start/", "mix/")) -> int:
    """Unpack what begins with one of `only` into a folder; how many bytes that is. Raises ValueError, OSError."""
    digests = json.loads((pack / MANIFEST).read_text("utf-8"))["files"]
    names = [name for name in digests if name.startswith(tuple(only))]
    names.sort(key=lambda name: -_packed_bytes(pack, name))  # the longest first, so that no core waits at the end
    with ProcessPoolExecutor() as pool:
        total = sum(pool.map(partial(unpack_one, pack, folder), names, [digests[name] for name in names]))
    if "mix/" in only:
        shutil.copy(pack / "mix" / SHARES, folder / "mix" / SHARES)
    return total


def _packed_bytes(pack: Path, name: str) -> int:
    return sum(path.stat().st_size for suffix in UNPACKERS if (path := pack / (name + suffix)).exists())
