"""Wide blocks on a device: what the driver is asked to do gives the CPU's streams; without a driver, one clear line.

The driver is fake_cuda.c, whose kernels are those that CUDA gets, run by threads of this CPU (native_threads.py).
"""

from __future__ import annotations

import ctypes
import io
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from threading import Lock
from typing import Any

import numba
import numpy as np
import pytest
import tiny_network
from spmd.cases import pretrained_tensors, text_of
from spmd.native_threads import NativeKernel, compile_runtime

from arzip import codec, levels
from arzip.coding.lane_state import finish_streams, lane_starts, new_wide_state
from arzip.context_mixing import pretrained
from arzip.context_mixing.profile import PROFILES
from arzip.context_mixing.state import create, own_arrays, size_class
from arzip.engine import build_ptx, cuda_batch, cuda_blocks, devices
from arzip.engine.cpu_backend import CpuBackend
from arzip.engine.cuda_batch import ENTRY_POINTS, SHAPES
from arzip.engine.cuda_blocks import CudaBlocks, Work
from arzip.engine.cuda_driver import Device, DriverError, NoDriverError, Parameters, load_library
from arzip.engine.cuda_network import NetworkFailedError
from arzip.engine.engine import Engine
from arzip.engine.plan import Plan
from arzip.errors import DamagedError
from arzip.jit import nvptx
from arzip.jit.spmd import Launch
from arzip.levels import ALWAYS, NEVER
from arzip.network import forward_cpu
from arzip.network.config import Weights
from arzip.weights.file import load_weights

CHECKOUT = Path(__file__).parents[2]
SHAPE = SHAPES[0]
LAUNCH = Launch(2, 4)  # threads of this CPU: fewer than the shape says
MEMORY = 1 << 32
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
        self.library.fake_call.restype = ctypes.c_char_p
        self.library.fake_set.argtypes = (RUN, ctypes.c_int, ctypes.c_int, ctypes.c_size_t, ctypes.c_int, ctypes.c_int)
        self.launched: list[tuple[int, int, int]] = []
        self.kernels: list[Callable[..., None]] = []
        self.words, self.is_idle, self._lock = [0, 0], False, Lock()
        self._callback = RUN(self._run)

    def set(self, memory: int = MEMORY, devices: int = 1, major: int = 9) -> None:
        self.launched.clear()
        self.fail(-1)
        self.library.fake_set(self._callback, *self.words, memory, devices, major)

    def fail(self, at: int) -> None:
        """All calls from number `at` on, counted from now on; none if it is negative."""
        self.library.fake_fail(at)

    def calls(self) -> list[str]:
        """The functions that were called since."""
        return [self.library.fake_call(k).decode() for k in range(self.library.fake_calls())]

    def _run(self, kernel: int, blocks: int, threads: int, words: ctypes._Pointer[ctypes.c_uint64]) -> None:
        self.launched.append((kernel, blocks, threads))
        if not self.is_idle:
            with self._lock:  # the threads of one launch at a time meet at its barriers
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


class CpuNetwork:
    """Stands in for cuda_network.DeviceNetwork: the compiled step, on arrays of this CPU's memory."""

    def __init__(self, weights: Weights, device: str, multiprocessors: int) -> None:
        assert (device, multiprocessors) == ("cuda:0", 132)
        self.network = forward_cpu.load_network(weights)

    def start(self, lanes: int) -> CpuNetwork:
        self.bytes, self.state = np.zeros(lanes, np.uint8), forward_cpu.init_state(self.network, lanes)
        self.last, self.freqs = self.bytes.ctypes.data, self.state.freqs.ctypes.data
        return self

    def step(self) -> None:
        forward_cpu.step(self.network, self.state, self.bytes, 0, self.bytes.size)


@pytest.fixture
def coder(native: FakeDriver, monkeypatch: pytest.MonkeyPatch) -> CudaBlocks:
    """A coder on the fake device, which doesn't compile PTX; what it shows that it works with is short."""
    monkeypatch.setattr(cuda_batch, "read_ptx", lambda name, shape: b".version 7.8\n")
    monkeypatch.setattr(cuda_blocks, "PROOF_LANES", 3)
    monkeypatch.setattr(cuda_blocks, "PROOF_STEPS", 5)
    native.set()
    return CudaBlocks(Device(0, native.library), SHAPE, "", CpuNetwork)


