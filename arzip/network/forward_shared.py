"""The network's step for a single lane, on two threads: a helper computes the second half of each product.

A decoder's only lane gives the threads nothing else to share. The main thread asks for one product after another and
waits for none: what the helper, put aside by the system, hasn't done in time, it computes itself, and then asks no more
for a while. So a busy machine costs no more than the help. Must not import coding.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from arzip.jit.atomics import STRIDE, load_acquire, spin_until, store_release
from arzip.jit.compile import njit
from arzip.network.forward_cpu import (
    State,
    add_to,
    embed,
    norm,
    prefetch_rows,
    recur,
    softmax,
    squared_relu,
    step,
)
from arzip.network.gemm import gemm
from arzip.network.ngram_rows import push_byte
from arzip.network.packing import LANES, LINES, aligned

ASKED, DONE, ALONE, BACKOFF, COUNTERS = 0, 1, 2, 3, 4  # see Help
GATES, STATE_OUT, MLP_IN, MLP_OUT = range(4)
PRODUCTS = 4  # of a block
PATIENCE = 3000  # polls, some microseconds
LONGEST = 1024  # bytes without help
FINISHED = np.int64(1) << 62


class Help(NamedTuple):
    """What the threads exchange. Products are numbered from 1, through all bytes.

    counters: ASKED, the number of the product asked for last; DONE, that of the one in `sums`; and of the main thread
    only ALONE, bytes still to come without help, and BACKOFF, how many they are after the next disappointment.
    """

    counters: NDArray[np.int64]  # (COUNTERS STRIDE,)
    sums: NDArray[np.int32]  # (1, largest N): the helper's half of the last product


def new_help(state: State) -> Help:
    """Before the first product. state: as of the step."""
    largest = max(state.z.shape[1], state.hidden.shape[1], state.logits.shape[1])
    return Help(np.zeros(COUNTERS * STRIDE, np.int64), aligned((1, largest), np.int32))


@njit()
def finish(help_):
    """Let the helper return from `help_products`."""
    store_release(help_.counters, ASKED, FINISHED)


@njit()
def half_of(lines):
    """Where the helper's half of so many packed lines begins."""
    return (lines // LINES + 1) // 2 * LINES


@njit(nogil=True)
def help_products(network, state, help_):
    """The helper: computes its half of each product asked for, until `finish`.

    It may read activations that the main thread overwrites meanwhile; then that has given it up, and takes no notice
    of the result.
    """
    last = np.int64(0)
    while True:
        spin_until(help_.counters, ASKED, last + 1)
        last = load_acquire(help_.counters, ASKED)
        if last == FINISHED:
            return
        block, kind = divmod((last - 1) % (PRODUCTS * network.gates.shape[0] + 1), PRODUCTS)
        if block == network.gates.shape[0]:
            second_half(state.y[:1], network.out, network.out_start, help_.sums)
        elif kind == GATES:
            second_half(state.pair[block, :1], network.gates[block], network.gates_start[block], help_.sums)
        elif kind == STATE_OUT:
            second_half(state.y[:1], network.state_out[block], network.state_start[block], help_.sums)
        elif kind == MLP_IN:
            second_half(state.y[:1], network.mlp_in[block], network.mlp_in_start[block], help_.sums)
        else:
            second_half(state.u[:1], network.mlp_out[block], network.mlp_out_start[block], help_.sums)
        store_release(help_.counters, DONE, last)


@njit()
def second_half(a, packed, start, sums):
    """The helper's half of a product (1, N)."""
    gemm(a, packed, start, sums, half_of(packed.shape[0]), packed.shape[0])


@njit()
def product(a, packed, start, c, help_, number):
    """The product of this number (1, N), with help if there is some; whether there was."""
    lines = packed.shape[0]
    half = half_of(lines)
    store_release(help_.counters, ASKED, number)
    gemm(a, packed, start, c, 0, half)
    for _ in range(PATIENCE):
        if load_acquire(help_.counters, DONE) == number:
            for i in range(half * LANES, lines * LANES):
                c[0, i] = help_.sums[0, i]
            return True
    gemm(a, packed, start, c, half, lines)
    return False


@njit()
def shared_step(network, state, text, help_):
    """As `step` of a single lane."""
    counters = help_.counters
    if counters[ALONE * STRIDE] > 0:
        counters[ALONE * STRIDE] -= 1
        step(network, state, text, 0, 1)
        return
    d, helped = state.h.shape[2], True
    per_byte = PRODUCTS * network.gates.shape[0] + 1
    number = (counters[ASKED * STRIDE] + per_byte - 1) // per_byte * per_byte + 1  # the next byte's first
    push_byte(state.context[0], np.int64(text[0]))
    prefetch_rows(network, state.context[0])
    x, y, z, u, hidden = state.x[0], state.y[:1], state.z[:1], state.u[:1], state.hidden[:1]
    embed(network, state.context[0], x)
    for k in range(network.gates.shape[0]):
        pair = state.pair[k, :1]
        for i in range(d):
            pair[0, d + i] = pair[0, i]
        norm(x, pair[0, :d])
        helped &= product(pair, network.gates[k], network.gates_start[k], z, help_, number + GATES)
        recur(network.sigmoid, z[0], state.h[k, 0], y[0])
        helped &= product(y, network.state_out[k], network.state_start[k], z, help_, number + STATE_OUT)
        add_to(x, z[0], np.int32(1))
        norm(x, y[0])
        helped &= product(y, network.mlp_in[k], network.mlp_in_start[k], hidden, help_, number + MLP_IN)
        squared_relu(hidden[0], u[0])
        helped &= product(u, network.mlp_out[k], network.mlp_out_start[k], z, help_, number + MLP_OUT)
        add_to(x, z[0], np.int32(2))
        number += PRODUCTS
    norm(x, y[0])
    helped &= product(y, network.out, network.out_start, state.logits[:1], help_, number)
    softmax(network.exponential, state.logits[0], state.freqs[0])
    if helped:
        counters[BACKOFF * STRIDE] = max(counters[BACKOFF * STRIDE] - 1, 0)
    else:
        counters[BACKOFF * STRIDE] = min(2 * counters[BACKOFF * STRIDE] + 16, LONGEST)
        counters[ALONE * STRIDE] = counters[BACKOFF * STRIDE]
