"""LLVM IR of spmd's operations, for the CPU and for CUDA."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

from arzip.jit.spmd import WARP, Launch

I8, I32, I64 = ir.IntType(8), ir.IntType(32), ir.IntType(64)


def launch_of(context: Any) -> Launch | None:
    """The launch that numba compiles for, or None for the CPU."""
    return getattr(context, "launch", None)


def call_intrinsic(builder: Any, name: str, result: Any, args: list[Any]) -> Any:
    """Call an LLVM intrinsic of the NVPTX target."""
    kind = ir.FunctionType(result, [arg.type for arg in args])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), args)


def _thread(builder: Any) -> Any:
    """threadIdx.x as an i64."""
    return builder.zext(call_intrinsic(builder, "llvm.nvvm.read.ptx.sreg.tid.x", I32, []), I64)


def _team_mask(builder: Any, size: int) -> Any:
    """The team's threads within its warp, a bit each: its neighbours may be in another iteration of a loop."""
    first = builder.trunc(builder.and_(_thread(builder), ir.Constant(I64, WARP - size)), I32)
    return builder.shl(ir.Constant(I32, (1 << size) - 1), first)


def _number(cpu: int, cuda: Callable[[Any, Launch], Any], kind: Any) -> Any:
    """An intrinsic without arguments: the constant `cpu`, or what `cuda` builds."""

    def typed(typingctx):
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            launch = launch_of(context)
            return cuda(builder, launch) if launch else context.get_constant(kind, cpu)

        return kind(), codegen

    return intrinsic(typed)


def _barrier(cuda: Callable[[Any, Launch], Any]) -> Any:
    """An intrinsic that does nothing on the CPU."""

    def typed(typingctx):
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            launch = launch_of(context)
            if launch:
                cuda(builder, launch)
            return context.get_dummy_value()

        return types.void(), codegen

    return intrinsic(typed)


def _member(builder: Any, launch: Launch) -> Any:
    return builder.and_(_thread(builder), ir.Constant(I64, launch.team_size - 1))


def _team(builder: Any, launch: Launch) -> Any:
    return builder.udiv(_thread(builder), ir.Constant(I64, launch.team_size))


def _sync_team(builder: Any, launch: Launch) -> None:
    if launch.team_size > 1:
        call_intrinsic(builder, "llvm.nvvm.bar.warp.sync", ir.VoidType(), [_team_mask(builder, launch.team_size)])


def _is_zero(builder: Any, value: Any) -> Any:
    return builder.icmp_unsigned("==", value, ir.Constant(I64, 0))


team_index: Any = _number(0, _team, types.uint64)
team_count: Any = _number(1, lambda _, launch: ir.Constant(I64, launch.block_threads // launch.team_size), types.uint64)
member_index: Any = _number(0, _member, types.int64)
member_count: Any = _number(1, lambda _, launch: ir.Constant(I64, launch.team_size), types.int64)
leads_team: Any = _number(True, lambda builder, launch: _is_zero(builder, _member(builder, launch)), types.boolean)
leads_block: Any = _number(True, lambda builder, _: _is_zero(builder, _thread(builder)), types.boolean)
block_barrier: Any = _barrier(lambda builder, _: call_intrinsic(builder, "llvm.nvvm.barrier0", ir.VoidType(), []))
team_barrier: Any = _barrier(_sync_team)


def _team_sum(typingctx, value):
    """Sum of each member's int32 -> int32, the same for all members. Must be called by all of a team."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        total, launch = args[0], launch_of(context)
        step = launch.team_size // 2 if launch else 0
        while step:  # a butterfly, as cooperative groups' reduce
            mask = _team_mask(builder, launch.team_size)  # type: ignore[union-attr]
            words = [mask, total, ir.Constant(I32, step), ir.Constant(I32, WARP - 1)]
            total = builder.add(total, call_intrinsic(builder, "llvm.nvvm.shfl.sync.bfly.i32", I32, words))
            step //= 2
        return total

    return types.int32(types.int32), codegen


def _element(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    """Address of args[0][args[1]], an index or a tuple of them, none negative."""
    array, index = signature.args[:2]
    is_tuple = isinstance(index, types.BaseTuple)
    indices = cgutils.unpack_tuple(builder, args[1]) if is_tuple else [args[1]]
    kinds = index.types if is_tuple else [index]
    indices = [context.cast(builder, at, kind, types.intp) for at, kind in zip(indices, kinds, strict=True)]
    view = make_array(array)(context, builder, args[0])
    return cgutils.get_item_pointer(context, builder, array, view, indices, wraparound=False)


def _atomic_add(typingctx, array, index, value):
    """array[index] += value, atomically (relaxed), for 4 or 8 bytes; index: an integer or a tuple, none negative."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        at = _element(context, builder, signature, args)
        value = context.cast(builder, args[2], signature.args[2], array.dtype)
        if launch_of(context):
            builder.atomic_rmw("add", at, value, "monotonic")
        else:
            builder.store(builder.add(builder.load(at), value), at)
        return context.get_dummy_value()

    return types.void(array, index, value), codegen


def _atomic_max(typingctx, array, index, value):
    """array[index] = max(array[index], value), atomically (relaxed), for 1, 4 or 8 bytes; see `atomic_add`."""
    signed = array.dtype.signed

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        at = _element(context, builder, signature, args)
        value = context.cast(builder, args[2], signature.args[2], array.dtype)
        if not launch_of(context):
            old = builder.load(at)
            less = (builder.icmp_signed if signed else builder.icmp_unsigned)("<", old, value)
            builder.store(builder.select(less, value, old), at)
        elif array.dtype.bitwidth == 8:
            _byte_max(builder, at, value)
        else:
            builder.atomic_rmw("max" if signed else "umax", at, value, "monotonic")
        return context.get_dummy_value()

    return types.void(array, index, value), codegen


def _byte_max(builder: Any, at: Any, value: Any) -> None:
    """Atomic maximum of an unsigned byte by compare-and-swap of the aligned word around it: CUDA has no smaller one."""
    offset = builder.and_(builder.ptrtoint(at, I64), ir.Constant(I64, 3))
    word = builder.bitcast(builder.gep(at, [builder.neg(offset)]), I32.as_pointer())
    shift = builder.shl(builder.trunc(offset, I32), ir.Constant(I32, 3))
    mask, wanted = builder.shl(ir.Constant(I32, 0xFF), shift), builder.shl(builder.zext(value, I32), shift)
    seen = cgutils.alloca_once_value(builder, builder.load(word))
    loop, swap, done = (builder.append_basic_block(f"byte_max.{name}") for name in ("loop", "swap", "done"))
    builder.branch(loop)
    builder.position_at_end(loop)
    old = builder.load(seen)
    builder.cbranch(builder.icmp_unsigned("<", builder.and_(old, mask), wanted), swap, done)
    builder.position_at_end(swap)
    new = builder.or_(builder.and_(old, builder.not_(mask)), wanted)
    pair = builder.cmpxchg(word, old, new, "monotonic", "monotonic")
    builder.store(builder.extract_value(pair, 0), seen)
    builder.cbranch(builder.extract_value(pair, 1), done, loop)
    builder.position_at_end(done)


team_sum: Any = intrinsic(_team_sum)
atomic_add: Any = intrinsic(_atomic_add)
atomic_max: Any = intrinsic(_atomic_max)
