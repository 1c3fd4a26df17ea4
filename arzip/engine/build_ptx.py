"""python -m arzip.engine.build_ptx: write the PTX of the kernels, a gzip file for each entry point and launch.

They are part of the package, so they are made anew after every change of a kernel (`make ptx`; a test compares).
The same source gives the same bytes, on any machine, as long as numba and llvmlite are the pinned ones.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from llvmlite import __version__ as llvmlite_version
from numba import __version__ as numba_version
from numba import typeof, types

from arzip.coding import lane_state, range_coder, wide
from arzip.context_mixing.profile import FAST
from arzip.context_mixing.state import create
from arzip.engine.cuda_batch import PTX_FOLDER, SHAPES, ptx_name
from arzip.jit import nvptx
from arzip.jit.spmd import Launch

VERSIONS = "versions.txt"
LAUNCHES = tuple(Launch(*shape) for shape in SHAPES)


def versions() -> str:
    """What makes the PTX: another version may make another text of the same meaning."""
    return f"numba {numba_version}, llvmlite {llvmlite_version}"


def entry_points() -> dict[str, tuple[Callable[..., Any], tuple[Any, ...]]]:
    """Name -> kernel, numba types of its arguments. They are the same for all profiles, with a network and without."""
    cm = typeof(create(FAST, np.zeros(1, np.int64), 1))
    lanes = lane_state.new_lane_state(np.zeros(1, np.uint8), 1, (True, True), None)
    lanes = lanes._replace(registers=range_coder.init_encoder()[None], stream=np.zeros((1, 1), np.uint32))
    freqs = types.Array(types.int32, 2, "C")
    return {
        "begin": (wide.begin, (cm,)),
        "code_steps": (wide.code_steps, (cm, typeof(lanes), freqs, types.int64, types.int64)),
    }


def parameter_count(name: str) -> int:
    """How many parameters an entry point has."""
    return sum(len(nvptx.parameter_types(kind, False, wide.SHARED)) for kind in entry_points()[name][1])


def lower(name: str, launch: Launch) -> str:
    """LLVM IR of an entry point."""
    kernel, arguments = entry_points()[name]
    return nvptx.lower(kernel, arguments, wide.SHARED, launch, name)


def build() -> Iterator[tuple[str, str]]:
    """File name and PTX of every entry point for every launch."""
    for launch in LAUNCHES:
        for name in entry_points():
            yield ptx_name(name, (launch.team_size, launch.block_threads)), nvptx.to_ptx(lower(name, launch), name)


def main() -> None:
    """Write all files, and the versions that made them. Raises UnsupportedNumba."""
    PTX_FOLDER.mkdir(exist_ok=True)
    for old in PTX_FOLDER.glob("*.gz"):
        old.unlink()
    for file, ptx in build():
        packed = gzip.compress(ptx.encode(), mtime=0)
        (PTX_FOLDER / f"{file}.gz").write_bytes(packed)
        print(f"{file}: {len(ptx)} bytes, {len(packed)} packed")
    (PTX_FOLDER / VERSIONS).write_text(versions() + "\n")


if __name__ == "__main__":
    main()
