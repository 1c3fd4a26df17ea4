"""Kernels compiled ahead of time, for a kind of processor that need not be this one: what `ready` then loads.

numba types and lowers a kernel as ever, for the target's features; LLVM makes an object file of it and of an entry
point with C's calling convention, which takes the parameters of `kernel_parameters` and returns 0 if all went well.
For building only, in a process of its own (`build_for`), where nothing that numba compiles can be called: it relies on
numba's internals and works with the versions of `nvptx.NUMBA_VERSIONS` alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import llvmlite.binding as llvm
from llvmlite import ir
from numba import _dynfunc  # type: ignore[attr-defined]
from numba import types as numba_types
from numba.core import cgutils, codegen, config, cpu
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import cpu_target
from numba.np.arrayobj import make_array, populate_array

from arzip.jit import numba_compiler
from arzip.jit.compile import Kernel
from arzip.jit.nvptx import check_numba
from arzip.jit.ready import RESULT_WORDS, Target

types: Any = numba_types  # whose classes have attributes that mypy does not see
WORD, I32 = ir.IntType(64), ir.IntType(32)
# What object files may want of the C library.
EXTERNAL = frozenset({"free", "malloc", "memcpy", "memmove", "memset", "sched_yield", "sqrt"})
OWNER_BYTES = 48


class Compiled(NamedTuple):
    """A kernel for some types of arguments: an object file, its entry point, what it returns (see `ready.value_of`)."""

    code: bytes
    symbol: str
    result: Any


def build_for(target: Target) -> None:
    """Let this process compile kernels for a target, and for nothing else: no compiled function can be called in it.

    ARZIP_KERNEL_TARGET must have been set to the target's features. Raises UnsupportedNumba.
    """
    check_numba()
    config.CPU_NAME, config.CPU_FEATURES = target.cpu, target.llvm_features  # type: ignore[attr-defined]
    numba_compiler.FOR_ALL.update({"cache": False, "no_cpython_wrapper": True, "no_cfunc_wrapper": True})

    def stand_in(self: Any, library: Any, fndesc: Any, env: Any) -> Any:
        return _dynfunc.make_function(fndesc.lookup_module(), fndesc.qualname, "", id(self), env, (library,))

    cpu.CPUContext.get_executable = stand_in  # type: ignore[method-assign]
    codegen.JITCPUCodegen._add_module = lambda self, module: None  # type: ignore[method-assign]
    codegen.JITCodeLibrary._finalize_specific = lambda self: None  # type: ignore[method-assign]


def _argument(context: Any, builder: Any, kind: Any, words: list[Any]) -> Any:
    """An argument as numba's functions take it, made from the parameters that it takes off the list's front."""
    if isinstance(kind, types.BaseTuple):
        values = [_argument(context, builder, field, words) for field in kind.types]
        return context.make_tuple(builder, kind, values)
    if isinstance(kind, types.Array):
        data = builder.inttoptr(words.pop(0), context.get_data_type(kind.dtype).as_pointer())
        shape = [words.pop(0) for _ in range(kind.ndim)]
        item = ir.Constant(WORD, kind.dtype.bitwidth // 8)
        strides = [item] if kind.is_c_contig else [words.pop(0) for _ in range(kind.ndim)]
        for extent in reversed(shape[1:]) if kind.is_c_contig else ():
            strides.insert(0, builder.mul(strides[0], extent))
        view = make_array(kind)(context, builder)
        populate_array(view, data=data, shape=shape, strides=strides, itemsize=item, meminfo=None)
        return view._getvalue()
    if isinstance(kind, types.NoneType):
        return context.get_dummy_value()
    assert isinstance(kind, types.Integer | types.Boolean), kind
    word, wanted = words.pop(0), context.get_value_type(kind)
    return builder.trunc(word, wanted) if wanted.width < WORD.width else word


def _parameter_count(kind: Any) -> int:
    """How many parameters an argument has."""
    if isinstance(kind, types.BaseTuple):
        return sum(_parameter_count(part) for part in kind.types)
    if isinstance(kind, types.Array):
        return 1 + int(kind.ndim) * (1 if kind.is_c_contig else 2)
    return 0 if isinstance(kind, types.NoneType) else 1


def _result_kind(kind: Any) -> Any:
    """What `ready.value_of` makes of a returned value. Raises TypeError for what can't be returned."""
    if isinstance(kind, types.NoneType):
        return "none"
    if isinstance(kind, types.Boolean | types.Integer):
        return "bool" if isinstance(kind, types.Boolean) else "int"
    if isinstance(kind, types.BaseTuple):
        return [_result_kind(part) for part in kind.types]
    if isinstance(kind, types.Array) and kind.is_c_contig:
        return {"dtype": str(kind.dtype), "ndim": kind.ndim}
    raise TypeError(f"an entry point can't return {kind}")


