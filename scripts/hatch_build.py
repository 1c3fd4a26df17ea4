"""What makes the wheel: it brings compiled kernels where they can be made, and depends on numba where it doesn't.

They can be made on Linux on x86-64, with numba and a C compiler. Environment: ARZIP_PURE=1 leaves them out;
ARZIP_KERNEL_TARGETS is "native" (the default: for processors like this one), "all", or names with commas between;
ARZIP_KERNEL_CACHE is a folder where they are kept until a kernel's source changes.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.metadata.plugin.interface import MetadataHookInterface

DEPENDENCIES = [
    "click>=8.1,<9",
    "constriction>=0.5,<0.6",  # its streams are part of the format
    "numpy>=1.26",
    "rich>=13",
    "safetensors>=0.4.3",
]
NUMBA = "numba>=0.60"
TAG = "py3-none-manylinux_2_17_x86_64"


def brings_kernels() -> bool:
    """Whether kernels are compiled here."""
    on_linux = sys.platform.startswith("linux") and platform.machine() == "x86_64"
    tools = shutil.which(os.environ.get("CC", "cc")) and importlib.util.find_spec("numba")
    return bool(on_linux and tools and _has_target() and os.environ.get("ARZIP_PURE", "") in ("", "0"))


def _has_target() -> bool:
    """Whether kernels are compiled for processors like this one (all have AVX2), or others are asked for."""
    is_native = os.environ.get("ARZIP_KERNEL_TARGETS", "native") == "native"
    return not is_native or "avx2" in Path("/proc/cpuinfo").read_text("utf-8", "replace").split()


class KernelHook(BuildHookInterface[Any]):
    """Compiles the kernels into the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before the wheel's files are gathered."""
        if version == "editable" or not brings_kernels():
            return
        folder = Path(os.environ.get("ARZIP_KERNEL_CACHE") or tempfile.mkdtemp(prefix="arzip-kernels-"))
        targets = os.environ.get("ARZIP_KERNEL_TARGETS", "native")
        command = [sys.executable, "-m", "scripts.build_kernels", "-o", str(folder), "--targets", targets]
        names = subprocess.run(command, cwd=self.root, check=True, stdout=subprocess.PIPE, text=True).stdout.split()
        for name in names:
            build_data["force_include"][str(folder / name)] = f"arzip/jit/compiled/{name}"
        build_data["tag"], build_data["pure_python"] = TAG, False


class DependencyHook(MetadataHookInterface):
    """Names what the wheel depends on."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Called when the metadata are read."""
        metadata["dependencies"] = DEPENDENCIES if brings_kernels() else [*DEPENDENCIES, NUMBA]
