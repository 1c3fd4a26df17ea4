"""The compression "arzip" of fsspec, and through it of pandas, dask and what else opens files by fsspec."""

from __future__ import annotations

from typing import Any

from arzip.api.file import ArzipFile
from arzip.system import extras

NAME, SUFFIX = "arzip", "arz"


def register_fsspec() -> None:
    """Register the compression "arzip" with fsspec, and the suffix .arz for compression="infer".

    fsspec has no entry points for compressions: every process calls this once. Called again, it changes nothing.
    Raises ArzipError where fsspec is missing.

    >>> register_fsspec()
    >>> import fsspec
    >>> with fsspec.open("memory://notes.arz", "wb", compression="infer") as file:
    ...     file.write(b"some notes")
    10
    >>> with fsspec.open("memory://notes.arz", "rt", compression="arzip") as file:
    ...     file.read()
    'some notes'
    """
    extras.require("fsspec", "fsspec", "compression='arzip'")
    from fsspec.compression import compr, register_compression

    if NAME not in compr:
        register_compression(NAME, _opened, SUFFIX)


def _opened(file: Any, mode: str = "rb", **options: Any) -> ArzipFile:
    """An archive in a file that fsspec has opened; options: as of ArzipFile."""
    return ArzipFile(file, mode.replace("t", ""), **options)
