"""Context mixing: exact integers, order-free lanes, and predictions that improve."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from itertools import pairwise

import numpy as np
import pytest
import tiny_network
from cm_cases import EVERYTHING, pretrained_model, random_ngrams, random_state, varied_text
from numpy.typing import NDArray
from reference.decoder.memory import Memory
from reference.decoder.memory import profiles as reference_profiles
from reference.decoder.memory.states import NEXT
from safetensors.numpy import save

from arzip.context_mixing import hashing, logistic, predictor, pretrained, state_table, static_shapes
from arzip.context_mixing.ngram_table import NO_ROWS
from arzip.context_mixing.profile import FAST, FULL, PROFILES, Profile
from arzip.context_mixing.state import USE_NETWORK, WEIGHT_LIMIT, CMState, create
from arzip.errors import ModelError
from arzip.probability import P_ONE
from arzip.weights.file import dump_weights, parse_weights


def lane_starts(size: int, lanes: int) -> NDArray[np.int64]:
    """Starts of contiguous lanes of equal length."""
    assert size % lanes == 0
    return np.arange(lanes, dtype=np.int64) * (size // lanes)


def probabilities(
    cm: CMState, text: bytes, steps: int, network_p: NDArray[np.int64], groups: int = 1, merged: bool = False
) -> NDArray[np.int64]:
    """P (steps, 8, L) that the kernels give the bits of each lane; network_p: the same shape.

    merged: one lane takes the way of several.
    """
    lanes = cm.starts.size
    single_lane = lanes == 1 and not merged
    out = np.zeros((steps, 8, lanes), np.int64)
    edges = [lanes * k // groups for k in range(groups + 1)]
    predictor.begin(cm, 0, lanes)
    for t in range(steps):
        values = np.array([text[s + t] for s in cm.starts], np.int64)
        for first, end in pairwise(edges):
            predictor.set_step(cm, t)
            for bit in range(8):
                predictor.predict(cm, first, end, network_p[t, bit], out[t, bit], single_lane)
                predictor.update(cm, first, end, values >> (7 - bit) & 1, single_lane)
            predictor.end_byte(cm, first, end, values, t, single_lane)
    return out


def cost_bits(p: NDArray[np.int64], text: bytes, starts: NDArray[np.int64]) -> float:
    """-sum log2 of the probabilities of the bits that came."""
    steps = p.shape[0]
    data = np.frombuffer(text, np.uint8)
    bits = np.stack([np.unpackbits(data[s : s + steps, None], axis=1) for s in starts], axis=2)
    return float(-np.log2(np.where(bits, p, P_ONE - p) / P_ONE).sum())


def no_network_p(steps: int, lanes: int) -> NDArray[np.int64]:
    return np.full((steps, 8, lanes), P_ONE // 2, np.int64)


def memory_of_the_spec(profile: Profile, sizes: list[int], network: bool, is_pretrained: bool) -> Memory:
    """The second decoder's memory, with the initial state and the n-grams of `create` and `load_into` below."""
    names = (field.name for field in fields(reference_profiles.Profile))
    own = reference_profiles.Profile(**{name: getattr(profile, name) for name in names})
    initial = {name: tensor.astype(np.int64) for name, tensor in random_state(profile, 6).items()}
    ngrams = random_ngrams(7).tobytes()
    known = (initial, ngrams) if is_pretrained else (None, b"")
    return Memory(own, sum(sizes), sizes, network, *known)


def parse_header(data: bytes) -> str:
    """What a weights file says about itself."""
    size = int.from_bytes(data[:8], "little")
    return str(json.loads(data[8 : 8 + size])["__metadata__"]["arzip"])


