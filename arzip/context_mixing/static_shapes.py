"""Array sizes of a profile as compile-time constants, so that kernels have constant loop bounds and row strides.

numba compiles a function once for each combination of argument types. The length of a tuple is part of its type, that
of an array is not: the sizes travel as lengths of tuples, and `with_static_shapes` writes them into the arrays' shapes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from arzip.context_mixing.state import MATCH_FIELDS, RUN_FIELDS, CMState
from arzip.jit.compile import Intrinsic

MAX_CONTEXTS = 16  # larger profiles gain less than their own compilation costs
Count = tuple[int, ...]  # only its length counts


class Counts(NamedTuple):
    """Sizes of a profile's parts, each the length of a tuple."""

    contexts: Count
    direct: Count
    matches: Count
    runs: Count
    joints: Count
    expected_joints: Count
    mixer_contexts: Count
    apms: Count
    entries: Count
    inputs: Count


# Array -> its shape: the name of a count, a number, or None for a size that depends on the block.
SHAPES: dict[str, tuple[str | int | None, ...]] = {
    "kinds": ("contexts",),
    "hashes": (None, "contexts"),
    "slot": (None, "contexts"),
    "checksum": (None, "contexts"),
    "has_prior": ("contexts",),
    "orders": ("direct",),
    "direct": (None, "direct"),
    "match": (None, "matches", MATCH_FIELDS),
    "key": (None, "matches"),
    "min_lengths": ("matches",),
    "strides": ("matches",),
    "match_table": ("matches", None),
    "runs": ("runs",),
    "run": (None, "runs", RUN_FIELDS),
    "joints": ("joints",),
    "expected_joints": ("expected_joints",),
    "mixer_contexts": ("mixer_contexts",),
    "layer1_logits": (None, "mixer_contexts"),
    "layer2_weights": (None, "mixer_contexts"),
    "apms": ("apms",),
    "map_index": (None, "entries"),
    "map_value": (None, "entries"),
    "inverted": (None, "entries"),
    "limits": ("entries",),
    "inputs": (None, "inputs"),
    "weights": (None, "inputs"),
}


def counts_of(cm: CMState) -> Counts | None:
    """Array sizes to compile in as constants; None for profiles above MAX_CONTEXTS, and for no contexts."""
    if not 0 < cm.kinds.size <= MAX_CONTEXTS:
        return None
    found = {}
    for name, shape in SHAPES.items():
        for count, size in zip(shape, getattr(cm, name).shape, strict=True):
            if isinstance(count, str):
                found[count] = (0,) * size
    return Counts(**found)


with_static_shapes: Any = Intrinsic("arzip.context_mixing.static_shapes_ir", "with_static_shapes")
