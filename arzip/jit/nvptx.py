"""Kernels for CUDA without CUDA: numba types and lowers the source, LLVM's NVPTX back end in llvmlite makes the PTX.

`lower` gives the LLVM IR of an entry point, `to_ptx` the PTX. Functions that a kernel calls are the CPU's dispatchers;
each is compiled once more for this target, where `arzip.jit.spmd` builds CUDA's operations. Nothing is run, so no GPU,
driver or toolkit is needed. For building only: what is built here is shipped, since this module relies on numba's
internals (dispatcher, contexts, code library) and works with the versions of NUMBA_VERSIONS alone.

Parameters of an entry point, 8 bytes each, in the order of the arguments: an integer is itself; a named tuple is its
fields; an array of n dimensions is the address of its first element, the distance in elements from one block's array to
the next one's, and n extents. The kernel sees its own block's array, contiguous. An array that all blocks share has no
distance, so that its address stays in the constant bank and takes no registers.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence, Set
from contextlib import contextmanager
from typing import Any

import llvmlite.binding as llvm
import numba
from llvmlite import ir
from numba import _dynfunc, types  # type: ignore[attr-defined]
from numba.core import codegen, cpu
from numba.core.compiler_lock import global_compiler_lock
from numba.core.descriptors import TargetDescriptor
from numba.core.dispatcher import Dispatcher
from numba.core.target_extension import GPU, dispatcher_registry, jit_registry, target_override, target_registry
from numba.core.typing.context import Context as TypingContext
from numba.np.arrayobj import make_array, populate_array

from arzip.jit.compile import Intrinsic, Kernel
from arzip.jit.spmd import CUDA_VERSIONS, Launch
from arzip.jit.spmd_ir import I32, I64, call_intrinsic

NUMBA_VERSIONS = ("0.62", "0.63", "0.64", "0.65", "0.66", "0.67", "0.68")
NAME = "arzip-nvptx"
TRIPLE = "nvptx64-nvidia-cuda"
ARCHITECTURE, PTX_VERSION = "sm_80", 78  # the oldest GPU; PTX 7.8 is read by drivers from 520 (CUDA 11.8) on
LANGUAGE: dict[str, Any] = {
    "nopython": True,
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
    "error_model": "numpy",
    "_nrt": False,
}

Jit = Callable[..., Any]


class UnsupportedNumba(RuntimeError):
    """This numba is none of those that kernels can be built with."""


def check_numba() -> None:
    """Raises UnsupportedNumba unless the internals that this module relies on are those of a tested version."""
    if not numba.__version__.startswith(tuple(version + "." for version in NUMBA_VERSIONS)):
        raise UnsupportedNumba(
            f"PTX is built with numba {NUMBA_VERSIONS[0]} to {NUMBA_VERSIONS[-1]}, not {numba.__version__}"
        )


class _Library(codegen.AOTCodeLibrary):
    """LLVM modules as lowered; they are optimised once, all together, by `to_ptx`."""

    def _optimize_functions(self, ll_module: Any) -> None:
        """Nothing yet."""

    def _optimize_final_module(self) -> None:
        """Nothing yet."""


class _Codegen(codegen.AOTCPUCodegen):
    _library_class = _Library


class _TypingContext(TypingContext):
    """Replaces each kernel that a kernel calls by a dispatcher of this target, or by its version for CUDA."""

    def __init__(self) -> None:
        self.dispatchers: dict[Any, Any] = {}
        super().__init__()

    def resolve_value_type(self, val: Any) -> Any:
        if isinstance(val, Intrinsic):
            version = CUDA_VERSIONS.get(val)
            val = self.dispatchers.setdefault(val, jit(version)) if version else val.lowering
        elif isinstance(val, Kernel) or (isinstance(val, Dispatcher) and not isinstance(val, _Dispatcher)):
            val = self.dispatchers.setdefault(val, jit(val.py_func))
        return super().resolve_value_type(val)


class _Context(cpu.CPUContext):
    """The CPU's lowering, with a launch that tells spmd's operations to build for CUDA."""

    def __init__(self, typing_context: Any, launch: Launch) -> None:
        self.launch = launch
        super().__init__(typing_context, NAME)

    def init(self) -> None:
        self.is32bit = False
        self._internal_codegen: Any = _Codegen(NAME)

    def post_lowering(self, mod: Any, library: Any) -> None:
        """None of the CPU's workarounds."""

    def get_executable(self, library: Any, fndesc: Any, env: Any) -> Any:
        """A stand-in for the compiled function, which is never called: the dispatcher wants to hold one."""
        module, name = fndesc.lookup_module(), fndesc.qualname.rsplit(".", 1)[-1]
        return _dynfunc.make_function(module, name, "", id(self), env, (library,))


class _Target(TargetDescriptor):
    """Contexts of one launch at a time: numba asks a dispatcher's class for its target."""

    options = cpu.CPUTargetOptions
    contexts: tuple[Any, Any]

    @property
    def typing_context(self) -> Any:
        return self.contexts[0]

    @property
    def target_context(self) -> Any:
        return self.contexts[1]


class _Cuda(GPU):
    """The name under which numba's own overloads look for this target's compiler."""


class _Dispatcher(Dispatcher):
    targetdescr = _Target(NAME)

    def compile(self, sig: Any) -> Any:
        with target_override(NAME):
            return super().compile(sig)


def jit(*args: Callable[..., Any], **options: Any) -> Any:
    """`numba.njit` for this target, as numba's own overloads call it too."""
    kept: dict[str, Any] = {name: options[name] for name in ("inline", "forceinline") if name in options}

    def wrap(function: Callable[..., Any]) -> Any:
        return _Dispatcher(function, targetoptions={**kept, **LANGUAGE})

    return wrap(args[0]) if args else wrap


