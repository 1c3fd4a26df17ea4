"""Repeats in a picture: the pixel that came after equal pixels earlier, as inputs of the mixer.

Normative text: docs/FORMAT.md, 'Repeats'. Must not know the predictors.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy import uint64
from numpy.typing import NDArray

from arzip.jit.compile import inline_njit
from arzip.media.hashed_slots import START, hash_pair
from arzip.media.numbers import clip
from arzip.probability import P_ONE

FINDERS, TABLE_BITS = 2, 16
NEAR, BEFORE = 0, 6  # the finder that sees pixels on all sides; pixels that the other one sees
MIN_NEAR, MIN_BEFORE, MAX_COMPARED, MAX_LENGTH = 1, 5, 32, 255
PATIENCE = 8  # wrong pixels after which a place is given up
LENGTHS, AROUND, WEIGHTS = 16, 4, 16  # classes of lengths, of what is above; bits of a value
CLASSES, LIKELY, SURE = 4, 3600, 4032  # of how sure a prediction is; probabilities in Q12


class Positions(NamedTuple):
    """Where each of F finders is in a picture.

    table (F, 2^16): 1 + the number of a pixel by the hash of what is near it, 0 for none. at (F,): the pixel that is
    expected next, -1 for none; lengths (F,): how many pixels before it agreed; misses (F,): how many didn't since it
    was found; alike (F,): 1 while the channels of this pixel agree; around (F,): whether pixels above agree.
    """

    table: NDArray[np.int32]
    at: NDArray[np.int64]
    lengths: NDArray[np.int64]
    misses: NDArray[np.int64]
    alike: NDArray[np.int64]
    around: NDArray[np.int64]


class Trust(NamedTuple):
    """odds (entries,): a probability in Q22 that the expected bit comes, above a count.

    values (F,): what is expected of a channel, -1 for nothing; entries (F,): where the odds of its bits are.
    """

    odds: NDArray[np.uint32]
    values: NDArray[np.int64]
    entries: NDArray[np.int64]


def create_positions() -> Positions:
    """The state before a picture's first pixel."""
    table = np.zeros((FINDERS, 1 << TABLE_BITS), np.int32)
    lengths, misses, alike, around = (np.zeros(FINDERS, np.int64) for _ in range(4))
    return Positions(table, np.full(FINDERS, -1, np.int64), lengths, misses, alike, around)


def create_trust() -> Trust:
    """The state before the first bit."""
    odds = np.full(FINDERS * 2 * LENGTHS * AROUND * WEIGHTS, START, np.uint32)
    return Trust(odds, np.full(FINDERS, -1, np.int64), np.zeros(FINDERS, np.int64))


@inline_njit
def is_same(pixels, one, other):
    """Whether two pixels of pixels (T, C) are equal."""
    channel, channels = 0, pixels.shape[1]
    while channel < channels and pixels[one, channel] == pixels[other, channel]:
        channel += 1
    return channel == channels


@inline_njit
def hash_pixel(hashed, pixels, t):
    """A hash of another hash and of pixel t, which may lie before the first."""
    if t < 0:
        return hash_pair(hashed, 0)
    values = uint64(0)
    for channel in range(pixels.shape[1]):
        values = (values << uint64(16)) + uint64(pixels[t, channel])
    return hash_pair(hashed, values + uint64(1))


@inline_njit
def hash_near(pixels, t, width, finder):
    """The entry of a finder's table for what is near pixel t."""
    hashed = uint64(0)
    if finder == NEAR:
        hashed = hash_pixel(hashed, pixels, t - 1)
        hashed = hash_pixel(hashed, pixels, t - 2)
        hashed = hash_pixel(hashed, pixels, t - width)
        hashed = hash_pixel(hashed, pixels, t - width - 1)
        hashed = hash_pixel(hashed, pixels, t - max(width - 1, 1))
        hashed = hash_pixel(hashed, pixels, t - 2 * width)
    else:
        for k in range(1, BEFORE + 1):
            hashed = hash_pixel(hashed, pixels, t - k)
    return np.int64(hashed >> uint64(64 - TABLE_BITS))


