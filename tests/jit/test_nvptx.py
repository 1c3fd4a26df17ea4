"""The kernels as CUDA gets them: their LLVM IR codes what the CPU's do, and their PTX is complete and reproducible.

The IR is run natively, its intrinsics replaced by cuda_threads.c and threads of the system; ptxas checks the PTX. What
that leaves untested is LLVM's code generator for PTX and the GPU itself.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numba
import numpy as np
import pytest
from spmd.cases import Case, frequencies, new_lanes, new_state, text_of
from spmd.native_threads import NativeKernel, compile_runtime

import arzip
from arzip.coding import range_coder, wide
from arzip.context_mixing import predictor
from arzip.engine import build_ptx
from arzip.engine.cuda_batch import PTX_FOLDER, ptx_name
from arzip.jit import nvptx
from arzip.jit.kernel_parameters import PerBlock
from arzip.jit.spmd import Launch

STEPS = 20
LAUNCH = Launch(2, 8)
MODES = ((0, False), (1, True), (2, False), (3, True))  # profile, with the network
SPILL_BYTES = 4096  # of a thread: what ptxas may keep in local cm; 61 arrays a block are many addresses

LONG = pytest.mark.skipif(not os.environ.get("ARZIP_LONG_TESTS"), reason="compiles for a minute: ARZIP_LONG_TESTS=1")
needs_numba = pytest.mark.skipif(
    not numba.__version__.startswith(nvptx.NUMBA_VERSIONS), reason=f"PTX is not built with numba {numba.__version__}"
)


def find_ptxas() -> str | None:
    """ptxas of the toolkit, or of the wheel nvidia-cuda-nvcc."""
    spec = importlib.util.find_spec("nvidia")
    for folder in spec.submodule_search_locations or [] if spec else []:
        for path in sorted(Path(folder).glob("*/bin/ptxas*")):
            return str(path)
    return shutil.which("ptxas")


@pytest.fixture(scope="module")
def lowered() -> Callable[[str, Launch], str]:
    """LLVM IR of an entry point for a launch, made once."""
    made: dict[tuple[str, Launch], str] = {}

    def lower(name: str, launch: Launch) -> str:
        if (name, launch) not in made:
            made[name, launch] = build_ptx.lower(name, launch)
        return made[name, launch]

    return lower


@pytest.fixture(scope="module")
def native(
    tmp_path_factory: pytest.TempPathFactory, lowered: Callable[[str, Launch], str]
) -> tuple[NativeKernel, NativeKernel]:
    """`begin` and `code_steps` as threads of this CPU run them."""
    compiler = shutil.which("cc")
    if os.name != "posix" or not compiler:
        pytest.skip("needs a C compiler, for the threads' barriers")
    runtime = compile_runtime(tmp_path_factory.mktemp("native"), compiler)
    begin, code = (NativeKernel(runtime, lowered(name, LAUNCH), name, LAUNCH) for name in ("begin", "code_steps"))
    return begin, code


def stack(arrays: list[tuple[np.ndarray, ...]], names: tuple[str, ...]) -> tuple[PerBlock | np.ndarray, ...]:
    """The arguments that named tuples of arrays, one for each block, are to a launch."""
    fields = zip(names, zip(*arrays, strict=True), strict=True)
    return tuple(field[0] if name in wide.SHARED else PerBlock(np.stack(field)) for name, field in fields)


def unstack(arguments: tuple[PerBlock | np.ndarray, ...], block: int) -> list[np.ndarray]:
    """One block's arrays."""
    return [field.array[block] if isinstance(field, PerBlock) else field for field in arguments]


