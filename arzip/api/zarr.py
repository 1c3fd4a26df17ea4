"""The codec "arzip" of zarr's format 3. The entry point zarr.codecs names it; format 2 takes that of numcodecs."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zarr.abc.codec import BytesBytesCodec

from arzip.api.oneshot import compress, decompress
from arzip.levels import DEFAULT

if TYPE_CHECKING:
    from zarr.core.array_spec import ArraySpec
    from zarr.core.buffer import Buffer

NAME = "arzip"


@dataclass(frozen=True)
class ArzipCodec(BytesBytesCodec):
    """Archives of chunks. level: 1 .. 9; model: name or path of a weights file, None: the level's.

    A chunk is coded on one thread: zarr codes chunks side by side.
    """

    is_fixed_size = False
    level: int = DEFAULT
    model: str | None = None

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> ArzipCodec:
        """The codec of an array's metadata. Raises ValueError and TypeError on a configuration that isn't arzip's."""
        if data["name"] != NAME:
            raise ValueError(f"codec {data['name']!r} is not {NAME!r}")
        return cls(**data.get("configuration", {}))

    def to_dict(self) -> dict[str, Any]:
        """What an array's metadata say of the codec."""
        return {
            "name": NAME,
            "configuration": {"level": self.level} | ({"model": self.model} if self.model else {}),
        }

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: ArraySpec) -> int:
        """Not known before a chunk is coded. Raises NotImplementedError."""
        raise NotImplementedError

    async def _encode_single(self, chunk_bytes: Buffer, chunk_spec: ArraySpec) -> Buffer:
        archive = await asyncio.to_thread(compress, chunk_bytes.to_bytes(), self.level, model=self.model, threads=1)
        return chunk_spec.prototype.buffer.from_bytes(archive)

    async def _decode_single(self, chunk_bytes: Buffer, chunk_spec: ArraySpec) -> Buffer:
        raw = await asyncio.to_thread(decompress, chunk_bytes.to_bytes(), model=self.model, threads=1)
        return chunk_spec.prototype.buffer.from_bytes(raw)
