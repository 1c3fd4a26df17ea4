"""Finds arrays of numbers, pictures and sound that have no header, by statistics of bytes and of their places.

Works on samples; whether what is found is worth a block, a probe says. Must not know how things are coded.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from arzip.media.array_headers import FoundArray
from arzip.media.array_values import BFLOAT, FLOAT, SIGNED, UNSIGNED, unpack

WINDOW = 1 << 16  # bytes that are looked at as one
SPOT = 1 << 12  # bytes of a sample of it
MIN_BLOCK = 1 << 14  # bytes: in less there is nothing to gain
LARGEST = 8  # bytes of an item
MIN_GAIN = 0.2  # bits a byte that places of bytes must save
MIN_COST = 1.8  # bits a byte: below it context mixing is better, always
LOOK, LIKELY_SHARE = 1 << 14, 0.94  # bytes of the second sample; of what zlib leaves of it
PACKED_SHARE = 1.02  # of what zlib leaves of the sample, what the places of bytes may cost at most
SURELY = 0.03  # bits: of a dependence that is none by chance, nor by items that say that there is nothing
STEPS_SHARE = 0.95  # of steps with the least significant byte first
USUAL_SHARES, ALIKE_SHARE = {2: 0.9, 4: 0.6, 8: 0.6}, 0.75
ROW_ITEMS = 1 << 15  # of a sample for the length of rows: three rows at least
MAX_CHANNELS, CHANNEL_SHARE = 8, 0.85  # of the difference of neighbours, what that to the same channel may be
MIN_ALIKE, NEAR_BEST = 0.15, 0.9  # correlation of steps a row apart; of the best, to be taken if it is nearer
PLANE_SHARE = 0.5  # of the correlation of planes, what that of rows must have
Bytes = NDArray[np.uint8]


def find(raw: bytes) -> list[FoundArray]:
    """Arrays in a block, in order: runs of windows whose items are of one size."""
    if len(raw) < MIN_BLOCK:
        return []
    data = np.frombuffer(raw, np.uint8)
    starts = range(0, max(1, len(raw) - WINDOW // 2), WINDOW)
    kinds = [_kind(data[at : min(at + WINDOW, len(raw))]) for at in starts]
    found: list[FoundArray] = []
    for first, last in runs(kinds):
        kind, size, big_endian, phase = kinds[first] or (0, 1, False, 0)
        stop = len(raw) if last == len(kinds) - 1 else starts[last] + WINDOW
        start = starts[first] + phase
        found.append(FoundArray(start, kind, size, big_endian, (((stop - start) // size, 1, 0),)))
    return [array for array in (_in_rows(data, array) for array in found) if _is_likely(data, array)]


def runs(kinds: Sequence[object | None]) -> list[tuple[int, int]]:
    """First and last of the windows that are of one kind, one between two others of a kind as well; None is no kind."""
    known = list(kinds)
    for number in range(1, len(known) - 1):
        if known[number - 1] == known[number + 1]:
            known[number] = known[number - 1]
    found: list[tuple[int, int]] = []
    for number, kind in enumerate(known):
        if found and kind is not None and found[-1][1] == number - 1 and kind == known[number - 1]:
            found[-1] = found[-1][0], number
        elif kind is not None:
            found.append((number, number))
    return found


def _kind(window: Bytes) -> tuple[int, int, bool, int] | None:
    """Class, size and order of the items of a window, and where the first one begins; None: no array."""
    for share in (1, 2):
        at = (len(window) - SPOT) * share // 3 // LARGEST * LARGEST
        spot = window[max(at, 0) : max(at, 0) + SPOT]
        size, cost = _item_size(spot)
        if size < 2 or cost < MIN_COST or cost > PACKED_SHARE * 8 * len(zlib.compress(spot.tobytes(), 1)) / len(spot):
            return None
    positions = _entropies(_counts(window[: len(window) // size * size], size))
    top = int(positions.argmin())
    big_endian, phase = _order(window, size, top) if size > 2 else _order_of_two(spot, top)
    return _class(spot[phase : len(spot) - size + phase], size, big_endian), size, big_endian, phase


def _order(window: Bytes, size: int, top: int) -> tuple[bool, int]:
    """Whether the most significant byte is the first, and where items begin. top: its place.

    The byte of which the highest bit depends more on the most significant byte is the next one.
    """
    table = window[: len(window) // size * size].reshape(-1, size)
    after = table[:, top + 1] if top + 1 < size else np.roll(table[:, 0], -1)
    before = table[:, top - 1] if top else np.roll(table[:, size - 1], 1)
    big_endian = _dependence(table[:, top], after) > _dependence(table[:, top], before) + SURELY
    return big_endian, (top if big_endian else top + 1) % size


def _dependence(one: Bytes, other: Bytes) -> float:
    """Bits that bytes say of the highest bits of others, and a little by chance."""
    counts = np.bincount(one.astype(np.int64) * 2 + (other >> 7), minlength=512).reshape(256, 2).astype(np.float64)
    parts = counts.sum(0), counts.sum(1), counts
    bits = [float(np.log2(part.sum()) - (part * np.log2(np.maximum(part, 1))).sum() / part.sum()) for part in parts]
    return bits[0] + bits[1] - bits[2]


def _order_of_two(spot: Bytes, top: int) -> tuple[bool, int]:
    """The same of items of two bytes: most significant byte first only where steps are clearly shorter so."""
    steps = []
    for big_endian, phase in ((True, top), (False, 1 - top)):
        data = spot[phase : len(spot) - 2 + phase].tobytes()
        steps.append(min(_roughness(unpack(data, kind, 2, big_endian)) for kind in (SIGNED, UNSIGNED)))
    return (True, top) if steps[0] < STEPS_SHARE * steps[1] else (False, 1 - top)


def _item_size(spot: Bytes) -> tuple[int, float]:
    """How far apart bytes of one kind are (1: no matter), and bits a byte if each place is coded apart."""
    counts = _counts(spot[: len(spot) // LARGEST * LARGEST], LARGEST)
    best = 1, float(_entropies(counts.sum(0, keepdims=True))[0])
    for size in (2, 4, 8):
        cost = float(_entropies(counts.reshape(-1, size, 256).sum(0)).mean())
        if cost < best[1] - MIN_GAIN:
            best = size, cost
    return best


def _is_likely(data: Bytes, array: FoundArray) -> bool:
    """Whether an array's items, or their steps along or across rows, vary less than zlib makes them.

    Machine code and tables of programs have bytes of several kinds, too; but they repeat.
    """
    (count, row, _), size = array.parts[0], array.size
    taken = min(count, LOOK // size)
    first = array.start + (count - taken) // 2 * size
    sample = data[first : first + taken * size].tobytes()
    items = np.frombuffer(sample, f"{'>' if array.big_endian else '<'}u{size}").astype(f"u{size}")
    steps = [items, np.diff(items)]
    if 1 < row < taken // 2:
        steps += [items[row:] - items[:-row], np.diff(items[row:] - items[:-row])]
    cost = min(float(_entropies(_counts(each.view(np.uint8), size)).mean()) for each in steps)
    return MIN_COST < cost < LIKELY_SHARE * 8 * len(zlib.compress(sample, 6)) / len(sample)


def _counts(data: Bytes, size: int) -> NDArray[np.float64]:
    """How often each byte stands at each place (size, 256)."""
    whole = len(data) // size
    positions = np.tile(np.arange(size) << 8, whole)
    return np.bincount(data | positions, minlength=size << 8).reshape(size, 256).astype(np.float64)


def entropy(data: Bytes) -> float:
    """Bits a byte, by how often each one occurs."""
    return float(_entropies(_counts(data, 1))[0])


def cost_behind(contexts: NDArray[np.int64], values: NDArray[np.int64], kinds: int) -> float:
    """Bits a value, by how often each of `kinds` values (n,) stands behind each context (n,)."""
    counts = np.bincount(contexts * kinds + values).astype(np.float64)
    counts = np.pad(counts, (0, -len(counts) % kinds)).reshape(-1, kinds)
    bits = [float((part * np.log2(np.maximum(part, 1))).sum()) for part in (counts.sum(1), counts)]
    return (bits[0] - bits[1]) / len(values)


def _entropies(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bits a byte (n,) of counts (n, 256), with what small samples make too little of added."""
    total = counts.sum(1)
    logs = np.log2(np.maximum(counts, 1))
    bias = ((counts > 0).sum(1) - 1) / (2 * np.log(2) * total)
    bits: NDArray[np.float64] = np.minimum(np.log2(total) - (counts * logs).sum(1) / total + bias, 8.0)
    return bits


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
    if usual > USUAL_SHARES[size]:
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
    row, plane = periods(items.astype(np.float64))
    return array._replace(parts=((array.parts[0][0], row, plane),))


