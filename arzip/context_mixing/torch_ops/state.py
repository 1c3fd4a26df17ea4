"""The arrays of a CMState on a device, and lane groups: views of the rows of some lanes.

Every name is that of `CMState`; derived constants are added beside them. No value is copied to the host.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from arzip.context_mixing import lane_history, match_model, ngram_table
from arzip.context_mixing.state import (
    LENGTH_BUCKETS,
    MISS_BUCKETS,
    RECORD_LENGTH,
    RECORD_LENGTH2,
    RUN_ENTRIES,
    SLOT_BYTES,
    CMState,
)
from arzip.context_mixing.state_table import STATES

OF_LANES = ("starts", "lane", "hashes", "slot", "direct", "match", "inputs", "last_seen", "indirect", "fields", "run")
ON_HOST = (
    "clock",
    "kinds",
    "orders",
    "min_lengths",
    "strides",
    "mixer_contexts",
    "apms",
    "has_prior",
    "rates",
    "map_bases",
)


class LaneGroup:
    """The lanes [first, end), L of them: the arrays of a state, those in OF_LANES cut to these lanes.

    ON_HOST names lists; the clock's record lengths are in `record_lengths` (2,). maps and match_table (flat here) have
    an extra last entry, for lanes that have nothing to write. Derived constants: `derive`. Set for each bit, as in the
    kernels but not in `CMState`: nodes (L, C), seen, expects, likely, buckets, logit, probability; map_index,
    map_value, inverted, weight_rows and layer1_logits are replaced.
    """

    clock: list[int]
    kinds: list[int]
    orders: list[int]
    min_lengths: list[int]
    strides: list[int]
    mixer_contexts: list[int]
    apms: list[int]
    has_prior: list[int]
    rates: list[int]
    map_bases: list[int]

    if TYPE_CHECKING:  # all the rest are tensors

        def __getattr__(self, name: str) -> Tensor: ...

        def __setattr__(self, name: str, value: Tensor) -> None: ...

    def __init__(self, shared: dict[str, Any], first: int, end: int) -> None:
        vars(self).update(shared)
        vars(self).update({name: shared[name][first:end] for name in OF_LANES})


class DeviceState:
    """A copy of a state's arrays on a torch device."""

    def __init__(self, cm: CMState, device: str) -> None:
        self.device = torch.device(device)
        spare = cm._replace(
            maps=np.append(cm.maps, 0),
            match_table=np.append(cm.match_table, 0),
            hashes=cm.hashes.view(np.int64),
            run_table=cm.run_table.astype(np.int64),
        )
        self.shared: dict[str, Any] = {
            name: array.tolist() if name in ON_HOST else self.tensor(array) for name, array in spare._asdict().items()
        }
        self.shared["record_lengths"] = self.tensor(cm.clock[[RECORD_LENGTH, RECORD_LENGTH2]])
        self.shared |= {name: self.tensor(array) for name, array in derive(cm).items()}
        self.shared["inputs"][:, 2 * (cm.limits.size - cm.apms.size)] = 256
        self.groups: dict[tuple[int, int], LaneGroup] = {}

    def tensor(self, array: NDArray[Any]) -> Tensor:
        """A copy on the device."""
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device, copy=True)

    def group(self, first: int, end: int) -> LaneGroup:
        """The lanes [first, end)."""
        if (first, end) not in self.groups:
            self.groups[first, end] = LaneGroup(self.shared, first, end)
        return self.groups[first, end]


def derive(cm: CMState) -> dict[str, NDArray[Any]]:
    """Constants that only the torch operations need."""
    contexts_, direct, models = cm.kinds.size, cm.orders.size, cm.min_lengths.size
    kinds = np.flatnonzero(cm.has_prior)
    return {
        "kind_numbers": cm.kinds + 1,
        "lengths": cm.min_lengths,
        "stride_masks": cm.strides - 1,
        "set_bases": cm.bases[:-1],
        "state_bases": STATES * np.arange(contexts_),
        "expecting_bases": np.append(
            cm.map_bases[direct] + LENGTH_BUCKETS * MISS_BUCKETS * np.arange(models),
            cm.map_bases[direct + 1] + RUN_ENTRIES * np.arange(cm.runs.size),
        ),
        "apm_bases": cm.map_bases[direct + 3 :],
        "run_rows": np.arange(cm.runs.size),
        "match_table_bases": cm.match_table.shape[1] * np.arange(models),
        "apm_weights": np.where(cm.apms > 0, 2, 1),
        "prior_kinds": kinds,
        "node_counts": node_counts(),
        "count_classes": ngram_table.class_table(),
        "nodes_of_slot": np.arange(SLOT_BYTES),
        "back": np.arange(max(match_model.MAX_VERIFIED, int(cm.min_lengths.max()))),
        "class_shifts": 3 * np.arange(6),
        "lr_scale_of_letters": np.array([20, 20, 20, 20, 20, 16, 8]),
        "lr_scale_of_binary": np.array([20, 24, 24, 32, 32, 32, 32]),
        "class_of_byte": table(lane_history.byte_class, 256),
        "is_separator": table(lane_history.is_separator, 256),
        "bucket_of_length": table(match_model.length_bucket, match_model.MAX_LENGTH + 1),
        "bucket_of_misses": table(match_model.miss_bucket, 1 << 8),
        "misses_of_history": table(int.bit_count, 1 << 16),
    }


def table(function: Any, size: int) -> NDArray[np.int64]:
    """Tabulate a kernel's function of one integer, 0 .. size - 1, run as Python."""
    function = getattr(function, "py_func", function)
    return np.array([function(n) for n in range(size)], np.int64)


def node_counts() -> NDArray[np.int64]:
    """(256, SLOT_BYTES, 2): zeros and ones that a pair of an n-gram row adds at each node; see ngram_table.py."""
    counts = np.zeros((256, SLOT_BYTES, 2), np.int64)
    for pair in range(256):
        for depth in range(4):
            counts[pair, (pair >> 4 | 16) >> (4 - depth), pair >> (7 - depth) & 1] = ngram_table.LEVEL_COUNTS[pair & 15]
    return counts
