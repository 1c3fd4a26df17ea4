"""LLVM IR of the products on vector registers (`gemm_avx`): AVX-512 VNNI and AVX2."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from arzip.network.packing import GROUP, LANES, LINE, OFFSET

I16, I32, I64 = ir.IntType(16), ir.IntType(32), ir.IntType(64)
SUMS = ir.VectorType(I32, LANES)


def _load(builder: Any, address: Any, kind: Any) -> Any:
    """The value of this type at an address (int64), aligned or not."""
    return builder.load(builder.inttoptr(address, kind.as_pointer()), align=1)


def _spread(builder: Any, value: Any, times: int) -> Any:
    """A vector of one value."""
    undefined = ir.Constant(ir.VectorType(value.type, times), ir.Undefined)
    first = builder.insert_element(undefined, value, ir.Constant(I32, 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(I32, times), [0] * times))


class _Vnni:
    """Sixteen sums in one register; one instruction adds 64 products (unsigned by signed) to them."""

    sums = (SUMS,)

    @staticmethod
    def activations(builder: Any, address: Any, row_bytes: Any) -> Any:
        return _spread(builder, _load(builder, address, I32), LANES)

    @staticmethod
    def weights(builder: Any, address: Any) -> list[Any]:
        return [_load(builder, address, SUMS)]

    @staticmethod
    def dot(builder: Any, total: Any, activations: Any, weights: Any) -> Any:
        kind = ir.FunctionType(SUMS, [SUMS] * 3)
        code = ir.InlineAsm(kind, "vpdpbusd $3, $2, $0", "=v,0,v,v", side_effect=False)
        return builder.call(code, [total, activations, weights])

    @staticmethod
    def finish(builder: Any, totals: list[Any], row_end: Any) -> Any:
        return totals[0]


class _Avx2:
    """Sixteen sums in two registers, by products of bytes.

    The instruction multiplies unsigned by signed bytes and adds two neighbours in 16 bits. Activations a come as |a|
    and as a mask m, all bits set where a < 0 (see `_split_sign`): |a| (w ^ m) is a w where a >= 0, else a w - |a|, and
    what is missing in a row's sums is the same for all outputs. Nothing overflows, as |a| <= 128 and |w| <= 127.
    """

    BYTES, WORDS, SUMS = ir.VectorType(ir.IntType(8), 32), ir.VectorType(I16, 16), ir.VectorType(I32, 8)
    sums = (SUMS, SUMS)

    @staticmethod
    def activations(builder: Any, address: Any, row_bytes: Any) -> list[Any]:
        spread = []
        for at in (address, builder.add(address, row_bytes)):
            spread.append(builder.bitcast(_spread(builder, _load(builder, at, I32), 8), _Avx2.BYTES))
        return spread

    @staticmethod
    def weights(builder: Any, address: Any) -> list[Any]:
        return [_load(builder, builder.add(address, ir.Constant(I64, 32 * half)), _Avx2.BYTES) for half in range(2)]

    @staticmethod
    def dot(builder: Any, total: Any, activations: list[Any], weights: Any) -> Any:
        def call(name: str, result: Any, *args: Any) -> Any:
            kind = ir.FunctionType(result, [arg.type for arg in args])
            return builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.x86.avx2.{name}"), args)

        absolute, mask = activations
        pairs = call("pmadd.ub.sw", _Avx2.WORDS, absolute, builder.xor(weights, mask))
        return builder.add(total, call("pmadd.wd", _Avx2.SUMS, pairs, ir.Constant(_Avx2.WORDS, [1] * 16)))

    @staticmethod
    def finish(builder: Any, totals: list[Any], row_end: Any) -> Any:
        missing = _spread(builder, _load(builder, row_end, I32), LANES)
        return builder.add(builder.shuffle_vector(*totals, ir.Constant(SUMS, list(range(LANES)))), missing)


def _tile(unit: Any, rows: int, lines: int) -> Any:
    """An intrinsic that computes rows x (16 lines) sums: accumulators in registers, one pass over K.

    Its arguments are int64: addresses of the activations (rows, 4 k) as the unit takes them, the packed lines, the
    start values and c, each but the start values with its stride in bytes; k.
    """

    def tile(typingctx, a, a_step, w, w_step, s, c, c_step, k):
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            a, a_step, w, w_step, s, c, c_step, k = args
            zero, line = ir.Constant(I64, 0), ir.Constant(I64, LINE)
            cells = [(r, v) for r in range(rows) for v in range(lines)]

            def at(base: Any, step: Any, times: int) -> Any:
                return builder.add(base, builder.mul(step, ir.Constant(I64, times)))

            sums = {cell: [cgutils.alloca_once(builder, kind) for kind in unit.sums] for cell in cells}
            for cell in cells:
                for slot in sums[cell]:
                    builder.store(ir.Constant(slot.type.pointee, None), slot)
            row = builder.mul(k, ir.Constant(I64, GROUP))
            with cgutils.for_range(builder, k) as loop:
                here = builder.mul(loop.index, ir.Constant(I64, GROUP))
                spread = [unit.activations(builder, builder.add(at(a, a_step, r), here), row) for r in range(rows)]
                here = builder.mul(loop.index, line)
                for v in range(lines):
                    for part, weights in enumerate(unit.weights(builder, builder.add(at(w, w_step, v), here))):
                        for r in range(rows):
                            slot = sums[r, v][part]
                            builder.store(unit.dot(builder, builder.load(slot), spread[r], weights), slot)
            for r, v in cells:
                row_end = builder.add(at(a, a_step, r), builder.mul(row, ir.Constant(I64, 2)))
                value = unit.finish(builder, [builder.load(slot) for slot in sums[r, v]], row_end)
                value = builder.add(value, _load(builder, at(s, line, v), SUMS))
                out = builder.inttoptr(builder.add(at(c, c_step, r), at(zero, line, v)), SUMS.as_pointer())
                builder.store(value, out, align=4)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 8), codegen

    return intrinsic(tile)


def _split_row(typingctx, a, out, k):
    """Activations (k,) uint8 with offset at the address a -> `_split_sign`'s row at out; k must be a multiple of 32."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        a, out, k = args
        kind, sad = _Avx2.BYTES, ir.VectorType(I64, 4)
        zero, high = ir.Constant(kind, [0] * 32), ir.Constant(kind, [OFFSET] * 32)
        total = cgutils.alloca_once_value(builder, ir.Constant(sad, [0] * 4))
        add_bytes = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(sad, [kind, kind]), "llvm.x86.avx2.psad.bw"
        )
        with cgutils.for_range(builder, builder.udiv(k, ir.Constant(I64, 32))) as loop:
            at = builder.mul(loop.index, ir.Constant(I64, 32))
            signed = builder.xor(_load(builder, builder.add(a, at), kind), high)
            mask = builder.sext(builder.icmp_signed("<", signed, zero), kind)
            absolute = builder.sub(builder.xor(signed, mask), mask)
            place = builder.add(out, at)
            builder.store(absolute, builder.inttoptr(place, kind.as_pointer()), align=1)
            builder.store(mask, builder.inttoptr(builder.add(place, k), kind.as_pointer()), align=1)
            sums = builder.call(add_bytes, [builder.and_(absolute, mask), zero])
            builder.store(builder.add(builder.load(total), sums), total)
        parts = [builder.extract_element(builder.load(total), ir.Constant(I32, n)) for n in range(4)]
        missing = builder.trunc(builder.add(builder.add(*parts[:2]), builder.add(*parts[2:])), I32)
        end = builder.add(out, builder.mul(k, ir.Constant(I64, 2)))
        builder.store(missing, builder.inttoptr(end, I32.as_pointer()), align=1)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 3), codegen


split_row: Any = intrinsic(_split_row)
vnni_6x4, vnni_3x4, vnni_1x4 = (_tile(_Vnni, rows, 4) for rows in (6, 3, 1))
avx2_2x2, avx2_1x4 = (_tile(_Avx2, *tile) for tile in ((2, 2), (1, 4)))
