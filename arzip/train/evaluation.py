"""Bits per byte on held-out rows: of the float network, and of the integer network exported from it."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from arzip.network.config import Weights
from arzip.train.ngram_rows import Feed
from arzip.train.qat_network import QatNetwork

NATS_PER_BIT = math.log(2)
STRIDE = 256  # steps at once


@torch.no_grad()
def evaluate(net: QatNetwork, rows: dict[str, NDArray[np.uint8]], device: str) -> dict[str, float]:
    """Kind -> rows (n, T) uint8 to kind -> mean bits per byte, each row from an empty state, computed in float32."""
    nats = {}
    for kind, text in rows.items():
        last, grams, target = Feed(net.config, device).tensors(text, np.ones(len(text), np.bool_))
        state, total = net.init_state(len(text)), torch.zeros((), device=device)
        with torch.compiler.set_stance("force_eager"):  # else each kind's number of rows is compiled separately
            for t in range(0, len(last), STRIDE):
                part = slice(t, t + STRIDE)
                logits, state = net(last[part], net.gather(grams[part]), state)
                total += nn.functional.cross_entropy(logits.flatten(0, 1), target[part].flatten(), reduction="sum")
        nats[kind] = total / target.numel()
    return {kind: float(mean) / NATS_PER_BIT for kind, mean in nats.items()}


def exact_bits(weights: Weights, rows: dict[str, NDArray[np.uint8]]) -> dict[str, float]:
    """As `evaluate`, by the integer network, each row a lane. Needs numba."""
    from arzip.engine.cpu_backend import CpuBackend
    from arzip.engine.engine import Engine
    from arzip.engine.plan import Plan

    engine, result = Engine(weights, CpuBackend(weights, two_threads=False)), {}
    for kind, text in rows.items():
        result[kind] = engine.cost_bits(text.tobytes(), Plan(len(text), use_network=True, cm_profile=None)) / text.size
    return result
