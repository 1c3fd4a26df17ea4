"""The weights file: int8 tensors, tables, configuration and provenance in one safetensors file, plain or in gzip.

Defines the file's layout and digest. Must not import an implementation of the step.
"""

from __future__ import annotations

import hashlib
import io
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from arzip.errors import ModelError
from arzip.format.records import DIGEST_BYTES
from arzip.network.config import NetworkConfig, Weights
from arzip.weights.bounds import MEMORY_PREFIX, check_said, check_tensors, network_of, pretrained
from arzip.weights.head import METADATA_KEY as METADATA_KEY
from arzip.weights.head import opened, read_head
from arzip.weights.head import unpack as unpack

LOAD_ROOM = 1 << 20


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


def load_weights(path: Path, *, with_initial_states: bool = True) -> Weights:
    """Read and check a weights file; without its initial states on request. Raises ModelError."""
    with opened(path) as file:
        data = file.read()
    return parse_weights(data, str(path), with_initial_states=with_initial_states)


def parse_weights(data: bytes, name: str, *, with_initial_states: bool = True) -> Weights:
    """The inverse of `dump_weights`, packed or not; `name` is for messages. Raises ModelError."""
    digest = hashlib.sha256(data).digest()[:DIGEST_BYTES]
    try:
        data = unpack(data)
        head = read_head(io.BytesIO(data).read)
        config = network_of(head.network)
        check_said(config, head.tensors)
        np.empty(len(data) + LOAD_ROOM, np.uint8)  # MemoryError here: without memory, safetensors may not come back
        tensors = load(data)
        if not with_initial_states and any(name.startswith(MEMORY_PREFIX) for name in tensors):
            tensors = pretrained().without_initial_states(tensors)
        check_tensors(config, tensors)
    except (SafetensorError, KeyError, ValueError) as error:
        raise ModelError(f"{name}: not an arzip model, or a damaged one ({error})") from error
    return Weights(config, tensors, digest, head.about)
