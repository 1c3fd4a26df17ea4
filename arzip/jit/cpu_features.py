"""What this processor has that kernels may use. Must not know what they use it for."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from pathlib import Path

ARCH_PRCTL, REQUEST, TILE_DATA = 158, 0x1023, 18  # of Linux on x86-64
TARGET = os.environ.get("ARZIP_KERNEL_TARGET")  # features to compile for, in place of this processor's; for builds


def _linux_flags() -> set[str]:
    """The flags of the first processor in /proc/cpuinfo."""
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8", errors="replace") as lines:
            return next((set(line.split(":", 1)[1].split()) for line in lines if line.startswith("flags")), set())
    except OSError:
        return set()


def _from_llvm() -> set[str]:
    """Features as LLVM names them; none where it isn't installed."""
    try:
        from llvmlite import binding
    except ModuleNotFoundError:
        return set()
    return {name for name, has in binding.get_host_cpu_features().items() if has}


def _found() -> frozenset[str]:
    """This processor's features in Linux's names, as far as kernels ask for them."""
    if TARGET is not None:
        return frozenset(TARGET.split(","))
    if os.environ.get("NUMBA_CPU_NAME"):  # numba was told to compile for another processor: plain loops
        return frozenset()
    found = _linux_flags() if platform.machine() in ("x86_64", "AMD64") else set()
    return frozenset(found or {name.replace("avx512vnni", "avx512_vnni").replace("-", "_") for name in _from_llvm()})


def _lends_tiles() -> bool:
    """Ask Linux for the use of tile registers in this process; whether it lends them."""
    if not sys.platform.startswith("linux") or platform.machine() != "x86_64":
        return False
    return bool(ctypes.CDLL(None).syscall(ARCH_PRCTL, REQUEST, TILE_DATA) == 0)


FEATURES = _found()
HAS_VNNI = "avx512_vnni" in FEATURES
HAS_AVX2 = "avx2" in FEATURES
HAS_AMX = HAS_VNNI and "amx_int8" in FEATURES and (TARGET is not None or _lends_tiles())
