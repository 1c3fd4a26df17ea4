"""The network on the CPU: one exact step for all lanes, in fused compiled loops around the matrix products.

`step` is the only source of the network's frequencies on the CPU; encoder and decoder both call it. Must not import
coding.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from arzip.jit.compile import njit, prefetch
from arzip.network import ngram_rows
from arzip.network.config import (
    CANDIDATE_LIMIT,
    CANDIDATE_SHIFT,
    GATE_BITS,
    GATE_SHIFT,
    HALF_EMBEDDING,
    HALF_GATES,
    HIDDEN_LIMIT,
    HIDDEN_SHIFT,
    SOFTMAX_ENTRIES,
    SOFTMAX_SHIFT,
    STATE_SHIFT,
    Weights,
)
from arzip.network.gemm import gemm
from arzip.network.packing import LINE, OFFSET, aligned, pack_weights, stack, start_values


class Network(NamedTuple):
    """The weights in the layout of `step`: matrices packed (packing.py), blocks stacked on the first axis."""

    orders: NDArray[np.int64]  # byte orders of the n-gram tables; 0: the word table
    row_bits: int
    byte: NDArray[np.int8]  # (256, byte_d)
    ngram: NDArray[np.int8]  # (tables, rows, ngram_d)
    gates: NDArray[np.int8]
    gates_start: NDArray[np.int32]  # (blocks, 2, 3 d)
    state_out: NDArray[np.int8]
    state_start: NDArray[np.int32]
    mlp_in: NDArray[np.int8]
    mlp_in_start: NDArray[np.int32]
    mlp_out: NDArray[np.int8]
    mlp_out_start: NDArray[np.int32]
    out: NDArray[np.int8]
    out_start: NDArray[np.int32]  # (2, 256)
    sigmoid: NDArray[np.int32]  # (GATE_ENTRIES,) in Q16
    exponential: NDArray[np.int32]  # (SOFTMAX_ENTRIES,)


class State(NamedTuple):
    """The recurrent state of L lanes, and the preallocated buffers of a step."""

    context: NDArray[np.uint64]  # (L, 3)
    pair: NDArray[np.uint8]  # (blocks, L, 2 d): this step's normed input, then the previous step's
    h: NDArray[np.int32]  # (blocks, L, d) in Q18
    x: NDArray[np.int32]  # (L, d) residual stream in Q12
    z: NDArray[np.int32]  # (L, 3 d) pre-activations of the gates; then (L, d) what is added to the residual stream
    y: NDArray[np.uint8]  # (L, d)
    hidden: NDArray[np.int32]  # (L, hidden)
    u: NDArray[np.uint8]  # (L, hidden)
    logits: NDArray[np.int32]  # (L, 256) in Q12
    freqs: NDArray[np.int32]  # (L, 256) frequencies of the next byte's values: the step's result


def load_network(weights: Weights) -> Network:
    """Pack a weights file for `step`."""
    config, t = weights.config, weights.tensors

    def packed(name: str) -> tuple[NDArray[np.int8], NDArray[np.int32]]:
        matrices = [t[f"block{k}.{name}"] for k in range(config.blocks)]
        biases = [t.get(f"block{k}.{name}_bias") for k in range(config.blocks)]
        starts = [start_values(m, b) for m, b in zip(matrices, biases, strict=True)]
        return stack([pack_weights(m) for m in matrices]), stack(starts)

    return Network(
        np.array([*config.orders, 0], np.int64),
        config.rows.bit_length() - 1,
        t["byte"],
        t["ngram"],
        *packed("gates"),
        *packed("state_out"),
        *packed("mlp_in"),
        *packed("mlp_out"),
        pack_weights(t["out"]),
        start_values(t["out"], t["out_bias"]),
        t["sigmoid"],
        t["exponential"],
    )


def empty_network() -> Network:
    """A network without blocks, for plans that do not use one."""
    packed, start = np.zeros((0, 0, 0, LINE), np.int8), np.zeros((0, 2, 0), np.int32)
    byte, ngram, out = np.zeros((256, 0), np.int8), np.zeros((0, 0, 0), np.int8), np.zeros((0, 0, LINE), np.int8)
    orders, table = np.zeros(0, np.int64), np.zeros(0, np.int32)
    out_start = np.zeros((2, 0), np.int32)
    matrices = (packed, start, packed, start, packed, start, packed, start)
    return Network(orders, 16, byte, ngram, *matrices, out, out_start, table, table)


def init_state(network: Network, lanes: int) -> State:
    """The state of `lanes` lanes before their first byte: zeros (activations carry their offset)."""
    blocks, d = network.gates_start.shape[0], network.state_start.shape[2]
    hidden = network.mlp_in_start.shape[2]
    return State(
        np.zeros((lanes, ngram_rows.CONTEXT_FIELDS), np.uint64),
        aligned((blocks, lanes, 2 * d), np.uint8, OFFSET),
        aligned((blocks, lanes, d), np.int32),
        aligned((lanes, d), np.int32),
        aligned((lanes, 3 * d), np.int32),
        aligned((lanes, d), np.uint8),
        aligned((lanes, hidden), np.int32),
        aligned((lanes, hidden), np.uint8),
        aligned((lanes, 256), np.int32),
        aligned((lanes, 256), np.int32),
    )


@njit()
def integer_sqrt(n):
    """floor(sqrt(n)) for 0 <= n < 2**52; IEEE square root, then corrected, so exact everywhere."""
    r = np.int64(math.sqrt(np.float64(n)))
    while r * r > n:
        r -= 1
    while (r + 1) * (r + 1) <= n:
        r += 1
    return r


@njit()
def norm(x, out):
    """Root-mean-square norm of one lane: x (d,) int32 in Q12 -> out (d,) int8 in Q5 with offset."""
    total = np.int64(0)
    for i in range(x.size):
        total += np.int64(x[i]) * np.int64(x[i])
    root = integer_sqrt(16 * total // x.size + 16)  # 4 times the root mean square, in Q12
    inverse = np.int32(min((np.int64(1) << 39) // root, np.int64(0x7FFFFFFF)))
    for i in range(x.size):
        a = np.int32((np.int64(x[i]) * np.int64(inverse) + (np.int64(1) << 31)) >> 32)
        out[i] = np.uint8(min(max(a, np.int32(-127)), np.int32(127)) + np.int32(OFFSET))


@njit()
def prefetch_rows(network, context_row):
    """Prefetch one lane's n-gram rows, so that `embed`'s cache misses overlap."""
    for k in range(network.orders.size):
        row = ngram_rows.table_row(context_row, network.orders[k], network.row_bits)
        prefetch(network.ngram, (k * network.ngram.shape[1] + row) * network.ngram.shape[2])


@njit()
def embed(network, context_row, x):
    """The residual stream (d,) of one lane from its last byte and its n-gram rows, concatenated."""
    last = np.int64(context_row[ngram_rows.HISTORY] & np.uint64(255))
    at = network.byte.shape[1]
    for i in range(at):
        x[i] = np.int32(network.byte[last, i]) << HALF_EMBEDDING
    for k in range(network.orders.size):
        row = ngram_rows.table_row(context_row, network.orders[k], network.row_bits)
        for i in range(network.ngram.shape[2]):
            x[at + i] = np.int32(network.ngram[k, row, i]) << HALF_EMBEDDING
        at += network.ngram.shape[2]


@njit()
def gate(sigmoid, z):
    """Sigmoids of z (n,) in Q12, by table, in Q16, in place."""
    for i in range(z.size):
        k = np.int32(z[i] + np.int32(1 << (GATE_SHIFT - 1))) >> GATE_SHIFT
        z[i] = min(max(np.int32(k), np.int32(-HALF_GATES)), np.int32(HALF_GATES - 1)) + np.int32(HALF_GATES)
    for i in range(z.size):  # look-ups in a loop of their own, so that the other loops vectorise
        z[i] = sigmoid[np.uint32(z[i])]


@njit()
def recur(sigmoid, z, h, y):
    """One lane's h += f (c - h), in place, and its gated output y (d,) int8 in Q5 with offset.

    z (3 d,) int32 in Q12: forget gate, candidate, output gate; it is overwritten.
    """
    d = h.size
    limit = np.int32(CANDIDATE_LIMIT)
    f, c, o = z[:d], z[d : 2 * d], z[2 * d :]
    gate(sigmoid, f)
    gate(sigmoid, o)
    for i in range(d):
        new = np.int32(np.int32(min(max(c[i], -limit), limit)) << CANDIDATE_SHIFT)
        moved = np.int64(np.int32(new - h[i])) * np.int64(f[i])
        h[i] += np.int32((moved + np.int64(1 << (GATE_BITS - 1))) >> GATE_BITS)
    for i in range(d):
        out = np.int64(h[i]) * np.int64(o[i])
        v = np.int32((out + (np.int64(1) << (STATE_SHIFT - 1))) >> STATE_SHIFT)
        y[i] = np.uint8(min(max(v, np.int32(-127)), np.int32(127)) + np.int32(OFFSET))


@njit()
def add_to(x, z, times):
    """x (d,) += times z (d or more,), of one lane's residual stream."""
    for i in range(x.size):
        x[i] += np.int32(times * z[i])