@inline_njit
def find(positions, pixels, t, width):
    """Before pixel t: look for a place where there is none that agrees, and enter this one."""
    for f in range(FINDERS):
        entry = hash_near(pixels, t, width, f)
        if positions.lengths[f] == 0:
            found, length = np.int64(positions.table[f, entry]) - 1, 0
            while length < found and length < MAX_COMPARED and is_same(pixels, found - 1 - length, t - 1 - length):
                length += 1
            if length >= (MIN_NEAR if f == NEAR else MIN_BEFORE):
                positions.at[f], positions.lengths[f], positions.misses[f] = found, length, 0
            elif positions.misses[f] > PATIENCE:
                positions.at[f], positions.misses[f] = -1, 0
        positions.table[f, entry] = t + 1
        at, above, around = positions.at[f], max(width - 1, 1), 0
        if at >= width:
            around = 1 if is_same(pixels, at - width, t - width) else 0
            around += 2 if is_same(pixels, at - above, t - above) else 0
        positions.alike[f], positions.around[f] = 1, around


@inline_njit
def expect(positions, trust, pixels, channel):
    """What each finder expects of a channel of the pixel."""
    for f in range(FINDERS):
        trust.values[f] = -1
        if positions.at[f] >= 0:
            trust.values[f] = pixels[positions.at[f], channel]
            length = positions.lengths[f]
            bucket = length if length < 8 else min(7 + (length >> 3), LENGTHS - 1)
            entry = ((2 * f + positions.alike[f]) * LENGTHS + bucket) * AROUND + positions.around[f]
            trust.entries[f] = WEIGHTS * entry


@inline_njit
def add_inputs(trust, weight, middle, inputs, at, stretch):
    """Two inputs of the mixer from each finder; returns the class of the surest."""
    surest = 0
    for f in range(FINDERS):
        inputs[at] = 0
        inputs[at + 1] = 0
        if trust.values[f] >= 0:
            entry = np.int64(trust.odds[trust.entries[f] + weight])
            p, count = entry >> 20, entry & 1023
            surest = max(surest, 1 if p < LIKELY else 2 if p < SURE else 3)
            logit, more = np.int64(stretch[p]), ((p - 2048) * clip(count, 0, 16)) >> 4
            if trust.values[f] < middle:
                logit, more = -logit, -more
            inputs[at] = logit
            inputs[at + 1] = more
        at += 2
    return surest


@inline_njit
def learn_bit(trust, weight, middle, bit, limit):
    """Move the odds that were used; who was wrong expects nothing more of this value."""
    for f in range(FINDERS):
        if trust.values[f] >= 0:
            right = (trust.values[f] >= middle) == (bit == 1)
            where = trust.entries[f] + weight
            entry = np.int64(trust.odds[where])
            p, count = entry >> 10, entry & 1023
            goal = P_ONE - 1 if right else 0
            p = clip(p + ((goal - p) * 2) // (2 * count + 3), 0, P_ONE - 1)
            trust.odds[where] = np.uint32(p << 10 | min(count + 1, limit))
            if not right:
                trust.values[f] = -1


@inline_njit
def end_value(positions, trust):
    """After a channel: whether the pixel still agrees."""
    for f in range(FINDERS):
        if trust.values[f] < 0:
            positions.alike[f] = 0


@inline_njit
def end_pixel(positions):
    """After a pixel: go on by one."""
    for f in range(FINDERS):
        if positions.at[f] >= 0:
            if positions.alike[f]:
                positions.lengths[f] = min(positions.lengths[f] + 1, MAX_LENGTH)
            else:
                positions.lengths[f] = 0
                positions.misses[f] += 1
            positions.at[f] += 1
