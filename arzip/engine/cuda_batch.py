"""Blocks on a CUDA device: their arrays placed beside one another, kernels launched over all of them, results fetched.

Not yet run on a GPU; tests run it by a device that is made of this CPU's threads. Must not import numba or models: a
machine with a driver and numpy is enough.
"""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from arzip.engine.cuda_driver import Parameters
from arzip.jit.kernel_parameters import OnDevice, flatten

PTX_FOLDER = Path(__file__).parent / "ptx"
SHAPES = ((8, 512), (4, 1024), (1, 256), (1, 64))  # threads a lane, threads a block; which is fastest isn't measured
ENTRY_POINTS = ("begin", "code_steps")
NO_FREQS = np.zeros((0, 256), np.int32)  # the network's, of plans without it


class Device(Protocol):
    """What a device does: `cuda_driver.Device`."""

    name: str
    number: int
    multiprocessors: int

    def enter(self) -> None: ...
    def free_bytes(self) -> int: ...
    def allocate(self, size: int, /) -> int: ...
    def free(self, address: int, /) -> None: ...
    def clear(self, address: int, size: int, /) -> None: ...
    def upload(self, address: int, data: memoryview, /) -> None: ...
    def download(self, address: int, target: memoryview, /) -> None: ...
    def copy(self, target: int, source: int, size: int, /) -> None: ...
    def load(self, ptx: bytes, name: str, /) -> Any: ...
    def launch(self, function: Any, blocks: int, block_threads: int, parameters: Parameters, /) -> None: ...
    def wait(self) -> None: ...


class Network(Protocol):
    """The network's step for all lanes of a batch, on its device: `cuda_network.BatchNetwork`.

    last, freqs: addresses of (blocks, L) uint8, the bytes just seen, and of (blocks, L, 256) int32, a step's result.
    """

    last: int
    freqs: int

    def step(self) -> None: ...


def ptx_name(entry_point: str, shape: tuple[int, int]) -> str:
    """The file of an entry point's PTX for a shape of launches."""
    return f"{entry_point}-{shape[0]}x{shape[1]}.ptx"


def read_ptx(entry_point: str, shape: tuple[int, int]) -> bytes:
    """The PTX of an entry point that is shipped."""
    return gzip.decompress((PTX_FOLDER / f"{ptx_name(entry_point, shape)}.gz").read_bytes())


class Kernels(NamedTuple):
    """The kernels of wide blocks on a device."""

    begin: Any
    code_steps: Any
    block_threads: int


def load_kernels(device: Device, shape: tuple[int, int]) -> Kernels:
    """The kernels that are shipped, for a shape of launches. Raises DriverError."""
    begin, code_steps = (device.load(read_ptx(name, shape), name) for name in ENTRY_POINTS)
    return Kernels(begin, code_steps, shape[1])


class Field(NamedTuple):
    """A field of CMState or LaneState of a batch of blocks.

    parts: the array of each block; or one that all blocks share, or that each starts from. Smaller ones have the extent
    of the largest on the device, with zeros behind each row: those of shorter blocks.
    """

    name: str
    parts: Sequence[NDArray[Any]]
    is_shared: bool


class Batch:
    """Blocks of one plan and size on a device. Leave the context to free their memory."""

    def __init__(
        self,
        device: Device,
        kernels: Kernels,
        cm: Sequence[Field],
        lanes: Sequence[Field],
        blocks: int,
        network: Network | None = None,
    ) -> None:
        """cm, lanes: in the order of the named tuples' fields. network: of plans with it. Raises DriverError."""
        self._device, self._kernels, self._blocks, self._network = device, kernels, blocks, network
        self._taken: list[int] = []
        try:
            self._cm = {field.name: self._place(field) for field in cm}
            self._lanes = {field.name: self._place(field) for field in lanes}
            freqs = self._place(Field("freqs", [NO_FREQS], False))
        except BaseException:
            self._free()
            raise
        if network is not None:
            [shape] = self._lanes["last"].shape
            self._lanes["last"] = self._lanes["last"]._replace(address=network.last)
            freqs = OnDevice(network.freqs, (shape, 256), False)
        self._begin = Parameters(flatten(tuple(self._cm.values())))
        self._code = Parameters(flatten(((tuple(self._cm.values()), tuple(self._lanes.values()), freqs), 0, 0)))

    def __enter__(self) -> Batch:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._free()

    def begin(self) -> None:
        """Prepare the first byte of every lane of every block."""
        self._device.launch(self._kernels.begin, self._blocks, self._kernels.block_threads, self._begin)

    def code_steps(self, first: int, end: int) -> None:
        """Code the steps [first, end) of all blocks, and wait until they are coded."""
        if self._network is None:
            self._launch(first, end)
        else:
            for t in range(first, end):
                self._network.step()
                self._launch(t, t + 1)
        self._device.wait()

    def _launch(self, first: int, end: int) -> None:
        self._code.set_last(first, end)
        self._device.launch(self._kernels.code_steps, self._blocks, self._kernels.block_threads, self._code)

    def fetch(self, name: str, block: int, target: NDArray[Any]) -> None:
        """Copy one block's array of LaneState into `target`, of its shape or of the smaller one that was placed."""
        self._fetch(self._lanes[name], block, target)

    def fetch_memory(self, name: str, block: int, target: NDArray[Any]) -> None:
        """Copy one block's array of CMState into `target`, of its shape."""
        self._fetch(self._cm[name], block, target)

    def _fetch(self, array: OnDevice, block: int, target: NDArray[Any]) -> None:
        whole = target if target.shape == array.shape else np.empty(array.shape, target.dtype)
        part = 0 if array.is_shared else block
        self._device.download(array.address + part * whole.nbytes, _bytes_of(whole))
        if whole is not target:
            target[...] = whole[tuple(slice(extent) for extent in target.shape)]

    def _free(self) -> None:
        while self._taken:
            self._device.free(self._taken.pop())

    def _place(self, field: Field) -> OnDevice:
        """A field on the device: each block's part, or a copy for each block of the only one."""
        largest = max(field.parts, key=lambda part: part.nbytes)
        size, blocks = largest.nbytes, 1 if field.is_shared else self._blocks
        address = self._device.allocate(blocks * size)
        self._taken.append(address)
        array = OnDevice(address, largest.shape, field.is_shared)
        if len(field.parts) == 1 and not largest.any():
            self._device.clear(address, blocks * size)
            return array
        for number, part in enumerate(field.parts):
            self._device.upload(address + number * size, _bytes_of(_padded(part, largest.shape)))
        done = len(field.parts)
        while done < blocks:
            count = min(done, blocks - done)
            self._device.copy(address + done * size, address, count * size)
            done += count
        return array


def _padded(array: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """An array with zeros behind its rows up to a shape that contains its own."""
    if array.shape == shape:
        return array
    whole = np.zeros(shape, array.dtype)
    whole[tuple(slice(extent) for extent in array.shape)] = array
    return whole


def _bytes_of(array: NDArray[Any]) -> memoryview:
    """The bytes of a contiguous array."""
    return array.reshape(-1).view(np.uint8).data
