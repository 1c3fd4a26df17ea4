"""A memory's arrays on a device, and its crews: views of what belongs to some lanes.

Every name is that of `Memory`; what a step needs besides is set beside them. No value is fetched from the device.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from arzip.context_mixing import lane_history as past
from arzip.context_mixing import match_model as match
from arzip.context_mixing import ngram_table as ngrams
from arzip.context_mixing.state import MATCH_BUCKETS, MATCH_RECORDS, ROW, ROW2, RUN_RECORDS, SLOT_BYTES, Memory
from arzip.context_mixing.state_table import HISTORIES

OF_LANES = ("starts", "lane", "hashes", "slot", "direct", "match", "inputs", "last_seen", "followers", "fields", "run")
ON_HOST = ("clock", "kinds", "orders", "shortest", "strides", "selectors", "finals", "counted", "rates", "map_bases")


class Crew:
    """Lanes [first, end), L of them, of a memory: its arrays, those in OF_LANES cut to these lanes.

    Lists are those of ON_HOST, the clock without ROW and ROW2: these are in `rows` (2,). maps and recent (flat here)
    have a last entry too many, for lanes that have nothing to write. Derived constants: `derive`. Set anew for each
    bit, as in the kernels but without a place in `Memory`: nodes (L, C), seen, expects, likely, buckets, entry, old,
    flip, chosen, mixed, logit, probability.
    """

    clock: list[int]
    kinds: list[int]
    orders: list[int]
    shortest: list[int]
    strides: list[int]
    selectors: list[int]
    finals: list[int]
    counted: list[int]
    rates: list[int]
    map_bases: list[int]

    if TYPE_CHECKING:  # all the rest are tensors

        def __getattr__(self, name: str) -> Tensor: ...

        def __setattr__(self, name: str, value: Tensor) -> None: ...

    def __init__(self, shared: dict[str, Any], first: int, end: int) -> None:
        vars(self).update(shared)
        vars(self).update({name: shared[name][first:end] for name in OF_LANES})


class DeviceMemory:
    """All of a memory on a device of torch's, as it is when its arrays are handed over."""

    def __init__(self, memory: Memory, device: str) -> None:
        self.device = torch.device(device)
        spare = memory._replace(
            maps=np.append(memory.maps, 0),
            recent=np.append(memory.recent, 0),
            hashes=memory.hashes.view(np.int64),
            run_table=memory.run_table.astype(np.int64),
        )
        self.shared: dict[str, Any] = {
            name: array.tolist() if name in ON_HOST else self.tensor(array) for name, array in spare._asdict().items()
        }
        self.shared["rows"] = self.tensor(memory.clock[[ROW, ROW2]])
        self.shared |= {name: self.tensor(array) for name, array in derive(memory).items()}
        self.shared["inputs"][:, 2 * (memory.limits.size - memory.finals.size)] = 256
        self.crews: dict[tuple[int, int], Crew] = {}

    def tensor(self, array: NDArray[Any]) -> Tensor:
        """A copy on the device."""
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device, copy=True)

    def crew(self, first: int, end: int) -> Crew:
        """The lanes [first, end)."""
        if (first, end) not in self.crews:
            self.crews[first, end] = Crew(self.shared, first, end)
        return self.crews[first, end]


def derive(memory: Memory) -> dict[str, NDArray[Any]]:
    """Constants of a memory that only tensors need."""
    contexts_, direct, models = memory.kinds.size, memory.orders.size, memory.shortest.size
    kinds = np.flatnonzero(memory.counted)
    return {
        "kind_numbers": memory.kinds + 1,
        "lengths": memory.shortest,
        "stride_masks": memory.strides - 1,
        "set_bases": memory.bases[:-1],
        "history_bases": HISTORIES * np.arange(contexts_),
        "expecting_bases": np.append(
            memory.map_bases[direct] + MATCH_BUCKETS * MATCH_RECORDS * np.arange(models),
            memory.map_bases[direct + 1] + RUN_RECORDS * np.arange(memory.runs.size),
        ),
        "final_bases": memory.map_bases[direct + 3 :],
        "run_rows": np.arange(memory.runs.size),
        "recent_bases": memory.recent.shape[1] * np.arange(models),
        "shares": np.where(memory.finals > 0, 2, 1),
        "known_kinds": kinds,
        "node_counts": node_counts(),
        "count_classes": ngrams.class_table(),
        "nodes_of_slot": np.arange(SLOT_BYTES),
        "back": np.arange(max(match.VERIFIED, int(memory.shortest.max()))),
        "class_shifts": 3 * np.arange(6),
        "haste_of_letters": np.array([20, 20, 20, 20, 20, 16, 8]),
        "haste_of_binary": np.array([20, 24, 24, 32, 32, 32, 32]),
        "class_of_byte": table(past.byte_class, 256),
        "is_separator": table(past.is_separator, 256),
        "bucket_of_length": table(match.length_bucket, match.LONGEST + 1),
        "bucket_of_record": table(match.record_bucket, 1 << 8),
        "misses_of_record": table(int.bit_count, 1 << 16),
    }


def table(function: Any, size: int) -> NDArray[np.int64]:
    """The values of a kernel's function of one number, 0 .. size - 1, as Python computes them."""
    function = getattr(function, "py_func", function)
    return np.array([function(n) for n in range(size)], np.int64)


def node_counts() -> NDArray[np.int64]:
    """(256, SLOT_BYTES, 2): how many zeros and ones a pair of an n-gram's row adds at each node; see `ngrams.fill`."""
    counts = np.zeros((256, SLOT_BYTES, 2), np.int64)
    for pair in range(256):
        for depth in range(4):
            counts[pair, (pair >> 4 | 16) >> (4 - depth), pair >> (7 - depth) & 1] = ngrams.LEVEL_COUNTS[pair & 15]
    return counts
