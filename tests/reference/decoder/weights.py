"""docs/FORMAT.md, 'The weights file': safetensors, as they are or gzip'd; and the folder of models at hand."""

from __future__ import annotations

import gzip
import hashlib
import json
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .errors import ModelMissing, require

TYPES = {"I8": "<i1", "U8": "<u1", "I16": "<i2", "I32": "<i4", "U32": "<u4"}
Array = NDArray[np.int64]


class Model:
    """The tensors of a weights file, and the shape of its network."""

    def __init__(self, data: bytes) -> None:
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
        header_bytes = int.from_bytes(data[:8], "little")
        self.header = json.loads(data[8 : 8 + header_bytes])
        shape = json.loads(self.header.pop("__metadata__")["arzip"])["network"]
        self._tensors = data[8 + header_bytes :]
        self.blocks, self.d, self.hidden = shape["blocks"], shape["d"], shape["hidden"]
        self.ngram_d, self.orders, self.rows = shape["ngram_d"], shape["orders"], shape["rows"]
        self.ngrams = self.tensor("memory.ngrams").tobytes() if "memory.ngrams" in self.header else b""
        self.check()

    def tensor(self, name: str) -> NDArray[np.integer]:
        about = self.header[name]
        begin, end = about["data_offsets"]
        return np.frombuffer(self._tensors[begin:end], TYPES[about["dtype"]]).reshape(about["shape"])

    def wide(self, name: str) -> Array:
        """A tensor in integers of 64 bits."""
        return self.tensor(name).astype(np.int64)

    def initial_state(self, profile: int, has_network: bool) -> dict[str, Array] | None:
        """'Starting state': maps, weights, final; None: there are none in this file."""
        prefix = f"memory.{profile}.{'mixed' if has_network else 'alone'}."
        if prefix + "maps" not in self.header:
            return None
        return {name: self.wide(prefix + name) for name in ("maps", "weights", "final")}

    def check(self) -> None:
        """What the spec asks of a weights file."""
        d, hidden, rows = self.d, self.hidden, self.rows
        require(d % 64 == hidden % 64 == 0 and all(1 <= n <= 7 for n in self.orders), "shape of the network")
        require(1 <= d <= 1024 and hidden <= 1024 and 1 <= self.blocks <= 16, "shape of the network")
        require(1 <= self.ngram_d * (len(self.orders) + 1) <= d, "widths of the n-gram tables")
        require(1 << 16 <= rows <= 1 << 24 and rows & (rows - 1) == 0, "rows of the n-gram tables")
        reach = 8128
        for k in range(self.blocks):
            rows_of = (int(abs(self.wide(f"block{k}.{name}")).sum(1).max()) for name in ("state_out", "mlp_out"))
            reach += 127 * sum(factor * largest for factor, largest in zip((1, 2), rows_of, strict=True))
        require(d * reach**2 < 1 << 59, "weights that may overflow")
        for name, about in self.header.items():
            if about["dtype"] == "I8":
                require(self.tensor(name).min() > -128, "-128 among weights")
            if name.endswith("bias"):
                require(abs(self.wide(name)).max() <= 1 << 24, "a bias is too large")


@lru_cache(maxsize=4)
def find_model(folder: Path, digest: bytes) -> Model:
    """The model whose weights file has this digest. Raises ModelMissing."""
    for path in sorted(folder.glob("*.safetensors*")):
        data = path.read_bytes()
        if hashlib.sha256(data).digest()[:4] == digest:
            return Model(data)
    raise ModelMissing(f"no model {digest.hex()} in {folder}")
