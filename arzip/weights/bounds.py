"""All bounds of 'The weights file' in docs/FORMAT.md: within them, network and context mixing compute exactly.

Those of the tensors memory.* stand in arzip.context_mixing.pretrained. Must not read files.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arzip.network.config import GATE_BITS, GATE_ENTRIES, SOFTMAX_ENTRIES, SOFTMAX_ONE, NetworkConfig

ORDERS = range(1, 8)
ROWS = [1 << bits for bits in range(16, 25)]
BLOCKS = range(1, 17)
WIDTH_STEP = 64  # d and hidden are multiples of it: see packing.py
WIDTH_LIMIT = 1024
BIAS_LIMIT = 1 << 24
EMBEDDED_LIMIT = 127 << 6  # of |x| after the embedding
SQUARES_LIMIT = 1 << 59  # of d X^2, X the limit of |x|: 16 times this sum still fits into 63 bits
MEMORY_PREFIX = "memory."  # of the tensors of context mixing
_TYPES = {"I8": np.dtype(np.int8), "I32": np.dtype(np.int32)}

Tensors = Mapping[str, NDArray[Any]]


def network_of(fields: Mapping[str, Any]) -> NetworkConfig:
    """The configuration of a weights file's fields. Raises ValueError unless all are whole numbers within bounds."""
    orders = fields.get("orders")
    names = set(NetworkConfig.__dataclass_fields__)
    if set(fields) != names or not isinstance(orders, list | tuple):
        raise ValueError(f"its network has not the fields {', '.join(sorted(names))}")
    if any(type(number) is not int for number in (*orders, *(fields[name] for name in names - {"orders"}))):
        raise ValueError("its shape is not all whole numbers")
    config = NetworkConfig(**{**fields, "orders": tuple(orders)})
    check_network(config)
    return config


def check_network(config: NetworkConfig) -> None:
    """Raises ValueError unless all sizes are within bounds."""
    d, hidden = config.d, config.hidden
    if d % WIDTH_STEP or hidden % WIDTH_STEP or not 0 < d <= WIDTH_LIMIT or not 0 <= hidden <= WIDTH_LIMIT:
        raise ValueError(f"widths {d} and {hidden} must be multiples of {WIDTH_STEP} up to {WIDTH_LIMIT}")
    if config.blocks not in BLOCKS or config.byte_d < 0 or config.ngram_d < 1:
        raise ValueError("its shape is out of bounds")
    if any(order not in ORDERS for order in config.orders) or config.rows not in ROWS:
        raise ValueError("its n-gram tables are out of bounds")


def shapes(config: NetworkConfig) -> dict[str, tuple[int, ...]]:
    """Name -> shape of every tensor but memory.*"""
    return config.shapes() | {"sigmoid": (GATE_ENTRIES,), "exponential": (SOFTMAX_ENTRIES,)}


def check_said(config: NetworkConfig, said: Mapping[str, tuple[str, tuple[int, ...]]]) -> None:
    """Raises ValueError unless the types and shapes that a file's head says are right, before any tensor is read."""
    _check_shapes(config, {name: (_TYPES.get(dtype, dtype), shape) for name, (dtype, shape) in said.items()})


def check_tensors(config: NetworkConfig, tensors: Tensors) -> None:
    """Raises ValueError unless all tensors have shapes and values that network and context mixing compute exactly."""
    check_network(config)
    _check_shapes(config, {name: (tensor.dtype, tensor.shape) for name, tensor in tensors.items()})
    if any(name.startswith(MEMORY_PREFIX) for name in tensors):
        pretrained().check_tensors(tensors)
    for name in shapes(config):
        tensor = tensors[name]
        if tensor.dtype == np.int8 and bool((tensor == -128).any()):
            raise ValueError(f"{name} holds -128")
        if name.endswith("bias") and bool((abs(tensor.astype(np.int64)) > BIAS_LIMIT).any()):
            raise ValueError(f"{name} holds values over 2**24")
    for name, low, high in (("sigmoid", 0, 1 << GATE_BITS), ("exponential", 1, SOFTMAX_ONE)):
        if tensors[name].min() < low or tensors[name].max() > high:
            raise ValueError(f"{name} is out of bounds")
    if config.d * residual_limit(config, tensors) ** 2 >= SQUARES_LIMIT:
        raise ValueError("its weights are so large that sums don't fit into 64 bits")


def residual_limit(config: NetworkConfig, tensors: Tensors) -> int:
    """FORMAT's X: no |x| of the residual stream exceeds it."""
    rows = 0
    for k in range(config.blocks):
        rows += _largest_row(tensors[f"block{k}.state_out"]) + 2 * _largest_row(tensors[f"block{k}.mlp_out"])
    return EMBEDDED_LIMIT + 127 * rows


def _largest_row(matrix: NDArray[np.int8]) -> int:
    """The largest sum of absolute values of a row."""
    return int(abs(matrix.astype(np.int64)).sum(1).max())


def _check_shapes(config: NetworkConfig, found: Mapping[str, tuple[object, tuple[int, ...]]]) -> None:
    for name, shape in shapes(config).items():
        dtype = np.dtype(np.int32 if len(shape) == 1 else np.int8)
        if name not in found:
            raise ValueError(f"{name} is missing")
        if found[name] != (dtype, shape):
            raise ValueError(f"{name} is {found[name][0]} {found[name][1]}, not {dtype} {shape}")


def pretrained() -> ModuleType:
    """arzip.context_mixing.pretrained, imported only for files that need it: training machines have no numba."""
    from arzip.context_mixing import pretrained

    return pretrained
