"""The bits of a picture's values, most significant first: mixed from distributions around several predictions and from
hashed contexts.

Normative text: docs/FORMAT.md, 'Pictures'. Encoder and decoder run the same loop.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy import uint64
from numpy.typing import NDArray

from arzip.coding import range_coder
from arzip.jit.compile import inline_njit, njit
from arzip.media import cdf, experts, hashed_slots, mixing, picture
from arzip.media.experts import CENTRE, COLUMNS, HIGH, INVERSE, LOW, MIDDLE
from arzip.media.hashed_slots import Slots, hash_pair
from arzip.media.mixing import Mixer
from arzip.media.numbers import clip, log2_eighths
from arzip.media.picture import ERROR_BINS, value_at

EXPERTS, HASHES, LEVELS = 10, 12, 32
SCALES = 512
SLOT_BITS = 18
EXPERT_WEIGHT, HASH_WEIGHT = 104858, 20972
EARLY, EARLY_RATE, RATE, FINAL_RATE, LIMIT = 3000, 6, 2, 2, 250
MIN_SCALE = 12
WHICH, WHERE = COLUMNS, COLUMNS + 1  # further columns of spans: which centre an expert has, where its scale stands


class Bits(NamedTuple):
    """spans (EXPERTS, COLUMNS + 2): see experts.py, WHICH, WHERE.

    scales (C, EXPERTS, SCALES, 2): mean absolute error in Q12, count. coded (1,): values so far.
    """

    mixer: Mixer
    slots: Slots
    cdf: NDArray[np.int64]
    spans: NDArray[np.int64]
    scales: NDArray[np.int64]
    contexts: NDArray[np.int64]
    coded: NDArray[np.int64]


def create(channels: int) -> Bits:
    """The state before the first bit."""
    sets = [4 * LEVELS, 8 * ERROR_BINS, 8 * (HASHES + 1), 17 * LEVELS, 4 * 256]
    start = [EXPERT_WEIGHT] * EXPERTS + [HASH_WEIGHT] * 2 * HASHES + [0]
    mixer = mixing.create(len(start), sets, LEVELS, [33 * LEVELS, 1 << 16], start)
    scales = np.zeros((channels, EXPERTS, SCALES, 2), np.int64)
    scales[..., 0] = 8 << 12
    spans, contexts = np.zeros((EXPERTS, COLUMNS + 2), np.int64), np.zeros(2, np.int64)
    return Bits(
        mixer, hashed_slots.create(HASHES, SLOT_BITS), cdf.table(), spans, scales, contexts, np.zeros(1, np.int64)
    )


@inline_njit
def prepare(bits, state, rank):
    """Set up the experts for a value; returns the size of its error, in eighths of bits."""
    errors, slopes, here = state.local[0], state.local[1], state.local[2]
    for e in range(EXPERTS):
        which, where = e, 8 * errors + here
        if e == 7:
            which, where = 6, 8 * slopes + here
        elif e == 8:
            which, where = 0, ERROR_BINS * slopes + errors
        elif e == 9:
            which, where = 6, errors
        bits.spans[e, WHICH], bits.spans[e, WHERE] = which, where
        bits.spans[e, LOW], bits.spans[e, HIGH] = -cdf.LIMIT, cdf.LIMIT
        bits.spans[e, CENTRE] = state.centres[which]
        bits.spans[e, INVERSE] = (1 << 32) // max((bits.scales[rank, e, where, 0] * 3) >> 6, MIN_SCALE)
    return log2_eighths(bits.scales[rank, 9, errors, 0] >> 4)


@inline_njit
def hash_contexts(bits, state, x, y, rank):
    """The hashes of a value's contexts."""
    contexts, centres = bits.slots.contexts, state.centres
    w, n, nw = value_at(state, rank, x - 1, y), value_at(state, rank, x, y - 1), value_at(state, rank, x - 1, y - 1)
    ne, ww, nn = value_at(state, rank, x + 1, y - 1), value_at(state, rank, x - 2, y), value_at(state, rank, x, y - 2)
    one = two = np.int64(0)
    if rank > 0:
        one = value_at(state, rank - 1, x, y) + 1
    if rank > 1:
        two = value_at(state, rank - 2, x, y) + 1
    mates, near = hash_pair(one, two), hash_pair(w, n)
    contexts[0] = hash_pair(near, mates)
    contexts[1] = hash_pair(near, hash_pair(nw, mates))
    contexts[2] = hash_pair(near, hash_pair(hash_pair(nw, ne), mates))
    contexts[3] = hash_pair(near, hash_pair(hash_pair(nw, ne), hash_pair(hash_pair(ww, nn), mates)))
    contexts[4] = mates
    contexts[5] = hash_pair(w, mates)
    contexts[6] = hash_pair(n, mates)
    contexts[7] = hash_pair(centres[6] >> 7, state.local[0] >> 1)
    contexts[8] = hash_pair(centres[0] >> 8, centres[1] >> 8)
    contexts[9] = hash_pair(centres[2] >> 8, centres[3] >> 9)
    contexts[10] = hash_pair(w + n - nw + 512, centres[4] >> 9)
    around = hash_pair(hash_pair(nn, ne), mates)
    for other in range(state.means.size):
        above = hash_pair(value_at(state, other, x, y - 1), value_at(state, other, x - 1, y - 1))
        around = hash_pair(around, hash_pair(value_at(state, other, x - 1, y), above))
    contexts[11] = around
    for i in range(HASHES):
        contexts[i] = hash_pair(contexts[i], 16 * rank + i)


