"""The network of a batch of wide blocks on a CUDA device: torch's memory and Triton's kernel, between the driver's.

Both use the device's primary context and its default stream, so that launches follow one another in order. Needs torch
and triton (the extra `cuda`); imports them when a network is loaded.
"""

from __future__ import annotations

import importlib.util
from typing import Any

from arzip.engine.cuda_driver import DriverError
from arzip.network.config import NetworkConfig, Weights

PACKAGES = "torch", "triton"


class NetworkFailedError(DriverError):
    """The network can't be run on the GPU; context mixing alone may be."""


def lane_bytes(config: NetworkConfig) -> int:
    """How much of a device's memory a lane takes: its state and the buffers of a step."""
    return 6 * config.blocks * config.d + 5 * config.d + config.hidden + 4 * (256 + config.tables) + 32


def missing() -> str:
    """Why there can be no network on a GPU; "" if there can."""
    absent = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    return f"the network needs {' and '.join(absent)} on a GPU: pip install 'arzip[cuda]'" if absent else ""


class BatchNetwork:
    """See cuda_batch.Network."""

    def __init__(self, step: Any) -> None:
        self._step = step
        self.last, self.freqs = step.last.data_ptr(), step.freqs.data_ptr()

    def step(self) -> None:
        """Launch a step of all lanes. Raises NetworkFailedError."""
        try:
            self._step()
        except Exception as error:  # compilers raise what they like
            raise _failure(error) from error


class DeviceNetwork:
    """A model's network on a device of torch's, e.g. "cuda:0"."""

    def __init__(self, weights: Weights, device: str, multiprocessors: int) -> None:
        """Raises NetworkFailedError."""
        self._device, self._multiprocessors = device, multiprocessors
        try:
            from arzip.network import forward_triton

            self._forward = forward_triton
            forward_triton.enter(device)
            self._weights = forward_triton.NetworkWeights(weights, device)
        except Exception as error:
            raise _failure(error) from error

    def start(self, lanes: int) -> BatchNetwork:
        """The network of so many lanes before their first byte. Raises NetworkFailedError."""
        tile = self._forward.tile_lanes(lanes, self._multiprocessors)
        try:
            return BatchNetwork(self._forward.NetworkStep(self._weights, lanes, tile))
        except Exception as error:
            raise _failure(error) from error


def _failure(error: Exception) -> NetworkFailedError:
    words = " ".join(str(error).split())
    return NetworkFailedError(f"the network on the GPU: {type(error).__name__}: {words[:200]}")