@pytest.fixture
def wide_levels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wide blocks of 60 bytes at each level; the network takes part in all above -4."""
    tiny = tuple(
        replace(own, block_bytes=60, lanes=4, min_gain=NEVER if number < 5 else ALWAYS)
        for number, own in enumerate(levels.WIDE_LEVELS, 1)
    )
    monkeypatch.setattr(levels, "WIDE_LEVELS", tiny)
    monkeypatch.setattr(levels, "WIDE_LANE_BYTES", 10)


def archive(raw: bytes, options: codec.Options) -> tuple[bytes, codec.Summary]:
    sink = io.BytesIO()
    return (summary := codec.compress(io.BytesIO(raw), sink, options)) and sink.getvalue(), summary


def content(data: bytes, options: codec.Options) -> tuple[bytes, codec.Summary]:
    sink = io.BytesIO()
    return (summary := codec.decompress(io.BytesIO(data), sink, options)) and sink.getvalue(), summary


def ignore(_: int) -> None:
    pass


@needs_compiler
@needs_numba
@pytest.mark.parametrize("network", [False, True])
@pytest.mark.parametrize("profile", range(4))
def test_device_makes_and_reads_the_streams_of_the_cpu(
    native: FakeDriver, coder: CudaBlocks, engine: Engine, profile: int, network: bool
) -> None:
    """Blocks of three sizes beside one another: a shorter one has fewer steps, or shorter lanes."""
    plan, raws = Plan(5, network, profile, True), [text_of(size, size) for size in (77, 70, 66)]
    expected = [engine.encode_wide(raw, plan, ignore) for raw in raws]
    seen: list[int] = []
    blocks = [new_wide_state(np.frombuffer(bytearray(raw), np.uint8), 5, plan.components, None) for raw in raws]
    works = [Work(block, seen.append) for block in blocks]
    coder.code(works, plan, engine)
    assert [finish_streams(work.block) for work in works] == expected
    works = [
        Work(new_wide_state(np.zeros(len(raw), np.uint8), 5, plan.components, own), seen.append)
        for raw, own in zip(raws, expected, strict=True)
    ]
    coder.code(works, plan, engine)
    assert [work.block.text.tobytes() for work in works] == raws
    assert sum(seen) == 2 * sum(map(len, raws))
    launches = [16, 1] if network else [1, 1]  # a launch a step beside the network
    assert native.launched[-launches[0] :] == [(1, 3, SHAPE[1])] * launches[0]
    assert [blocks for kernel, blocks, _ in native.launched if kernel == 0] == [1, 1, 3, 3]  # two of the sample


@needs_compiler
@needs_numba
@pytest.mark.usefixtures("wide_levels")
@pytest.mark.parametrize("level", [1, 6])
def test_archives_are_the_cpus_and_are_read_by_either(
    coder: CudaBlocks, tiny_model: Path, level: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = text_of(60 * 4 + 41, 3)
    on_cpu = codec.Options(level, str(tiny_model), "cpu", 2, wide=True)
    expected, summary = archive(raw, on_cpu)
    assert (summary.device, summary.device_blocks) == ("the CPU", 0)
    monkeypatch.setattr(devices, "open_gpus", lambda: [coder])
    for device in ("auto", "cuda"):
        data, summary = archive(raw, replace(on_cpu, device=device))
        assert data == expected
        assert (summary.device, summary.device_blocks, summary.faults) == ("Fake GPU", 5, ())
    back, summary = content(expected, codec.Options(model=str(tiny_model)))
    assert back == raw
    assert (summary.device, summary.device_blocks, summary.faults) == ("Fake GPU", 5, ())
    assert content(expected, on_cpu)[0] == raw


@needs_compiler
@needs_numba
@pytest.mark.usefixtures("wide_levels")
def test_call_that_fails_leaves_the_cpu_with_the_same_archive(
    native: FakeDriver, coder: CudaBlocks, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first and the last call of each function of the driver, there and back; what kernels make is left out."""
    raw, options = text_of(60, 4), codec.Options(6, str(tiny_model), threads=1, wide=True)
    monkeypatch.setattr(native, "is_idle", True)
    monkeypatch.setattr(CudaBlocks, "_prove", ignore_both)
    expected, _ = archive(raw, replace(options, device="cpu"))

    def open_gpus() -> list[CudaBlocks]:
        return [CudaBlocks(Device(0, native.library), SHAPE, "", CpuNetwork)]

    monkeypatch.setattr(devices, "open_gpus", open_gpus)
    for run, given, wanted in ((archive, raw, expected), (content, expected, raw)):
        native.fail(-1)
        with suppress(DamagedError):
            assert run(given, options)[0] != wanted or run is content  # a wrong block is the CPU's in the end
        names = native.calls()
        assert set(names) > {"cuLaunchKernel", "cuMemAlloc_v2", "cuMemFree_v2", "cuMemcpyDtoH_v2", "cuCtxSynchronize"}
        places = {name: at for at, name in reversed(list(enumerate(names)))}
        places |= {f"{name}, last": at for at, name in enumerate(names)}
        for name, at in places.items():
            native.fail(at)
            got, summary = run(given, options)
            assert got == wanted, name
            assert summary.faults or summary.device.startswith("the CPU: "), name
            assert "FAULT" in " ".join((*summary.faults, summary.device)), name
    native.fail(-1)