@inline_njit
def predict(bits, state, weight, middle, partial, node, rank, size):
    """P(the value is `middle` or above, as a bit of 2^weight says) in Q22."""
    mixer, spans = bits.mixer, bits.spans
    experts.add_inputs(spans, bits.cdf, middle, mixer)
    seen = hashed_slots.add_inputs(bits.slots, node, mixer.inputs, EXPERTS, mixer.stretch)
    mixer.inputs[EXPERTS + 2 * HASHES] = 256
    position = spans[6, MIDDLE]
    level = clip(((8 * weight - size + 128) >> 2) - 8, 0, LEVELS - 1)
    mixer.rows[0] = 4 * level + rank
    mixer.rows[1] = (7 - weight) * ERROR_BINS + state.local[0]
    mixer.rows[2] = (7 - weight) * (HASHES + 1) + seen
    mixer.rows[3] = 17 * level + clip((position >> 11) + 8, 0, 16)
    mixer.rows[4] = 4 * partial + rank
    mixer.rows[5] = level
    bits.contexts[0] = 33 * level + clip((position >> 10) + 16, 0, 32)
    bits.contexts[1] = np.int64(hash_pair(bits.slots.contexts[2], partial) >> uint64(48))
    return mixing.refine(mixer, mixing.mix(mixer), bits.contexts)


@inline_njit
def learn_bit(bits, bit, node):
    """Train mixer and slots by the bit that came, and narrow the spans."""
    mixing.update(bits.mixer, bit, RATE if bits.coded[0] > EARLY else EARLY_RATE, FINAL_RATE, LIMIT)
    hashed_slots.learn(bits.slots, node, bit, LIMIT)
    experts.narrow(bits.spans, bit)


@inline_njit
def learn_value(bits, state, rank, value):
    """Move the experts' scales by the value's errors."""
    for e in range(EXPERTS):
        entry = bits.scales[rank, e, bits.spans[e, WHERE]]
        error = abs((value << 8) - state.centres[bits.spans[e, WHICH]]) << 4
        entry[0] = max(entry[0] + (2 * (error - entry[0])) // (2 * entry[1] + 3), 1)
        entry[1] = min(entry[1] + 1, LIMIT)
    bits.coded[0] += 1


@njit(_nrt=False, nogil=True)
def code(pixels, first, last, order, state, bits, registers, stream, decoding, coded):
    """Code the pixels [first, last) of pixels (T, C) bytes, row after row; order (C,): of the channels.

    The stream must have room. coded (bits,): gets 2 P + bit, with P of a 1 in Q22, or empty.
    """
    width, k = state.columns.shape[2], 0
    for t in range(first, last):
        y, x = t // width, t % width
        for rank in range(order.size):
            picture.predict(state, x, y, rank)
            size = prepare(bits, state, rank)
            hash_contexts(bits, state, x, y, rank)
            value, node, partial = np.int64(0), np.int64(1), np.int64(1)
            for weight in range(7, -1, -1):
                if weight & 3 == 3:
                    hashed_slots.select(bits.slots, partial)
                    node = np.int64(1)
                middle = value + (np.int64(1) << weight)
                p = predict(bits, state, weight, middle, partial, node, rank, size)
                if decoding:
                    bit = range_coder.decode_bit(registers, stream, p)
                else:
                    bit = np.int64(np.int64(pixels[t, order[rank]]) >= middle)
                    range_coder.encode_bit(registers, stream, bit, p)
                if coded.size > 0:
                    coded[k] = 2 * p + bit
                    k += 1
                learn_bit(bits, bit, node)
                if bit:
                    value = middle
                node, partial = 2 * node + bit, 2 * partial + bit
            picture.learn(state, x, y, rank, value)
            learn_value(bits, state, rank, value)
            pixels[t, order[rank]] = value
        if x == width - 1:
            picture.end_row(state, y)