@LONG  # test_cuda.py runs them so too, as a device
@needs_numba
@pytest.mark.parametrize(("profile", "network"), MODES)
def test_lowered_kernels_code_what_the_cpu_codes(
    native: tuple[NativeKernel, NativeKernel], profile: int, network: bool
) -> None:
    begin, code = native
    case = Case(profile, network, 5, LAUNCH, STEPS)
    size = case.lanes * STEPS - 2
    texts = [text_of(size, seed) for seed in range(2)]
    freqs = frequencies(case)
    states, blocks = [new_state(case, size) for _ in texts], [new_lanes(case, text) for text in texts]
    names = states[0]._fields, blocks[0]._fields
    M, B = stack(states, names[0]), stack(blocks, names[1])
    W = PerBlock(np.stack([freqs, freqs]))
    begin(2, M)
    code(2, M, B, W, 0, STEPS)
    streams = []
    for k, (cm, block) in enumerate(zip(states, blocks, strict=True)):
        predictor.begin(cm, 0, case.lanes)
        wide.code_steps(cm, block, freqs, 0, STEPS)
        for name, one, other in zip(sum(names, ()), [*cm, *block], unstack(M, k) + unstack(B, k), strict=True):
            assert np.array_equal(one, other), (k, name)
        streams.append([range_coder.finish(*lane) for lane in zip(block.registers, block.stream, strict=True)])

    blocks = [new_lanes(case, text, stream) for text, stream in zip(texts, streams, strict=True)]
    M, B = stack([new_state(case, size) for _ in texts], names[0]), stack(blocks, names[1])
    begin(2, M)
    code(2, M, B, W, 0, STEPS)
    assert [unstack(B, k)[names[1].index("text")].tobytes() for k in range(2)] == texts


@pytest.fixture(scope="module")
def ptx() -> dict[str, str]:
    """PTX of the entry points for the first launch, as shipped: test_cuda.py holds it to the source."""
    shape = build_ptx.LAUNCHES[0].team_size, build_ptx.LAUNCHES[0].block_threads
    files = {name: PTX_FOLDER / f"{ptx_name(name, shape)}.gz" for name in build_ptx.entry_points()}
    return {name: gzip.decompress(path.read_bytes()).decode() for name, path in files.items()}


@needs_numba
def test_ptx_calls_nothing_and_knows_the_address_space_of_all_its_pointers(ptx: dict[str, str]) -> None:
    for text in ptx.values():
        assert not re.search(r"\.extern|\.func|\bcall", text)
        assert not re.search(r"\b(ld|st|atom)\.(?!global|param|local)", re.sub(r"\.(relaxed|sys|gpu|cta)\b", "", text))
        assert len(text) < 1 << 19


@LONG
@needs_numba
def test_ptx_is_the_same_when_it_is_made_anew(ptx: dict[str, str]) -> None:
    program = (
        "import hashlib; from arzip.engine import build_ptx; from arzip.jit import nvptx\n"
        "launch = build_ptx.LAUNCHES[0]\n"
        "for name in reversed(build_ptx.entry_points()):\n"
        "    print(hashlib.sha256(nvptx.to_ptx(build_ptx.lower(name, launch), name).encode()).hexdigest())"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "3", "PYTHONPATH": str(Path(arzip.__file__).parents[1])}
    made = subprocess.run([sys.executable, "-c", program], env=environment, check=True, capture_output=True, text=True)
    assert made.stdout.split() == [hashlib.sha256(ptx[name].encode()).hexdigest() for name in reversed(ptx)]


@needs_numba
@pytest.mark.parametrize("architecture", [nvptx.ARCHITECTURE, "sm_90"])
def test_ptxas_accepts_the_ptx(ptx: dict[str, str], architecture: str, tmp_path: Path) -> None:
    ptxas = find_ptxas()
    if not ptxas:
        pytest.skip("needs ptxas, as of the wheel nvidia-cuda-nvcc")
    for name, text in ptx.items():
        (tmp_path / "kernel.ptx").write_text(text)
        command = [
            ptxas,
            f"-arch={architecture}",
            "-v",
            "-o",
            str(tmp_path / "kernel.cubin"),
            str(tmp_path / "kernel.ptx"),
        ]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stderr
        spills = [int(size) for size in re.findall(r"(\d+) bytes spill", said)]
        assert spills and max(spills) < SPILL_BYTES, (name, said)


def test_another_numba_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numba, "__version__", "0.99.0")
    with pytest.raises(nvptx.UnsupportedNumba, match=r"0\.99\.0"):
        build_ptx.lower("begin", LAUNCH)
