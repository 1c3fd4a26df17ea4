"""Bytes -> samples -> bytes: interleaved whole numbers of 1 to 3 bytes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def unpack(data: bytes, channels: int, sample_bytes: int, big_endian: bool, signed: bool) -> NDArray[np.int32]:
    """Samples (T, C) as signed numbers, of data of T frames: numbers without a sign lose half their range."""
    parts = np.frombuffer(data, np.uint8).reshape(-1, sample_bytes).astype(np.int32)
    if big_endian:
        parts = parts[:, ::-1]
    values = np.zeros(len(parts), np.int32)
    for i in range(sample_bytes):
        values |= parts[:, i] << np.int32(8 * i)
    half = np.int32(1 << (8 * sample_bytes - 1))
    values = (values ^ half) - half if signed else values - half
    return values.reshape(-1, channels)


def pack(samples: NDArray[np.int32], sample_bytes: int, big_endian: bool, signed: bool) -> bytes:
    """The inverse of `unpack`."""
    values = samples.reshape(-1) + np.int32(0 if signed else 1 << (8 * sample_bytes - 1))
    parts = np.stack([values >> np.int32(8 * i) & np.int32(255) for i in range(sample_bytes)], 1).astype(np.uint8)
    return (parts[:, ::-1] if big_endian else parts).tobytes()
