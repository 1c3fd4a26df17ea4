"""The network ahead of memory and coder: an encoder knows every byte beforehand and need not wait for it to be coded.

A stretch of steps is cut into jobs, some lanes for some steps each, that whichever thread is free takes in order; the
same `step` computes the same opinions as in lockstep. Must not know how bits are coded.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from arzip.coding import byte_to_bits as bits
from arzip.coding.lane_state import active_lanes
from arzip.jit import cpu_features as processor
from arzip.jit.atomics import STRIDE, claim, publish, read, wait_for
from arzip.jit.compile import njit
from arzip.network import forward_cpu as cpu

JOB_STEPS = 64
JOB_LANES = 12 if processor.HAS_AMX else 6  # at most: as many as the network's products take at a time, or half
CLAIMED, DONE = 0, 1  # counters: jobs; from 1 on, of each group of lanes, its jobs
NOTHING = np.zeros((0, 0, 8), np.int32)


def counters_for(lanes: int) -> NDArray[np.int64]:
    """Counters of the jobs of one stretch."""
    return np.zeros((DONE + -(-lanes // group_lanes(lanes))) * STRIDE, np.int64)


@njit()
def group_lanes(lanes):
    """How many lanes a job has: of a few lanes half, so that there is one for each thread."""
    return min(JOB_LANES, (lanes + 1) // 2)


@njit()
def predict_job(network, state, block, opinions, first_step, start, end, group):
    """The network's opinions of steps [start, end), of a group of lanes -> opinions (steps, L, 8)."""
    width = group_lanes(block.last.size)
    first = group * width
    seen = np.zeros(block.last.size, np.uint8)
    for t in range(start, end):
        last = min(first + width, active_lanes(block.starts, t))
        if first >= last:
            return
        for lane in range(first, last):
            seen[lane] = block.text[block.starts[lane] + t - 1] if t else 0
        cpu.step(network, state, seen, first, last)
        for lane in range(first, last):
            byte = np.int64(block.text[block.starts[lane] + t])
            bits.chances(state.weights, lane, byte, opinions[t - first_step, lane])


@njit()
def predict_next(network, state, block, opinions, first_step, end_step, counters):
    """Do the next job that nobody has claimed yet; False if there is none."""
    groups = counters.size // STRIDE - DONE
    stretches = (end_step - first_step + JOB_STEPS - 1) // JOB_STEPS
    job = claim(counters, CLAIMED, stretches * groups)
    if job < 0:
        return False
    stretch, group = job // groups, job % groups
    wait_for(counters, DONE + group, stretch)
    start = first_step + stretch * JOB_STEPS
    predict_job(network, state, block, opinions, first_step, start, min(start + JOB_STEPS, end_step), group)
    publish(counters, DONE + group, stretch + 1)
    return True


@njit(nogil=True)
def run_network(network, state, block, opinions, first_step, end_step, counters):
    """The helper's half: job after job."""
    while predict_next(network, state, block, opinions, first_step, end_step, counters):
        pass


@njit()
def until_predicted(network, state, block, opinions, first_step, end_step, counters, t, helped):
    """Return once the opinions of step t's stretch are there; do jobs meanwhile. helped: `run_network` does some."""
    groups, stretch = counters.size // STRIDE - DONE, (t - first_step) // JOB_STEPS
    for group in range(groups):
        while (groups > 1 or not helped) and read(counters, DONE + group) <= stretch:
            if not predict_next(network, state, block, opinions, first_step, end_step, counters):
                break
        wait_for(counters, DONE + group, stretch + 1)
