"""What this processor has that kernels may use. Must not know what they use it for."""

from __future__ import annotations

import ctypes
import platform
import sys

from llvmlite import binding
from numba.core import config

ARCH_PRCTL, REQUEST, TILE_DATA = 158, 0x1023, 18  # of Linux on x86-64


def _lends_tiles() -> bool:
    """Ask Linux for the use of tile registers in this process; whether it lends them."""
    if not sys.platform.startswith("linux") or platform.machine() != "x86_64":
        return False
    return bool(ctypes.CDLL(None).syscall(ARCH_PRCTL, REQUEST, TILE_DATA) == 0)


_features = binding.get_host_cpu_features()
_native = not getattr(config, "CPU_NAME", None)  # numba was told to compile for another processor: plain loops
HAS_VNNI = _native and bool(_features.get("avx512vnni"))
HAS_AVX2 = _native and bool(_features.get("avx2"))
HAS_AMX = HAS_VNNI and bool(_features.get("amx-int8")) and _lends_tiles()
binding.initialize_native_asmparser()  # kernels may hold lines of assembly
