"""The range coder spends what the probabilities say and loses nothing; our streams are constriction's."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from reference.decoder.range_decoder import RangeDecoder

from arzip.coding import range_coder
from arzip.probability import P_BITS

MOST = (1 << P_BITS) - 1
HALF = 1 << (P_BITS - 1)

probabilities = st.sampled_from([1, 2, 3, HALF - 1, HALF, HALF + 1, MOST - 1, MOST]) | st.integers(1, MOST)
coded_bits = st.lists(st.tuples(probabilities, st.integers(0, 1)), min_size=1, max_size=300)

Coded = list[tuple[int, int]]


def arrays(coded: Coded) -> tuple[NDArray[np.uint8], NDArray[np.uint32]]:
    return np.array([bit for _, bit in coded], np.uint8), np.array([p for p, _ in coded], np.uint32)


def encode(coded: Coded) -> bytes:
    encoder = range_coder.Encoder()
    encoder.encode(*arrays(coded))
    return encoder.finish()


def write_bits(coded: Coded) -> bytes:
    """By our own encoder."""
    registers, stream = range_coder.init_encoder(), np.zeros(range_coder.words_needed(len(coded)), np.uint32)
    for p, bit in coded:
        range_coder.encode_bit(registers, stream, bit, p)
    return range_coder.finish(registers, stream)


def straddle(count: int, seed: int) -> tuple[Coded, int]:
    """Bits after which the coder's range lies on both sides of a half; and how many words a carry would then change."""
    lower, width, half = 0, (1 << 64) - 1, 1 << 63
    coded: Coded = []
    for number in noise(count, seed):
        p = 1 + (number >> 10) % MOST
        q = 4 * p + (p < HALF)
        split = (width >> 24) * ((1 << 24) - q)
        bit = int(lower + split < half)
        lower, width = (lower + split, (width >> 24) * q) if bit else (lower, split)
        if width < 1 << 32:
            lower, width, half = lower << 32, width << 32, half << 32
        coded.append((p, bit))
    assert lower < half < lower + width
    words = f"{lower >> 64:x}"
    return coded, (len(words) - len(words.rstrip("f"))) // 8


def read_bits(data: bytes, probabilities: list[int]) -> list[int]:
    """By our own decoder."""
    stream = range_coder.words(data)
    registers = range_coder.init_decoder(stream)
    return [range_coder.decode_bit(registers, stream, p) for p in probabilities]


def check_stream(coded: Coded) -> bytes:
    """The stream of `coded`, which three decoders read alike and which is no longer than it should be."""
    bits, probabilities = arrays(coded)
    data = encode(coded)
    assert write_bits(coded) == data
    assert range_coder.Decoder(data).decode(probabilities).tolist() == bits.tolist()
    assert read_bits(data, probabilities.tolist()) == bits.tolist()
    stranger = RangeDecoder(data)
    assert [stranger.bit(p) for p, _ in coded] == bits.tolist()
    assert len(data) <= range_coder.cost_bits(bits, probabilities) / 8 + 2
    return data


def by_the_specification(coded: Coded) -> bytes:
    """docs/FORMAT.md, 'Range coder', in arbitrary precision."""
    lower, width, shifts = 0, (1 << 64) - 1, 0
    for p, bit in coded:
        q = 4 * p + (1 if p < 1 << 21 else 0)
        split = (width >> 24) * ((1 << 24) - q)
        lower, width = (lower + split, (width >> 24) * q) if bit else (lower, split)
        if width < 1 << 32:
            lower, width, shifts = lower << 32, width << 32, shifts + 1
    zeros = 64
    while -(-lower >> zeros) << zeros >= lower + width:
        zeros -= 1
    return (-(-lower >> zeros) << zeros).to_bytes(4 * shifts + 8, "big").rstrip(b"\0")


def noise(count: int, seed: int) -> list[int]:
    """Whole numbers below 2**32 from a generator that no library can change (Numerical Recipes)."""
    numbers = []
    for _ in range(count):
        seed = (1664525 * seed + 1013904223) % (1 << 32)
        numbers.append(seed)
    return numbers


