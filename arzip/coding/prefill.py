"""Prefill: the encoder knows the text, so the network predicts a chunk of steps before the chunk is coded.

A chunk is cut into bands of TILE_STEPS steps and columns of `tile_lanes` lanes. A free thread takes the next tile;
`forward_cpu.step` computes the same probabilities as in lockstep. Must not import the range coder.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Event, Thread
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from arzip.coding import byte_to_bits
from arzip.coding.lane_state import LaneState, active_lanes
from arzip.jit import cpu_features
from arzip.jit.atomics import STRIDE, load_acquire, spin_until, store_release, take_ticket
from arzip.jit.compile import njit
from arzip.network import forward_cpu

TILE_STEPS = 64
TILE_LANES = 12 if cpu_features.HAS_AMX else 6  # at most: as many as the network's products take at a time, or half
CLAIMED, DONE = 0, 1  # counters: tiles taken; from 1 on, of each column, its tiles done
RELEASED, RELEASE_SECONDS = 1 << 40, 0.01  # a count that no thread waits for
NO_PREFILL = np.zeros((0, 0, 8), np.int32)


class Chunk(NamedTuple):
    """The steps [first, end) of a block, and what the two threads that code them share.

    prefilled (end - first, L, 8) int32: the network's P(bit = 1) of each bit, computed ahead; empty: it predicts in
    lockstep. counters: those of this module, or of lockstep.py. tiles: number of tiles of a lane group in lockstep.
    helped: whether the helper thread runs.
    """

    first: int
    end: int
    prefilled: NDArray[np.int32]
    counters: NDArray[np.int64]
    tiles: int
    helped: bool


def counters_for(lanes: int) -> NDArray[np.int64]:
    """Counters of the tiles of one chunk."""
    return np.zeros((DONE + -(-lanes // tile_lanes(lanes))) * STRIDE, np.int64)


@njit()
def tile_lanes(lanes):
    """Lanes of a tile: half of few lanes, so that there is a tile for each thread."""
    return min(TILE_LANES, (lanes + 1) // 2)


@njit()
def predict_tile(network, state, block, chunk, start, end, column):
    """The network's P(bit = 1) of each bit of steps [start, end) of a column of lanes -> chunk.prefilled."""
    width = tile_lanes(block.last.size)
    first = column * width
    seen = np.zeros(block.last.size, np.uint8)
    for t in range(start, end):
        last = min(first + width, active_lanes(block.starts, t))
        if first >= last:
            return
        for lane in range(first, last):
            seen[lane] = block.text[block.starts[lane] + t - 1] if t else 0
        forward_cpu.step(network, state, seen, first, last)
        for lane in range(first, last):
            byte = np.int64(block.text[block.starts[lane] + t])
            byte_to_bits.bit_probabilities(state.freqs, lane, byte, chunk.prefilled[t - chunk.first, lane])


@njit()
def predict_next_tile(network, state, block, chunk):
    """Compute the next tile that no thread has taken; False if there is none."""
    counters = chunk.counters
    columns = counters.size // STRIDE - DONE
    bands = (chunk.end - chunk.first + TILE_STEPS - 1) // TILE_STEPS
    tile = take_ticket(counters, CLAIMED, bands * columns)
    if tile < 0:
        return False
    band, column = tile // columns, tile % columns
    spin_until(counters, DONE + column, band)
    start = chunk.first + band * TILE_STEPS
    predict_tile(network, state, block, chunk, start, min(start + TILE_STEPS, chunk.end), column)
    store_release(counters, DONE + column, band + 1)
    return True


@njit(nogil=True)
def run_network(network, state, block, chunk):
    """The helper thread: computes tile after tile."""
    while predict_next_tile(network, state, block, chunk):
        pass


@njit()
def wait_prefilled(network, state, block, chunk, t):
    """Return once the band of step t is filled; compute tiles meanwhile."""
    counters = chunk.counters
    columns, band = counters.size // STRIDE - DONE, (t - chunk.first) // TILE_STEPS
    for column in range(columns):
        while (columns > 1 or not chunk.helped) and load_acquire(counters, DONE + column) <= band:
            if not predict_next_tile(network, state, block, chunk):
                break
        spin_until(counters, DONE + column, band + 1)


def new_chunk(block: LaneState, first: int, end: int, two_threads: bool) -> Chunk | None:
    """The steps [first, end) to be prefilled, before any thread has started; None if nothing can be predicted ahead."""
    if not block.flags[0] or block.is_decoding:
        return None
    lanes = block.last.size
    return Chunk(first, end, np.empty((end - first, lanes, 8), np.int32), counters_for(lanes), 1, two_threads)


def run_chunk(chunk: Chunk, helper: Callable[[Chunk], object], coder: Callable[[Chunk], int]) -> int:
    """Run the coder, beside it the helper if the chunk is helped; returns the number of coded bits.

    Raises what either of them raises.
    """
    if not chunk.helped:
        return int(coder(chunk))
    if chunk.first == 0:  # zero steps, to compile both first: if one thread failed, the other would wait for ever
        nothing = chunk._replace(end=0)
        helper(nothing)
        coder(nothing)
    faults, over = list[BaseException](), Event()
    beside = Thread(target=_guarded, args=(helper, chunk, faults, over))
    beside.start()
    try:
        bits = int(coder(chunk))
    except BaseException:
        while beside.is_alive():
            chunk.counters[:] = RELEASED
            over.set()
            beside.join(RELEASE_SECONDS)
        raise
    over.set()
    beside.join()
    if faults:
        raise faults[0]
    return bits


def _guarded(helper: Callable[[Chunk], object], chunk: Chunk, faults: list[BaseException], over: Event) -> None:
    """Run the helper; if it fails, for want of memory, let the coder run on to its end instead of wait for ever."""
    try:
        helper(chunk)
    except BaseException as error:
        faults.append(error)
        while not over.wait(RELEASE_SECONDS):  # again and again: the coder counts on
            chunk.counters[:] = RELEASED
