"""Float network -> integer weights file, and back (training can continue from an exported model)."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from arzip.network import config as spec
from arzip.network.config import Weights
from arzip.train.qat_network import QatNetwork
from arzip.weights.bounds import MEMORY_PREFIX
from arzip.weights.file import dump_weights


def sigmoid_table() -> NDArray[np.int32]:
    """Entries k = -512..511: round(2**16 / (1 + exp(-k / 64))), by float64; the file carries the result."""
    k = np.arange(-spec.GATE_ENTRIES // 2, spec.GATE_ENTRIES // 2)
    values = (1 << spec.GATE_BITS) / (1 + np.exp(-k / (1 << spec.GATE_STEP_BITS)))
    table: NDArray[np.int32] = np.rint(values).astype(np.int32)
    return table


def exponential_table() -> NDArray[np.int32]:
    """Entries k = 0..2047: max(1, round(2**20 exp(-k / 128)))."""
    k = np.arange(spec.SOFTMAX_ENTRIES)
    values = spec.SOFTMAX_ONE * np.exp(-k / (1 << spec.SOFTMAX_STEP_BITS))
    table: NDArray[np.int32] = np.maximum(1, np.rint(values)).astype(np.int32)
    return table


def quantise(value: torch.Tensor, bits: int) -> NDArray[np.int8]:
    """Round to multiples of 2**-bits, clipped to int8 without -128."""
    return torch.round(value.detach().cpu() * 2**bits).clamp(-127, 127).to(torch.int8).numpy()


def export_tensors(net: QatNetwork) -> dict[str, NDArray[Any]]:
    """The tensors of the weights file."""
    tensors: dict[str, NDArray[Any]] = {
        "sigmoid": sigmoid_table(),
        "exponential": exponential_table(),
        "ngram": quantise(net.ngram, spec.EMBEDDING_BITS),
    }
    for name, shape in net.config.shapes().items():
        if name == "ngram":
            continue
        value = net.p[name.replace(".", "_")]
        if len(shape) == 1:
            tensors[name] = torch.round(value.detach().cpu() * 2**spec.RESIDUAL_BITS).to(torch.int32).numpy()
        else:
            tensors[name] = quantise(value, spec.EMBEDDING_BITS if name == "byte" else spec.WEIGHT_BITS)
    return tensors


def export_bytes(net: QatNetwork, metadata: dict[str, str]) -> bytes:
    """The integer network's weights file, without initial states of context mixing."""
    return dump_weights(net.config, export_tensors(net), metadata)


def network_only(weights: Weights) -> bytes:
    """A model's weights file without the tensors of context mixing, which only numba can check."""
    tensors = {name: value for name, value in weights.tensors.items() if not name.startswith(MEMORY_PREFIX)}
    return dump_weights(weights.config, tensors, weights.metadata)


@torch.no_grad()
def import_weights(weights: Weights, blocks: int = 0, seed: int = 0) -> QatNetwork:
    """A float network with the weights of an exported model.

    blocks: if more than the model has, the new ones come on top; their output matrices start at zero.
    """
    net = QatNetwork(replace(weights.config, blocks=max(blocks, weights.config.blocks)), seed)
    for k in range(weights.config.blocks, net.config.blocks):
        net.p[f"block{k}_state_out"].zero_()  # its MLP's output starts at zero in any case
    net.ngram = torch.from_numpy(weights.tensors["ngram"].astype(np.float32)) / 2**spec.EMBEDDING_BITS
    for name, shape in weights.config.shapes().items():
        if name != "ngram":
            bits = spec.RESIDUAL_BITS if len(shape) == 1 else spec.WEIGHT_BITS
            bits = spec.EMBEDDING_BITS if name == "byte" else bits
            value = torch.from_numpy(weights.tensors[name].astype(np.float32)) * float(Fraction(1, 2**bits))
            net.p[name.replace(".", "_")].copy_(value)
    return net
