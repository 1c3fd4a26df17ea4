"""Short blocks of one lane, one after the other on the same tables. Must not import engine, format or preprocess.

Each block has context mixing and a stream of its own, so it becomes what it becomes alone: the network's arithmetic is
exact, its lanes don't see one another, and what a block changes in the tables is listed and restored.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from arzip.coding import byte_to_bits, lockstep
from arzip.context_mixing import predictor, static_shapes
from arzip.context_mixing.state import RUN_KEY, SLOT_BYTES, CMState
from arzip.jit.compile import inline_njit, njit
from arzip.network import forward_cpu


class Changes(NamedTuple):
    """Where coding a block of n bytes may have changed the tables that are large beside it, int64; -1: nowhere."""

    slots: NDArray[np.int64]  # (2 n + 1, C) byte offsets in `slots`
    entries: NDArray[np.int64]  # (8 n, D + F) indices in `maps`, of direct maps and APM stages
    matches: NDArray[np.int64]  # (n, K) indices in `match_table`, as one row
    runs: NDArray[np.int64]  # (n, R) indices in `run_table`, as one row


def new_changes(cm: CMState, size: int) -> Changes:
    """For a block of `size` bytes; `code_record` writes every element."""
    return Changes(
        np.empty((2 * size + 1, cm.kinds.size), np.int64),
        np.empty((8 * size, cm.orders.size + cm.apms.size), np.int64),
        np.empty((size, cm.min_lengths.size), np.int64),
        np.empty((size, cm.runs.size), np.int64),
    )


@njit(nogil=True)
def predict_records(network, state, text, starts, last, out):
    """The network's P(bit = 1) of each bit of N records -> out (n, 1, 8) int32.

    text (n,) uint8: the records, longest first; starts (N + 1,) int64: where each begins, and the end. state: of N
    lanes, before their first byte; last (N,) uint8: the byte before it, 0 if there is none.
    """
    active = starts.size - 1
    for t in range(starts[1] - starts[0]):
        while starts[active] - starts[active - 1] <= t:
            active -= 1
        if t:
            for lane in range(active):
                last[lane] = text[starts[lane] + t - 1]
        forward_cpu.step(network, state, last, 0, active)
        for lane in range(active):
            at = starts[lane] + t
            byte_to_bits.bit_probabilities(state.freqs, lane, np.int64(text[at]), out[at, 0])


@inline_njit
def list_slots(cm, changes, row):
    """Write the slots in use to a row of the changes."""
    for c in range(cm.kinds.size):
        changes.slots[row, c] = cm.slot[0, c]


@inline_njit
def list_entries(cm, changes, row):
    """Write the entries of direct maps and APM stages that are in use to a row of the changes."""
    contexts, direct, stages = cm.kinds.size, cm.orders.size, cm.apms.size
    for d in range(direct):
        changes.entries[row, d] = cm.map_index[0, contexts + d]
    for f in range(stages):
        changes.entries[row, direct + f] = cm.map_index[0, cm.limits.size - stages + f]


# Without reference counts: `with_static_shapes` makes no reference of its own to the arrays.
@inline_njit
def code_byte(freqs, prefilled, row, cm, block, t, changes, counts):
    """Code byte t of the block, the row-th of the record. Arguments as of `code_record`; freqs (1, 256)."""
    if counts is not None:
        cm = static_shapes.with_static_shapes(cm, counts)
    is_prefilled = prefilled.size > 0
    with_network = block.flags[0] != 0 and not is_prefilled
    list_slots(cm, changes, 2 * row)
    predictor.set_step(cm, t)
    block.low[0] = 0
    if with_network:
        block.total[0] = byte_to_bits.freq_sum(freqs, 0, np.int64(0), np.int64(256))
    for bit in range(8):
        half = 128 >> bit
        if with_network:
            block.upper[0] = byte_to_bits.freq_sum(freqs, 0, block.low[0] + half, half)
            block.network_p[0] = byte_to_bits.bit_probability(block.upper[0], block.total[0])
        if is_prefilled:
            block.network_p[0] = prefilled[row, 0, bit]
        predictor.predict(cm, 0, 1, block.network_p, block.probability, True)
        list_entries(cm, changes, 8 * row + bit)
        lockstep.code_bits(block, t, bit, 0, 1, block.probability, 0)
        block.total[0] = block.upper[0] if block.bit[0] else block.total[0] - block.upper[0]
        predictor.update(cm, 0, 1, block.bit, True)
        if bit == 3:
            list_slots(cm, changes, 2 * row + 1)
    lockstep.store_bytes(block, t, 0, 1)
    for r in range(cm.runs.size):
        changes.runs[row, r] = r * cm.run_table.shape[1] + (cm.run[0, r, RUN_KEY] >> 16)
    predictor.end_byte(cm, 0, 1, block.low, t, True)
    for k in range(cm.min_lengths.size):
        key = cm.key[0, k]
        changes.matches[row, k] = k * cm.match_table.shape[1] + key if key >= 0 else -1


@njit(nogil=True)
def code_record(network, state, cm, block, prefilled, first, changes, counts):
    """Code the bytes from `first` on of a block of one lane; `changes` gets where tables change.

    prefilled (n - first, 1, 8) int32: the network's P(bit = 1) of each bit; empty: it predicts here, if it takes part.
    counts: see static_shapes, or None.
    """
    for t in range(first, block.text.size):
        if block.flags[0] != 0 and prefilled.size == 0:
            forward_cpu.step(network, state, block.last, 0, 1)
        code_byte(state.freqs, prefilled, t - first, cm, block, t, changes, counts)
    list_slots(cm, changes, 2 * (block.text.size - first))


@njit(nogil=True)
def restore(table, initial, changed, width):
    """Give the elements [at, at + width) of a table (n,), for each `at` of changed (m, k), their initial values."""
    for row in range(changed.shape[0]):
        for k in range(changed.shape[1]):
            at = changed[row, k]
            if at >= 0:
                for i in range(at, at + width):
                    table[i] = initial[i]


def undo(cm: CMState, initial: CMState, changes: Changes) -> None:
    """Make good what `code_record` has changed in the large tables of a state."""
    restore(cm.slots, initial.slots, changes.slots, SLOT_BYTES)
    restore(cm.maps, initial.maps, changes.entries, 1)
    restore(cm.match_table.reshape(-1), initial.match_table.reshape(-1), changes.matches, 1)
    restore(cm.run_table.reshape(-1), initial.run_table.reshape(-1), changes.runs, 1)
