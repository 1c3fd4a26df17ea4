"""A block's lanes in lockstep: the one loop that encoder and decoder share.

The lanes form two groups, the first half and the second, which alternate: (step, group, bit, lane) is the order of the
bits, most significant first. So the network can predict for one group while the other is mixed and coded; an encoder
runs it ahead (prefill.py). Must not import engine, format or preprocess.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from arzip.coding import byte_to_bits, prefill, range_coder
from arzip.coding.lane_state import LaneState, group_lanes
from arzip.coding.prefill import Chunk
from arzip.context_mixing import predictor, static_shapes
from arzip.context_mixing.state import CMState
from arzip.jit import cpu_features
from arzip.jit.atomics import STRIDE, increment, spin_until, store_release, take_ticket
from arzip.jit.compile import inline_njit, njit
from arzip.network import forward_cpu

CODED, CLAIMED, PREDICTED = 0, 2, 4  # counters of two threads, one for each group: steps; tiles of steps
# None is a type of its own: functions called with it are compiled separately, for one lane only.
SINGLE_LANE, MULTI_LANE = None, 0
TILES = 1 if cpu_features.HAS_AMX else 3  # the network predicts for a group in so many tiles: see `tile_lanes`


@njit(forceinline=True, _nrt=False)
def code_bits(block, t, bit, first, end, p, at):
    """Code a bit of byte t of the lanes [first, end), given P(bit = 1) p (L,); returns the new `at`."""
    decoding, recording = block.flags[2] != 0, block.bits.size > 0
    half = 128 >> bit
    for lane in range(first, end):
        if decoding:
            one = range_coder.decode_bit(block.registers, block.stream, p[lane])
        else:
            one = np.int64(block.text[block.starts[lane] + t] >> (7 - bit)) & 1
            range_coder.encode_bit(block.registers, block.stream, one, p[lane])
        if recording:
            block.bits[at] = one
            block.probabilities[at] = p[lane]
        at += 1
        block.bit[lane] = one
        block.low[lane] += one * half
    return at


@njit(forceinline=True, _nrt=False)
def store_bytes(block, t, first, end):
    """Store the byte that the lanes [first, end) have coded as their byte t."""
    decoding = block.flags[2] != 0
    for lane in range(first, end):
        block.last[lane] = block.low[lane]
        if decoding:
            block.text[block.starts[lane] + t] = block.low[lane]


# Inlined into its callers, one of which has no chunk: so its arguments are not bundled.
@inline_njit
def code_group(freqs, prefilled, row, cm, block, t, group, at, single_lane, counts):
    """Code byte t of a group's lanes, given the network's frequencies (L, 256) of its values or `prefilled`.

    prefilled (steps, L, 8), or empty: the network's P(bit = 1) of each bit; row: the step's index there. at: number
    of bits coded before; returns the new number. single_lane: see SINGLE_LANE. counts: see static_shapes, or None.
    """
    if counts is not None:
        cm = static_shapes.with_static_shapes(cm, counts)
    is_prefilled, with_cm = prefilled.size > 0, block.flags[1] != 0
    with_network = block.flags[0] != 0 and not is_prefilled
    first, end = (0, 1) if single_lane is None else group_lanes(block.starts, t, group)
    if first == end or (single_lane is None and group == 1):
        return at
    if with_cm:
        predictor.set_step(cm, t)
    for lane in range(first, end):
        block.low[lane] = 0
        if with_network:
            block.total[lane] = byte_to_bits.freq_sum(freqs, lane, np.int64(0), np.int64(256))
    for bit in range(8):
        half = 128 >> bit
        if with_network:
            for lane in range(first, end):
                block.upper[lane] = byte_to_bits.freq_sum(freqs, lane, block.low[lane] + half, half)
                block.network_p[lane] = byte_to_bits.bit_probability(block.upper[lane], block.total[lane])
        if is_prefilled:
            for lane in range(first, end):
                block.network_p[lane] = prefilled[row, lane, bit]
        if with_cm:
            predictor.predict(cm, first, end, block.network_p, block.probability, single_lane is None)
        p = block.probability if with_cm else block.network_p
        at = code_bits(block, t, bit, first, end, p, at)
        if with_network:
            for lane in range(first, end):
                block.total[lane] = block.upper[lane] if block.bit[lane] else block.total[lane] - block.upper[lane]
        if with_cm:
            predictor.update(cm, first, end, block.bit, single_lane is None)
    store_bytes(block, t, first, end)
    if with_cm:
        predictor.end_byte(cm, first, end, block.low, t, single_lane is None)
    return at


@njit()
def tile_lanes(first, end, tile, tiles):
    """The lanes of a tile of a group's lanes [first, end): half of them, then a quarter ..; the last has the rest."""
    lanes = end - first
    return (
        first if tile == 0 else end - (lanes >> tile),
        end if tile == tiles - 1 else end - (lanes >> (tile + 1)),
    )


