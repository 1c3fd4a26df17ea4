"""LLVM IR of the operations on counters that two threads share (`atomics`), and of prefetching."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

from arzip.jit.spmd_ir import launch_of

yield_processor: Any = types.ExternalFunction("sched_yield", types.int32())


def _address(builder: Any, args: Any) -> Any:
    return builder.inttoptr(builder.add(args[0], builder.shl(args[1], ir.Constant(ir.IntType(64), 3))), _POINTER)


_POINTER = ir.IntType(64).as_pointer()


@intrinsic
def load(typingctx, base, index):
    """int64 at base + 8 index, with all that the storing thread wrote before it."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load_atomic(_address(builder, args), ordering="acquire", align=8)

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def store(typingctx, base, index, value):
    """The counterpart of `load`."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store_atomic(args[2], _address(builder, args), ordering="release", align=8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), codegen


@intrinsic
def add(typingctx, base, index, value):
    """Add to the int64 at base + 8 index atomically, with the ordering of `load` and `store`."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.atomic_rmw("add", _address(builder, args), args[2], ordering="acq_rel")

    return types.int64(types.int64, types.int64, types.int64), codegen


@intrinsic
def swap(typingctx, base, index, old, new):
    """Replace the int64 at base + 8 index, if it is `old`, by `new`; whether it was."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pair = builder.cmpxchg(_address(builder, args), args[2], args[3], ordering="acq_rel", failordering="acquire")
        return builder.extract_value(pair, 1)

    return types.boolean(types.int64, types.int64, types.int64, types.int64), codegen


def _prefetch(typingctx, array, index):
    """Have the cache line of a contiguous array's element (by its place in memory) fetched: only a hint."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if launch_of(context):
            return context.get_dummy_value()  # other warps hide the wait; PTX has no such instruction for LLVM's own
        data = make_array(signature.args[0])(context, builder, args[0]).data
        byte, flag = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, flag, flag, flag])
        function = builder.module.declare_intrinsic("llvm.prefetch", [byte], kind)
        hints = [ir.Constant(flag, k) for k in (0, 3, 1)]  # to read, to keep, data
        builder.call(function, [builder.bitcast(builder.gep(data, [args[1]]), byte), *hints])
        return context.get_dummy_value()

    return types.void(array, types.int64), codegen


prefetch: Any = intrinsic(_prefetch)