def _result_words(context: Any, builder: Any, kind: Any, value: Any) -> list[Any]:
    """A returned value as words: an array is the address of its first element, its owner (to be released), extents."""
    if isinstance(kind, types.NoneType):
        return []
    if isinstance(kind, types.BaseTuple):
        parts = [(part, builder.extract_value(value, at)) for at, part in enumerate(kind.types)]
        return [word for part, piece in parts for word in _result_words(context, builder, part, piece)]
    if isinstance(kind, types.Array):
        view = make_array(kind)(context, builder, value)
        return [
            builder.ptrtoint(view.data, WORD),
            builder.ptrtoint(view.meminfo, WORD),
            *cgutils.unpack_tuple(builder, view.shape),
        ]
    signed = isinstance(kind, types.Integer) and kind.signed
    return [(builder.sext if signed else builder.zext)(value, WORD) if value.type.width < WORD.width else value]


def _entry(context: Any, module: Any, function: Any, name: str) -> None:
    """Add an entry point `int name(const int64_t *parameters, int64_t *result)` to an LLVM module."""
    kinds = function.argtypes
    inner_type = context.call_conv.get_function_type(function.restype, kinds)
    inner = ir.Function(module, inner_type, function.llvm_func_name)
    outer = ir.Function(module, ir.FunctionType(I32, [WORD.as_pointer()] * 2), name)
    builder = ir.IRBuilder(outer.append_basic_block("entry"))
    given, out = outer.args
    count = sum(_parameter_count(kind) for kind in kinds)
    words = [builder.load(builder.gep(given, [ir.Constant(WORD, at)])) for at in range(count)]
    values = [_argument(context, builder, kind, words) for kind in kinds]
    status, value = context.call_conv.call_function(builder, inner, function.restype, kinds, values)
    results = _result_words(context, builder, function.restype, value)
    assert len(results) <= RESULT_WORDS
    for at, word in enumerate(results):
        builder.store(word, builder.gep(out, [ir.Constant(WORD, at)]))
    builder.ret(builder.zext(status.is_error, I32))