def seeded(count: int, seed: int) -> Coded:
    """Bits drawn by their probabilities, which are of all sizes."""
    numbers = noise(3 * count, seed)
    coded = []
    for first, second, third in zip(numbers[::3], numbers[1::3], numbers[2::3], strict=True):
        p = max(1, (first >> 10) >> ((second >> 28) ** 2 >> 4))
        p = p if second >> 27 & 1 else (1 << 22) - p
        coded.append((p, int(third >> 10 < p)))
    return coded


@given(coded_bits)
def test_bits_come_back_by_three_decoders(coded: Coded) -> None:
    check_stream(coded)


@given(coded_bits)
def test_stream_is_the_one_of_the_specification(coded: Coded) -> None:
    assert encode(coded) == write_bits(coded) == by_the_specification(coded)


@given(coded_bits, st.lists(st.integers(0, 300), max_size=5))
def test_pieces_make_the_same_stream_as_one_call(coded: Coded, cuts: list[int]) -> None:
    encoder = range_coder.Encoder()
    ends = [0, *sorted(min(cut, len(coded)) for cut in cuts), len(coded)]
    for first, end in pairwise(ends):
        encoder.encode(*arrays(coded[first:end]))
    assert encoder.finish() == encode(coded)


@pytest.mark.parametrize("p", [1, HALF, MOST])
@pytest.mark.parametrize("bit", [0, 1])
def test_long_runs_at_the_extremes_come_back(p: int, bit: int) -> None:
    check_stream([(p, bit)] * 3000)
    check_stream([(p, bit), (MOST + 1 - p, bit), (HALF, 1 - bit)] * 1000)


@pytest.mark.parametrize("seed", range(20))
def test_carry_goes_through_all_words_before_it(seed: int) -> None:
    coded, words = straddle(600, seed)
    assert words > 10
    check_stream(coded)
    for bit in (0, 1):
        check_stream([*coded, (HALF, bit), (MOST, 1 - bit), (MOST, 1)])


def test_dearest_bits_find_room() -> None:
    assert len(check_stream([(1, 1), (MOST, 0)] * 500)) <= 4 * range_coder.words_needed(1000)


@pytest.mark.parametrize("count", range(1, 70))
def test_end_of_the_stream_loses_nothing(count: int) -> None:
    for seed in range(20):
        check_stream(seeded(count, seed))


def test_sure_bits_cost_nothing() -> None:
    assert check_stream([(1, 0)] * 100) == b""
    assert len(check_stream([(MOST, 1)] * 100)) <= 1


def test_long_stream_costs_its_entropy_within_a_thousandth() -> None:
    coded = seeded(200_000, 1)
    bits, probabilities = arrays(coded)
    assert 8 * len(encode(coded)) == pytest.approx(range_coder.cost_bits(bits, probabilities), rel=1e-3)


def test_cost_is_the_sum_of_negative_logarithms() -> None:
    bits, probabilities = arrays([(HALF, 1), (HALF // 2, 1), (HALF // 2, 0), (1, 1)])
    assert range_coder.cost_bits(bits, probabilities) == pytest.approx(1 + 2 - np.log2(3 / 4) + 22)


@pytest.mark.parametrize(
    ("count", "seed", "golden"),
    [
        (40, 1, "e0733e"),
        (200, 2, "d49fef17d23cc743c0"),
        (333, 3, "0981021be14499398750decc"),
    ],
)
def test_stream_is_golden(count: int, seed: int, golden: str) -> None:
    """constriction's stream format is part of ours: if this fails, its minor version must be pinned lower."""
    assert encode(seeded(count, seed)).hex() == golden


def test_past_the_end_zeros_are_read() -> None:
    coded = seeded(50, 3)
    data, questions = encode(coded), [p for p, _ in seeded(500, 4)]
    assert read_bits(data, questions) == read_bits(data + bytes(100), questions)
    stranger = RangeDecoder(data)
    assert [stranger.bit(p) for p in questions[:50]] == read_bits(data, questions[:50])


@given(st.binary(max_size=60), st.lists(probabilities, max_size=300))
def test_any_bytes_decode_to_something(data: bytes, questions: list[int]) -> None:
    assert set(read_bits(data, questions)) <= {0, 1}
