"""What compiled kernels depend on: the key of every cache of them."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

# Packages and modules of arzip that kernels take nothing from: a change there leaves the compiled kernels valid.
WITHOUT_KERNELS = frozenset(
    {
        *("__init__", "__main__", "api", "bench", "block_codec", "cli", "cluster", "codec", "levels", "memory"),
        *("planner", "system", "version", "weights"),
    }
)


@functools.cache
def source_stamp() -> str:
    """A digest of all source files that kernels may depend on."""
    digest, package = hashlib.blake2b(digest_size=16), Path(__file__).parent.parent
    for path in sorted(package.rglob("*.py")):
        if path.relative_to(package).with_suffix("").parts[0] not in WITHOUT_KERNELS:
            digest.update(path.read_bytes())
    return digest.hexdigest()
