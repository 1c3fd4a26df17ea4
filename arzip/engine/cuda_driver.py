"""NVIDIA's driver by ctypes: what launching kernels from PTX takes, and no more. No toolkit and no package is needed.

A module's errors are typed: NoDriverError where there is no driver or no device, DriverError where a call fails.
Standard library only; must not import kernels or models.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import sys
from collections.abc import Sequence
from ctypes import byref, c_char_p, c_int, c_size_t, c_uint, c_uint64, c_void_p
from typing import Any

SUCCESS = 0
COMPUTE_MAJOR, COMPUTE_MINOR, MULTIPROCESSORS = 75, 76, 16  # attributes of a device
ERROR_LOG, ERROR_LOG_BYTES = 5, 6  # options of the PTX compiler in the driver
LOG_BYTES = 4096
MIN_COMPUTE = (8, 0)  # that PTX is built for

# Function -> types of its arguments. Those with _v2 take 64-bit sizes and addresses.
SIGNATURES: dict[str, tuple[Any, ...]] = {
    "cuInit": (c_uint,),
    "cuDriverGetVersion": (c_void_p,),
    "cuDeviceGetCount": (c_void_p,),
    "cuDeviceGet": (c_void_p, c_int),
    "cuDeviceGetName": (c_char_p, c_int, c_int),
    "cuDeviceGetAttribute": (c_void_p, c_int, c_int),
    "cuDevicePrimaryCtxRetain": (c_void_p, c_int),
    "cuCtxSetCurrent": (c_void_p,),
    "cuCtxSynchronize": (),
    "cuMemGetInfo_v2": (c_void_p, c_void_p),
    "cuMemAlloc_v2": (c_void_p, c_size_t),
    "cuMemFree_v2": (c_uint64,),
    "cuMemsetD8_v2": (c_uint64, ctypes.c_ubyte, c_size_t),
    "cuMemcpyHtoD_v2": (c_uint64, c_void_p, c_size_t),
    "cuMemcpyDtoH_v2": (c_void_p, c_uint64, c_size_t),
    "cuMemcpyDtoD_v2": (c_uint64, c_uint64, c_size_t),
    "cuModuleLoadDataEx": (c_void_p, c_char_p, c_uint, c_void_p, c_void_p),
    "cuModuleGetFunction": (c_void_p, c_void_p, c_char_p),
    "cuLaunchKernel": (c_void_p, *[c_uint] * 7, c_void_p, c_void_p, c_void_p),
}


class NoDriverError(Exception):
    """There is no driver, or no device that it can use; the message is one line."""


class DriverError(Exception):
    """The driver refused a call."""


def load_library(name: str = "") -> ctypes.CDLL:
    """The driver's library; name: another one than the system's. Raises NoDriverError."""
    usual = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        library = ctypes.CDLL(name or usual)
        for function, arguments in SIGNATURES.items():
            getattr(library, function).argtypes = arguments
    except (OSError, AttributeError) as error:
        raise NoDriverError(f"no CUDA driver is at hand ({error})") from error
    return library


class Parameters:
    """Parameters of a kernel, 8 bytes each (arzip.jit.kernel_parameters), laid out once for many launches."""

    def __init__(self, values: Sequence[int]) -> None:
        self._words = (c_uint64 * len(values))(*(value % 2**64 for value in values))
        first = ctypes.addressof(self._words)
        self.pointers = (c_void_p * len(values))(*(first + 8 * k for k in range(len(values))))

    def set_last(self, *values: int) -> None:
        """Replace the last ones."""
        for k, value in enumerate(values, len(self._words) - len(values)):
            self._words[k] = value % 2**64


def count_devices(library: ctypes.CDLL) -> int:
    """Number of devices of the driver. Raises NoDriverError."""
    count = c_int()
    status = library.cuInit(0) or library.cuDeviceGetCount(byref(count))
    if status != SUCCESS:
        raise NoDriverError(f"the CUDA driver doesn't start: {_name_of(library, status)}")
    return count.value


def _name_of(library: ctypes.CDLL, status: int) -> str:
    """The driver's name of a status."""
    text = c_char_p()
    get: Any = getattr(library, "cuGetErrorName", None)
    if get is None or get(c_int(status), byref(text)) != SUCCESS or not text.value:
        return f"error {status}"
    return text.value.decode()


