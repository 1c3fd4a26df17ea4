"""The bits of samples of sound, most significant first: each mixed from distributions around several predictions.

Normative text: docs/FORMAT.md, 'Sound'. Encoder and decoder run the same loop.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from arzip.coding import range_coder
from arzip.jit.compile import inline_njit, njit
from arzip.media import cdf, experts, mixing, sound
from arzip.media.experts import CENTRE, COLUMNS, HIGH, INVERSE, LOW, MIDDLE
from arzip.media.mixing import Mixer
from arzip.media.numbers import clip, log2_eighths
from arzip.media.sound import CENTRES

LAST = CENTRES - 1  # the centre of all stages
EXPERTS = ((0, 2), (1, 2), (2, 2), (3, 2), (4, 2), (LAST, 2), (LAST, 0), (LAST, 1), (0, 0))  # centre, kind of error
LEVELS, RATIOS, SIDES, POSITIONS = 48, 12, 9, 33  # of the mixer's contexts
START_WEIGHT = 163110
EARLY, EARLY_RATE, RATE, FINAL_RATE, APM_LIMIT = 2000, 6, 2, 2, 250
MIN_SCALE = 16  # Q8


class Bits(NamedTuple):
    """spans (EXPERTS, COLUMNS): see experts.py. kinds (EXPERTS, 2): see EXPERTS. contexts (APM stages,)."""

    mixer: Mixer
    cdf: NDArray[np.int64]
    spans: NDArray[np.int64]
    kinds: NDArray[np.int64]
    contexts: NDArray[np.int64]


def create() -> Bits:
    """The state before the first bit."""
    sets, apms = [2 * LEVELS, RATIOS * LEVELS, SIDES * LEVELS], [POSITIONS * LEVELS, RATIOS * LEVELS]
    mixer = mixing.create(len(EXPERTS) + 1, sets, LEVELS, apms, [START_WEIGHT] * (len(EXPERTS) + 1))
    spans, kinds = np.zeros((len(EXPERTS), COLUMNS), np.int64), np.array(EXPERTS, np.int64)
    return Bits(mixer, cdf.table(), spans, kinds, np.zeros(len(apms), np.int64))


@inline_njit
def prepare(bits, state, channel):
    """Set up the experts for a sample; returns two classes of its errors: fast against slow, and their size."""
    for e in range(bits.kinds.shape[0]):
        k = bits.kinds[e, 0]
        scale = max((state.errors[channel, k, bits.kinds[e, 1]] * 3) >> 6, MIN_SCALE)
        bits.spans[e, LOW] = -cdf.LIMIT
        bits.spans[e, HIGH] = cdf.LIMIT
        bits.spans[e, CENTRE] = state.centres[k]
        bits.spans[e, INVERSE] = (1 << 32) // scale
    fast, slow = log2_eighths(state.errors[channel, LAST, 0] >> 4), log2_eighths(state.errors[channel, LAST, 1] >> 4)
    return clip(fast - slow + 24, 0, 47) >> 2, log2_eighths(state.errors[channel, LAST, 2] >> 4)


@inline_njit
def predict(bits, weight, middle, channel, ratio, size):
    """P(the value is `middle` or above, as a bit of 2^weight says) in Q22."""
    mixer = bits.mixer
    experts.add_inputs(bits.spans, bits.cdf, middle, mixer)
    mixer.inputs[bits.spans.shape[0]] = 256
    place = bits.spans[5, MIDDLE]
    level = clip(((8 * weight - size + 128) >> 2) - 12, 0, LEVELS - 1)
    mixer.rows[0] = level * 2 + min(channel, 1)
    mixer.rows[1] = level * RATIOS + ratio
    mixer.rows[2] = level * SIDES + clip((place >> 11) + 4, 0, SIDES - 1)
    mixer.rows[3] = level
    bits.contexts[0] = level * POSITIONS + clip((place >> 10) + 16, 0, POSITIONS - 1)
    bits.contexts[1] = level * RATIOS + ratio
    return mixing.refine(mixer, mixing.mix(mixer), bits.contexts)


@inline_njit
def learn(bits, bit, t):
    """Train the mixer by the bit that came, and narrow the spans."""
    mixing.update(bits.mixer, bit, RATE if t > EARLY else EARLY_RATE, FINAL_RATE, APM_LIMIT)
    experts.narrow(bits.spans, bit)


@njit(_nrt=False, nogil=True)
def code(samples, first, last, end, state, bits, width, registers, stream, decoding, coded):
    """Code the frames [first, last) of samples (T, C), signed numbers of `width` bits; end: see sound.make_room.

    Returns `end` moved on. The stream must have room. coded (bits,): gets 2 P + bit, with P of a 1 in Q22, or empty.
    """
    n = 0
    for t in range(first, last):
        end = sound.make_room(state, end)
        for channel in range(samples.shape[1]):
            sound.predict(state, channel, t, end)
            ratio, size = prepare(bits, state, channel)
            value = -(np.int64(1) << (width - 1))
            for weight in range(width - 1, -1, -1):
                middle = value + (np.int64(1) << weight)
                p = predict(bits, weight, middle, channel, ratio, size)
                if decoding:
                    bit = range_coder.decode_bit(registers, stream, p)
                else:
                    bit = np.int64(np.int64(samples[t, channel]) >= middle)
                    range_coder.encode_bit(registers, stream, bit, p)
                if coded.size > 0:
                    coded[n] = 2 * p + bit
                    n += 1
                learn(bits, bit, t)
                if bit:
                    value = middle
            sound.learn(state, channel, end, value)
            samples[t, channel] = value
        end += 1
    return end
