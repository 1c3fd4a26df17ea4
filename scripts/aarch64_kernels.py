"""python -m scripts.aarch64_kernels FOLDER: compile the kernels for aarch64 on another processor, for tests.

Writes aarch64.so and aarch64.json, as `build_kernels` does for targets of the wheel; one kernel for all profiles. numba
types and lowers kernels as on aarch64, and its LLVM makes code for it: under qemu-user, where numba itself takes hours,
tests/torture/open_golden.py then compiles nothing. Needs aarch64-linux-gnu-ld (Debian: binutils-aarch64-linux-gnu).
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

os.environ |= {"ARZIP_KERNEL_TARGET": "", "ARZIP_KERNELS": "numba"}

import llvmlite.binding as llvm

from arzip.jit import ready
from arzip.jit.sources import source_stamp

TRIPLE = "aarch64-unknown-linux-gnu"
TARGET = ready.Target("aarch64", frozenset(), "generic")
LINKER = ["aarch64-linux-gnu-ld", "-shared", "--gc-sections", "-s"]
WITH_PROFILES = ("run_coder", "code_record")  # whose last argument has a profile's sizes, or is None


def main(folder: Path) -> None:
    """Compile and link."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    llvm.get_process_triple = llvm.get_default_triple = lambda: TRIPLE  # what numba asks when it makes its code
    from numba import typeof

    from arzip.jit import aot
    from scripts.build_kernels import calls

    aot.build_for(TARGET)
    folder.mkdir(parents=True, exist_ok=True)
    index: dict[str, dict[str, Any]] = {}
    objects = []
    for kernel, args in calls():
        if kernel.name.endswith(WITH_PROFILES) and args[-1] is not None:
            continue
        signature = ready.signature_of(args)
        symbol = "arzip_" + hashlib.blake2b(f"{kernel.name}{signature}".encode(), digest_size=8).hexdigest()
        compiled = aot.compile_kernel(kernel, [typeof(value) for value in args], TARGET, symbol)
        objects.append(folder / f"{symbol}.o")
        objects[-1].write_bytes(compiled.code)
        index.setdefault(kernel.name, {})[signature] = {"symbol": symbol, "result": compiled.result}
        print(kernel.name, len(compiled.code), "bytes", flush=True)
    subprocess.run([*LINKER, "-o", str(folder / "aarch64.so"), *map(str, objects)], check=True)
    for path in objects:
        path.unlink()
    (folder / "aarch64.json").write_text(json.dumps({"stamp": source_stamp(), "kernels": index}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