class Device:
    """A CUDA device: its memory, and the kernels that are loaded into it.

    Calls come from the thread that made it, or from one that called `enter`; copies wait for what was launched before.
    """

    def __init__(self, number: int = 0, library: ctypes.CDLL | None = None) -> None:
        """Raises NoDriverError, DriverError."""
        self._library, self.number = library or load_library(), number
        count = count_devices(self._library)
        if count <= number:
            raise NoDriverError(f"the CUDA driver has {count} devices")
        device = c_int()
        self._call("cuDeviceGet", byref(device), number)
        name = ctypes.create_string_buffer(256)
        self._call("cuDeviceGetName", name, len(name), device)
        self.name = name.value.decode(errors="replace")
        major, minor, self.multiprocessors = (
            self._attribute(device, which) for which in (COMPUTE_MAJOR, COMPUTE_MINOR, MULTIPROCESSORS)
        )
        self.compute = major, minor
        if self.compute < MIN_COMPUTE:
            raise NoDriverError(f"{self.name} has compute capability {major}.{minor}; kernels need 8.0")
        self._context = c_void_p()
        self._call("cuDevicePrimaryCtxRetain", byref(self._context), device)
        self.enter()

    def enter(self) -> None:
        """Let the calling thread use the device."""
        self._call("cuCtxSetCurrent", self._context)

    def _attribute(self, device: c_int, which: int) -> int:
        value = c_int()
        self._call("cuDeviceGetAttribute", byref(value), which, device)
        return value.value

    def _call(self, function: str, *arguments: Any) -> None:
        """Call the driver. Raises DriverError."""
        status = getattr(self._library, function)(*arguments)
        if status != SUCCESS:
            raise DriverError(f"{function}: {_name_of(self._library, status)}")

    # memory

    def free_bytes(self) -> int:
        """Free memory of the device, in bytes."""
        free, total = c_size_t(), c_size_t()
        self._call("cuMemGetInfo_v2", byref(free), byref(total))
        return free.value

    def allocate(self, size: int) -> int:
        """Address of so many bytes (at least one are taken)."""
        address = c_uint64()
        self._call("cuMemAlloc_v2", byref(address), max(size, 1))
        return address.value

    def free(self, address: int) -> None:
        """Give memory back."""
        self._call("cuMemFree_v2", address)

    def clear(self, address: int, size: int) -> None:
        """Set so many bytes to zero."""
        if size:
            self._call("cuMemsetD8_v2", address, 0, size)

    def upload(self, address: int, data: memoryview | bytes | bytearray) -> None:
        """Copy contiguous bytes to the device."""
        view = memoryview(data).cast("B")
        if view.nbytes:
            source = view if not view.readonly else bytearray(view)
            self._call("cuMemcpyHtoD_v2", address, (ctypes.c_char * view.nbytes).from_buffer(source), view.nbytes)

    def download(self, address: int, target: memoryview) -> None:
        """Copy as many bytes from the device as a writable, contiguous buffer has."""
        view = target.cast("B")
        if view.nbytes:
            self._call("cuMemcpyDtoH_v2", (ctypes.c_char * view.nbytes).from_buffer(view), address, view.nbytes)

    def copy(self, target: int, source: int, size: int) -> None:
        """Copy so many bytes within the device; the places don't overlap."""
        if size:
            self._call("cuMemcpyDtoD_v2", target, source, size)

    # kernels

    def load(self, ptx: bytes, name: str) -> c_void_p:
        """The entry point of this name, compiled from PTX for the device. Raises DriverError, with its log."""
        log = ctypes.create_string_buffer(LOG_BYTES)
        options = (c_int * 2)(ERROR_LOG, ERROR_LOG_BYTES)
        values = (c_void_p * 2)(ctypes.addressof(log), LOG_BYTES)
        module, function = c_void_p(), c_void_p()
        try:
            self._call("cuModuleLoadDataEx", byref(module), ptx, 2, options, values)
        except DriverError as error:
            raise DriverError(f"{error}; {log.value.decode(errors='replace').strip()}") from error
        self._call("cuModuleGetFunction", byref(function), module, name.encode())
        return function

    def launch(self, function: c_void_p, blocks: int, block_threads: int, parameters: Parameters) -> None:
        """Start a kernel, on the stream that torch uses, too; the driver copies the parameters at once."""
        words = 0, None, parameters.pointers, None
        self._call("cuLaunchKernel", function, blocks, 1, 1, block_threads, 1, 1, *words)

    def wait(self) -> None:
        """Return once all that was launched is done. Raises DriverError if a kernel failed."""
        self._call("cuCtxSynchronize")