@needs_compiler
@needs_numba
@pytest.mark.usefixtures("wide_levels")
def test_block_that_comes_out_wrong_is_decoded_by_the_cpu(
    native: FakeDriver, coder: CudaBlocks, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw, options = text_of(60 * 2, 5), codec.Options(1, str(tiny_model), "cpu", 1, wide=True)
    data, _ = archive(raw, options)

    def code(works: list[Work], plan: Plan, model: Engine) -> None:
        for work in works:
            work.block.text[:] = 7

    monkeypatch.setattr(coder, "code", code)
    monkeypatch.setattr(devices, "open_gpus", lambda: [coder])
    back, summary = content(data, codec.Options(model=str(tiny_model)))
    assert back == raw and len(summary.faults) == 2
    assert "block 1 was wrong on Fake GPU, right on the CPU" in summary.faults
    damaged = bytearray(data)
    damaged[-40] ^= 1  # where the end of the last payload is
    with pytest.raises(DamagedError):
        content(bytes(damaged), codec.Options(model=str(tiny_model)))


@needs_compiler
@needs_numba
@pytest.mark.usefixtures("wide_levels")
def test_device_that_makes_other_streams_is_given_up(
    coder: CudaBlocks, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw, options = text_of(60 * 3, 6), codec.Options(1, str(tiny_model), "cpu", 2, wide=True)
    expected, _ = archive(raw, options)
    monkeypatch.setattr(coder, "_code", lambda works, plan, cm, size, network: None)
    monkeypatch.setattr(devices, "open_gpus", lambda: [coder])
    data, summary = archive(raw, replace(options, device="auto"))
    assert data == expected and summary.device_blocks == 0
    [fault] = summary.faults
    assert fault == "Fake GPU failed, the CPU goes on: it doesn't make the CPU's streams of a sample"


@needs_compiler
@needs_numba
@pytest.mark.usefixtures("wide_levels")
def test_network_that_does_not_run_leaves_the_device_what_needs_none(
    coder: CudaBlocks, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise NetworkFailedError("no compiler")

    monkeypatch.setattr(coder, "_load_network", fails)
    monkeypatch.setattr(devices, "open_gpus", lambda: [coder])
    raw, options = text_of(60 * 2, 8), codec.Options(6, str(tiny_model), "auto", 2, wide=True)
    data, summary = archive(raw, options)
    assert data == archive(raw, replace(options, device="cpu"))[0] and summary.device_blocks == 0
    assert summary.faults == ("Fake GPU goes on without the network, the CPU with it: no compiler",)
    data, summary = archive(raw, replace(options, level=1))
    assert data == archive(raw, replace(options, level=1, device="cpu"))[0] and summary.device_blocks == 2
    assert (summary.device, summary.faults) == ("Fake GPU (no compiler)", ())


@needs_compiler
@needs_numba
@pytest.mark.usefixtures("wide_levels")
def test_blocks_are_dealt_out_to_all_devices(
    native: FakeDriver, coder: CudaBlocks, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    native.set(devices=2)
    coders = [CudaBlocks(Device(number, native.library), SHAPE, "no") for number in range(2)]
    coded: dict[int, int] = {0: 0, 1: 0}
    for number, own in enumerate(coders):
        monkeypatch.setattr(own, "_prove", ignore_both)
        monkeypatch.setattr(own, "_code", partial(count_blocks, own._code, coded, number))
    monkeypatch.setattr(devices, "open_gpus", lambda: coders)
    raw = text_of(60 * 6, 7)
    options = codec.Options(1, str(tiny_model), "auto", 2, wide=True)
    data, summary = archive(raw, options)
    assert summary.device == "Fake GPU, Fake GPU (no)" and sum(coded.values()) == summary.device_blocks == 6
    assert min(coded.values()) > 0
    assert data == archive(raw, replace(options, device="cpu"))[0]


def ignore_both(*_: object) -> None:
    pass


def count_blocks(
    code: Callable[..., None], coded: dict[int, int], number: int, works: list[Work], *rest: object
) -> None:
    coded[number] += len(works)
    code(works, *rest)


@needs_compiler
@needs_numba
def test_blocks_that_do_not_fit_at_once_take_turns_and_all_memory_is_given_back(
    native: FakeDriver, coder: CudaBlocks, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, raws = Plan(4, False, 0, True), [text_of(50, seed) for seed in range(3)]
    cm = engine.initial_cm_state(plan, np.arange(4), 50)
    each = sum(array.nbytes for array in cm)
    monkeypatch.setattr(cuda_blocks, "SPARE_BYTES", 0)
    native.set(memory=int(2.9 * each))
    device = Device(0, native.library)
    blocks = [new_wide_state(np.frombuffer(bytearray(raw), np.uint8), 4, plan.components, None) for raw in raws]
    CudaBlocks(device, SHAPE, "no").code([Work(block, ignore) for block in blocks], plan, engine)
    assert [finish_streams(block) for block in blocks] == [engine.encode_wide(raw, plan, ignore) for raw in raws]
    assert [blocks for kernel, blocks, _ in native.launched if kernel == 0] == [1, 1, 2, 1]
    assert device.free_bytes() == int(2.9 * each)
    native.set(memory=each // 2)
    with pytest.raises(DriverError, match="Fake GPU has less memory free than the"):
        CudaBlocks(device, SHAPE, "no").code([Work(block, ignore) for block in blocks], plan, engine)


@pytest.mark.parametrize("profile", range(len(PROFILES)))
def test_states_of_a_size_class_differ_in_their_own_arrays_only(profile: int) -> None:
    by_class: dict[tuple[int, ...], tuple[int, ...]] = {}
    for size in (50, 51, 60, 63, 64, 65, 1000, 1023, 1024, 1025, 5000, 8191, 8192):
        cm = create(PROFILES[profile], lane_starts(size, 4)[:-1], size)
        key = size_class(PROFILES[profile], size)
        first = by_class.setdefault(key, (size,))[0]
        other = create(PROFILES[profile], lane_starts(first, 4)[:-1], first)
        own = own_arrays(other.clock, lane_starts(size, 4)[:-1], size)
        for name, array in cm._asdict().items():
            if name == "text":
                continue
            assert np.array_equal(array, own.get(name, getattr(other, name))), (name, size, first)
    assert len(by_class) < 13


@pytest.mark.skipif(not os.environ.get("ARZIP_LONG_TESTS"), reason="takes a minute: ARZIP_LONG_TESTS=1")
@needs_compiler
@needs_numba
def test_cases_of_a_slot_are_equal_on_a_device_that_works_and_say_what_differs(
    native: FakeDriver, coder: CudaBlocks, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not (CHECKOUT / "scripts" / "slot").is_dir():
        pytest.skip("no checkout")
    monkeypatch.syspath_prepend(str(CHECKOUT))
    from scripts.slot import cases, wide_cases

    native.set()
    device, texts = Device(0, native.library), [text_of(58, seed) for seed in range(2)]

    def load(network: dict[str, Any], on: Device) -> CpuNetwork:
        return CpuNetwork(cases.unpack_network(network), f"cuda:{on.number}", on.multiprocessors)

    network = cases.pack_network(load_weights(tiny_model), wide_cases.lanes_of(texts, 5))
    loaded = wide_cases.Loaded(device, network, load)
    for profile, with_network in product(range(len(PROFILES)), (False, True)):
        case = cases.load(cases.dump(wide_cases.make(tiny_model, profile, texts, 5, with_network)))
        lines = wide_cases.check(case, loaded, SHAPES[:1])
        assert [line.split(": ")[1] for line in lines] == ["EQUAL to the CPU, 2 blocks"] * 2
    assert wide_cases.speed(case, 0, loaded, SHAPES[0], 3).us_a_step > 0
    assert native.launched[-1][1] == 4  # twice the two blocks
    case["0:text"][1, 7] ^= 1
    lines = wide_cases.check(case, loaded, SHAPES[:1])
    assert "DIFFERENT" in lines[0] and "cm:text of block 1" in lines[0] and "block 0" not in lines[0]
    assert "EQUAL" in lines[1]


def test_only_wide_plans_are_for_the_device(coder: CudaBlocks) -> None:
    assert coder.supports(Plan(64, False, 0, True)) and coder.supports(Plan(64, True, 0, True))
    for plan in (Plan(64, False, 0), Plan(64, True, None, True)):
        assert not coder.supports(plan)
    coder.without_network = "no torch"
    assert coder.supports(Plan(64, False, 0, True)) and not coder.supports(Plan(64, True, 0, True))


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
    words = Parameters([1, 2**63 + 5, 7, 7])
    words.set_last(-1, 0)
    device.launch(device.load(b".version 7.8", "code_steps"), 5, 64, words)
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
