"""The network's shape and its fixed-point formats: everything two engines must agree on.

Every number is an integer. A value "in Q12" is an integer k that stands for k / 2**12.
Weights are int8 in Q7, activations int8 in Q5, so a product of the two is in Q12, which is also the
format of the residual stream: sums of products are added to it without any rescaling.
This module must not know how a step is computed (cpu, torch) nor how weights are stored.
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
SOFTMAX_ONE = 1 << 20  # the weight of the likeliest byte

WORD_TABLE = "word"  # name of the n-gram table indexed by the current and the previous word


@dataclass(frozen=True)
class NetworkConfig:
    """Shape of a network; travels in the weights file as JSON.

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
        """Width of the embedding of the last byte: what the n-gram tables leave of d."""
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
        """Parameters that every step multiplies with: all but the n-gram tables."""
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

    Tensors called "memory.*", if there are any, are how the memory starts (arzip.context_mixing.pretrained).
    """

    config: NetworkConfig
    tensors: dict[str, NDArray[Any]]
    digest: bytes
    metadata: dict[str, str]
