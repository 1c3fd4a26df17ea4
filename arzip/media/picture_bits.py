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
from arzip.media import cdf, experts, hashed_slots, mixing, picture, picture_matches
from arzip.media.experts import CENTRE, COLUMNS, HIGH, INVERSE, LOW, MIDDLE
from arzip.media.hashed_slots import Slots, hash_pair
from arzip.media.mixing import Mixer
from arzip.media.numbers import clip, log2_eighths
from arzip.media.picture import Set, value_at
from arzip.media.picture_matches import CLASSES, FINDERS, Trust

HASHES, LEVELS = 12, 32
LIGHT_HASHES, LIGHT_WIDE_HASHES = (1, 3, 4, 11), (1, 4, 5, 6)
VALUE, TOP_BYTE = 5, 6  # contexts of values of two bytes: the value's bits so far; the first byte for the last nibble
SLOT_BITS = 18
EXPERT_WEIGHT, HASH_WEIGHT = 104858, 20972
RATES = (40, 28, 16, 8)  # of learning of the mixer: until so many values were coded, and after
UNTIL = (1 << 14, 1 << 17, 1 << 19)
FINAL_RATE, LIMIT = 2, 250
MIN_SCALE = 12
WHICH, WHERE = COLUMNS, COLUMNS + 1  # further columns of spans: which centre an expert has, where its scale stands


class Bits(NamedTuple):
    """spans (E, COLUMNS + 2): see experts.py, WHICH, WHERE.

    scales (C, E, entries, 2): mean absolute error in Q12, count. coded (1,): values so far. hashed (HASHES,):
    the contexts of a value; chosen (H,): which of them have slots. width: bits of a value; short: place of TOP_BYTE.
    """

    mixer: Mixer
    slots: Slots
    cdf: NDArray[np.int64]
    spans: NDArray[np.int64]
    scales: NDArray[np.int64]
    contexts: NDArray[np.int64]
    coded: NDArray[np.int64]
    hashed: NDArray[np.uint64]
    chosen: NDArray[np.int64]
    width: int
    short: int
    trust: Trust


def create(kind: Set) -> Bits:
    """The state before the first bit."""
    bits, count, hashes = 8 * kind.sample_bytes, kind.predictors + 8, list(range(HASHES))
    if kind.light:
        hashes = list(LIGHT_WIDE_HASHES if kind.sample_bytes > 1 else LIGHT_HASHES)
    sets = [4 * LEVELS, bits * kind.error_bins, CLASSES * bits * (len(hashes) + 1), 17 * LEVELS, 4 * 256]
    start = [EXPERT_WEIGHT] * count + [HASH_WEIGHT] * 2 * (len(hashes) + FINDERS) + [0]
    mixer = mixing.create(len(start), sets, CLASSES * LEVELS, [33 * LEVELS, 1 << 16], start)
    scales = np.zeros((kind.channels, count, (kind.slope_bins + 8) * kind.error_bins, 2), np.int64)
    scales[..., 0] = 8 << 12
    spans, contexts = np.zeros((count, COLUMNS + 2), np.int64), np.zeros(2, np.int64)
    slots = hashed_slots.create(len(hashes), SLOT_BITS)
    coded, hashed, chosen = np.zeros(1, np.int64), np.zeros(HASHES, np.uint64), np.array(hashes, np.int64)
    short = hashes.index(TOP_BYTE) if TOP_BYTE in hashes else -1
    trust = picture_matches.create_trust()
    return Bits(mixer, slots, cdf.table(), spans, scales, contexts, coded, hashed, chosen, bits, short, trust)


@inline_njit
def prepare(bits, state, rank):
    """Set up the experts for a value; returns the size of its error, in eighths of bits."""
    errors, slopes, here = state.local[0], state.local[1], state.local[2]
    centres = state.centres.size
    for e in range(centres + 3):
        which, where = e, 8 * errors + here
        if e == centres:
            which, where = centres - 1, 8 * slopes + here
        elif e == centres + 1:
            which, where = 0, state.error_bins * slopes + errors
        elif e == centres + 2:
            which, where = centres - 1, errors
        bits.spans[e, WHICH], bits.spans[e, WHERE] = which, where
        bits.spans[e, LOW], bits.spans[e, HIGH] = -cdf.LIMIT, cdf.LIMIT
        bits.spans[e, CENTRE] = state.centres[which]
        bits.spans[e, INVERSE] = (1 << 32) // max((bits.scales[rank, e, where, 0] * 3) >> 6, MIN_SCALE)
    return log2_eighths(bits.scales[rank, centres + 2, errors, 0] >> 4)


