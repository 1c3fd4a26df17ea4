"""Whether samples lie as a header says: how well neighbours predict them, so or otherwise.

Works on spots. Must not know headers, nor how samples are coded.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from arzip.media import picture_statistics, samples
from arzip.media.headers import Found
from arzip.media.picture_payload import MAX_ROW

MIN_BYTES = 1 << 14  # of samples: in less a wrong header costs little
SPOTS, SPOT_BYTES = 2, 1 << 13
MANY = 6.5  # bits a byte that samples of sound take if they are of another size
SURELY, SURELY_ROWS = 0.12, 0.01  # bits a byte that another layout must save; rows are found independently
LAGS = 24  # samples before, of all channels, that one of sound is predicted from
LOOK = 1 << 17  # bytes by which rows are found
LAPLACE = 2 * np.e  # log2 of so many mean sizes: bits of what is left


def corrected(raw: bytes, found: Found) -> Found:
    """Samples in a block as they seem to lie: as the header says, unless that is clearly wrong."""
    size = min(found.size, len(raw) - found.start)
    if size < MIN_BYTES or (found.width and found.sample_bytes > 1):
        return found
    named = _bits(raw, found, size)
    others = _pictures(raw, found, size) if found.width else _sounds(found, named > MANY)
    costs = {other: _bits(raw, other, size) for other in others if other != found}
    best = min(costs, key=costs.__getitem__, default=found)
    return best if costs.get(best, named) < named - (SURELY_ROWS if found.width else SURELY) else found


def _sounds(found: Found, all_sizes: bool) -> list[Found]:
    """Other channels, and if asked for other sizes of samples."""
    return [
        found._replace(
            channels=channels, sample_bytes=size, signed=found.signed if size == found.sample_bytes else size > 1
        )
        for size in ((1, 2) if all_sizes else (found.sample_bytes,))
        for channels in (1, 2)
    ]


def _pictures(raw: bytes, found: Found, size: int) -> list[Found]:
    """Rows of another length, by the middle of the picture."""
    taken = min(size, LOOK)
    first = found.start + (size - taken) // 2
    guess = picture_statistics.rows(np.frombuffer(raw, np.uint8, taken, first))
    if guess is None:
        return []
    channels, row = guess
    width, padding = divmod(row, channels)
    if not 1 <= width * channels <= MAX_ROW or row == found.width * found.channels + found.padding:
        return []
    table = np.frombuffer(raw, np.uint8, size // row * row, found.start).reshape(-1, row)
    if padding and table[:, row - padding :].any():
        return []
    return [found._replace(channels=channels, width=width, padding=padding)]


def _bits(raw: bytes, found: Found, size: int) -> float:
    """Bits a byte of what is left of samples that their neighbours predict, by least squares."""
    frame = found.channels * found.sample_bytes
    row = found.width * frame + found.padding if found.width else 0
    before = 2 * row + 2 * frame if row else LAGS * frame
    bits = []
    for spot in range(SPOTS):
        at = max(0, size - SPOT_BYTES - before) * (2 * spot + 1) // (2 * SPOTS) // frame * frame
        data = raw[found.start + at : found.start + min(at + SPOT_BYTES + before, size)]
        data = data[: len(data) // frame * frame]
        values = samples.unpack(data, 1, found.sample_bytes, found.big_endian, found.signed)[:, 0]
        lags = _picture_lags(row, found.channels) if row else [list(range(1, LAGS + 1))] * found.channels
        numbers = values.astype(np.float64)
        for channel in range(found.channels):
            left = _left_over(numbers, lags[channel], channel, found.channels)
            bits.append(float(np.log2(LAPLACE * left + 1)) / found.sample_bytes)
    return float(np.mean(bits))


def _picture_lags(row: int, channels: int) -> list[list[int]]:
    """How far before a value of each channel those are that predict it: about those that the coder takes."""
    near = [channels, row, row + channels, row - channels]
    own = [*near, 2 * channels, 2 * row, row - 2 * channels, row + 2 * channels, 2 * row + channels, 2 * row - channels]
    lags = [own + [back + lag for back in range(1, channel + 1) for lag in (0, *near)] for channel in range(channels)]
    return [sorted({lag for lag in each if lag > 0}) for each in lags]


def _left_over(values: NDArray[np.float64], lags: list[int], phase: int, step: int) -> float:
    """The mean size of what is left of every step-th of the values (n,)."""
    first = max(lags)
    first += (phase - first) % step
    if first + step > len(values):
        return 128.0
    target = values[first::step]
    inputs = np.stack([values[first - lag :: step][: len(target)] for lag in lags] + [np.ones(len(target))], 1)
    square = inputs.T @ inputs
    square[np.diag_indices_from(square)] += 1e-6 * np.trace(square) + 1e-3 * len(target)
    weights = np.linalg.solve(square, inputs.T @ target)
    return float(np.abs(target - inputs @ weights).mean())
