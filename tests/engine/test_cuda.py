"""Wide blocks on a device: what the driver is asked to do gives the CPU's streams; without a driver, one clear line.

The driver is fake_cuda.c, whose kernels are those that CUDA gets, run by threads of this CPU (native_threads.py).
"""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numba
import numpy as np
import pytest
import tiny_network
from spmd.cases import pretrained_tensors, text_of
from spmd.native_threads import NativeKernel, compile_runtime

from arzip.context_mixing import pretrained
from arzip.context_mixing.profile import PROFILES
from arzip.engine import build_ptx, cuda_batch
from arzip.engine.cpu_backend import CpuBackend
from arzip.engine.cuda_batch import ENTRY_POINTS, SHAPES
from arzip.engine.cuda_blocks import CudaBlocks, supports
from arzip.engine.cuda_driver import Device, DriverError, NoDriverError, load_library
from arzip.engine.engine import Engine
from arzip.engine.plan import Plan
from arzip.jit import nvptx
from arzip.jit.spmd import Launch

CHECKOUT = Path(__file__).parent.parent
SHAPE = SHAPES[0]
LAUNCH = Launch(2, 8)  # threads of this CPU: fewer than the shape says
MEMORY = 1 << 30
RUN = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_uint, ctypes.c_uint, ctypes.POINTER(ctypes.c_uint64))
needs_compiler = pytest.mark.skipif(os.name != "posix" or not shutil.which("cc"), reason="needs a C compiler")
needs_numba = pytest.mark.skipif(
    not numba.__version__.startswith(nvptx.NUMBA_VERSIONS), reason=f"PTX is not built with numba {numba.__version__}"
)


class FakeDriver:
    """fake_cuda.c as a library, and what it was asked to launch."""

    def __init__(self, folder: Path) -> None:
        path = folder / "fake_cuda.so"
        source = Path(__file__).with_name("fake_cuda.c")
        subprocess.run([str(shutil.which("cc")), "-O2", "-shared", "-fPIC", "-o", path, source], check=True)
        self.path = str(path)
        self.library = load_library(self.path)
        self.library.fake_set.argtypes = (RUN, ctypes.c_int, ctypes.c_int, ctypes.c_size_t, ctypes.c_int, ctypes.c_int)
        self.launched: list[tuple[int, int, int]] = []
        self.kernels: list[Callable[..., None]] = []
        self.words = [0, 0]
        self._callback = RUN(self._run)

    def set(self, memory: int = MEMORY, devices: int = 1, major: int = 9) -> None:
        self.launched.clear()
        self.library.fake_set(self._callback, *self.words, memory, devices, major)

    def _run(self, kernel: int, blocks: int, threads: int, words: ctypes._Pointer[ctypes.c_uint64]) -> None:
        self.launched.append((kernel, blocks, threads))
        self.kernels[kernel](blocks, *words[: self.words[kernel]])


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> FakeDriver:
    return FakeDriver(tmp_path_factory.mktemp("driver"))


@pytest.fixture(scope="module")
def native(driver: FakeDriver, tmp_path_factory: pytest.TempPathFactory) -> FakeDriver:
    """The driver with the kernels of wide blocks."""
    runtime = compile_runtime(tmp_path_factory.mktemp("native"), str(shutil.which("cc")))
    lowered = [build_ptx.lower(name, LAUNCH) for name in ENTRY_POINTS]
    driver.kernels = [
        NativeKernel(runtime, text, name, LAUNCH) for text, name in zip(lowered, ENTRY_POINTS, strict=True)
    ]
    driver.words = [build_ptx.parameter_count(name) for name in ENTRY_POINTS]
    return driver


@pytest.fixture(scope="module")
def engine() -> Engine:
    tensors = tiny_network.lively()
    for profile in range(len(PROFILES)):
        tensors |= pretrained.name_tensors(profile, False, pretrained_tensors(profile, 6))
    weights = tiny_network.weights(tensors)
    return Engine(weights, CpuBackend(weights, False))


@pytest.fixture
def shipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any text for PTX: the fake driver doesn't compile it."""
    monkeypatch.setattr(cuda_batch, "read_ptx", lambda name, shape: b".version 7.8\n")


def ticks(seen: list[int]) -> Callable[[int], None]:
    return seen.append