def periods(numbers: NDArray[np.float64]) -> tuple[int, int]:
    """The distances at which numbers (n,) are alike: channels or rows, 1 if there are neither; and longer ones: planes,
    or rows of channels, 0 if there are none.
    """
    differences = [float(np.abs(numbers[c:] - numbers[:-c]).mean()) for c in range(1, MAX_CHANNELS + 1)]
    channels = int(np.argmin(differences)) + 1
    if differences[channels - 1] >= CHANNEL_SHARE * differences[0]:
        channels = 1
    alike = _likeness(numbers[channels:] - numbers[:-channels])
    peaks = np.zeros(len(alike), bool)
    peaks[1:-1] = (alike[1:-1] > alike[:-2]) & (alike[1:-1] >= alike[2:]) & (alike[1:-1] > MIN_ALIKE)
    peaks[: MAX_CHANNELS + 1] = False
    found = [int(at) for at in np.flatnonzero(peaks)]
    best = max((alike[at] for at in found), default=0.0)
    if not found:
        return channels, 0
    row = next(at for at in found if alike[at] >= NEAR_BEST * best)
    if channels > 1 and row % channels == 0:
        return channels, row
    nearer = [at for at in found if at <= row // 2 and alike[at] > PLANE_SHARE * best]
    return (nearer[0], row) if nearer else (row, 0)


def _likeness(steps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Correlation of steps (n,) with those up to n / 3 before; large ones are clipped."""
    n = len(steps)
    limit = float(np.quantile(np.abs(steps), 0.9)) if n else 0.0
    if not limit or n < 3 * MAX_CHANNELS:
        return np.zeros(MAX_CHANNELS + 2)
    spectrum = np.fft.rfft(np.clip(steps, -limit, limit), 1 << (2 * n - 1).bit_length())  # others take much longer
    alike: NDArray[np.float64] = np.fft.irfft(spectrum.real**2 + spectrum.imag**2)[: n // 3]
    alike /= alike[0] * (1 - np.arange(len(alike)) / n)
    return alike
