"""A memory's shape as constants: what is compiled for one profile knows where its loops end and its rows lie.

numba compiles a function once for each combination of its arguments' types. A tuple's length is part of its type,
an array's isn't: so the counts travel as lengths of tuples, and `known` writes them over those of the arrays.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

from arzip.context_mixing.state import MATCH_FIELDS, RUN_FIELDS, Memory

MOST_CONTEXTS = 16  # larger profiles gain less, and the first use of each would take its time to compile
Count = tuple[int, ...]  # of so many elements, whatever they are


class Counts(NamedTuple):
    """How many of each a profile has."""

    contexts: Count
    direct: Count
    matches: Count
    runs: Count
    joints: Count
    expected_joints: Count
    selectors: Count
    finals: Count
    entries: Count
    inputs: Count


# For each array that has them: its shape, a count's name or a number; None: what depends on the block.
SHAPES: dict[str, tuple[str | int | None, ...]] = {
    "kinds": ("contexts",),
    "hashes": (None, "contexts"),
    "slot": (None, "contexts"),
    "check": (None, "contexts"),
    "counted": ("contexts",),
    "orders": ("direct",),
    "direct": (None, "direct"),
    "match": (None, "matches", MATCH_FIELDS),
    "key": (None, "matches"),
    "shortest": ("matches",),
    "strides": ("matches",),
    "recent": ("matches", None),
    "runs": ("runs",),
    "run": (None, "runs", RUN_FIELDS),
    "joints": ("joints",),
    "expected_joints": ("expected_joints",),
    "selectors": ("selectors",),
    "mixed": (None, "selectors"),
    "final_weights": (None, "selectors"),
    "finals": ("finals",),
    "entry": (None, "entries"),
    "old": (None, "entries"),
    "flip": (None, "entries"),
    "limits": ("entries",),
    "inputs": (None, "inputs"),
    "weights": (None, "inputs"),
}


def counts_of(memory: Memory) -> Counts | None:
    """What `known` is to know of the memory; None: that isn't worth its own compilation, or there are no contexts."""
    if not 0 < memory.kinds.size <= MOST_CONTEXTS:
        return None
    found = {}
    for name, shape in SHAPES.items():
        for count, size in zip(shape, getattr(memory, name).shape, strict=True):
            if isinstance(count, str):
                found[count] = (0,) * size
    return Counts(**found)


def _known(typingctx, memory, counts):
    """The memory itself, its shapes constants for whoever is compiled into the caller."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value, names, given = args[0], memory.instance_class._fields, counts.instance_class._fields
        for name, shape in SHAPES.items():
            at = names.index(name)
            view = make_array(memory.types[at])(context, builder, builder.extract_value(value, at))
            sizes = cgutils.unpack_tuple(builder, view.shape)
            for axis, count in enumerate(shape):
                if isinstance(count, str):
                    count = len(counts.types[given.index(count)])
                if count is not None:
                    sizes[axis] = ir.Constant(ir.IntType(64), count)
            view.shape = cgutils.pack_array(builder, sizes)
            total = sizes[0]
            for size in sizes[1:]:
                total = builder.mul(total, size)
            view.nitems = total
            value = builder.insert_value(value, view._getvalue(), at)
        return value

    return memory(memory, counts), codegen


known: Any = intrinsic(_known)