@needs_compiler
@needs_numba
@pytest.mark.usefixtures("shipped")
@pytest.mark.parametrize("profile", range(4))
def test_device_makes_and_reads_the_streams_of_the_cpu(native: FakeDriver, engine: Engine, profile: int) -> None:
    native.set()
    coder, plan = CudaBlocks(Device(0, native.library), SHAPE), Plan(5, False, profile, True)
    raws = [text_of(123, seed) for seed in range(3)]
    seen: list[int] = []
    streams = engine.encode_blocks(raws, plan, 1, ticks(seen), coder)
    assert streams == engine.encode_blocks(raws, plan, 1, ticks([]))
    assert native.launched == [(0, 3, SHAPE[1]), (1, 3, SHAPE[1])]
    pairs = [(own, 123) for own in streams if own is not None]
    assert engine.decode_blocks(pairs, plan, 1, ticks(seen), coder) == raws
    assert sum(seen) == 2 * 3 * 123


@needs_compiler
@needs_numba
@pytest.mark.usefixtures("shipped")
def test_blocks_of_other_sizes_and_plans_are_coded_too(native: FakeDriver, engine: Engine) -> None:
    native.set()
    coder = CudaBlocks(Device(0, native.library), SHAPE)
    raws = [text_of(size, size) for size in (60, 61, 60, 17)]
    for plan in (Plan(6, False, 0, True), Plan(6, True, 0, True)):
        streams = engine.encode_blocks(raws, plan, 2, ticks([]), coder)
        assert streams == [engine.encode_wide(raw, plan, ticks([])) for raw in raws]
        pairs = [(own, len(raw)) for own, raw in zip(streams, raws, strict=True) if own is not None]
        assert engine.decode_blocks(pairs, plan, 2, ticks([]), coder) == raws
    blocks = [blocks for kernel, blocks, _ in native.launched if kernel == 0]
    assert sorted(blocks) == [1, 1, 1, 1, 2, 2]  # nothing of the plan with the network


