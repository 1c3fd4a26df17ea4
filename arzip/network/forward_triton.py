"""The network's step for many lanes on a GPU: one Triton kernel, the integers of forward_cpu.py.

A program takes some lanes through all layers. What its threads exchange lies in global memory, behind barriers, and is
read again from the caches. Products are int8 by int8, summed in int32, which is exact in any order; activations carry
no offset here. forward_cpu explains the arithmetic. Kernels have many parameters because Triton takes pointers and
sizes one by one. Imported only where torch and triton are installed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import triton
import triton.language as tl
from torch import Tensor

from arzip.network import config as formats
from arzip.network.config import Weights

TILE = tl.constexpr(64)  # columns of a product at a time, and inputs: widths are multiples of it
MIN_TILE = 16  # lanes a program: as few as the int8 product takes
WARPS = 4
CONTEXT_FIELDS = 3  # of ngram_rows: history, word, previous word

HALF_EMBEDDING = tl.constexpr(formats.HALF_EMBEDDING)
GATE_SHIFT = tl.constexpr(formats.GATE_SHIFT)
HALF_GATES = tl.constexpr(formats.HALF_GATES)
GATE_BITS = tl.constexpr(formats.GATE_BITS)
CANDIDATE_LIMIT = tl.constexpr(formats.CANDIDATE_LIMIT)
CANDIDATE_SHIFT = tl.constexpr(formats.CANDIDATE_SHIFT)
STATE_SHIFT = tl.constexpr(formats.STATE_SHIFT)
HIDDEN_LIMIT = tl.constexpr(formats.HIDDEN_LIMIT)
HIDDEN_SHIFT = tl.constexpr(formats.HIDDEN_SHIFT)
SOFTMAX_SHIFT = tl.constexpr(formats.SOFTMAX_SHIFT)
SOFTMAX_ENTRIES = tl.constexpr(formats.SOFTMAX_ENTRIES)
GATE_HALF = tl.constexpr(1 << (formats.GATE_SHIFT - 1))  # what rounds a shift to the nearest
MOVED_HALF = tl.constexpr(1 << (formats.GATE_BITS - 1))
STATE_HALF = tl.constexpr(1 << (formats.STATE_SHIFT - 1))
HIDDEN_HALF = tl.constexpr(1 << (formats.HIDDEN_SHIFT - 1))
SOFTMAX_HALF = tl.constexpr(1 << (formats.SOFTMAX_SHIFT - 1))
MULTIPLIER = tl.constexpr(formats.MULTIPLIER)
WORD_MULTIPLIER = tl.constexpr(formats.WORD_MULTIPLIER)


@triton.jit
def push_byte(last, context, orders, rows, lane, live, TABLES: tl.constexpr, ROW_BITS: tl.constexpr):  # type: ignore[no-untyped-def]
    """Move the contexts (L, 3) past the bytes last (L,), rows (L, TABLES) int32: see ngram_rows."""
    byte = tl.load(last + lane, mask=live, other=0).to(tl.uint64)
    at = context + lane * 3
    history = (tl.load(at, mask=live, other=0).to(tl.uint64, bitcast=True) << 8) | byte
    word = tl.load(at + 1, mask=live, other=0).to(tl.uint64, bitcast=True)
    previous = tl.load(at + 2, mask=live, other=0).to(tl.uint64, bitcast=True)
    byte = tl.where((byte >= 65) & (byte <= 90), byte + 32, byte)
    goes_on = ((byte >= 97) & (byte <= 122)) | (byte >= 128)
    previous = tl.where(goes_on | (word == 0), previous, word)
    word = tl.where(goes_on, (word + byte + 1) * WORD_MULTIPLIER, word * 0)
    tl.store(at, history.to(tl.int64, bitcast=True), mask=live)
    tl.store(at + 1, word.to(tl.int64, bitcast=True), mask=live)
    tl.store(at + 2, previous.to(tl.int64, bitcast=True), mask=live)
    for k in range(TABLES):
        order = tl.load(orders + k)
        bits = ((history * 0 + 1) << (8 * order).to(tl.uint64)) - 1
        key = tl.where(order == 0, word * WORD_MULTIPLIER + previous, history & bits)
        row = tl.where(order == 2, key, (key * MULTIPLIER) >> (64 - ROW_BITS))
        tl.store(rows + lane * TABLES + k, row.to(tl.int32), mask=live)


@triton.jit
def inverse_norm(total, D: tl.constexpr):  # type: ignore[no-untyped-def]
    """Sums of squares (L,) int64 -> factors (L,) int64 of the root-mean-square norm: forward_cpu.norm."""
    mean = 16 * total // D + 16
    root = tl.sqrt(mean.to(tl.float64)).to(tl.int64)
    root -= (root * root > mean).to(tl.int64)
    root += ((root + 1) * (root + 1) <= mean).to(tl.int64)
    return tl.minimum((total * 0 + (1 << 39)) // root, 0x7FFFFFFF)


@triton.jit
def store_normed(x, y, lane, live, inverse, D: tl.constexpr):  # type: ignore[no-untyped-def]
    """x (L, D) int32 by the factors (L,) of its norm -> y (L, D) int8."""
    for j in range(0, D, TILE):
        at = lane[:, None] * D + (j + tl.arange(0, TILE))[None, :]
        a = tl.load(x + at, mask=live[:, None], other=0).to(tl.int64)
        a = (a * inverse[:, None] + (1 << 31)) >> 32
        tl.store(y + at, tl.minimum(tl.maximum(a, -127), 127).to(tl.int8), mask=live[:, None])


@triton.jit
def product(sums, a, w, lane, live, column, K: tl.constexpr, STRIDE: tl.constexpr):  # type: ignore[no-untyped-def]
    """sums (L, TILE) int32 + a (L, K) int8 times the rows `column` (TILE,) of w, each STRIDE long."""
    for k in range(0, K, TILE):
        inner = k + tl.arange(0, TILE)
        left = tl.load(a + lane[:, None] * K + inner[None, :], mask=live[:, None], other=0)
        right = tl.load(w + column[None, :] * STRIDE + inner[:, None])
        sums = tl.dot(left, right, sums, out_dtype=tl.int32)
    return sums


@triton.jit
def sigmoid_of(table, z):
    """Sigmoids of z in Q12, by table, in Q16: forward_cpu.gate."""
    k = (z + GATE_HALF) >> GATE_SHIFT
    return tl.load(table + tl.minimum(tl.maximum(k, 0 - HALF_GATES), HALF_GATES - 1) + HALF_GATES).to(tl.int64)


@triton.jit
def embed(last, byte, ngram, rows, x, lane, live,  # type: ignore[no-untyped-def]
          D: tl.constexpr, TABLES: tl.constexpr, NGRAM_D: tl.constexpr, ROW_BITS: tl.constexpr,
          LANES: tl.constexpr):  # fmt: skip
    """The residual stream x (L, D) from last bytes and n-gram rows; returns its sums of squares (L,) int64."""
    BYTE_D: tl.constexpr = D - TABLES * NGRAM_D
    newest = tl.load(last + lane, mask=live, other=0).to(tl.int32)
    total = tl.zeros((LANES,), tl.int64)
    for j in range(0, D, TILE):
        c = j + tl.arange(0, TILE)
        of_byte, table = (c < BYTE_D)[None, :], tl.maximum(c - BYTE_D, 0) // NGRAM_D
        row = tl.load(rows + lane[:, None] * TABLES + table[None, :], mask=live[:, None], other=0).to(tl.int64)
        row += table[None, :].to(tl.int64) << ROW_BITS
        at = row * NGRAM_D + (tl.maximum(c - BYTE_D, 0) % NGRAM_D)[None, :]
        gram = tl.load(ngram + at, mask=live[:, None] & (c >= BYTE_D)[None, :], other=0)
        own = tl.load(byte + newest[:, None] * BYTE_D + c[None, :], mask=live[:, None] & of_byte, other=0)
        value = tl.where(of_byte, own, gram).to(tl.int32) << HALF_EMBEDDING
        tl.store(x + lane[:, None] * D + c[None, :], value, mask=live[:, None])
        total += tl.sum(value.to(tl.int64) * value.to(tl.int64), 1)
    return total


@triton.jit
def recur(now, before, gates, bias, sigmoid, h, y, lane, live, D: tl.constexpr, LANES: tl.constexpr):  # type: ignore[no-untyped-def]
    """Gates from this step's and the last step's normed inputs; h (L, D) moves, its gated output -> y (L, D) int8."""
    for j in range(0, D, TILE):
        column = j + tl.arange(0, TILE)
        f = tl.zeros((LANES, TILE), tl.int32) + tl.load(bias + column)[None, :]
        f = product(f, now, gates, lane, live, column, D, 2 * D)
        f = product(f, before, gates + D, lane, live, column, D, 2 * D)
        c = tl.zeros((LANES, TILE), tl.int32) + tl.load(bias + D + column)[None, :]
        c = product(c, now, gates, lane, live, column + D, D, 2 * D)
        c = product(c, before, gates + D, lane, live, column + D, D, 2 * D)
        o = tl.zeros((LANES, TILE), tl.int32) + tl.load(bias + 2 * D + column)[None, :]
        o = product(o, now, gates, lane, live, column + 2 * D, D, 2 * D)
        o = product(o, before, gates + D, lane, live, column + 2 * D, D, 2 * D)
        at = lane[:, None] * D + column[None, :]
        state = tl.load(h + at, mask=live[:, None], other=0)
        new = tl.minimum(tl.maximum(c, 0 - CANDIDATE_LIMIT), CANDIDATE_LIMIT) << CANDIDATE_SHIFT
        moved = (new - state).to(tl.int64) * sigmoid_of(sigmoid, f)
        state += ((moved + MOVED_HALF) >> GATE_BITS).to(tl.int32)
        tl.store(h + at, state, mask=live[:, None])
        out = (state.to(tl.int64) * sigmoid_of(sigmoid, o) + STATE_HALF) >> STATE_SHIFT
        tl.store(y + at, tl.minimum(tl.maximum(out, -127), 127).to(tl.int8), mask=live[:, None])


@triton.jit
def add_product(x, a, w, lane, live, D: tl.constexpr, K: tl.constexpr, TIMES: tl.constexpr, LANES: tl.constexpr):  # type: ignore[no-untyped-def]
    """x (L, D) += TIMES a (L, K) w^T; returns the new sums of squares (L,) int64."""
    total = tl.zeros((LANES,), tl.int64)
    for j in range(0, D, TILE):
        column = j + tl.arange(0, TILE)
        at = lane[:, None] * D + column[None, :]
        z = product(tl.zeros((LANES, TILE), tl.int32), a, w, lane, live, column, K, K)
        z = tl.load(x + at, mask=live[:, None], other=0) + TIMES * z
        tl.store(x + at, z, mask=live[:, None])
        total += tl.sum(z.to(tl.int64) * z.to(tl.int64), 1)
    return total


@triton.jit
def hidden_layer(y, mlp_in, u, lane, live, D: tl.constexpr, HIDDEN: tl.constexpr, LANES: tl.constexpr):  # type: ignore[no-untyped-def]
    """y (L, D) int8 -> squared ReLU u (L, HIDDEN) int8 in Q4."""
    for j in range(0, HIDDEN, TILE):
        column = j + tl.arange(0, TILE)
        z = product(tl.zeros((LANES, TILE), tl.int32), y, mlp_in, lane, live, column, D, D)
        v = tl.minimum(tl.maximum(z, 0), HIDDEN_LIMIT)
        v = (v * v + HIDDEN_HALF) >> HIDDEN_SHIFT
        at = lane[:, None] * HIDDEN + column[None, :]
        tl.store(u + at, tl.minimum(v, 127).to(tl.int8), mask=live[:, None])


@triton.jit
def softmax(y, out, bias, exponential, freqs, lane, live, D: tl.constexpr, LANES: tl.constexpr):  # type: ignore[no-untyped-def]
    """y (L, D) int8 -> frequencies (L, 256) int32: forward_cpu.softmax. The logits lie there in between."""
    top = tl.zeros((LANES,), tl.int32) - 0x7FFFFFFF
    for j in range(0, 256, TILE):
        column = j + tl.arange(0, TILE)
        z = tl.zeros((LANES, TILE), tl.int32) + tl.load(bias + column)[None, :]
        z = product(z, y, out, lane, live, column, D, D)
        tl.store(freqs + lane[:, None] * 256 + column[None, :], z, mask=live[:, None])
        top = tl.maximum(top, tl.max(z, 1))
    tl.debug_barrier()
    top += SOFTMAX_HALF
    for j in range(0, 256, TILE):
        at = freqs + lane[:, None] * 256 + (j + tl.arange(0, TILE))[None, :]
        k = (top[:, None] - tl.load(at, mask=live[:, None], other=0)) >> SOFTMAX_SHIFT
        k = tl.minimum(tl.maximum(k, 0), SOFTMAX_ENTRIES - 1)  # lanes beyond the last have logits of no meaning
        tl.store(at, tl.load(exponential + k), mask=live[:, None])


@triton.jit(do_not_specialize=["lanes", "turn"])  # else compiled anew for a 1, and for a multiple of 16
def step_kernel(last, context, orders, byte, ngram, gates, gates_bias, state_out,  # type: ignore[no-untyped-def]
                mlp_in, mlp_out, out, out_bias, sigmoid, exponential, rows, pair, h, x, y, u, freqs, lanes, turn,
                D: tl.constexpr, HIDDEN: tl.constexpr, BLOCKS: tl.constexpr, TABLES: tl.constexpr,
                NGRAM_D: tl.constexpr, ROW_BITS: tl.constexpr, LANES: tl.constexpr):  # fmt: skip
    """A step of `lanes` lanes: see NetworkStep for the arrays. turn, 0 or 1: the half of `pair` for this step."""
    lane = (tl.program_id(0) * LANES + tl.arange(0, LANES)).to(tl.int64)
    live = lane < lanes
    push_byte(last, context, orders, rows, lane, live, TABLES, ROW_BITS)
    tl.debug_barrier()
    total = embed(last, byte, ngram, rows, x, lane, live, D, TABLES, NGRAM_D, ROW_BITS, LANES)
    for b in range(BLOCKS):
        now = pair + (2 * b + turn) * lanes.to(tl.int64) * D
        before = pair + (2 * b + 1 - turn) * lanes.to(tl.int64) * D
        tl.debug_barrier()
        store_normed(x, now, lane, live, inverse_norm(total, D), D)
        tl.debug_barrier()
        state, at = h + b * lanes.to(tl.int64) * D, gates + b * 6 * D * D
        recur(now, before, at, gates_bias + b * 3 * D, sigmoid, state, y, lane, live, D, LANES)
        tl.debug_barrier()
        total = add_product(x, y, state_out + b * D * D, lane, live, D, D, 1, LANES)
        tl.debug_barrier()
        store_normed(x, y, lane, live, inverse_norm(total, D), D)
        tl.debug_barrier()
        hidden_layer(y, mlp_in + b * D * HIDDEN, u, lane, live, D, HIDDEN, LANES)
        tl.debug_barrier()
        total = add_product(x, u, mlp_out + b * D * HIDDEN, lane, live, D, HIDDEN, 2, LANES)
    tl.debug_barrier()
    store_normed(x, y, lane, live, inverse_norm(total, D), D)
    tl.debug_barrier()
    softmax(y, out, out_bias, exponential, freqs, lane, live, D, LANES)


def enter(device: str) -> None:
    """Let the calling thread launch on a device."""
    if torch.device(device).type == "cuda":
        torch.cuda.set_device(device)


class NetworkWeights:
    """A model's network on a device of torch's: matrices as they are stored, blocks stacked on the first axis."""

    def __init__(self, weights: Weights, device: str) -> None:
        config, t = weights.config, weights.tensors
        self.config, self.device = config, device

        def placed(array: Any, dtype: Any) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(array, dtype)).to(device)

        def stacked(name: str, dtype: Any = np.int8) -> Tensor:
            return placed(np.stack([t[f"block{k}.{name}"] for k in range(config.blocks)]), dtype)

        self.arguments = (
            placed([*config.orders, 0], np.int32),
            placed(t["byte"], np.int8),
            placed(t["ngram"], np.int8),
            stacked("gates"),
            stacked("gates_bias", np.int32),
            *(stacked(name) for name in ("state_out", "mlp_in", "mlp_out")),
            placed(t["out"], np.int8),
            placed(t["out_bias"], np.int32),
            placed(t["sigmoid"], np.int32),
            placed(t["exponential"], np.int32),
        )


def tile_lanes(lanes: int, multiprocessors: int) -> int:
    """Lanes a program: as many as its tensor cores like, 64, or fewer while multiprocessors would be idle."""
    tile = 64
    while tile > MIN_TILE and -(-lanes // tile) < multiprocessors:
        tile //= 2
    return tile


class NetworkStep:
    """The network for L lanes; a call moves all of them by a step: last (L,) uint8 -> freqs (L, 256) int32 > 0.

    Before the first byte of a lane its `last` must be 0. Lanes that are at their end may go on: none reads another.
    """

    def __init__(self, network: NetworkWeights, lanes: int, tile: int = MIN_TILE, warps: int = WARPS) -> None:
        config = network.config
        d, blocks = config.d, config.blocks
        self._network, self._lanes, self._tile, self._warps, self._turn = network, lanes, tile, warps, 0

        def zeros(*shape: int, dtype: torch.dtype = torch.int8) -> Tensor:
            return torch.zeros(shape, dtype=dtype, device=network.device)

        self.last = zeros(lanes, dtype=torch.uint8)
        self.freqs = zeros(lanes, 256, dtype=torch.int32)
        self.h = zeros(blocks, lanes, d, dtype=torch.int32)
        self._context = zeros(lanes, CONTEXT_FIELDS, dtype=torch.int64)
        self._buffers = (
            zeros(lanes, config.tables, dtype=torch.int32),
            zeros(blocks, 2, lanes, d),
            self.h,
            zeros(lanes, d, dtype=torch.int32),
            zeros(lanes, d),
            zeros(lanes, config.hidden),
            self.freqs,
        )

    def __call__(self) -> None:
        """Launch a step, on torch's current stream."""
        config, kernel = self._network.config, step_kernel
        kernel[(-(-self._lanes // self._tile),)](
            self.last,
            self._context,
            *self._network.arguments,
            *self._buffers,
            self._lanes,
            self._turn,
            D=config.d,
            HIDDEN=config.hidden,
            BLOCKS=config.blocks,
            TABLES=config.tables,
            NGRAM_D=config.ngram_d,
            ROW_BITS=config.rows.bit_length() - 1,
            LANES=self._tile,
            num_warps=self._warps,
        )
        self._turn ^= 1
