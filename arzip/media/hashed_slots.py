"""Hashed contexts of a value: rows of a table, one for each context and nibble, of adaptive probabilities by node.

A row: entry 0 is a checksum; entry 1 .. 15 are the nodes of a nibble, each a probability of a 1 in Q22 above a count.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy import uint64
from numpy.typing import NDArray

from arzip.jit.compile import inline_njit
from arzip.media.numbers import clip
from arzip.probability import P_ONE

START = P_ONE // 2 << 10
FACTOR, SPREAD = 0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93


class Slots(NamedTuple):
    """table (rows, 16), rows a power of two; contexts (C,) hashes of a value; rows (C,) of its current nibble."""

    table: NDArray[np.uint32]
    contexts: NDArray[np.uint64]
    rows: NDArray[np.int64]


def create(contexts: int, row_bits: int) -> Slots:
    """Slots for so many contexts."""
    return Slots(np.zeros((1 << row_bits, 16), np.uint32), np.zeros(contexts, np.uint64), np.zeros(contexts, np.int64))


@inline_njit
def hash_pair(a, b):
    """A hash of 64 bits of two numbers."""
    mixed = (uint64(a) + uint64(b) * uint64(SPREAD) + uint64(1)) * uint64(FACTOR)
    return mixed ^ (mixed >> uint64(29))


@inline_njit
def select(slots, nibble, instead, last):
    """Find the rows of all contexts for the nibble that begins; nibble: 1 and the bits of the value before it.

    instead: what the context `last` has in its place.
    """
    mask = uint64(slots.table.shape[0] - 1)
    for i in range(slots.contexts.size):
        hashed = hash_pair(slots.contexts[i] * uint64(FACTOR), uint64(instead if i == last else nibble))
        row = np.int64((hashed >> uint64(20)) & mask)
        check = np.uint32(hashed & uint64(0xFFFFF)) | np.uint32(1 << 20)
        if slots.table[row, 0] != check:
            other = row ^ 1
            if slots.table[other, 0] == check:
                row = other
            else:
                if (slots.table[other, 1] & np.uint32(1023)) < (slots.table[row, 1] & np.uint32(1023)):
                    row = other
                slots.table[row, 0] = check
                for j in range(1, 16):
                    slots.table[row, j] = START
        slots.rows[i] = row


@inline_njit
def add_inputs(slots, node, inputs, at, stretch):
    """Two inputs of the mixer from each context; returns how many contexts have seen this node."""
    seen = 0
    for i in range(slots.contexts.size):
        entry = np.int64(slots.table[slots.rows[i], node])
        p, count = entry >> 20, entry & 1023
        if count == 0:
            inputs[at] = 0
            inputs[at + 1] = 0
        else:
            seen += 1
            inputs[at] = stretch[p]
            inputs[at + 1] = ((p - 2048) * clip(count, 0, 16)) >> 4
        at += 2
    return seen


@inline_njit
def learn(slots, node, bit, limit):
    """Move each context's entry towards the bit."""
    goal = P_ONE - 1 if bit else 0
    for i in range(slots.contexts.size):
        row = slots.rows[i]
        entry = np.int64(slots.table[row, node])
        p, count = entry >> 10, entry & 1023
        p = clip(p + ((goal - p) * 2) // (2 * count + 3), 0, P_ONE - 1)
        slots.table[row, node] = np.uint32(p << 10 | min(count + 1, limit))
