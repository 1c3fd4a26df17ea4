"""The weights file: int8 tensors, constant tables, configuration and provenance in one safetensors file.

Knows the file's layout and digest. Must not know how a step is computed.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from arzip.errors import ModelError
from arzip.network import spec
from arzip.network.spec import NetworkConfig

DIGEST_BYTES = 4
CONFIG_KEY = "arzip.network"


@dataclass(frozen=True)
class Weights:
    """A model: its shape, int8 (biases and tables int32) tensors by name, digest and free-form metadata."""

    config: NetworkConfig
    tensors: dict[str, NDArray[Any]]
    digest: bytes
    metadata: dict[str, str]


def dump_weights(config: NetworkConfig, tensors: dict[str, NDArray[Any]], metadata: dict[str, str]) -> bytes:
    """The file's bytes. The digest of a model is the first four bytes of their SHA-256."""
    check_tensors(config, tensors)
    contiguous = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    return save(contiguous, {**metadata, CONFIG_KEY: config.dumps()})


def load_weights(path: Path) -> Weights:
    """Read and check a weights file. Raises ModelError when it is none, or damaged."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: can't read the model: {error.strerror}") from error
    return parse_weights(data, str(path))


def parse_weights(data: bytes, name: str) -> Weights:
    """The inverse of `dump_weights`; `name` is for messages. Raises ModelError."""
    try:
        tensors = load(data)
        header = int.from_bytes(data[:8], "little")
        metadata = _metadata(data[8 : 8 + header])
        config = NetworkConfig.loads(metadata.pop(CONFIG_KEY))
        check_tensors(config, tensors)
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise ModelError(f"{name}: not an arzip model, or a damaged one ({error})") from error
    return Weights(config, tensors, hashlib.sha256(data).digest()[:DIGEST_BYTES], metadata)


def _metadata(header: bytes) -> dict[str, str]:
    return dict(json.loads(header)["__metadata__"])


def check_tensors(config: NetworkConfig, tensors: dict[str, NDArray[Any]]) -> None:
    """Raises ValueError unless every tensor of the network is there in its shape and dtype."""
    shapes = config.shapes() | {"sigmoid": (spec.GATE_ENTRIES,), "exponential": (spec.SOFTMAX_ENTRIES,)}
    for name, shape in shapes.items():
        dtype = np.int32 if len(shape) == 1 else np.int8
        tensor = tensors[name]
        if tensor.shape != shape or tensor.dtype != dtype:
            raise ValueError(f"{name} is {tensor.dtype} {tensor.shape}, not {np.dtype(dtype)} {shape}")
        if dtype == np.int8 and bool((tensor == -128).any()):
            raise ValueError(f"{name} holds -128")
