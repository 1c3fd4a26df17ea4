"""The network's shape and fixed-point formats, which all implementations share.

Every number is an integer. A value "in Q12" is an integer k that stands for k / 2**12. Weights are int8 in Q7,
activations int8 in Q5, so a product of the two is in Q12, the format of the residual stream: sums of products are added
to it without rescaling. Must not import an implementation of the step, nor file code.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from numpy.typing import NDArray

ACTIVATION_BITS = 5  # activations after a norm, int8: |a| <= 127 / 32
WEIGHT_BITS = 7  # weights, int8: |w| <= 127 / 128
RESIDUAL_BITS = ACTIVATION_BITS + WEIGHT_BITS  # residual stream, pre-activations, logits, biases, int32
EMBEDDING_BITS = 6  # embedding rows, int8: |e| <= 127 / 64
GATE_BITS = 16  # values of the sigmoid table
GATE_STEP_BITS = 6  # the sigmoid table has an entry every 1 / 64, from -8 to 8
GATE_ENTRIES = 1024
STATE_BITS = 18  # recurrent state h, int32
CANDIDATE_LIMIT = 4 << RESIDUAL_BITS  # the candidate c is clipped to [-4, 4]
HIDDEN_BITS = 4  # squared ReLU, int8: 0 <= u <= 127 / 16
HIDDEN_LIMIT = 11585  # ceil(2**12 * sqrt(8)): pre-activations are clipped here before they are squared
SOFTMAX_STEP_BITS = 7  # the exponential table has an entry every 1 / 128 nat
SOFTMAX_ENTRIES = 2048
SOFTMAX_ONE = 1 << 20  # the frequency of the likeliest byte

# Shifts between the formats of a step.
HALF_EMBEDDING = RESIDUAL_BITS - EMBEDDING_BITS
GATE_SHIFT = RESIDUAL_BITS - GATE_STEP_BITS
CANDIDATE_SHIFT = STATE_BITS - RESIDUAL_BITS
STATE_SHIFT = STATE_BITS + GATE_BITS - ACTIVATION_BITS
HIDDEN_SHIFT = 2 * RESIDUAL_BITS - HIDDEN_BITS
HALF_GATES = GATE_ENTRIES // 2
SOFTMAX_SHIFT = RESIDUAL_BITS - SOFTMAX_STEP_BITS

# Contexts of the n-gram tables (ngram_rows.py): multiplicative hashing in 64 bits.
MULTIPLIER = 0x9E3779B97F4A7C15  # 2**64 / golden ratio, odd: Knuth's multiplicative hashing
WORD_MULTIPLIER = 0xD6E8FEB86659FD93

WORD_TABLE = "word"  # name of the n-gram table indexed by the current and the previous word


@dataclass(frozen=True)
class NetworkConfig:
    """Shape of a network, stored in the weights file as JSON.

    d: width of the residual stream and of the recurrent state.
    blocks: number of (recurrence, MLP) pairs. hidden: width of the MLP.
    orders: byte orders of the hashed n-gram tables; a word table follows them.
    rows: rows of each table, a power of two >= 65536. ngram_d: int8 values a row.
    """

    d: int = 192
    blocks: int = 2
    hidden: int = 576
    orders: tuple[int, ...] = (2, 3, 4, 5, 6)
    rows: int = 1 << 16
    ngram_d: int = 20

    @property
    def tables(self) -> int:
        """Number of n-gram tables: one for each order, and the word table."""
        return len(self.orders) + 1

    @property
    def byte_d(self) -> int:
        """Width of the last byte's embedding: d without the n-gram rows."""
        return self.d - self.tables * self.ngram_d

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name -> shape of every tensor of the weights file (tables of constants not included)."""
        d, h = self.d, self.hidden
        shapes: dict[str, tuple[int, ...]] = {
            "byte": (256, self.byte_d),
            "ngram": (self.tables, self.rows, self.ngram_d),
            "out": (256, d),
            "out_bias": (256,),
        }
        for k in range(self.blocks):
            shapes[f"block{k}.gates"] = (3 * d, 2 * d)
            shapes[f"block{k}.gates_bias"] = (3 * d,)
            shapes[f"block{k}.state_out"] = (d, d)
            shapes[f"block{k}.mlp_in"] = (h, d)
            shapes[f"block{k}.mlp_out"] = (d, h)
        return shapes

    @property
    def core_parameters(self) -> int:
        """Number of parameters without the n-gram tables."""
        total = 0
        for name, shape in self.shapes().items():
            if name != "ngram":
                size = 1
                for n in shape:
                    size *= n
                total += size
        return total

    def dumps(self) -> str:
        """The configuration as JSON with sorted keys."""
        return json.dumps(asdict(self), sort_keys=True)

    @staticmethod
    def loads(text: str) -> NetworkConfig:
        """The inverse of `dumps`. Raises ValueError or TypeError on anything else."""
        fields = json.loads(text)
        fields["orders"] = tuple(int(n) for n in fields["orders"])
        return NetworkConfig(**fields)


@dataclass(frozen=True)
class Weights:
    """A model: its shape, int8 (biases and tables int32) tensors by name, digest and free-form metadata.

    Tensors named "memory.*", if any, are the initial state of context mixing (arzip.context_mixing.pretrained).
    """

    config: NetworkConfig
    tensors: dict[str, NDArray[Any]]
    digest: bytes
    metadata: dict[str, str]