@inline_njit
def hash_contexts(bits, state, x, y, rank):
    """The hashes of a value's contexts."""
    contexts, centres, simple = bits.hashed, state.centres, state.forgetting.size
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
    contexts[VALUE] = uint64(0) if state.extra else hash_pair(w, mates)
    contexts[TOP_BYTE] = uint64(0) if state.extra else hash_pair(n, mates)
    contexts[7] = hash_pair(centres[centres.size - 1] >> 7, state.local[0] >> 1)
    contexts[8] = hash_pair(centres[0] >> 8, centres[1] >> 8)
    contexts[9] = hash_pair(centres[simple] >> 8, centres[simple + 1] >> 9)
    contexts[10] = hash_pair(w + n - nw + 512, centres[simple + 2] >> 9)
    around = hash_pair(hash_pair(nn, ne), mates)
    for other in range(state.means.size):
        above = hash_pair(value_at(state, other, x, y - 1), value_at(state, other, x - 1, y - 1))
        around = hash_pair(around, hash_pair(value_at(state, other, x - 1, y), above))
    contexts[11] = around
    for i in range(HASHES):
        contexts[i] = hash_pair(contexts[i], 16 * rank + i)
    for i in range(bits.chosen.size):
        bits.slots.contexts[i] = contexts[bits.chosen[i]]


@inline_njit
def predict(bits, state, weight, middle, partial, node, rank, size):
    """P(the value is `middle` or above, as a bit of 2^weight says) in Q22."""
    mixer, spans = bits.mixer, bits.spans
    experts.add_inputs(spans, bits.cdf, middle, mixer)
    experts_there, hashes, bit = spans.shape[0], bits.chosen.size, bits.width - 1 - weight
    seen = hashed_slots.add_inputs(bits.slots, node, mixer.inputs, experts_there, mixer.stretch)
    behind = experts_there + 2 * hashes
    sure = picture_matches.add_inputs(bits.trust, weight, middle, mixer.inputs, behind, mixer.stretch)
    mixer.inputs[behind + 2 * FINDERS] = 256
    position = spans[state.centres.size - 1, MIDDLE]
    level = clip(((8 * weight - size + 128) >> 2) - 8, 0, LEVELS - 1)
    mixer.rows[0] = 4 * level + rank
    mixer.rows[1] = bit * state.error_bins + state.local[0]
    mixer.rows[2] = CLASSES * (bit * (hashes + 1) + seen) + sure
    mixer.rows[3] = 17 * level + clip((position >> 11) + 8, 0, 16)
    mixer.rows[4] = 4 * (partial if bit < 8 else (partial >> (bit - 8)) & 255) + rank
    mixer.rows[5] = level + LEVELS * sure
    bits.contexts[0] = 33 * level + clip((position >> 10) + 16, 0, 32)
    bits.contexts[1] = np.int64(hash_pair(bits.hashed[2], partial) >> uint64(48))
    return mixing.refine(mixer, mixing.mix(mixer), bits.contexts)


@inline_njit
def learn_bit(bits, bit, node):
    """Train mixer and slots by the bit that came, and narrow the spans."""
    rate = RATES[0]
    for i in range(len(UNTIL)):
        if bits.coded[0] >= UNTIL[i]:
            rate = RATES[i + 1]
    mixing.update(bits.mixer, bit, rate, FINAL_RATE, LIMIT)
    hashed_slots.learn(bits.slots, node, bit, LIMIT)
    experts.narrow(bits.spans, bit)


@inline_njit
def learn_value(bits, state, rank, value):
    """Move the experts' scales by the value's errors."""
    for e in range(bits.spans.shape[0]):
        entry = bits.scales[rank, e, bits.spans[e, WHERE]]
        error = abs((value << 8) - state.centres[bits.spans[e, WHICH]]) << 4
        entry[0] = max(entry[0] + (2 * (error - entry[0])) // (2 * entry[1] + 3), 1)
        entry[1] = min(entry[1] + 1, LIMIT)
    bits.coded[0] += 1


@njit(_nrt=False, nogil=True)
def code(pixels, first, last, order, state, bits, registers, stream, decoding, coded):
    """Code the pixels [first, last) of pixels (T, C), row after row; order (C,): of the channels.

    The stream must have room. coded (bits,): gets 2 P + bit, with P of a 1 in Q22, or empty.
    """
    width, k = state.columns.shape[2], 0
    for t in range(first, last):
        y, x = t // width, t % width
        picture_matches.find(state.positions, pixels, t, width)
        for rank in range(order.size):
            picture.predict(state, x, y, rank)
            size = prepare(bits, state, rank)
            hash_contexts(bits, state, x, y, rank)
            picture_matches.expect(state.positions, bits.trust, pixels, order[rank])
            value, node, partial = np.int64(0), np.int64(1), np.int64(1)
            for weight in range(bits.width - 1, -1, -1):
                if weight & 3 == 3:
                    other = partial if weight != 3 or not state.extra else (partial >> 4) + (1 << 16)
                    hashed_slots.select(bits.slots, partial, other, bits.short)
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
                picture_matches.learn_bit(bits.trust, weight, middle, bit, LIMIT)
                if bit:
                    value = middle
                node, partial = 2 * node + bit, 2 * partial + bit
            picture.learn(state, x, y, rank, value)
            learn_value(bits, state, rank, value)
            picture_matches.end_value(state.positions, bits.trust)
            pixels[t, order[rank]] = value
        picture_matches.end_pixel(state.positions)
        if x == width - 1:
            picture.end_row(state, y)