@pytest.mark.parametrize(("lanes", "groups"), [(1, 1), (2, 1), (5, 1), (4, 2)])
@pytest.mark.parametrize("network", [False, True])
@pytest.mark.parametrize("is_pretrained", [False, True])
def test_kernels_agree_with_plain_python_bit_for_bit(
    lanes: int, groups: int, network: bool, is_pretrained: bool
) -> None:
    steps = 270 if lanes < 3 else 60
    size = steps * lanes
    text, starts = varied_text(size, lanes), lane_starts(size, lanes)
    cm = create(EVERYTHING, starts, size, random_ngrams(7) if is_pretrained else NO_ROWS)
    cm.clock[USE_NETWORK] = network
    if is_pretrained:
        pretrained.load_into(cm, EVERYTHING, random_state(EVERYTHING, 6))
    network_p = np.random.default_rng(3).integers(1, P_ONE, (steps, 8, lanes))
    reference = memory_of_the_spec(EVERYTHING, [steps] * lanes, network, is_pretrained)
    got = probabilities(cm, text, steps, network_p, groups)
    edges = [lanes * k // groups for k in range(groups + 1)]
    for t in range(steps):
        values = [text[s + t] for s in starts]
        for first, end in pairwise(edges):
            group = list(range(first, end))
            for bit in range(8):
                expected = reference.predict(
                    group, network_p[t, bit, first:end].tolist() if network else [None] * len(group)
                )
                assert got[t, bit, first:end].tolist() == expected, (t, bit)
                reference.update(group, [v >> (7 - bit) & 1 for v in values[first:end]], t)
            reference.end_byte(group, values[first:end])
    ours, theirs = cm.maps.copy(), (reference.maps.p << 16 | reference.maps.m)[:-1]
    for words in (ours, theirs):  # of a context's map entry 0 and those behind the last state are never read
        of_contexts = words[: 256 * len(EVERYTHING.contexts)].reshape(-1, 256)
        of_contexts[:, 0] = of_contexts[:, len(NEXT) :] = 0
    assert np.array_equal(ours, theirs)
    inputs = reference.mixer.weights.shape[1]
    assert np.array_equal(cm.weights[:, :inputs], reference.mixer.weights)
    assert np.array_equal(cm.slots, reference.slots.states)
    assert (cm.slots.reshape(-1, 16)[:, 1:] >= state_table.FIRST_PRIOR).any() == is_pretrained


@pytest.mark.parametrize("profile", PROFILES)
def test_order_of_lanes_does_not_matter(profile: Profile) -> None:
    lanes, steps = 7, 300
    text, starts = varied_text(lanes * steps, 1), lane_starts(lanes * steps, lanes)
    small = replace(profile, slots_bits=12)
    order = np.random.default_rng(0).permutation(lanes)
    network_p = no_network_p(steps, lanes)
    ngrams = random_ngrams(1)
    one, other = create(small, starts, len(text), ngrams), create(small, starts[order], len(text), ngrams)
    straight, shuffled = probabilities(one, text, steps, network_p), probabilities(other, text, steps, network_p)
    assert np.array_equal(straight[:, :, order], shuffled)
    assert np.array_equal(one.slots, other.slots)
    assert np.array_equal(one.maps, other.maps)
    assert np.array_equal(one.weights, other.weights)


@pytest.mark.parametrize("profile", PROFILES)
def test_a_lone_lane_has_nothing_to_merge(profile: Profile) -> None:
    text, small = varied_text(2000, 2), replace(profile, slots_bits=12)
    one, other = (create(small, lane_starts(len(text), 1), len(text), random_ngrams(1)) for _ in range(2))
    network_p = np.random.default_rng(5).integers(1, P_ONE, (len(text), 8, 1))
    single_lane, merged = (
        probabilities(m, text, len(text), network_p, merged=way) for m, way in ((one, False), (other, True))
    )
    assert np.array_equal(single_lane, merged)
    for name, here, there in zip(one._fields, one, other, strict=True):
        assert np.array_equal(here, there), name


@pytest.mark.parametrize("profile", [*PROFILES, EVERYTHING])
def test_shapes_that_are_compiled_in_are_those_of_the_arrays(profile: Profile) -> None:
    cm = create(profile, lane_starts(999, 3), 999)
    counts = static_shapes.counts_of(cm)
    if len(profile.contexts) > static_shapes.MAX_CONTEXTS:
        assert counts is None
        return
    assert counts is not None
    for name, shape in static_shapes.SHAPES.items():
        for count, size in zip(shape, getattr(cm, name).shape, strict=True):
            if isinstance(count, str):
                assert len(getattr(counts, count)) == size, name
            else:
                assert count in (None, size), name


def test_same_input_gives_same_state() -> None:
    text = varied_text(2000, 2)
    states = [create(FULL, lane_starts(2000, 2), 2000) for _ in range(2)]
    runs = [probabilities(cm, text, 1000, no_network_p(1000, 2)) for cm in states]
    assert np.array_equal(*runs)
    for a, b in zip(*states, strict=True):
        assert np.array_equal(a, b)


@pytest.mark.parametrize("lanes", [1, 8])
def test_predictions_improve(lanes: int) -> None:
    size = 16000
    text, starts = varied_text(size, 4), lane_starts(size, lanes)
    p = probabilities(create(FAST, starts, size), text, size // lanes, no_network_p(size // lanes, lanes))
    assert p.min() >= 1
    assert p.max() < P_ONE
    assert cost_bits(p, text, starts) < 3.0 * size


def test_very_predictable_bits_cost_almost_nothing() -> None:
    text, starts = bytes(6000), lane_starts(6000, 1)
    p = probabilities(create(FAST, starts, 6000), text, 6000, no_network_p(6000, 1))
    assert p[-1].max() < P_ONE >> 13


def test_lane_sees_only_coded_bytes() -> None:
    """What follows a byte must not change what was predicted for it."""
    text = varied_text(1200, 5)
    changed = text[:200] + bytes(100) + text[300:800] + bytes(100) + text[900:]
    runs = [
        probabilities(create(FULL, lane_starts(1200, 2), 1200), t, 250, no_network_p(250, 2)) for t in (text, changed)
    ]
    assert np.array_equal(runs[0][:200], runs[1][:200])


def test_logistic_tables_are_inverse_and_symmetric() -> None:
    squash, stretch = logistic.squash_table(), logistic.stretch_table()
    assert np.array_equal(squash + squash[::-1], np.full(squash.size, P_ONE))
    assert (np.diff(squash) >= 0).all()
    assert np.array_equal(stretch, -stretch[::-1])
    assert np.abs(squash[logistic.OUTPUT_LIMIT + stretch[5:-5]] / 1024 - np.arange(5, 4091) - 0.5).max() < 2


def test_bit_histories_stay_in_the_automaton_and_never_forget_that_they_saw_something() -> None:
    following, counts = state_table.state_table()
    used = counts.sum(axis=1) > 0
    assert (following[used] > 0).all()
    assert (following[0] > 0).all()
    assert used[following[used]].all()


def test_prior_counts_become_states_of_bits_at_the_first_bit() -> None:
    following, counts = state_table.state_table()
    for history in range(state_table.FIRST_PRIOR, state_table.FIRST_PRIOR + state_table.PRIOR_CLASSES**2 - 1):
        zeros, ones = counts[history]
        assert 0 < following[history].max() < state_table.FIRST_PRIOR
        after = counts[following[history]]
        if zeros > 2 * ones:
            assert after[0, 0] > after[0, 1]
        assert after[1, 1] * (after[0].sum()) > after[0, 1] * after[1].sum() or ones == 0
        assert after.sum(axis=1).max() <= state_table.PRIOR_LIMIT + 1


def test_ngrams_travel_in_the_weights_file_and_start_slots() -> None:
    ngrams = random_ngrams(3)
    data = dump_weights(tiny_network.SHAPE, tiny_network.lively() | {pretrained.NGRAMS: ngrams}, {})
    assert np.array_equal(pretrained.ngrams_of(parse_weights(data, "counted").tensors), ngrams)
    assert not len(
        pretrained.ngrams_of(parse_weights(dump_weights(tiny_network.SHAPE, tiny_network.lively(), {}), "none").tensors)
    )


@pytest.mark.parametrize("shape", [(256, 3), (255, 4), (128, 4), (256,)])
def test_ngrams_of_another_shape_raise(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="ngrams"):
        dump_weights(tiny_network.SHAPE, tiny_network.lively() | {pretrained.NGRAMS: np.zeros(shape, np.uint8)}, {})


def test_the_first_byte_of_a_context_in_the_ngram_table_is_cheap() -> None:
    text = b"Q" * 64
    lane = lane_starts(1, 1)
    cm = create(FULL, lane, 1)
    predictor.begin(cm, 0, 1)
    order1 = FULL.contexts.index(1)
    hashes = [int(cm.hashes[0, order1]), hashing.hash_pair(cm.hashes[0, order1], 16 | text[0] >> 4)]
    ngrams = np.zeros((256, 4), np.uint8)
    for h, nibble in zip(hashes, (text[0] >> 4, text[0] & 15), strict=True):
        ngrams[int(h) >> 24 & 255, :2] = int(h) >> 48 & 255, nibble << 4 | 15
    costs = [
        cost_bits(probabilities(create(FULL, lane, 1, rows), text[:1], 1, no_network_p(1, 1)), text[:1], lane)
        for rows in (NO_ROWS, ngrams)
    ]
    assert costs[1] < 0.95 * costs[0]  # one of 35 contexts, before the mixer has learned whom to trust


def test_initial_states_travel_in_the_weights_file() -> None:
    tensors, initial = pretrained_model()
    data = dump_weights(tiny_network.SHAPE, tensors, {})
    assert data == dump_weights(tiny_network.SHAPE, dict(reversed(tensors.items())), {})
    found = pretrained.initial_states(parse_weights(data, "primed").tensors)
    assert len(found) == 2 * len(PROFILES)
    for (place, network), start in found.items():
        for name, tensor in pretrained.name_tensors(place, network, start).items():
            assert np.array_equal(tensor, initial[name])


def test_a_model_without_initial_states_starts_empty() -> None:
    weights = parse_weights(dump_weights(tiny_network.SHAPE, tiny_network.lively(), {}), "plain")
    assert pretrained.initial_states(weights.tensors) == {}


def test_a_model_older_than_a_profile_starts_that_one_empty() -> None:
    tensors = {name: t for name, t in pretrained_model()[1].items() if not name.startswith("memory.2.")}
    pretrained.check_tensors(tensors)
    assert {place for place, _ in pretrained.initial_states(tensors)} == {0, 1, 3}


@pytest.mark.parametrize("damage", ["missing", "unknown", "shape", "dtype", "count", "weight", "final"])
def test_damaged_initial_states_raise(damage: str) -> None:
    tensors, _ = pretrained_model()
    if damage == "missing":
        del tensors["memory.1.mixed.maps"]
    elif damage == "unknown":
        tensors["memory.9.mixed.maps"] = tensors["memory.1.mixed.maps"]
    elif damage == "shape":
        tensors["memory.0.alone.weights"] = tensors["memory.0.alone.weights"][1:]
    elif damage == "dtype":
        tensors["memory.0.alone.maps"] = tensors["memory.0.alone.maps"].astype(np.int64)
    elif damage == "count":
        tensors["memory.2.alone.maps"][5] |= pretrained.COUNT_MASK
    elif damage == "weight":
        tensors["memory.2.alone.weights"][0, 0] = -32768
    else:
        tensors["memory.2.mixed.final"][0, 0] = np.iinfo(np.int32).min
    with pytest.raises(ValueError, match="memory"):
        dump_weights(tiny_network.SHAPE, tensors, {})
    plain = dump_weights(tiny_network.SHAPE, tiny_network.lively(), {})
    head = {"arzip": parse_header(plain)}
    with pytest.raises(ModelError, match="memory"):
        parse_weights(save(tensors, head), "damaged")


def test_packing_a_loaded_state_gives_its_tensors() -> None:
    start = random_state(FULL, 3)
    cm = create(FULL, lane_starts(100, 2), 100)
    pretrained.load_into(cm, FULL, start)
    for name, tensor in pretrained.pack(cm).items():
        assert np.array_equal(tensor, start[name])
    assert np.abs(cm.weights).max() <= WEIGHT_LIMIT
