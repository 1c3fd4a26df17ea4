"""What a model file says of itself, bounded before it is believed: other people's files are read by this.

Standard library only: `models` must not wait for numpy. Must not read tensors.
"""

from __future__ import annotations

import gzip
import json
import math
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from arzip.errors import ModelError
from arzip.system.files import open_regular

METADATA_KEY = "arzip"  # a single key: safetensors writes several in random order, which would change the digest
GZIP = b"\x1f\x8b"
LIMIT_BYTES = 1 << 28  # of a file, packed or not: docs/FORMAT.md, 'The weights file'
HEAD_LIMIT_BYTES = 1 << 20  # of the JSON at its begin
LENGTH_BYTES = 8  # of the number before that
_ITEM_BYTES = {"I8": 1, "U8": 1, "I16": 2, "I32": 4, "U32": 4}
_BITS = 48  # of a number of values; far above LIMIT_BYTES
_MAX_AXES = 4


@dataclass(frozen=True)
class Head:
    """The begin of a weights file.

    network: the fields of the configuration, of any type. about: where the model comes from. tensors: name -> type as
    safetensors writes it, and shape. file_bytes: what the file has by this, unpacked.
    """

    network: dict[str, Any]
    about: dict[str, str]
    tensors: dict[str, tuple[str, tuple[int, ...]]]
    file_bytes: int

    @property
    def parameters(self) -> int:
        return sum(math.prod(shape) for _, shape in self.tensors.values())


def read_head(read: Callable[[int], bytes]) -> Head:
    """The head of a weights file; read: the next bytes of the unpacked file, fewer only at its end.

    Raises ValueError on anything that isn't one, or goes beyond the limits.
    """
    length = int.from_bytes(_exactly(read, LENGTH_BYTES), "little")
    if length > HEAD_LIMIT_BYTES:
        raise ValueError("its header is too long")
    entries = _object(_exactly(read, length))
    metadata = entries.pop("__metadata__", None)
    if not isinstance(metadata, dict) or not isinstance(metadata.get(METADATA_KEY), str):
        raise ValueError(f"it has no metadata called {METADATA_KEY}")
    said = _object(metadata[METADATA_KEY])
    network, about = said.get("network"), said.get("about")
    if not isinstance(network, dict) or not isinstance(about, dict):
        raise ValueError("it doesn't say what it is")
    tensors, end = {}, 0
    for name, entry in entries.items():
        dtype, shape, behind = _tensor(name, entry)
        tensors[name], end = (dtype, shape), max(end, behind)
    size = LENGTH_BYTES + length + end
    if size > LIMIT_BYTES:
        raise ValueError(f"it is larger than {LIMIT_BYTES >> 20} MiB")
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in about.items()}
    return Head(network, texts, tensors, size)


def unpack(data: bytes) -> bytes:
    """The bytes of a weights file that may be packed by gzip. Raises ValueError if it is damaged.

    Takes no more memory than the head, which is checked first, says that the file has.
    """
    if not data.startswith(GZIP):
        return data
    unpacker = zlib.decompressobj(31)
    unpacked, rest = bytearray(), data

    def read(size: int) -> bytes:
        nonlocal rest
        at = len(unpacked)
        try:
            while len(unpacked) < at + size and not unpacker.eof:
                piece = unpacker.decompress(rest, at + size - len(unpacked))
                if not piece and not unpacker.unconsumed_tail:
                    break
                rest = unpacker.unconsumed_tail
                unpacked.extend(piece)
        except zlib.error as error:
            raise ValueError(str(error)) from error
        return bytes(unpacked[at:])

    head = read_head(read)
    read(head.file_bytes - len(unpacked))
    if read(1) or not unpacker.eof or unpacker.unused_data:
        raise ValueError("it is cut short, or goes on after its end")
    return bytes(unpacked)


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """A model file as it lies there. Raises ModelError if it can't be read, is no regular file, or is too large."""
    try:
        with open_regular(path, LIMIT_BYTES) as file:
            yield file
    except OSError as error:
        raise ModelError(f"{path}: can't read the model: {error.strerror or error}") from error


def head_of(path: Path) -> Head:
    """The head of a model file, packed or not. Raises ModelError."""
    try:
        with opened(path) as file:
            packed = file.read(len(GZIP)) == GZIP
            file.seek(0)
            with gzip.GzipFile(fileobj=file) if packed else file as source:
                return read_head(source.read)
    except (EOFError, zlib.error) as error:
        raise ModelError(f"{path}: a damaged model file ({error})") from error
    except ValueError as error:
        raise ModelError(f"{path}: not an arzip model, or a damaged one ({error})") from error


def _exactly(read: Callable[[int], bytes], size: int) -> bytes:
    data = read(size)
    if len(data) < size:
        raise ValueError("it is cut short")
    return data


def _object(text: str | bytes) -> dict[str, Any]:
    """A JSON object. Raises ValueError, whatever is wrong."""
    try:
        found = json.loads(text)
    except RecursionError as error:
        raise ValueError("its JSON is nested too deeply") from error
    if not isinstance(found, dict):
        raise ValueError("it has no JSON object where one belongs")
    return found


def _tensor(name: str, entry: Any) -> tuple[str, tuple[int, ...], int]:
    """Type and shape of a tensor, and where it ends behind the head. Raises ValueError."""
    try:
        dtype, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
        whole = all(type(n) is int and 0 <= n < 1 << _BITS for n in (*shape, begin, end))
        if not whole or len(shape) > _MAX_AXES or end - begin != math.prod(shape) * _ITEM_BYTES[dtype]:
            raise ValueError
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"what it says of {name[:40]!r} doesn't fit") from None
    return dtype, tuple(shape), end
