"""The predictions of pictures: least squares over a neighbourhood in two dimensions and the channels already coded,
simple ones, their blend and its bias.

Normative text: docs/FORMAT.md, 'Pictures'. Must not know the bits: picture_bits.py codes them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from arzip.jit.compile import inline_njit
from arzip.media import normal_equations, picture_matches
from arzip.media.numbers import bit_length, clip, log2_eighths
from arzip.media.picture_matches import Positions

MARGIN = 4
OWN = ((-1, 0), (0, -1), (-1, -1), (1, -1), (-2, 0), (0, -2), (2, -1), (-2, -1), (1, -2), (-1, -2))
EARLIER = ((0, 0), (-1, 0), (0, -1), (-1, -1), (1, -1))
LATER = ((-1, 0), (0, -1))
FEW_OWN, LIGHT_OWN, FEW_EARLIER = 6, 8, 3  # what the second predictor and that of a light set see of them
FORGETTING, LIGHT_FORGETTING, RIDGE, GAIN = (4, 3), (3,), 12, 8
LIGHT_EVERY = 4  # a light set solves for every so many pixels
SIMPLE = 3  # predictions beside those by least squares
BIAS_LIMIT = 120
ORDERS = {1: (0,), 2: (1, 0), 3: (1, 0, 2), 4: (3, 1, 0, 2)}  # of coding the channels


class Set(NamedTuple):
    """Values of 8 or 16 bits, and how much is done for each: all, or, where it is light, less.

    channels: 1 to 4.
    """

    channels: int
    sample_bytes: int = 1
    light: bool = False

    @property
    def predictors(self) -> int:
        """By least squares."""
        return 1 if self.light else 2

    @property
    def error_bins(self) -> int:
        """Classes of errors nearby."""
        return 24 * self.sample_bytes

    @property
    def slope_bins(self) -> int:
        """Classes of slopes nearby."""
        return 16 * self.sample_bytes


class Picture(NamedTuple):
    """State of C channels, in the order of coding; W pixels a row, and MARGIN on each side in P.

    centres (K,): predictions in Q8: S by least squares, three simple ones, their blend, the blend less its bias.
    """

    planes: NDArray[np.int32]  # (C, 4, P) values of row y in row y mod 4
    errors: NDArray[np.int32]  # (C, K, 2, P) absolute errors in Q4 of row y in row y mod 2
    terms: NDArray[np.int64]  # (C, S, n, 3) channel, dx, dy of each input
    counts: NDArray[np.int64]  # (C, S) inputs
    columns: NDArray[np.int64]  # (C, S, W, size) moments of each column
    right: NDArray[np.int64]  # (C, S, W, size) of the rows above, from a column to the right
    left: NDArray[np.int64]  # (C, S, size) to the left of the pixel
    moments: NDArray[np.int64]  # (size,)
    weights: NDArray[np.int64]  # (C, S, n)
    inputs: NDArray[np.int64]  # (S, n + 1)
    factor: NDArray[np.int32]
    scratch: NDArray[np.int64]
    means: NDArray[np.int64]  # (C,)
    centres: NDArray[np.int64]  # (K,)
    bias: NDArray[np.int64]  # (C, 2, 2048, 2) mean in Q12, count
    bias_at: NDArray[np.int64]  # (2,)
    local: NDArray[np.int64]  # (3,) bins of errors nearby, of slopes, of this pixel's errors
    forgetting: NDArray[np.int64]  # (S,)
    top: int  # the largest value in Q8
    every: int  # pixels between solutions
    error_bins: int
    slope_bins: int
    extra: int  # bytes of a value beyond the first
    positions: Positions


def create(width: int, kind: Set) -> Picture:
    """The state before the first pixel."""
    channels, predictors = kind.channels, kind.predictors
    chosen = [[_terms(rank, kind, k) for k in range(predictors)] for rank in range(channels)]
    counts = np.array([[len(terms) for terms in each] for each in chosen], np.int64)
    largest = int(counts.max())
    terms = np.zeros((channels, predictors, largest, 3), np.int64)
    for rank, each in enumerate(chosen):
        for k, found in enumerate(each):
            terms[rank, k, : len(found)] = found
    size, padded, centres = (largest + 1) * (largest + 2) // 2, width + 2 * MARGIN, predictors + SIMPLE + 2
    factor, scratch = normal_equations.scratch_arrays(largest)
    return Picture(
        np.zeros((channels, 4, padded), np.int32),
        np.zeros((channels, centres, 2, padded), np.int32),
        terms,
        counts,
        np.zeros((channels, predictors, width, size), np.int64),
        np.zeros((channels, predictors, width, size), np.int64),
        np.zeros((channels, predictors, size), np.int64),
        np.zeros(size, np.int64),
        np.zeros((channels, predictors, largest), np.int64),
        np.zeros((predictors, largest + 1), np.int64),
        factor,
        scratch,
        np.zeros(channels, np.int64),
        np.zeros(centres, np.int64),
        np.zeros((channels, 2, 2048, 2), np.int64),
        np.zeros(2, np.int64),
        np.zeros(3, np.int64),
        np.array(LIGHT_FORGETTING if kind.light else FORGETTING, np.int64),
        ((1 << 8 * kind.sample_bytes) - 1) << 8,
        LIGHT_EVERY if kind.light else 1,
        kind.error_bins,
        kind.slope_bins,
        kind.sample_bytes - 1,
        picture_matches.create_positions(),
    )


def _terms(rank: int, kind: Set, k: int) -> list[tuple[int, int, int]]:
    """The inputs of predictor k for a channel: (channel, dx, dy)."""
    few = kind.light or k > 0
    found = [(rank, *at) for at in OWN[: LIGHT_OWN if kind.light else FEW_OWN if few else None]]
    for other in range(rank - 1, -1, -1):
        found += [(other, *at) for at in (EARLIER[:FEW_EARLIER] if few else EARLIER)]
    for other in range(rank + 1, 0 if few else kind.channels):
        found += [(other, *at) for at in LATER]
    return found


@inline_njit
def value_at(picture, rank, x, y):
    """The value of a pixel among the last rows, or the margin's."""
    return np.int64(picture.planes[rank, y & 3, x + MARGIN])