def _add_runtime(module: Any) -> None:
    """Add what compiled kernels allocate arrays with, in place of numba's runtime: malloc and free, counted references.

    An owner has the fields of numba's MemInfo: references, two that stay empty, address of the data, its size. Of
    Python's functions there are only names: what would make an exception's text is never called.
    """
    byte, none = ir.IntType(8).as_pointer(), ir.VoidType()
    malloc = ir.Function(module, ir.FunctionType(byte, [WORD]), "malloc")
    free = ir.Function(module, ir.FunctionType(none, [byte]), "free")

    def define(name: str, result: Any, *kinds: Any) -> tuple[Any, Any]:
        function = ir.Function(module, ir.FunctionType(result, kinds), name)
        return function, ir.IRBuilder(function.append_basic_block("entry"))

    aligned, builder = define("NRT_MemInfo_alloc_aligned", byte, WORD, I32)
    size, align = aligned.args[0], builder.zext(aligned.args[1], WORD)
    owner = builder.call(malloc, [builder.add(size, builder.add(align, ir.Constant(WORD, OWNER_BYTES)))])
    with builder.if_then(builder.icmp_unsigned("!=", builder.ptrtoint(owner, WORD), ir.Constant(WORD, 0))):
        start = builder.add(builder.ptrtoint(owner, WORD), builder.add(align, ir.Constant(WORD, OWNER_BYTES - 1)))
        start = builder.sub(start, builder.urem(start, align))
        fields = builder.bitcast(owner, WORD.as_pointer())
        for at, value in enumerate((ir.Constant(WORD, 1), None, None, start, size, None)):
            builder.store(value or ir.Constant(WORD, 0), builder.gep(fields, [ir.Constant(WORD, at)]))
    builder.ret(owner)
    function, builder = define("NRT_MemInfo_alloc", byte, WORD)
    builder.ret(builder.call(aligned, [function.args[0], ir.Constant(I32, 16)]))
    function, builder = define("NRT_Allocate", byte, WORD)
    builder.ret(builder.call(malloc, function.args))
    for name in ("NRT_Free", "NRT_MemInfo_call_dtor"):
        function, builder = define(name, none, byte)
        builder.call(free, function.args)
        builder.ret_void()
    for name in ("PyErr_SetString", "PyObject_Hash", "PyTuple_Pack", "PyUnicode_FromKindAndData"):
        define(name, byte)[1].unreachable()
    error = ir.GlobalVariable(module, byte, "PyExc_RuntimeError")
    error.initializer = ir.Constant(byte, None)


def _object(target: Target, module: Any, symbol: str) -> bytes:
    """The object file of a linked module, with nothing but the entry point to be seen from outside."""
    module, runtime = llvm.parse_bitcode(module.as_bitcode()), ir.Module("runtime")
    _add_runtime(runtime)
    runtime.triple = module.triple
    module.link_in(llvm.parse_assembly(str(runtime)))
    for function in module.functions:
        if not function.is_declaration and function.name != symbol:
            function.linkage = "internal"
    for variable in module.global_variables:
        if not variable.is_declaration:
            variable.linkage = "internal"
    machine = llvm.Target.from_triple(module.triple).create_target_machine(
        cpu=target.cpu, features=target.llvm_features, opt=3, reloc="pic", codemodel="small"
    )
    passes = llvm.create_new_module_pass_manager()
    passes.add_global_dead_code_eliminate_pass()
    passes.add_strip_dead_prototype_pass()
    passes.run(module, llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=3)))
    wanted = {f.name for f in module.functions if f.is_declaration and not f.name.startswith("llvm.")}
    wanted |= {variable.name for variable in module.global_variables if variable.is_declaration}
    if wanted - EXTERNAL:
        raise TypeError(f"{symbol} wants {', '.join(sorted(wanted - EXTERNAL))}")
    return bytes(machine.emit_object(module))


def compile_kernel(kernel: Kernel, arguments: Sequence[Any], target: Target, symbol: str) -> Compiled:
    """A kernel for arguments of these numba types, after `build_for(target)`.

    Raises TypeError for a kernel that takes or returns what an entry point can't, or calls what isn't in EXTERNAL.
    """
    with global_compiler_lock:
        kernel.dispatcher.compile(tuple(arguments))
        compiled = kernel.dispatcher.overloads[tuple(arguments)]
        context = cpu_target.target_context
        module = context.create_module(symbol)
        _entry(context, module, compiled.fndesc, symbol)
        library = context.codegen().create_library(symbol)
        library.add_ir_module(module)
        library.add_linking_library(compiled.library)
        library.finalize()
        if library.has_dynamic_globals:
            raise TypeError(f"{symbol} holds addresses of this process")
        return Compiled(_object(target, library._final_module, symbol), symbol, _result_kind(compiled.fndesc.restype))
