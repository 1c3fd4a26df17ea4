"""The predictions of sound: least squares over two channels, and a cascade of LMS filters on what they leave.

Normative text: docs/FORMAT.md, 'Sound'. Must not know the bits: sound_bits.py codes them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from arzip.jit.compile import inline_njit
from arzip.media import lms, normal_equations
from arzip.media.numbers import clip

CENTRE_BITS, CENTRE_LIMIT = 8, 1 << 33  # fraction of a prediction, and how large it can be
OWN, PARTNER = 24, 8  # samples that the first least-squares predictor sees of two channels
ORDER = 32  # of both predictors
FORGETTING = (9, 11)  # each sample takes 2^-9, 2^-11 of what was before it
RIDGE, GAIN, SOLVE_EVERY = 24, 10, 4
TAPS, LMS_RATES = (1024, 256, 32, 16), (8, 7, 6, 5)
LMS_BITS = 2  # fraction of the filters' inputs, of samples of up to 16 bits
LINE, LONGEST = 8192, 1024
CENTRES = 2 + len(TAPS)
ERROR_SHIFTS = (4, 7, 5)
MOMENTS = (ORDER + 1) * (ORDER + 2) // 2


class Sound(NamedTuple):
    """What is known of C channels. centres: predictions of the current sample in Q8: both least squares, then the first
    with one more stage of the cascade each; errors: means of each centre's absolute error in Q12, fast, slow, middle.
    """

    past: NDArray[np.int64]  # (C, ORDER) the last samples, newest first
    moments: NDArray[np.int64]  # (C, 2, MOMENTS)
    weights: NDArray[np.int64]  # (C, 2, ORDER)
    inputs: NDArray[np.int64]  # (2, ORDER + 1) the target's place last
    factor: NDArray[np.int32]
    scratch: NDArray[np.int64]
    taps: NDArray[np.int64]  # (stages,)
    rates: NDArray[np.int64]  # (stages,) 2^-rate is a stage's learning rate
    filters: NDArray[np.int32]  # (C, stages, LONGEST)
    lines: NDArray[np.int32]  # (C, stages, LINE) the inputs of each stage; see `make_room`
    powers: NDArray[np.int64]  # (C, stages) sum of the squares of a stage's inputs
    outputs: NDArray[np.int64]  # (stages,) the predictions of the stages for this sample, Q8
    centres: NDArray[np.int64]  # (CENTRES,)
    errors: NDArray[np.int64]  # (C, CENTRES, 3)
    excess: NDArray[np.int64]  # (1,) by how many bits samples of more than 16 are shortened


def create(channels: int, bits: int) -> Sound:
    """The state before the first sample of so many bits."""
    factor, scratch = normal_equations.scratch_arrays(ORDER)
    stages = len(TAPS)
    return Sound(
        np.zeros((channels, ORDER), np.int64),
        np.zeros((channels, 2, MOMENTS), np.int64),
        np.zeros((channels, 2, ORDER), np.int64),
        np.zeros((2, ORDER + 1), np.int64),
        factor,
        scratch,
        np.array(TAPS, np.int64),
        np.array(LMS_RATES, np.int64),
        np.zeros((channels, stages, LONGEST), np.int32),
        np.zeros((channels, stages, LINE), np.int32),
        np.zeros((channels, stages), np.int64),
        np.zeros(stages, np.int64),
        np.zeros(CENTRES, np.int64),
        np.full((channels, CENTRES, len(ERROR_SHIFTS)), 64 << 12, np.int64),
        np.array([max(bits - 16, 0)], np.int64),
    )


@inline_njit
def make_room(sound, end):
    """Where the next inputs of the filters go: at `end`, or at LONGEST, whereto the last LONGEST ones are moved."""
    if end < LINE:
        return end
    for channel in range(sound.past.shape[0]):
        for stage in range(sound.taps.size):
            line = sound.lines[channel, stage]
            for i in range(LONGEST):
                line[i] = line[LINE - LONGEST + i]
    return LONGEST


@inline_njit
def predict(sound, channel, t, end):
    """Fill the centres for sample t of a channel."""
    inputs, channels = sound.inputs, sound.past.shape[0]
    partner = channel - 1 if channel > 0 else channels - 1
    for i in range(ORDER):
        inputs[1, i] = sound.past[channel, i]
        inputs[0, i] = sound.past[channel, i]
        if channels > 1 and i >= OWN:
            inputs[0, i] = sound.past[partner, i - OWN]
    for k in range(2):
        weights = sound.weights[channel, k]
        if t % SOLVE_EVERY == 0:
            normal_equations.solve(sound.moments[channel, k], ORDER, RIDGE, sound.factor, sound.scratch, weights)
        total = normal_equations.dot(weights, inputs[k], ORDER) >> (normal_equations.WEIGHT_BITS - CENTRE_BITS)
        sound.centres[k] = clip(total, -CENTRE_LIMIT, CENTRE_LIMIT)
    total = sound.centres[0]
    for stage in range(sound.taps.size):
        output = lms.predict(sound.filters[channel, stage], sound.lines[channel, stage], end, sound.taps[stage])
        sound.outputs[stage] = clip(output << (CENTRE_BITS - LMS_BITS + sound.excess[0]), -CENTRE_LIMIT, CENTRE_LIMIT)
        total += sound.outputs[stage]
        sound.centres[2 + stage] = clip(total, -CENTRE_LIMIT, CENTRE_LIMIT)


@inline_njit
def learn(sound, channel, end, value):
    """Take in the sample that was predicted."""
    inputs, excess = sound.inputs, sound.excess[0]
    for k in range(2):
        inputs[k, ORDER] = value
        if excess:
            for i in range(ORDER + 1):
                inputs[k, i] >>= excess
        normal_equations.decay_and_add(
            sound.moments[channel, k], inputs[k], ORDER, FORGETTING[0] if k == 0 else FORGETTING[1], GAIN
        )
    rest, down = (value << CENTRE_BITS) - sound.centres[0], CENTRE_BITS - LMS_BITS + excess
    for stage in range(sound.taps.size):
        line, taps = sound.lines[channel, stage], sound.taps[stage]
        now = clip(rest >> down, -(1 << 19), 1 << 19)
        rest -= sound.outputs[stage]
        error = clip(rest >> down, -(1 << 19), 1 << 19)
        power = sound.powers[channel, stage] + 16 * taps + (taps * error * error >> 4)
        lms.update(sound.filters[channel, stage], line, end, taps, error, power, sound.rates[stage])
        oldest = np.int64(line[end - taps])
        sound.powers[channel, stage] += now * now - oldest * oldest
        line[end] = now
    past = sound.past[channel]
    for i in range(ORDER - 1, 0, -1):
        past[i] = past[i - 1]
    past[0] = value
    for k in range(CENTRES):
        error = abs((value << CENTRE_BITS) - sound.centres[k]) << 4
        for j in range(3):
            by = ERROR_SHIFTS[0] if j == 0 else ERROR_SHIFTS[1] if j == 1 else ERROR_SHIFTS[2]
            sound.errors[channel, k, j] += (error - sound.errors[channel, k, j]) >> by
