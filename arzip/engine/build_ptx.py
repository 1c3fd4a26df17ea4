"""python -m arzip.engine.build_ptx FOLDER: write the PTX of the kernels, a file for each entry point and launch.

The same source gives the same bytes, on any machine, as long as numba and llvmlite are the pinned ones.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numba import typeof, types

from arzip.coding import lane_state, range_coder, wide
from arzip.context_mixing.profile import FAST
from arzip.context_mixing.state import create
from arzip.jit import nvptx
from arzip.jit.spmd import Launch

LAUNCHES = (Launch(8, 512), Launch(1, 64))  # 64 lanes a block: fastest for few blocks; least work in all for many


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


def lower(name: str, launch: Launch) -> str:
    """LLVM IR of an entry point."""
    kernel, arguments = entry_points()[name]
    return nvptx.lower(kernel, arguments, wide.SHARED, launch, name)


def build() -> Iterator[tuple[str, str]]:
    """File name and PTX of every entry point for every launch."""
    for launch in LAUNCHES:
        for name in entry_points():
            yield f"{name}-{launch.team_size}x{launch.block_threads}.ptx", nvptx.to_ptx(lower(name, launch), name)


def main(folder: Path) -> None:
    """Write all files. Raises UnsupportedNumba."""
    folder.mkdir(parents=True, exist_ok=True)
    for file, ptx in build():
        (folder / file).write_text(ptx)
        print(f"{file} {len(ptx)} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
