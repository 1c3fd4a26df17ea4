"""`open_any`: files in any of several formats, told by their first bytes or by their names."""

from __future__ import annotations

import builtins
import bz2
import gzip
import io
import lzma
import os
from typing import Any

from arzip.api.file import ArzipFile
from arzip.format.records import MAGIC
from arzip.system import extras

_MAGIC = {MAGIC: "arz", b"\x1f\x8b": "gz", b"BZh": "bz2", b"\xfd7zXZ\x00": "xz", b"\x28\xb5\x2f\xfd": "zst"}
_SUFFIXES = {".arz": "arz", ".tarz": "arz", ".gz": "gz", ".bz2": "bz2", ".xz": "xz", ".zst": "zst"}
_MAGIC_BYTES = max(map(len, _MAGIC))


def open_any(
    path: str | os.PathLike[str],
    mode: str = "rb",
    *,
    level: int | None = None,
    model: str | os.PathLike[str] | None = None,
    threads: int = 0,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
) -> Any:
    """Open a file that may be an archive of arzip, gzip, bzip2, xz or zstd, or of none of them.

    mode: "r", "w" or "x", with "b" (binary, the default) or "t" (text). To read, the first bytes say what it is,
    whatever the name; to write, the suffix does (.arz, .tarz, .gz, .bz2, .xz, .zst), in letters of any case. level: of
    that format, its default if None. model, threads: arzip's. encoding, errors, newline: of text.

    Returns a binary file, or a text file around it. Raises ValueError on a mode that is none, OSError, and ArzipError
    where zstd is needed but missing; what reading raises is up to the format.

    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "notes.arz")
    >>> with open_any(path, "wt", level=1, encoding="utf-8") as file:
    ...     file.write("some notes")
    10
    >>> with open_any(path) as file:
    ...     file.read()
    b'some notes'
    """
    kind, text = mode.replace("b", "").replace("t", "", 1), "t" in mode
    if kind not in ("r", "w", "x") or (text and "b" in mode) or mode.count("b") > 1:
        raise ValueError(f"invalid mode: {mode!r}; it is r, w or x, and b or t")
    format_ = _format_of(path) if kind == "r" else _SUFFIXES.get(os.path.splitext(path)[1].lower(), "")
    if format_ == "arz":
        file: Any = ArzipFile(path, kind, level=level if kind != "r" else None, model=model, threads=threads)
    else:
        file = _open_other(path, format_, kind + "b", level)
    return io.TextIOWrapper(file, io.text_encoding(encoding), errors, newline) if text else file


def _format_of(path: str | os.PathLike[str]) -> str:
    """The format whose magic a file begins with; "" for none. Raises OSError."""
    with builtins.open(path, "rb") as file:
        start = file.read(_MAGIC_BYTES)
    return next((name for magic, name in _MAGIC.items() if start.startswith(magic)), "")


def _open_other(path: str | os.PathLike[str], format_: str, mode: str, level: int | None) -> Any:
    """A binary file of another format than arzip's."""
    writing = mode[0] != "r" and level is not None
    if format_ == "gz":
        return gzip.open(path, mode, level) if writing and level is not None else gzip.open(path, mode)
    if format_ == "bz2":
        return bz2.open(path, mode, level) if writing and level is not None else bz2.open(path, mode)
    if format_ == "xz":
        return lzma.open(path, mode, preset=level if writing else None)
    if format_ == "zst":
        extras.require("zstandard", "bench", "a zstd file")
        import zstandard

        return zstandard.open(path, mode, cctx=zstandard.ZstdCompressor(level=level) if writing and level else None)
    return builtins.open(path, mode)
