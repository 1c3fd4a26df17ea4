"""A wide block on the CPU: `wide.code_byte` step by step, and the network on the same thread or with a helper.

An encoder's network runs ahead (prefill.py). A decoder's predicts for tiles of lanes; a helper thread takes its share
of them, from the moment on when a step's bytes are known, while the main thread still updates context mixing.
Must not import engine, format or preprocess.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from arzip.coding import prefill, wide
from arzip.coding.lane_state import LaneState, active_lanes
from arzip.coding.prefill import Chunk
from arzip.context_mixing import static_shapes
from arzip.context_mixing.state import CMState
from arzip.jit.atomics import STRIDE, increment, spin_until, take_ticket
from arzip.jit.compile import njit
from arzip.network import forward_cpu

CLAIMED, PREDICTED = 1, 2  # counters beside wide.CODED: tiles of steps
TILE_LANES = 48  # of a decoder's network: its buffers stay in the cache, and two threads have something to share


@njit()
def predict_tile(network, state, block, t, counters):
    """Run the network's step t for the next tile of lanes that no thread has taken; False if there is none."""
    tiles = (block.last.size + TILE_LANES - 1) // TILE_LANES
    tile = take_ticket(counters, CLAIMED, (t + 1) * tiles)
    if tile < 0:
        return False
    first = (tile - t * tiles) * TILE_LANES
    end = min(first + TILE_LANES, active_lanes(block.starts, t))
    if first < end:
        forward_cpu.step(network, state, block.last, first, end)
    increment(counters, PREDICTED)
    return True


@njit(nogil=True)
def run_network(network, state, block, chunk):
    """The helper thread's half of decoding."""
    for t in range(chunk.first, chunk.end):
        spin_until(chunk.counters, wide.CODED, t)
        while predict_tile(network, state, block, t, chunk.counters):
            pass


@njit(nogil=True)
def run_coder(network, state, cm, block, chunk, counts):
    """The main thread: context mixing and coding, and tiles of the network that the helper has not taken.

    Returns the number of coded bits. counts: see static_shapes.
    """
    at, is_prefilled, prefilled = np.int64(0), chunk.prefilled.size > 0, chunk.prefilled
    # a prefill's counters have no place for CODED
    steps = np.zeros(STRIDE, np.int64) if is_prefilled else chunk.counters
    for t in range(chunk.first, chunk.end):
        row = t - chunk.first
        if is_prefilled and row % prefill.TILE_STEPS == 0:
            prefill.wait_prefilled(network, state, block, chunk, t)
        if block.flags[0] and not is_prefilled:
            while predict_tile(network, state, block, t, chunk.counters):
                pass
            spin_until(chunk.counters, PREDICTED, (t + 1) * chunk.tiles)
        end = active_lanes(block.starts, t)
        at = wide.code_byte(cm, block, state.freqs, prefilled, row, t, end, at, steps, counts)
    return at


def new_chunk(block: LaneState, first: int, end: int, two_threads: bool) -> Chunk:
    """The steps [first, end) in which the network predicts in lockstep, before any thread has started."""
    tiles, counters = -(-block.last.size // TILE_LANES), np.zeros(3 * STRIDE, np.int64)
    counters[wide.CODED * STRIDE] = first
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
    """`lockstep.run_steps` of a wide block: code steps [first, end); returns the number of coded bits."""
    counts, ahead = static_shapes.counts_of(cm), prefill.new_chunk(block, first, end, two_threads)
    return prefill.run_chunk(
        ahead or new_chunk(block, first, end, two_threads),
        partial(prefill.run_network if ahead else run_network, network, state, block),
        lambda chunk: run_coder(network, state, cm, block, chunk, counts),
    )
