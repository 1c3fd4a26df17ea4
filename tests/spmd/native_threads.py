"""Runs a kernel's LLVM IR, as it is lowered for CUDA, on this CPU: a thread of the system for each of a block's."""

from __future__ import annotations

import ctypes
import re
import subprocess
from pathlib import Path
from threading import Thread
from typing import Any

import llvmlite.binding as llvm

from arzip.jit.kernel_parameters import flatten
from arzip.jit.spmd import Launch

INTRINSICS = {
    "llvm.nvvm.read.ptx.sreg.tid.x": "cuda_tid_x",
    "llvm.nvvm.read.ptx.sreg.ctaid.x": "cuda_ctaid_x",
    "llvm.nvvm.barrier.cta.sync.aligned.all": "cuda_barrier",
    "llvm.nvvm.bar.warp.sync": "cuda_warp_sync",
    "llvm.nvvm.shfl.sync.bfly.i32": "cuda_shfl_bfly",
}


def compile_runtime(folder: Path, compiler: str) -> ctypes.CDLL:
    """The library of cuda_threads.c, whose functions LLVM then finds by their names."""
    library = folder / "cuda_threads.so"
    source = Path(__file__).with_name("cuda_threads.c")
    subprocess.run([compiler, "-O2", "-pthread", "-shared", "-fPIC", "-o", library, source], check=True)
    runtime = ctypes.CDLL(str(library))
    for name in INTRINSICS.values():
        llvm.add_symbol(name, ctypes.cast(getattr(runtime, name), ctypes.c_void_p).value)
    return runtime


class NativeKernel:
    """An entry point of `nvptx.lower`'s IR as machine code of this CPU."""

    def __init__(self, runtime: ctypes.CDLL, lowered: str, name: str, launch: Launch) -> None:
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        self.runtime, self.launch = runtime, launch
        for intrinsic, function in INTRINSICS.items():
            lowered = lowered.replace(intrinsic, function)
        assert "llvm.nvvm" not in re.sub(r"!nvvm\S*", "", lowered)
        module = llvm.parse_assembly(lowered.replace("ptx_kernel ", ""))
        module.triple = llvm.get_process_triple()
        for function in module.functions:
            if not function.is_declaration and function.name != name:
                function.linkage = "internal"
        machine = llvm.Target.from_triple(module.triple).create_target_machine(opt=1, jit=True)
        options = llvm.create_pipeline_tuning_options(speed_level=1)
        passes = llvm.create_pass_builder(machine, options)
        passes.getModulePassManager().run(module, passes)
        self.engine = llvm.create_mcjit_compiler(module, machine)
        self.engine.finalize_object()
        self.address = self.engine.get_function_address(name)

    def __call__(self, blocks: int, *arguments: Any) -> None:
        """Run so many blocks one after the other; arguments as of `kernel_parameters.flatten`."""
        words = flatten(arguments)
        function = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * len(words))(self.address)
        self.runtime.cuda_launch(self.launch.block_threads)

        def run(block: int, index: int) -> None:
            self.runtime.cuda_thread(block, index)
            function(*words)

        for block in range(blocks):
            threads = [Thread(target=run, args=(block, index)) for index in range(self.launch.block_threads)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