target_registry[NAME] = _Cuda
dispatcher_registry[_Cuda] = _Dispatcher
jit_registry[_Cuda] = jit


@contextmanager
def _launched(launch: Launch) -> Any:
    """Fresh contexts for a launch: nothing that was compiled for another is found in them."""
    typing_context = _TypingContext()
    _Dispatcher.targetdescr.contexts = typing_context, _Context(typing_context, launch)
    yield _Dispatcher.targetdescr.target_context


def _bits(kind: Any) -> int:
    """Width of an array's elements."""
    return int(kind.dtype.bitwidth)


def parameter_types(kind: Any, is_shared: bool, shared: Set[str]) -> list[Any]:
    """LLVM types of an argument's parameters."""
    if isinstance(kind, types.NamedTuple):
        fields = zip(kind.fields, kind.types, strict=True)
        return [parameter for name, field in fields for parameter in parameter_types(field, name in shared, shared)]
    if isinstance(kind, types.Array):
        return [ir.IntType(_bits(kind)).as_pointer(), *[I64] * (kind.ndim + (not is_shared))]
    return [I64]


def _argument(context: Any, builder: Any, kind: Any, is_shared: bool, shared: Set[str], parameters: list[Any]) -> Any:
    """An argument as numba's functions take it, made from the parameters that it takes off the list's front."""
    if isinstance(kind, types.NamedTuple):
        fields = zip(kind.fields, kind.types, strict=True)
        values = [_argument(context, builder, field, name in shared, shared, parameters) for name, field in fields]
        return context.make_tuple(builder, kind, values)
    data = parameters.pop(0)
    if not isinstance(kind, types.Array):
        return data
    assert kind.is_c_contig and isinstance(kind.dtype, types.Integer), kind
    if not is_shared:
        block = builder.zext(call_intrinsic(builder, "llvm.nvvm.read.ptx.sreg.ctaid.x", I32, []), I64)
        data = builder.gep(data, [builder.mul(block, parameters.pop(0))])
    shape = [parameters.pop(0) for _ in range(kind.ndim)]
    item = ir.Constant(I64, _bits(kind) // 8)
    strides = [item]
    for extent in reversed(shape[1:]):
        strides.insert(0, builder.mul(strides[0], extent))
    view = make_array(kind)(context, builder)
    populate_array(view, data=data, shape=shape, strides=strides, itemsize=item, meminfo=None)
    return view._getvalue()


def _entry(context: Any, module: Any, function: Any, name: str, shared: Set[str]) -> None:
    """Add an entry point around a compiled function to an LLVM module."""
    kinds = function.argtypes
    inner_type = context.call_conv.get_function_type(function.restype, kinds)
    inner = ir.Function(module, inner_type, function.llvm_func_name)
    parameters = [parameter for kind in kinds for parameter in parameter_types(kind, False, shared)]
    outer = ir.Function(module, ir.FunctionType(ir.VoidType(), parameters), name)
    outer.calling_convention = "ptx_kernel"
    builder = ir.IRBuilder(outer.append_basic_block("entry"))
    left = list(outer.args)
    values = [_argument(context, builder, kind, False, shared, left) for kind in kinds]
    context.call_conv.call_function(builder, inner, function.restype, kinds, values)
    builder.ret_void()
    bounds = {"maxntidx": context.launch.block_threads, "minctasm": context.launch.blocks}
    for bound, value in bounds.items():
        module.add_named_metadata("nvvm.annotations", module.add_metadata([outer, bound, ir.Constant(I32, value)]))


def lower(kernel: Callable[..., Any], arguments: Sequence[Any], shared: Set[str], launch: Launch, name: str) -> str:
    """LLVM IR, not optimised, of an entry point of this name.

    arguments: numba types of the kernel's. shared: names of fields of its named tuples that all blocks share.
    """
    check_numba()
    for module_name in sorted(Intrinsic.modules):  # before numba's contexts are made, which don't look again
        importlib.import_module(module_name)
    with global_compiler_lock, _launched(launch) as context:
        dispatcher = jit(getattr(kernel, "py_func", kernel))
        dispatcher.compile(tuple(arguments))
        compiled = dispatcher.overloads[tuple(arguments)]
        module = context.create_module(name)
        _entry(context, module, compiled.fndesc, name, shared)
        library = context.codegen().create_library(name)
        library.add_linking_library(compiled.library)
        library.add_ir_module(module)
        library.finalize()
        return str(library.get_llvm_str())


def to_ptx(lowered: str, name: str) -> str:
    """PTX of `lower`'s IR, everything inlined into the entry point.

    Only inlined code keeps the address space of its pointers: others would be generic, and slower.
    """
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    target = llvm.Target.from_triple(TRIPLE)
    machine = target.create_target_machine(cpu=ARCHITECTURE, opt=3, features=f"+ptx{PTX_VERSION}")
    module = llvm.parse_assembly(lowered)
    module.triple, module.data_layout = TRIPLE, str(machine.target_data)
    for function in module.functions:
        function.add_function_attribute("convergent")  # no barrier may move into a branch; LLVM drops it where it can
        if not function.is_declaration and function.name != name:
            function.linkage = "internal"
            function.add_function_attribute("alwaysinline")
    for variable in module.global_variables:
        if not variable.is_declaration:
            variable.linkage = "internal"
    options = llvm.create_pipeline_tuning_options(speed_level=3)
    options.loop_vectorization = options.slp_vectorization = False
    passes = llvm.create_pass_builder(machine, options)
    passes.getModulePassManager().run(module, passes)
    module.verify()
    return str(machine.emit_assembly(module))
