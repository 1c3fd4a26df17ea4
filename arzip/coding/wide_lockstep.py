"""A wide block on the CPU: `wide.code_byte` step by step, and the network on the same thread or with a helper.

An encoder's network runs ahead (prefill.py). A decoder's predicts for tiles of lanes; a helper thread takes its share
of them, from the moment on when a step's bytes are known, while the main thread still updates context mixing.
Must not import engine, format or preprocess.
"""

from __future__ import annotations

from functools import partial
from threading import Thread

import numpy as np

from arzip.coding import prefill, wide
from arzip.coding.lane_state import LaneState, active_lanes
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
def run_network(network, state, block, first_step, end_step, counters):
    """The helper thread's half of decoding."""
    for t in range(first_step, end_step):
        spin_until(counters, wide.CODED, t)
        while predict_tile(network, state, block, t, counters):
            pass


@njit(nogil=True)
def run_coder(network, state, cm, block, prefilled, first_step, end_step, counters, helped, counts):
    """The main thread: context mixing and coding, and what of the network the helper has not taken.

    Returns how many bits were coded. prefilled, counters: as of `lockstep.run_coder`. counts: see static_shapes.
    """
    at, is_prefilled = np.int64(0), prefilled.size > 0
    tiles = (block.last.size + TILE_LANES - 1) // TILE_LANES
    steps = np.zeros(STRIDE, np.int64) if is_prefilled else counters  # a prefill's counters have no place for CODED
    for t in range(first_step, end_step):
        if is_prefilled and (t - first_step) % prefill.TILE_STEPS == 0:
            prefill.wait_prefilled(network, state, block, prefilled, first_step, end_step, counters, t, helped)
        if block.flags[0] and not is_prefilled:
            while predict_tile(network, state, block, t, counters):
                pass
            spin_until(counters, PREDICTED, (t + 1) * tiles)
        end = active_lanes(block.starts, t)
        at = wide.code_byte(cm, block, state.freqs, prefilled, t - first_step, t, end, at, steps, counts)
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
    """`lockstep.run_steps` of a wide block: code steps [first, end); returns how many bits were coded."""
    lanes = block.last.size
    if block.flags[0] and not block.is_decoding:
        prefilled, counters = np.empty((end - first, lanes, 8), np.int32), prefill.counters_for(lanes)
        helping = partial(prefill.run_network, network, state, block, prefilled, counters=counters)
    else:
        prefilled, counters = prefill.NO_PREFILL, np.zeros(3 * STRIDE, np.int64)
        counters[wide.CODED * STRIDE] = first
        counters[CLAIMED * STRIDE :] = first * -(-lanes // TILE_LANES)
        helping = partial(run_network, network, state, block, counters=counters)
    counts = static_shapes.counts_of(cm)
    coding = partial(run_coder, network, state, cm, block, prefilled, counters=counters, counts=counts)
    if not two_threads:
        return int(coding(first_step=first, end_step=end, helped=False))
    if first == 0:  # of no steps, only to be compiled: a thread that fails leaves the other waiting
        helping(first_step=0, end_step=0)
        coding(first_step=0, end_step=0, helped=True)
    helper = Thread(target=helping, kwargs={"first_step": first, "end_step": end})
    helper.start()
    bits = coding(first_step=first, end_step=end, helped=True)
    helper.join()
    return int(bits)
