"""A block's lanes in lockstep: the one loop that encoder and decoder share.

The lanes are two groups, the first half and the second, that take turns: (step, group, bit, lane) is the order of the
bits, most significant first. So the network can predict for one group while context mixing and coder work on the
other; an encoder runs it ahead (prefill.py). Must not import engine, format or preprocess.
"""

from __future__ import annotations

from functools import partial
from threading import Thread

import numpy as np

from arzip.coding import byte_to_bits, prefill, range_coder
from arzip.coding.lane_state import LaneState, group_lanes
from arzip.context_mixing import predictor, static_shapes
from arzip.context_mixing.state import CMState
from arzip.jit import cpu_features
from arzip.jit.atomics import STRIDE, increment, spin_until, store_release, take_ticket
from arzip.jit.compile import inline_njit, njit
from arzip.network import forward_cpu

CODED, CLAIMED, PREDICTED = 0, 2, 4  # counters of two threads, one for each group: steps; tiles of steps
# None is a type of its own: what is called with it is compiled once more, for one lane only.
SINGLE_LANE, MULTI_LANE = None, 0
TILES = 1 if cpu_features.HAS_AMX else 3  # the network predicts for a group in so many tiles: see `tile_lanes`


@njit(forceinline=True, _nrt=False)
def code_bits(block, t, bit, first, end, p, at):
    """Code this bit of byte t of the lanes [first, end), given P(bit = 1) (L,); returns `at` moved on."""
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


@inline_njit
def code_group(freqs, prefilled, row, cm, block, t, group, at, single_lane, counts):
    """Code byte t of a group's lanes, given the network's frequencies (L, 256) of its values or `prefilled`.

    prefilled (steps, L, 8), or empty: the network's P(bit = 1) of each bit; row: the step's index there. at: how many
    bits were coded before; returns it moved on. single_lane: see SINGLE_LANE. counts: see static_shapes, or None.
    """
    if counts is not None:
        cm = static_shapes.with_static_shapes(cm, counts)
    is_prefilled, with_memory = prefilled.size > 0, block.flags[1] != 0
    with_network = block.flags[0] != 0 and not is_prefilled
    first, end = (0, 1) if single_lane is None else group_lanes(block.starts, t, group)
    if first == end or (single_lane is None and group == 1):
        return at
    if with_memory:
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
        if with_memory:
            predictor.predict(cm, first, end, block.network_p, block.probability, single_lane is None)
        p = block.probability if with_memory else block.network_p
        at = code_bits(block, t, bit, first, end, p, at)
        if with_network:
            for lane in range(first, end):
                block.total[lane] = block.upper[lane] if block.bit[lane] else block.total[lane] - block.upper[lane]
        if with_memory:
            predictor.update(cm, first, end, block.bit, single_lane is None)
    store_bytes(block, t, first, end)
    if with_memory:
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
def predict_tile(network, state, block, t, group, counters, tiles):
    """Run the network's step t for the next tile of a group that no thread has taken; False if there is none."""
    tile = take_ticket(counters, CLAIMED + group, (t + 1) * tiles)
    if tile < 0:
        return False
    first, end = group_lanes(block.starts, t, group)
    first, end = tile_lanes(first, end, tile - t * tiles, tiles)
    if first < end:
        forward_cpu.step(network, state, block.last, first, end)
    increment(counters, PREDICTED + group)
    return True


@njit(nogil=True)
def run_network(network, state, block, first_step, end_step, counters, tiles):
    """The helper thread's half of `run_steps`: predicts for each group as soon as its last byte is known."""
    for t in range(first_step, end_step):
        for group in range(2):
            spin_until(counters, CODED + group, t)
            while predict_tile(network, state, block, t, group, counters, tiles):
                pass


@njit(nogil=True)
def run_coder(network, state, cm, block, prefilled, first_step, end_step, counters, tiles, helped, single_lane, counts):
    """The main thread: context mixing and coding, and tiles of the network that the helper has not taken.

    Returns how many bits were coded. prefilled (steps, L, 8): filled by the network ahead; empty: it predicts in
    lockstep. counters: of prefill or of lockstep. single_lane, counts: as of `code_group`.
    """
    at, is_prefilled = np.int64(0), prefilled.size > 0
    for t in range(first_step, end_step):
        if is_prefilled and (t - first_step) % prefill.TILE_STEPS == 0:
            prefill.wait_prefilled(network, state, block, prefilled, first_step, end_step, counters, t, helped)
        for group in range(2):
            if block.flags[0] and not is_prefilled:
                if single_lane is None and helped:
                    if group == 0:
                        forward_shared.shared_step(network, state, block.last, help_)
                else:
                    while predict_tile(network, state, block, t, group, counters, tiles):
                        pass
                    spin_until(counters, PREDICTED + group, (t + 1) * tiles)
            at = code_group(state.freqs, prefilled, t - first_step, cm, block, t, group, at, single_lane, counts)
            if not is_prefilled:
                store_release(counters, CODED + group, t + 1)
    return at


def run_steps(
    network: forward_cpu.Network,
    state: forward_cpu.State,
    cm: CMState,
    block: LaneState,
    first: int,
    end: int,
    two_threads: bool,
) -> int:
    """Code steps [first, end), on two threads if `two_threads`; returns how many bits were coded.

    An encoder's network runs ahead, on one thread as well: so its weights stay in the caches for a while.
    """
    lanes = block.last.size
    if block.flags[0] and not block.is_decoding:
        prefilled, counters = np.empty((end - first, lanes, 8), np.int32), prefill.counters_for(lanes)
        tiles = 1
        helping = partial(prefill.run_network, network, state, block, prefilled, counters=counters)
    else:
        tiles = TILES if two_threads else 1
        prefilled, counters = prefill.NO_PREFILL, np.zeros(6 * STRIDE, np.int64)
        counters[: CLAIMED * STRIDE] = first
        counters[CLAIMED * STRIDE :] = first * tiles
        if lanes == 1:
            helping = partial(share_network, network, state, block, counters=counters)
        else:
            helping = partial(run_network, network, state, block, counters=counters, tiles=tiles)
    single_lane, counts = SINGLE_LANE if lanes == 1 else MULTI_LANE, static_shapes.counts_of(cm)
    options = {
        "counters": counters,
        "tiles": tiles,
        "helped": two_threads,
        "single_lane": single_lane,
        "counts": counts,
    }
    coding = partial(run_coder, network, state, cm, block, prefilled, **options)
    if not two_threads:
        return int(coding(first_step=first, end_step=end))
    if first == 0:  # of no steps, only to be compiled: a thread that fails leaves the other waiting
        helping(first_step=0, end_step=0)
        coding(first_step=0, end_step=0)
    helper = Thread(target=helping, kwargs={"first_step": first, "end_step": end})
    helper.start()
    bits = coding(first_step=first, end_step=end)
    helper.join()
    return int(bits)