@njit()
def squared_relu(z, u):
    """z (n,) in Q12 -> u (n,) int8 in Q4 with offset."""
    for i in range(z.size):
        v = min(max(z[i], np.int32(0)), np.int32(HIDDEN_LIMIT))
        square = np.int32(np.int32(v * v) + np.int32(1 << (HIDDEN_SHIFT - 1))) >> HIDDEN_SHIFT
        u[i] = np.uint8(min(np.int32(square), np.int32(127)) + np.int32(OFFSET))


@njit()
def softmax(exponential, logits, freqs):
    """Logits (256,) in Q12, overwritten -> positive frequencies (256,), the largest SOFTMAX_ONE."""
    top = logits[0]
    for i in range(256):
        top = max(top, logits[i])
    top += np.int32(1 << (SOFTMAX_SHIFT - 1))
    for i in range(256):
        logits[i] = min(np.int32(np.int32(top - logits[i]) >> SOFTMAX_SHIFT), np.int32(SOFTMAX_ENTRIES - 1))
    for i in range(256):
        freqs[i] = exponential[np.uint32(logits[i])]


@njit()
def step(network, state, text, first, end):
    """Bytes text (L,) uint8 just seen -> state.freqs (L, 256) int32 > 0 of the next byte of each lane.

    Only the lanes [first, end) move. Before the first byte of a lane, text is 0: it leaves the zero
    context as it is.
    """
    d = state.h.shape[2]
    for lane in range(first, end):
        ngram_rows.push_byte(state.context[lane], np.int64(text[lane]))
        prefetch_rows(network, state.context[lane])
    for lane in range(first, end):
        embed(network, state.context[lane], state.x[lane])
    x = state.x
    for k in range(network.gates.shape[0]):
        pair = state.pair[k]
        for lane in range(first, end):
            for i in range(d):
                pair[lane, d + i] = pair[lane, i]
            norm(x[lane], pair[lane, :d])
        gemm(pair[first:end], network.gates[k], network.gates_start[k], state.z[first:end])
        for lane in range(first, end):
            recur(network.sigmoid, state.z[lane], state.h[k, lane], state.y[lane])
        gemm(state.y[first:end], network.state_out[k], network.state_start[k], state.z[first:end])
        for lane in range(first, end):
            add_to(x[lane], state.z[lane], np.int32(1))
            norm(x[lane], state.y[lane])
        gemm(state.y[first:end], network.mlp_in[k], network.mlp_in_start[k], state.hidden[first:end])
        for lane in range(first, end):
            squared_relu(state.hidden[lane], state.u[lane])
        gemm(state.u[first:end], network.mlp_out[k], network.mlp_out_start[k], state.z[first:end])
        for lane in range(first, end):
            add_to(x[lane], state.z[lane], np.int32(2))
    for lane in range(first, end):
        norm(x[lane], state.y[lane])
    gemm(state.y[first:end], network.out, network.out_start, state.logits[first:end])
    for lane in range(first, end):
        softmax(network.exponential, state.logits[lane], state.freqs[lane])
