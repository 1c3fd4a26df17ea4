"""Tiny networks of random integers, from fixed seeds: format tests never wait for a big model, nor change with one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from arzip.network.config import (
    GATE_BITS,
    GATE_ENTRIES,
    GATE_STEP_BITS,
    RESIDUAL_BITS,
    SOFTMAX_ENTRIES,
    SOFTMAX_ONE,
    SOFTMAX_STEP_BITS,
    NetworkConfig,
    Weights,
)
from arzip.weights.file import dump_weights, parse_weights

SHAPE = NetworkConfig(d=64, blocks=2, hidden=64, orders=(2, 3), rows=1 << 16, ngram_d=8)
OTHER_SHAPE = NetworkConfig(d=128, blocks=1, hidden=192, orders=(1, 5, 7), rows=1 << 17, ngram_d=12)

Tensors = dict[str, NDArray[np.generic]]


def lively(config: NetworkConfig = SHAPE, seed: int = 1) -> Tensors:
    """Activations of order one everywhere, gates from shut to open; expects text of small letters."""
    source = np.random.default_rng(seed)
    tensors = _tables()
    for name, shape in config.shapes().items():
        if len(shape) == 1:
            value = source.normal(0, 2 << RESIDUAL_BITS, shape)
        else:
            spread = 40.0 if name in ("byte", "ngram") else 128 / np.sqrt(shape[1]) * (0.5 if name == "out" else 1.5)
            value = np.clip(source.normal(0, spread, shape), -127, 127)
        tensors[name] = np.rint(value).astype(np.int32 if len(shape) == 1 else np.int8)
    tensors["out_bias"] = _letters() + tensors["out_bias"] // 8
    return tensors


def extreme(config: NetworkConfig = SHAPE, seed: int = 1, alike: float = 0.5) -> Tensors:
    """Every weight -127 or 127, biases from end to end: all that can saturate does. alike: share of 127."""
    source = np.random.default_rng(seed)
    tensors = _tables()
    for name, shape in config.shapes().items():
        sign = np.where(source.random(shape) < alike, 1, -1)
        if len(shape) == 1:
            tensors[name] = (sign * source.choice([0, 1, 1 << 12, 1 << 15, 1 << 24], shape)).astype(np.int32)
        else:
            tensors[name] = (sign * 127).astype(np.int8)
    return tensors


def weights(tensors: Tensors, config: NetworkConfig = SHAPE) -> Weights:
    """The tensors as a model, by way of its file."""
    return parse_weights(dump_weights(config, tensors, {"name": "tiny"}), "tiny")


def _tables() -> Tensors:
    """The constants of docs/FORMAT.md."""
    k = np.arange(-GATE_ENTRIES // 2, GATE_ENTRIES // 2)
    sigmoid = np.rint((1 << GATE_BITS) / (1 + np.exp(-k / (1 << GATE_STEP_BITS))))
    k = np.arange(SOFTMAX_ENTRIES)
    exponential = np.maximum(1, np.rint(SOFTMAX_ONE * np.exp(-k / (1 << SOFTMAX_STEP_BITS))))
    return {"sigmoid": sigmoid.astype(np.int32), "exponential": exponential.astype(np.int32)}


def _letters() -> NDArray[np.int32]:
    """Biases (256,) in Q12 under which ASCII text, small letters and spaces above all, costs about five bits a byte."""
    nats = np.zeros(256, np.int32)
    nats[32:127] = 3
    nats[97:123] = 6
    nats[list(b" aeinorst")] = 7
    return nats << RESIDUAL_BITS