@njit()
def predict_tile(network, state, block, chunk, t, group):
    """Run the network's step t for the next tile of a group that no thread has taken; False if there is none."""
    tile = take_ticket(chunk.counters, CLAIMED + group, (t + 1) * chunk.tiles)
    if tile < 0:
        return False
    first, end = group_lanes(block.starts, t, group)
    first, end = tile_lanes(first, end, tile - t * chunk.tiles, chunk.tiles)
    if first < end:
        forward_cpu.step(network, state, block.last, first, end)
    increment(chunk.counters, PREDICTED + group)
    return True


@njit(nogil=True)
def run_network(network, state, block, chunk):
    """The helper thread of `run_steps`: predicts for each group as soon as its last byte is coded."""
    for t in range(chunk.first, chunk.end):
        for group in range(2):
            spin_until(chunk.counters, CODED + group, t)
            while predict_tile(network, state, block, chunk, t, group):
                pass


@njit(nogil=True)
def run_coder(network, state, cm, block, chunk, single_lane, counts):
    """The main thread: context mixing and coding, and tiles of the network that the helper has not taken.

    Returns the number of coded bits. single_lane, counts: as of `code_group`.
    """
    at, is_prefilled, prefilled = np.int64(0), chunk.prefilled.size > 0, chunk.prefilled
    for t in range(chunk.first, chunk.end):
        row = t - chunk.first
        if is_prefilled and row % prefill.TILE_STEPS == 0:
            prefill.wait_prefilled(network, state, block, chunk, t)
        for group in range(2):
            if block.flags[0] and not is_prefilled:
                while predict_tile(network, state, block, chunk, t, group):
                    pass
                spin_until(chunk.counters, PREDICTED + group, (t + 1) * chunk.tiles)
            at = code_group(state.freqs, prefilled, row, cm, block, t, group, at, single_lane, counts)
            if not is_prefilled:
                store_release(chunk.counters, CODED + group, t + 1)
    return at


def new_chunk(block: LaneState, first: int, end: int, two_threads: bool) -> Chunk:
    """The steps [first, end) in which the network predicts in lockstep, before any thread has started."""
    tiles, counters = TILES if two_threads else 1, np.zeros(6 * STRIDE, np.int64)
    counters[: CLAIMED * STRIDE] = first
    counters[CLAIMED * STRIDE :] = first * tiles
    return Chunk(first, end, prefill.NO_PREFILL, counters, tiles, two_threads)


def run_steps(
    network: forward_cpu.Network,
    state: forward_cpu.State,
    cm: CMState,
    block: LaneState,
    first: int,
    end: int,
    two_threads: bool,
) -> int:
    """Code steps [first, end), on two threads if `two_threads`; returns the number of coded bits.

    An encoder's network runs ahead on one thread too, so that its weights stay in the caches for a while.
    """
    single_lane, counts = SINGLE_LANE if block.last.size == 1 else MULTI_LANE, static_shapes.counts_of(cm)
    ahead = prefill.new_chunk(block, first, end, two_threads)
    return prefill.run_chunk(
        ahead or new_chunk(block, first, end, two_threads),
        partial(prefill.run_network if ahead else run_network, network, state, block),
        lambda chunk: run_coder(network, state, cm, block, chunk, single_lane, counts),
    )
