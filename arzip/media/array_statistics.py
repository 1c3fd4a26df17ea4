"""Finds arrays of numbers, pictures and sound that have no header, by statistics of bytes and of their places.

Works on samples; whether what is found is worth a block, a probe says. Must not know how things are coded.
"""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

from arzip.media.array_headers import FoundArray
from arzip.media.array_values import BFLOAT, FLOAT, SIGNED, UNSIGNED, unpack

WINDOW = 1 << 16  # bytes that are looked at as one
SPOT = 1 << 12  # bytes of a sample of it
MIN_BLOCK = 1 << 14  # bytes: in less there is nothing to gain
LANES = 8  # places of a byte that are told apart
MIN_GAIN = 0.2  # bits a byte that places of bytes must save
MIN_COST = 1.5  # bits a byte: below it context mixing is better, always
PACKED_SHARE = 1.02  # of what zlib leaves of the sample, what the places of bytes may cost at most
USUAL_SHARE, ALIKE_SHARE = 0.9, 0.75
ROW_ITEMS = 1 << 15  # of a sample for the length of rows: three rows at least
MIN_ALIKE, NEAR_BEST = 0.15, 0.9  # correlation of steps a row apart; of the best, to be taken if it is nearer
Bytes = NDArray[np.uint8]


def find(raw: bytes) -> list[FoundArray]:
    """Arrays in a block, in order: runs of windows whose items are of one size."""
    if len(raw) < MIN_BLOCK:
        return []
    data = np.frombuffer(raw, np.uint8)
    starts = range(0, max(1, len(raw) - WINDOW // 2), WINDOW)
    kinds = [_kind(data[at : min(at + WINDOW, len(raw))]) for at in starts]
    found: list[FoundArray] = []
    for at, kind in zip(starts, kinds, strict=True):
        if kind is None:
            continue
        stop = min(at + WINDOW, len(raw)) if at != starts[-1] else len(raw)
        if found and found[-1].stop == at and found[-1][1:4] == kind:
            at = found.pop().start
        found.append(FoundArray(at, *kind, (((stop - at) // kind[1], 1, 0),)))
    return [_in_rows(data, array) for array in found]


def _kind(window: Bytes) -> tuple[int, int, bool] | None:
    """Class, size and order of the items of a window; None: no array."""
    for share in (1, 2):
        at = (len(window) - SPOT) * share // 3 // LANES * LANES
        spot = window[max(at, 0) : max(at, 0) + SPOT]
        size, cost, places = _item_size(spot)
        if size < 2 or cost < MIN_COST or cost > PACKED_SHARE * 8 * len(zlib.compress(spot.tobytes(), 1)) / len(spot):
            return None
    big_endian = bool(places[0] < places[-1])
    return _class(spot, size, big_endian), size, big_endian


def _item_size(spot: Bytes) -> tuple[int, float, NDArray[np.float64]]:
    """How far apart bytes of one kind are (1: no matter), bits a byte of each place then cost, and of each place."""
    whole = len(spot) // LANES * LANES
    places = np.tile(np.arange(LANES) << 8, whole // LANES)
    counts = np.bincount(spot[:whole] | places, minlength=LANES << 8).reshape(LANES, 256).astype(np.float64)
    best = 1, _entropies(counts.sum(0, keepdims=True))
    for size in (2, 4, 8):
        entropies = _entropies(counts.reshape(-1, size, 256).sum(0))
        if entropies.mean() < best[1].mean() - MIN_GAIN:
            best = size, entropies
    return best[0], float(best[1].mean()), best[1]


def _entropies(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bits a byte (n,) of counts (n, 256), with what small samples make too little of added."""
    total = counts.sum(1)
    logs = np.log2(np.maximum(counts, 1))
    bias = ((counts > 0).sum(1) - 1) / (2 * np.log(2) * total)
    return np.minimum(np.log2(total) - (counts * logs).sum(1) / total + bias, 8.0)


def _class(spot: Bytes, size: int, big_endian: bool) -> int:
    """The class of items: floats have exponents about that of 1, or highest bytes that are alike but for the sign."""
    data = spot[: len(spot) // size * size].tobytes()
    top = spot[: len(data)].reshape(-1, size)[:, 0 if big_endian else size - 1]
    shares = np.bincount(top, minlength=256) / len(top)
    numbers = np.arange(256)
    with_sign, as_whole = (np.minimum(shares, shares[numbers ^ mask]).sum() for mask in (0x80, 0xFF))
    # highest bytes of floats of 1e-12 to 1e12, but for the sign; what else are floats has other sizes
    low, high = {2: (0x2B, 0x49), 4: (0x2B, 0x53), 8: (0x3D, 0x43)}[size]
    usual = float(shares[(numbers & 0x7F >= low) & (numbers & 0x7F < high)].sum() + shares[0] / 2)
    if usual > USUAL_SHARE:
        return BFLOAT if size == 2 else FLOAT
    if with_sign > max(ALIKE_SHARE, as_whole):
        return FLOAT
    choices = (SIGNED,) if size == 8 else (SIGNED, UNSIGNED)
    return min(choices, key=lambda kind: _roughness(unpack(data, kind, size, big_endian)))


def _roughness(items: NDArray[np.int64]) -> float:
    """Mean size of the steps from item to item."""
    return float(np.abs(np.diff(items.astype(np.float64))).mean())


def _in_rows(data: Bytes, array: FoundArray) -> FoundArray:
    """The array with its rows, if there are any."""
    size = min(ROW_ITEMS, array.parts[0][0])
    first = array.start + (array.parts[0][0] - size) // 2 * array.size
    items = unpack(data[first : first + size * array.size].tobytes(), *array[1:4])
    row = period(np.diff(items.astype(np.float64)))
    return array._replace(parts=((array.parts[0][0], row, 0),))


def period(steps: NDArray[np.float64]) -> int:
    """The smallest distance at which steps (n,) are alike, 1 if there is none: rows of pictures, records of tables."""
    limit = float(np.quantile(np.abs(steps), 0.9)) if steps.size else 0.0
    if not limit:
        return 1
    steps = np.clip(steps, -limit, limit)
    n = len(steps)
    spectrum = np.fft.rfft(steps, 2 * n)
    alike = np.fft.irfft(spectrum.real**2 + spectrum.imag**2)[: n // 3]
    alike /= alike[0] * (1 - np.arange(len(alike)) / n)
    alike[:2] = 0
    best = float(alike.max(initial=0))
    return int(np.argmax(alike >= NEAR_BEST * best)) if best > MIN_ALIKE else 1
