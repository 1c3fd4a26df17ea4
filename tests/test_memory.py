"""What the memory promises: exact integers, order-free lanes, and that it learns."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from memory_reference import Reference
from numpy.typing import NDArray

from arzip.memory import predict as kernels
from arzip.memory import tables
from arzip.memory.profiles import FAST, FULL, PROFILES
from arzip.memory.spec import NETWORK, Memory, Profile, create

KINDS = (*range(15), *range(20, 49))
EVERYTHING = Profile(
    contexts=KINDS,
    direct=(1, 2, 3),
    matches=(4, 6),
    selectors=tuple(range(9)),
    slots_bits=12,
    direct_bits=17,
    match_bits=8,
)


def lively(size: int, seed: int) -> bytes:
    """Words, lines, noise and records of 24 bytes that repeat, so that every part of the memory has something to do."""
    rng = np.random.default_rng(seed)
    words = [b"the ", b"Lane ", b"of ", b"bytes\n", b"\x00\xff\x80", b"<tag>", b"12.5 "]
    parts: list[bytes] = []
    while sum(map(len, parts)) < size:
        kind = int(rng.integers(4))
        if kind < 2:
            parts += [words[i] for i in rng.integers(len(words), size=12)]
        elif kind == 2:
            parts.append(rng.integers(0, 256, 9, dtype=np.uint8).tobytes())
        else:
            parts += [b"RECORD" + bytes([i, 0, 7]) + b"abcdefghij\x01\x02\x03\x04\x05" for i in range(16)]
    return b"".join(parts)[:size]


def lane_starts(size: int, lanes: int) -> NDArray[np.int64]:
    """Starts of contiguous lanes of equal length."""
    assert size % lanes == 0
    return np.arange(lanes, dtype=np.int64) * (size // lanes)


def chances(memory: Memory, text: bytes, steps: int, opinions: NDArray[np.int64], crews: int = 1) -> NDArray[np.int64]:
    """P (steps, 8, L) that the kernels give the bits of each lane; opinions of the same shape."""
    lanes = memory.starts.size
    out = np.zeros((steps, 8, lanes), np.int64)
    edges = [lanes * k // crews for k in range(crews + 1)]
    for first, end in zip(edges, edges[1:], strict=False):
        kernels.begin(memory, first, end)
    for t in range(steps):
        values = np.array([text[s + t] for s in memory.starts], np.int64)
        for first, end in zip(edges, edges[1:], strict=False):
            kernels.turn(memory, t)
            for bit in range(8):
                kernels.predict(memory, first, end, opinions[t, bit], out[t, bit])
                kernels.update(memory, first, end, values >> (7 - bit) & 1)
            kernels.end_byte(memory, first, end, values, t)
    return out


def cost_bits(p: NDArray[np.int64], text: bytes, starts: NDArray[np.int64]) -> float:
    """-sum log2 of the probabilities of the bits that came."""
    steps = p.shape[0]
    data = np.frombuffer(text, np.uint8)
    bits = np.stack([np.unpackbits(data[s : s + steps, None], axis=1) for s in starts], axis=2)
    return float(-np.log2(np.where(bits, p, tables.P_ONE - p) / tables.P_ONE).sum())


def no_opinions(steps: int, lanes: int) -> NDArray[np.int64]:
    return np.full((steps, 8, lanes), tables.P_ONE // 2, np.int64)


@pytest.mark.parametrize(("lanes", "crews"), [(1, 1), (2, 1), (5, 1), (4, 2)])
@pytest.mark.parametrize("network", [False, True])
def test_kernels_agree_with_plain_python_bit_for_bit(lanes: int, crews: int, network: bool) -> None:
    steps = 270 if lanes < 3 else 60
    size = steps * lanes
    text, starts = lively(size, lanes), lane_starts(size, lanes)
    memory = create(EVERYTHING, starts, size)
    memory.clock[NETWORK] = network
    opinions = np.random.default_rng(3).integers(1, tables.P_ONE, (steps, 8, lanes))
    reference = Reference(EVERYTHING, memory)
    got = chances(memory, text, steps, opinions, crews)
    edges = [lanes * k // crews for k in range(crews + 1)]
    for first, end in zip(edges, edges[1:], strict=False):
        reference.begin(first, end)
    for t in range(steps):
        values = [text[s + t] for s in starts]
        for first, end in zip(edges, edges[1:], strict=False):
            reference.bit = 0
            for bit in range(8):
                expected = reference.predict(first, end, opinions[t, bit].tolist())
                assert got[t, bit, first:end].tolist() == expected, (t, bit)
                reference.update(first, end, [v >> (7 - bit) & 1 for v in values], t)
            reference.end_byte(first, end, values)
    assert memory.maps.tolist() == reference.maps
    assert memory.weights.tolist() == reference.weights
    assert memory.slots.tolist() == reference.slots


@pytest.mark.parametrize("profile", PROFILES)
def test_order_of_lanes_does_not_matter(profile: Profile) -> None:
    lanes, steps = 7, 300
    text, starts = lively(lanes * steps, 1), lane_starts(lanes * steps, lanes)
    small = replace(profile, slots_bits=12)
    order = np.random.default_rng(0).permutation(lanes)
    opinions = no_opinions(steps, lanes)
    one, other = create(small, starts, len(text)), create(small, starts[order], len(text))
    straight, shuffled = chances(one, text, steps, opinions), chances(other, text, steps, opinions)
    assert np.array_equal(straight[:, :, order], shuffled)
    assert np.array_equal(one.slots, other.slots)
    assert np.array_equal(one.maps, other.maps)
    assert np.array_equal(one.weights, other.weights)


def test_same_input_gives_same_state() -> None:
    text = lively(2000, 2)
    states = [create(FULL, lane_starts(2000, 2), 2000) for _ in range(2)]
    runs = [chances(memory, text, 1000, no_opinions(1000, 2)) for memory in states]
    assert np.array_equal(*runs)
    for a, b in zip(*states, strict=True):
        assert np.array_equal(a, b)


@pytest.mark.parametrize("lanes", [1, 8])
def test_memory_learns(lanes: int) -> None:
    size = 16000
    text, starts = lively(size, 4), lane_starts(size, lanes)
    p = chances(create(FAST, starts, size), text, size // lanes, no_opinions(size // lanes, lanes))
    assert p.min() >= 1
    assert p.max() < tables.P_ONE
    assert cost_bits(p, text, starts) < 3.0 * size


def test_very_predictable_bits_cost_almost_nothing() -> None:
    text, starts = bytes(6000), lane_starts(6000, 1)
    p = chances(create(FAST, starts, 6000), text, 6000, no_opinions(6000, 1))
    assert p[-1].max() < tables.P_ONE >> 13


def test_lane_sees_only_coded_bytes() -> None:
    """What follows a byte must not change what was predicted for it."""
    text = lively(1200, 5)
    changed = text[:200] + bytes(100) + text[300:800] + bytes(100) + text[900:]
    runs = [chances(create(FULL, lane_starts(1200, 2), 1200), t, 250, no_opinions(250, 2)) for t in (text, changed)]
    assert np.array_equal(runs[0][:200], runs[1][:200])


def test_logistic_tables_are_inverse_and_symmetric() -> None:
    squash, stretch = tables.squash_table(), tables.stretch_table()
    assert np.array_equal(squash + squash[::-1], np.full(squash.size, tables.P_ONE))
    assert (np.diff(squash) >= 0).all()
    assert np.array_equal(stretch, -stretch[::-1])
    assert np.abs(squash[tables.OUTPUT_LIMIT + stretch[5:-5]] / 1024 - np.arange(5, 4091) - 0.5).max() < 2


def test_bit_histories_stay_in_the_automaton_and_never_forget_that_they_saw_something() -> None:
    following, counts = tables.history_tables()
    used = counts.sum(axis=1) > 0
    assert (following[used] > 0).all()
    assert (following[0] > 0).all()
    assert used[following[used]].all()