@inline_njit
def predict(picture, x, y, rank):
    """Fill the centres and the bins of what is near."""
    if rank == 0:
        for other in range(picture.means.size):
            picture.means[other] = (value_at(picture, other, x - 1, y) + value_at(picture, other, x, y - 1)) >> 1
    predictors = picture.forgetting.size
    for k in range(predictors):
        count = picture.counts[rank, k]
        for i in range(count):
            other = picture.terms[rank, k, i, 0]
            near = value_at(picture, other, x + picture.terms[rank, k, i, 1], y + picture.terms[rank, k, i, 2])
            picture.inputs[k, i] = near - picture.means[other]
        weights = picture.weights[rank, k]
        if x % picture.every == 0:
            for i in range((count + 1) * (count + 2) // 2):
                picture.moments[i] = picture.left[rank, k, i] + picture.right[rank, k, x, i]
            normal_equations.solve(picture.moments, count, RIDGE, picture.factor, picture.scratch, weights)
        total = normal_equations.dot(weights, picture.inputs[k], count)
        picture.centres[k] = clip((total >> 12) + (picture.means[rank] << 8), 0, picture.top)
    base, w = np.int64(0), value_at(picture, rank, x - 1, y)
    n, nw = value_at(picture, rank, x, y - 1), value_at(picture, rank, x - 1, y - 1)
    if rank > 0:
        base = value_at(picture, rank - 1, x, y)
        w -= value_at(picture, rank - 1, x - 1, y)
        n -= value_at(picture, rank - 1, x, y - 1)
        nw -= value_at(picture, rank - 1, x - 1, y - 1)
    picture.centres[predictors] = clip((base + clip(w + n - nw, min(w, n), max(w, n))) << 8, 0, picture.top)
    picture.centres[predictors + 1] = clip((base + w) << 8, 0, picture.top)
    picture.centres[predictors + 2] = clip((base + n) << 8, 0, picture.top)
    _blend(picture, x, y, rank)
    _find_local(picture, x, y, rank)
    _take_bias_off(picture, x, y, rank)


@inline_njit
def _near_error(picture, x, y, rank, k):
    """The errors of a centre nearby, weighted, and 8."""
    at, now, before, near = x + MARGIN, y & 1, (y - 1) & 1, picture.errors[rank, k]
    error = 2 * np.int64(near[now, at - 1]) + 2 * np.int64(near[before, at]) + np.int64(near[before, at - 1])
    return error + np.int64(near[before, at + 1]) + np.int64(near[now, at - 2]) + 8


@inline_njit
def _blend(picture, x, y, rank):
    """The blend: the mean of the centres before it, by how well they did nearby."""
    blended, down = picture.centres.size - 2, 0
    if picture.extra:
        best = _near_error(picture, x, y, rank, 0)
        for k in range(1, blended):
            best = min(best, _near_error(picture, x, y, rank, k))
        down = max(bit_length(best) - 6, 0)
    total = weights = np.int64(0)
    for k in range(blended):
        error = _near_error(picture, x, y, rank, k) >> down
        weight = np.int64((1 << 40) // (error * error))
        weight = (weight * weight) >> 20 if weight < 1 << 30 else np.int64(1 << 40)
        weight = (weight >> 16) + 1
        total += weight * picture.centres[k]
        weights += weight
    picture.centres[blended] = total // weights


@inline_njit
def _find_local(picture, x, y, rank):
    """Bins of the last centre's errors nearby, of the slopes of the values, and of its errors at this pixel."""
    at, now, before = x + MARGIN, y & 1, (y - 1) & 1
    last = picture.errors[rank, picture.centres.size - 1]
    near = 2 * np.int64(last[now, at - 1]) + 2 * np.int64(last[before, at]) + np.int64(last[before, at - 1])
    near += np.int64(last[before, at + 1]) + np.int64(last[now, at - 2]) + np.int64(last[before, at + 2])
    w, n = value_at(picture, rank, x - 1, y), value_at(picture, rank, x, y - 1)
    nw, ne = value_at(picture, rank, x - 1, y - 1), value_at(picture, rank, x + 1, y - 1)
    slope = abs(w - nw) + abs(n - nw) + abs(n - ne)
    slope += abs(w - value_at(picture, rank, x - 2, y)) + abs(n - value_at(picture, rank, x, y - 2))
    here = np.int64(0)
    for other in range(rank):
        here += np.int64(picture.errors[other, picture.centres.size - 1, now, at])
    picture.local[0] = min(log2_eighths((near >> 1) + 1) >> 2, picture.error_bins - 1)
    picture.local[1] = min(log2_eighths(slope + 1) >> 2, picture.slope_bins - 1)
    picture.local[2] = min(log2_eighths((here >> 2) + 1) >> (3 + picture.extra), 7)


@inline_njit
def _take_bias_off(picture, x, y, rank):
    """The last centre: the blend, moved by the mean error of two contexts."""
    last = picture.centres.size - 1
    w, n = value_at(picture, rank, x - 1, y), value_at(picture, rank, x, y - 1)
    ww, nn, blend = value_at(picture, rank, x - 2, y), value_at(picture, rank, x, y - 2), picture.centres[last - 1] >> 8
    texture = (1 if w > blend else 0) + (2 if n > blend else 0)
    texture += 4 if value_at(picture, rank, x - 1, y - 1) > blend else 0
    texture += 8 if value_at(picture, rank, x + 1, y - 1) > blend else 0
    texture += (16 if ww > blend else 0) + (32 if nn > blend else 0)
    texture += (64 if 2 * n - nn > blend else 0) + (128 if 2 * w - ww > blend else 0)
    picture.bias_at[0] = 8 * texture + min(picture.local[0] >> (1 + picture.extra), 7)
    picture.bias_at[1] = picture.slope_bins * picture.local[2] + picture.local[1]
    off = picture.bias[rank, 0, picture.bias_at[0], 0] + picture.bias[rank, 1, picture.bias_at[1], 0]
    picture.centres[last] = clip(picture.centres[last - 1] + (off >> 5), 0, picture.top)


@inline_njit
def learn(picture, x, y, rank, value):
    """Take in the value that was predicted."""
    picture.planes[rank, y & 3, x + MARGIN] = value
    for k in range(picture.forgetting.size):
        inputs, forgetting, count = picture.inputs[k], picture.forgetting[k], picture.counts[rank, k]
        inputs[count] = value - picture.means[rank]
        column, left, at = picture.columns[rank, k, x], picture.left[rank, k], 0
        for i in range(count + 1):
            scaled = inputs[i] << GAIN
            for j in range(i + 1):
                column[at] += scaled * inputs[j] - (column[at] >> forgetting)
                both = left[at] + column[at]
                left[at] = both - (both >> forgetting)
                at += 1
    blend = picture.centres[picture.centres.size - 2]
    for k in range(picture.centres.size):
        picture.errors[rank, k, y & 1, x + MARGIN] = abs((value << 8) - picture.centres[k]) >> 4
    for i in range(2):
        entry = picture.bias[rank, i, picture.bias_at[i]]
        entry[0] += (2 * ((((value << 8) - blend) << 4) - entry[0])) // (2 * entry[1] + 5)
        entry[1] = min(entry[1] + 1, BIAS_LIMIT)


@inline_njit
def end_row(picture, y):
    """Add up the columns from the right, fill the margins."""
    channels, padded, width = picture.planes.shape[0], picture.planes.shape[2], picture.columns.shape[2]
    for rank in range(channels):
        for k in range(picture.forgetting.size):
            count, forgetting = picture.counts[rank, k], picture.forgetting[k]
            size = (count + 1) * (count + 2) // 2
            for i in range(size):
                picture.left[rank, k, i] = 0
            for x in range(width - 1, -1, -1):
                column, right = picture.columns[rank, k, x], picture.right[rank, k, x]
                for i in range(size):
                    right[i] = column[i] - (column[i] >> forgetting)
                if x + 1 < width:
                    beyond = picture.right[rank, k, x + 1]
                    for i in range(size):
                        right[i] += beyond[i] - (beyond[i] >> forgetting)
        row, below = picture.planes[rank, y & 3], picture.planes[rank, (y + 1) & 3]
        last = picture.errors[rank, picture.centres.size - 1, y & 1]
        for i in range(MARGIN):
            row[padded - MARGIN + i] = row[padded - MARGIN - 1]
            below[i] = row[MARGIN]
            last[padded - MARGIN + i] = last[padded - MARGIN - 1]
