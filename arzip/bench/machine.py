"""Description of the machine and the versions of the codecs, as text. No paths, no names of hosts or users."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import subprocess
import sys
import zlib
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path

from arzip.version import __version__

_PACKAGES = {"zstd": "zstandard", "brotli": "brotli", "lz4": "lz4", "ppmd": "pyppmd", "kanzi": "kanzi"}


def describe(codecs: Iterable[str]) -> dict[str, str]:
    """Date (UTC), CPU, cores, memory, system and Python; the versions of the codecs of these names."""
    versions = [f"{name} {version}" for name in dict.fromkeys(codecs) if (version := _version(name))]
    return {
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "cpu": cpu(),
        "cores": str(cores()),
        "memory": _memory(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "arzip": __version__,
        "versions": ", ".join(versions),
    }


def cpu() -> str:
    """The processor's name, as the system gives it."""
    with suppress(OSError):
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
        if found:
            return found[1].strip()
    if sys.platform == "darwin":
        with suppress(OSError, subprocess.SubprocessError):
            return subprocess.check_output(["sysctl", "-n", "machdep.cpu.brand_string"], text=True).strip()
    return platform.processor() or platform.machine()


def cores() -> int:
    """Number of cores that this process may use."""
    with suppress(AttributeError):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def slug() -> str:
    """Date and CPU for a file name: "2026-01-31-amd-epyc"."""
    words = re.sub(r"\(.*?\)|CPU|Processor|@.*", " ", cpu())
    name = re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")
    return f"{datetime.now(timezone.utc):%Y-%m-%d}-{name}"


def _memory() -> str:
    try:
        return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"
    except (ValueError, OSError):
        return "unknown"


def _version(codec: str) -> str:
    """Version of a codec, as it reports itself; "" if unknown (bzip2 and xz belong to Python)."""
    if codec == "gzip":
        return f"(zlib {zlib.ZLIB_RUNTIME_VERSION})"
    with suppress(KeyError, importlib.metadata.PackageNotFoundError):
        return f"({_PACKAGES[codec]} {importlib.metadata.version(_PACKAGES[codec])})"
    if codec == "zpaq":
        with suppress(OSError, subprocess.SubprocessError):
            done = subprocess.run(["zpaq"], capture_output=True, text=True, timeout=10, check=False)
            found = re.search(r"v(\d+\.\d+)", done.stdout + done.stderr)
            return found[1] if found else ""
    return ""
