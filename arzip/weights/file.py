"""The weights file: int8 tensors, tables, configuration and provenance in one safetensors file, plain or in gzip.

Defines the file's layout and digest. Must not import an implementation of the step.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from arzip.errors import ModelError
from arzip.format.records import DIGEST_BYTES
from arzip.network.config import GATE_BITS, GATE_ENTRIES, SOFTMAX_ENTRIES, SOFTMAX_ONE, NetworkConfig, Weights
from arzip.weights.registry import GZIP

METADATA_KEY = "arzip"  # a single key: safetensors writes several in random order, which would change the digest
ORDERS = range(1, 8)
WIDTH_STEP = 64  # d and hidden are multiples of it: see packing.py
WIDTH_LIMIT = 1024
BIAS_LIMIT = 1 << 24
UNPACKED_LIMIT_BYTES = 1 << 30
MEMORY_PREFIX = "memory."  # of the tensors of context mixing


def dump_weights(config: NetworkConfig, tensors: dict[str, NDArray[Any]], metadata: dict[str, str]) -> bytes:
    """Serialise a model. Its digest is the first four bytes of the SHA-256 of the file, packed or not."""
    check_tensors(config, tensors)
    contiguous = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    head = json.dumps({"network": json.loads(config.dumps()), "about": metadata}, sort_keys=True)
    return save(contiguous, {METADATA_KEY: head})


def pack(data: bytes) -> bytes:
    """Compress a weights file's bytes to gzip; Z_FILTERED, since tensors have skewed values and few repeats."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31, 9, zlib.Z_FILTERED)
    return packer.compress(data) + packer.flush()


def unpack(data: bytes) -> bytes:
    """The inverse of `pack`; a plain file is returned as it is. Raises ValueError if damaged."""
    if not data.startswith(GZIP):
        return data
    unpacker = zlib.decompressobj(31)
    try:
        unpacked = unpacker.decompress(data, UNPACKED_LIMIT_BYTES)
    except zlib.error as error:
        raise ValueError(str(error)) from error
    if not unpacker.eof or unpacker.unused_data:
        raise ValueError("it is cut short, or goes on after its end")
    return unpacked


def load_weights(path: Path, *, with_initial_states: bool = True) -> Weights:
    """Read and check a weights file; without its initial states on request. Raises ModelError."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: can't read the model: {error.strerror}") from error
    return parse_weights(data, str(path), with_initial_states=with_initial_states)


def parse_weights(data: bytes, name: str, *, with_initial_states: bool = True) -> Weights:
    """The inverse of `dump_weights`, packed or not; `name` is for messages. Raises ModelError."""
    digest = hashlib.sha256(data).digest()[:DIGEST_BYTES]
    try:
        data = unpack(data)
        tensors = load(data)
        if not with_initial_states and any(name.startswith(MEMORY_PREFIX) for name in tensors):
            tensors = _pretrained().without_initial_states(tensors)
        header = int.from_bytes(data[:8], "little")
        head = json.loads(json.loads(data[8 : 8 + header])["__metadata__"][METADATA_KEY])
        config = NetworkConfig.loads(json.dumps(head["network"]))
        metadata = {str(key): str(value) for key, value in head["about"].items()}
        check_tensors(config, tensors)
    except (SafetensorError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise ModelError(f"{name}: not an arzip model, or a damaged one ({error})") from error
    return Weights(config, tensors, digest, metadata)


def _pretrained() -> ModuleType:
    """arzip.context_mixing.pretrained, imported only for files that need it: training machines have no numba."""
    from arzip.context_mixing import pretrained

    return pretrained


def check_tensors(config: NetworkConfig, tensors: dict[str, NDArray[Any]]) -> None:
    """Raises ValueError unless all tensors have shapes and values that network and context mixing compute exactly."""
    if any(name.startswith(MEMORY_PREFIX) for name in tensors):
        _pretrained().check_tensors(tensors)
    if config.d % WIDTH_STEP or config.hidden % WIDTH_STEP or not 0 < max(config.d, config.hidden) <= WIDTH_LIMIT:
        raise ValueError(f"widths {config.d} and {config.hidden} must be multiples of {WIDTH_STEP} up to {WIDTH_LIMIT}")
    if not 1 <= config.blocks <= 16 or config.byte_d < 0 or config.ngram_d < 1:
        raise ValueError("its shape is out of bounds")
    if any(order not in ORDERS for order in config.orders) or config.rows not in (1 << bits for bits in range(16, 25)):
        raise ValueError("its n-gram tables are out of bounds")
    shapes = config.shapes() | {"sigmoid": (GATE_ENTRIES,), "exponential": (SOFTMAX_ENTRIES,)}
    for name, shape in shapes.items():
        dtype = np.int32 if len(shape) == 1 else np.int8
        tensor = tensors[name]
        if tensor.shape != shape or tensor.dtype != dtype:
            raise ValueError(f"{name} is {tensor.dtype} {tensor.shape}, not {np.dtype(dtype)} {shape}")
        if dtype == np.int8 and bool((tensor == -128).any()):
            raise ValueError(f"{name} holds -128")
        if name.endswith("bias") and bool((abs(tensor.astype(np.int64)) > BIAS_LIMIT).any()):
            raise ValueError(f"{name} holds values over 2**24")
    for name, low, high in (("sigmoid", 0, 1 << GATE_BITS), ("exponential", 1, SOFTMAX_ONE)):
        if tensors[name].min() < low or tensors[name].max() > high:
            raise ValueError(f"{name} is out of bounds")
