"""The bits of items of arrays of numbers, most significant first: mixed from distributions around predictions and from
hashed contexts, nibble by nibble; the lowest nibbles, where there is nothing to predict, by a small table alone.

Normative text: docs/FORMAT.md, 'Arrays'. Encoder and decoder run the same loop.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy import uint64
from numpy.typing import NDArray

from arzip.coding import range_coder
from arzip.context_mixing.logistic import LOGIT_LIMIT
from arzip.jit.compile import inline_njit, njit
from arzip.media import array_model, cdf, hashed_slots, mixing
from arzip.media.array_model import CENTRE_LIMIT, EXPERTS, FLAT_EXPERTS, MANTISSA, OFFSET, SMOOTH, UNIT, WIDTH
from arzip.media.array_values import fixed
from arzip.media.hashed_slots import Slots, hash_pair
from arzip.media.mixing import Mixer
from arzip.media.numbers import clip, log2_eighths
from arzip.probability import P_ONE

CONTEXTS, ROW_BITS, SLOT_LIMIT = 8, 18, 250
NARROW = 64  # Q12: of spans below, an expert has nothing to say
POSITIONS, WIDTHS, SEEN = 17, 24, CONTEXTS + 1  # of the mixer's contexts
EXPERT_WEIGHT, SLOT_WEIGHT = 131072, 26214
EARLY, EARLY_RATE, RATE, FINAL_RATE, APM_LIMIT = 3000, 6, 2, 2, 250
LOW, MIDDLE, HIGH, CENTRE, INVERSE, SCALE, COLUMNS = range(7)  # of spans
PLAIN_COUNT, PLAIN_LIMIT = 255, 1023
INVERSE_BITS, MAX_SCALES = 50, 40


class Bits(NamedTuple):
    """spans (experts, COLUMNS); centre_of (EXPERTS,); contexts (APM stages,); plain (plain nibbles, 16)."""

    mixer: Mixer
    slots: Slots
    cdf: NDArray[np.int64]
    spans: NDArray[np.int64]
    centre_of: NDArray[np.int64]
    contexts: NDArray[np.int64]
    plain: NDArray[np.int64]


def create(width: int, smooth: bool, plain: int) -> Bits:
    """The state before the first item of so many bits. plain: how many of its nibbles, the lowest, are plain."""
    experts = EXPERTS if smooth else FLAT_EXPERTS
    inputs = experts + 2 * CONTEXTS + 1
    start = [EXPERT_WEIGHT] * experts + [SLOT_WEIGHT] * (2 * CONTEXTS) + [0]
    sets = [POSITIONS * WIDTHS, 64 * SEEN, 16 * 16, 64]
    mixer = mixing.create(inputs, sets, 64, [33 * 64, 1 << 16], start)
    return Bits(
        mixer,
        hashed_slots.create(CONTEXTS, ROW_BITS),
        cdf.table(),
        np.zeros((experts, COLUMNS), np.int64),
        np.array(array_model.EXPERT_CENTRES, np.int64),
        np.zeros(2, np.int64),
        np.full((max(plain, 1), 16), P_ONE // 2 << 10 | PLAIN_COUNT, np.int64),
    )


@inline_njit
def prepare(bits, model):
    """Set up the experts for an item."""
    spans = bits.spans
    for e in range(spans.shape[0]):
        scale = max((model.scales[e] * 3) >> 6, 1)
        spans[e, LOW] = -cdf.LIMIT
        spans[e, HIGH] = cdf.LIMIT
        spans[e, CENTRE] = model.centres[bits.centre_of[e]]
        spans[e, SCALE] = scale
        spans[e, INVERSE] = (1 << INVERSE_BITS) // scale


@inline_njit
def add_experts(bits, edge):
    """The mixer's first inputs; edge: the smallest number, in fixed point, that a 1 leaves possible."""
    spans, mixer = bits.spans, bits.mixer
    for e in range(spans.shape[0]):
        low, high = spans[e, LOW], spans[e, HIGH]
        if high - low < NARROW:
            mixer.inputs[e] = 0
            continue
        away = edge - spans[e, CENTRE]
        if away >= spans[e, SCALE] * MAX_SCALES:
            at = cdf.LIMIT
        elif away <= -spans[e, SCALE] * MAX_SCALES:
            at = -cdf.LIMIT
        else:
            at = (away * spans[e, INVERSE]) >> (INVERSE_BITS - 12)
        at = clip(at, low, high)
        spans[e, MIDDLE] = at
        upper, whole = cdf.split(bits.cdf, low, at, high)
        if whole > 0:
            mixer.inputs[e] = mixer.stretch[clip((upper << 12) // whole, 0, 4095)]
        else:
            mixer.inputs[e] = -LOGIT_LIMIT if at > 0 else LOGIT_LIMIT


@inline_njit
def narrow(spans, bit):
    """Keep the half of each span that the bit chose."""
    for e in range(spans.shape[0]):
        if spans[e, HIGH] - spans[e, LOW] >= NARROW:
            if bit:
                spans[e, LOW] = spans[e, MIDDLE]
            else:
                spans[e, HIGH] = spans[e, MIDDLE]


@inline_njit
def select(bits, model, items, t, value, lowest):
    """Find the slots of the nibble whose lowest bit is of weight 2^lowest."""
    about, contexts = model.about, bits.slots.contexts
    row = about[array_model.ROW_LENGTH]
    above = row if row > 1 else 2
    west, north = item_at(items, t, 1, about), item_at(items, t, above, about)
    further = item_at(items, t, 2 if row > 1 else 3, about)
    known = (value >> (lowest + 3)) >> 1  # by 64 bits at most, which one shift can't
    prefix = hash_pair(known, lowest)
    w, n = west >> lowest, north >> lowest
    beside = hash_pair(prefix, w)
    contexts[0] = prefix
    contexts[1] = hash_pair(beside, 1)
    contexts[2] = hash_pair(hash_pair(prefix, n), 2)
    contexts[3] = hash_pair(hash_pair(beside, n), 3)
    contexts[4] = hash_pair(hash_pair(prefix, about[array_model.COLUMN]), 4)
    contexts[5] = hash_pair(hash_pair(hash_pair(prefix, west), further), 5)
    contexts[6] = hash_pair(hash_pair(hash_pair(prefix, north), item_at(items, t, 2 * above, about)), 6)
    low = hash_pair(known & 15, (w & 15) << 4 | n & 15)
    contexts[7] = hash_pair(hash_pair(low, lowest), 7)
    hashed_slots.select(bits.slots, lowest, 0, -1)


@inline_njit
def item_at(items, t, distance, about):
    """The item `distance` before t, 0 where its part had not begun."""
    at = t - distance
    return items[at] if at >= about[array_model.START] else np.int64(0)


@inline_njit
def predict(bits, model, value, weight, node):
    """P(a 1 as the bit of 2^weight) in Q22; value: the smallest item that a 0 leaves possible."""
    mixer, form, spans = bits.mixer, model.form, bits.spans
    middle = value + (np.int64(1) << weight)
    edge = fixed(middle, form[MANTISSA], form[OFFSET], form[UNIT])
    edge += fixed(middle - 1, form[MANTISSA], form[OFFSET], form[UNIT])
    add_experts(bits, edge >> 1)
    experts = spans.shape[0]
    seen = hashed_slots.add_inputs(bits.slots, node, mixer.inputs, experts, mixer.stretch)
    mixer.inputs[experts + 2 * CONTEXTS] = 256
    place, span = spans[0, MIDDLE], spans[0, HIGH] - spans[0, LOW]
    wide = clip((log2_eighths(span) >> 2) - 12, 0, WIDTHS - 1)
    mixer.rows[0] = wide * POSITIONS + clip((place >> 11) + 8, 0, POSITIONS - 1)
    mixer.rows[1] = weight * SEEN + seen
    mixer.rows[2] = (weight >> 2) * 16 + node
    mixer.rows[3] = weight
    mixer.rows[4] = weight
    bits.contexts[0] = weight * 33 + clip((place >> 10) + 16, 0, 32)
    bits.contexts[1] = np.int64(hash_pair(bits.slots.contexts[1], node) >> uint64(48))
    return mixing.refine(mixer, mixing.mix(mixer), bits.contexts)


@inline_njit
def learn(bits, bit, t, node):
    """Train by the bit that came, and narrow the spans."""
    mixing.update(bits.mixer, bit, RATE if t > EARLY else EARLY_RATE, FINAL_RATE, APM_LIMIT)
    hashed_slots.learn(bits.slots, node, bit, SLOT_LIMIT)
    narrow(bits.spans, bit)


@inline_njit
def code_bit(registers, stream, p, decoding, bit, coded, n):
    """Encode `bit`, or decode one; returns it."""
    if decoding:
        bit = range_coder.decode_bit(registers, stream, p)
    else:
        range_coder.encode_bit(registers, stream, bit, p)
    if coded.size > 0:
        coded[n] = 2 * p + bit
    return bit


@njit(_nrt=False, nogil=True)
def code(items, first, last, parts, part, model, bits, plain, registers, stream, decoding, coded):
    """Code items [first, last) of items (n,); plain: how many nibbles, the lowest of each item, are plain.

    parts (parts, 3): the item behind each part, its row and plane; part: the index of the current one, -1 at the start.
    Returns it moved on. The stream must have room. coded (bits,): gets 2 P + bit, with P of a 1 in Q22, or empty.
    """
    n, width = 0, model.form[WIDTH]
    for t in range(first, last):
        while part < 0 or t >= parts[part, 0]:
            part += 1
            array_model.begin_part(model, t, parts[part, 1], parts[part, 2])
        array_model.predict(model, items, t)
        prepare(bits, model)
        goal, value = items[t], -(np.int64(1) << (width - 1))
        for lowest in range(width - 4, -1, -4):
            node = np.int64(1)
            if lowest >= 4 * plain:
                select(bits, model, items, t, value, lowest)
                for weight in range(lowest + 3, lowest - 1, -1):
                    middle = value + (np.int64(1) << weight)
                    p = predict(bits, model, value, weight, node)
                    bit = code_bit(registers, stream, p, decoding, np.int64(goal >= middle), coded, n)
                    learn(bits, bit, t, node)
                    value, node, n = (middle if bit else value), 2 * node + bit, n + 1
            else:
                table = bits.plain[lowest >> 2]
                for weight in range(lowest + 3, lowest - 1, -1):
                    middle = value + (np.int64(1) << weight)
                    p = clip(table[node] >> 10, 12, P_ONE - 12)
                    bit = code_bit(registers, stream, p, decoding, np.int64(goal >= middle), coded, n)
                    mixing.move(table, node, P_ONE - 1 if bit else 0, PLAIN_LIMIT)
                    value, node, n = (middle if bit else value), 2 * node + bit, n + 1
        items[t] = value
        array_model.learn(model, value, t)
    return part


assert CENTRE_LIMIT << 1 < 1 << 62 and SMOOTH < WIDTH
