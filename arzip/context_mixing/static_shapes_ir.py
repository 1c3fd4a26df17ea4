"""LLVM IR of `static_shapes`: constants in place of the shapes of a state's arrays."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

from arzip.context_mixing.static_shapes import SHAPES


def _with_static_shapes(typingctx, cm, counts):
    """Return the state with constant shapes, for functions that are inlined into the caller."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value, names, given = args[0], cm.instance_class._fields, counts.instance_class._fields
        for name, shape in SHAPES.items():
            at = names.index(name)
            view = make_array(cm.types[at])(context, builder, builder.extract_value(value, at))
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

    return cm(cm, counts), codegen


with_static_shapes: Any = intrinsic(_with_static_shapes)