@needs_compiler
@needs_numba
@pytest.mark.usefixtures("shipped")
def test_blocks_that_do_not_fit_at_once_take_turns_and_all_memory_is_given_back(
    native: FakeDriver, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, raws = Plan(4, False, 0, True), [text_of(50, seed) for seed in range(3)]
    cm = engine.initial_cm_state(plan, np.arange(4), 50)
    each = sum(array.nbytes for array in cm)
    monkeypatch.setattr("arzip.engine.cuda_blocks.SPARE_BYTES", 0)
    native.set(memory=int(2.9 * each))
    device = Device(0, native.library)
    streams = engine.encode_blocks(raws, plan, 1, ticks([]), CudaBlocks(device, SHAPE))
    assert streams == engine.encode_blocks(raws, plan, 1, ticks([]))
    assert [blocks for kernel, blocks, _ in native.launched if kernel == 0] == [2, 1]
    assert device.free_bytes() == int(2.9 * each)


@needs_compiler
@needs_numba
@pytest.mark.usefixtures("shipped")
def test_device_that_fails_leaves_its_blocks_to_the_cpu(native: FakeDriver, engine: Engine) -> None:
    plan, raws = Plan(4, False, 0, True), [text_of(50, seed) for seed in range(3)]
    native.set(memory=1000)
    coder = CudaBlocks(Device(0, native.library), SHAPE)
    with pytest.warns(UserWarning, match="CUDA_ERROR_OUT_OF_MEMORY"):
        streams = engine.encode_blocks(raws, plan, 1, ticks([]), coder)
    assert streams == engine.encode_blocks(raws, plan, 1, ticks([]))
    assert not native.launched


@needs_compiler
@needs_numba
@pytest.mark.usefixtures("shipped")
def test_cases_of_a_slot_are_equal_on_a_device_that_works_and_say_what_differs(
    native: FakeDriver, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not (CHECKOUT / "scripts" / "slot").is_dir():
        pytest.skip("no checkout")
    monkeypatch.syspath_prepend(str(CHECKOUT))
    from scripts.slot import wide_cases

    native.set()
    device, texts = Device(0, native.library), [text_of(58, seed) for seed in range(2)]
    for profile in range(len(PROFILES)):
        case = wide_cases.load(wide_cases.dump(wide_cases.make(tiny_model, profile, texts, 5)))
        lines = wide_cases.check(case, device, SHAPES[:1])
        assert [line.split(": ")[1] for line in lines] == ["EQUAL to the CPU, 2 blocks"] * 2
    assert wide_cases.speed(case, 0, device, SHAPES[0], 3) > 0
    assert native.launched[-1][1] == 4  # twice the two blocks
    case["0:text"][1, 7] ^= 1
    lines = wide_cases.check(case, device, SHAPES[:1])
    assert "DIFFERENT" in lines[0] and "cm:text of block 1" in lines[0] and "block 0" not in lines[0]
    assert "EQUAL" in lines[1]


def test_only_wide_plans_without_the_network_are_for_the_device() -> None:
    assert supports(Plan(64, False, 0, True))
    for plan in (Plan(64, False, 0), Plan(64, True, 0, True), Plan(64, True, None, True)):
        assert not supports(plan)


# ----------------------------------------------------------------------------------------------------------- the driver


@pytest.mark.parametrize("name", ["libnosuch-cuda.so.7", "libc.so.6"])
def test_without_a_driver_there_is_one_clear_line(name: str) -> None:
    with pytest.raises(NoDriverError, match="no CUDA driver is at hand") as caught:
        load_library(name)
    assert "\n" not in str(caught.value)


@needs_compiler
@pytest.mark.parametrize(
    ("settings", "message"), [({"devices": 0}, "has 0 devices"), ({"major": 7}, "Fake GPU has compute capability 7.0")]
)
def test_device_that_will_not_do_is_named(driver: FakeDriver, settings: dict[str, int], message: str) -> None:
    driver.set(**settings)
    with pytest.raises(NoDriverError, match=message):
        Device(0, driver.library)


@needs_compiler
def test_what_is_uploaded_comes_back(driver: FakeDriver) -> None:
    driver.set()
    device = Device(0, driver.library)
    assert (device.name, device.compute, device.multiprocessors) == ("Fake GPU", (9, 0), 132)
    data = np.arange(100, dtype=np.int64)
    address = device.allocate(2 * data.nbytes)
    device.clear(address, 2 * data.nbytes)
    device.upload(address, memoryview(data))
    device.upload(address, b"\x07")  # a buffer that can't be written
    device.copy(address + data.nbytes + 80, address, 80)
    back = np.empty(200, np.int64)
    device.download(address, memoryview(back))
    assert back.tolist() == [7, *range(1, 100), *[0] * 10, 7, *range(1, 10), *[0] * 80]
    device.free(address)
    assert device.free_bytes() == MEMORY


@needs_compiler
def test_errors_of_the_driver_are_named(driver: FakeDriver) -> None:
    driver.set()
    device = Device(0, driver.library)
    with pytest.raises(DriverError, match="cuMemAlloc_v2: CUDA_ERROR_OUT_OF_MEMORY"):
        device.allocate(MEMORY + 1)
    with pytest.raises(DriverError, match="INVALID_PTX; ptxas fatal: no version"):
        device.load(b"no PTX", "begin")


@needs_compiler
def test_parameters_reach_the_kernel_as_they_are(driver: FakeDriver) -> None:
    seen: list[tuple[int, ...]] = []
    kernels, words = driver.kernels, driver.words
    driver.kernels, driver.words = [lambda *found: seen.append(found)] * 2, [3, 4]
    driver.set()
    device = Device(0, driver.library)
    device.launch(device.load(b".version 7.8", "code_steps"), 5, 64, [1, 2**63 + 5, -1, 0])
    driver.kernels, driver.words = kernels, words
    assert (seen, driver.launched) == ([(5, 1, 2**63 + 5, 2**64 - 1, 0)], [(1, 5, 64)])


# -------------------------------------------------------------------------------------------------------------- the PTX


@pytest.fixture(scope="module")
def built() -> Iterator[dict[str, str]]:
    """The PTX of the first shape, made anew."""
    launch = build_ptx.LAUNCHES[0]
    yield {cuda_batch.ptx_name(name, SHAPE): nvptx.to_ptx(build_ptx.lower(name, launch), name) for name in ENTRY_POINTS}


@needs_numba
def test_shipped_ptx_is_what_the_source_gives(built: dict[str, str]) -> None:
    if build_ptx.versions() != (cuda_batch.PTX_FOLDER / build_ptx.VERSIONS).read_text().strip():
        pytest.skip(f"the PTX was made by others than {build_ptx.versions()}")
    for name, ptx in built.items():
        assert cuda_batch.read_ptx(name.split("-")[0], SHAPE).decode() == ptx, "make ptx"


def test_every_shape_is_shipped() -> None:
    for shape in SHAPES:
        for name in ENTRY_POINTS:
            ptx = cuda_batch.read_ptx(name, shape).decode()
            assert f".entry {name}(" in ptx and f".maxntid {shape[1]}" in ptx
            assert len(re.findall(rf"\.param .*{name}_param_", ptx)) == build_ptx.parameter_count(name)
