"""The codec "arzip" of numcodecs, for chunks of zarr arrays. The entry point numcodecs.codecs names it."""

from __future__ import annotations

from typing import Any

from numcodecs.abc import Codec
from numcodecs.compat import ensure_contiguous_ndarray, ndarray_copy

from arzip.api.oneshot import compress, decompress
from arzip.levels import DEFAULT


class Arzip(Codec):
    """Archives of chunks. level: 1 .. 9; model: name or path of a weights file, None: the level's.

    threads: 1 unless given, as zarr codes chunks side by side; it is no part of an array's metadata.
    """

    codec_id = "arzip"

    def __init__(self, level: int = DEFAULT, model: str | None = None, threads: int = 1) -> None:
        self.level = level
        self.model = model
        self.threads = threads

    def encode(self, buf: Any) -> bytes:
        """The archive of a chunk, any contiguous buffer. Raises what arzip.compress does."""
        return compress(ensure_contiguous_ndarray(buf), self.level, model=self.model, threads=self.threads)

    def decode(self, buf: Any, out: Any = None) -> Any:
        """The bytes of a chunk, in `out` if that is given. Raises what arzip.decompress does."""
        raw = decompress(ensure_contiguous_ndarray(buf), model=self.model, threads=self.threads)
        return ndarray_copy(raw, out)

    def get_config(self) -> dict[str, Any]:
        """What an array's metadata say of the codec."""
        return {"id": self.codec_id, "level": self.level} | ({"model": self.model} if self.model else {})

    def __repr__(self) -> str:
        return f"Arzip(level={self.level!r}, model={self.model!r})"
