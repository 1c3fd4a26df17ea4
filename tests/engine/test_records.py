"""Blocks after a dictionary, and short blocks on tables that are used again."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tiny_network
from cm_cases import pretrained_model, random_ngrams, varied_text
from helpers import words
from numpy.typing import NDArray
from reference.decoder.blocks import MEMORY, NETWORK, Coding, decode_text
from reference.decoder.parts import Parts
from reference.decoder.weights import Model

from arzip.context_mixing import pretrained
from arzip.context_mixing.profile import PROFILES
from arzip.engine import records
from arzip.engine.cpu_backend import CpuBackend
from arzip.engine.engine import Engine
from arzip.engine.plan import Plan
from arzip.engine.records import RecordEngine
from arzip.network.config import Weights
from arzip.weights.file import dump_weights

DICTIONARY = varied_text(400, 7) + words(150)
SOURCE = random.Random(5)
TEXTS = [
    *(varied_text(900, 7)[at : at + SOURCE.randrange(1, 200)] for at in range(0, 600, 100)),
    *(words(120, 3), b"x", DICTIONARY[:300], SOURCE.randbytes(90)),
]
PLANS = [Plan(1, network, profile) for network in (False, True) for profile in range(len(PROFILES))]


def quiet(_: object = None) -> None:
    pass


@pytest.fixture(scope="module")
def weights() -> Weights:
    tensors, _ = pretrained_model()
    return tiny_network.weights(tensors | {pretrained.NGRAMS: random_ngrams(1)})


@pytest.fixture(scope="module")
def plain(weights: Weights) -> Engine:
    return Engine(weights, CpuBackend(weights, two_threads=False))


def decode_as_specified(weights: Weights, stream: bytes, size: int, plan: Plan, dictionary: bytes) -> bytes:
    """The block of a stream, by the second decoder."""
    model = Model(dump_weights(weights.config, weights.tensors, weights.metadata))
    parts = NETWORK * plan.use_network | MEMORY
    return decode_text(Parts(stream), size, Coding(1, plan.cm_profile or 0, 0, False, parts), model, dictionary)


@pytest.mark.parametrize("plan", [Plan(1, True, 0), Plan(1, False, 3), Plan(1, False, 2)], ids=str)
def test_a_block_after_a_dictionary_is_what_the_specification_says(weights: Weights, plain: Engine, plan: Plan) -> None:
    raw, dictionary = DICTIONARY[250:290] + b"more\n", DICTIONARY[200:320]
    stream = RecordEngine(plain, dictionary).encode(raw, plan, quiet)
    assert decode_as_specified(weights, stream, len(raw), plan, dictionary) == raw
    assert len(stream) < len(plain.encode(raw, plan, quiet))


@pytest.mark.parametrize("plan", PLANS, ids=str)
def test_states_that_are_used_again_give_the_streams_of_fresh_ones(
    plain: Engine, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    for dictionary in (b"", DICTIONARY):
        fresh = [RecordEngine(plain, dictionary).encode(text, plan, quiet) for text in TEXTS]
        engine = RecordEngine(plain, dictionary)
        assert engine.encode_records(TEXTS, plan, quiet) == fresh
        assert [engine.encode(text, plan, quiet) for text in TEXTS] == fresh
        assert [engine.decode(stream, len(text), plan, quiet) for text, stream in zip(TEXTS, fresh, strict=True)] == (
            TEXTS
        )
        if not dictionary:
            assert fresh == [plain.encode(text, plan, quiet) for text in TEXTS]
        for start in engine._starts.values():
            assert len(start.free) == 1
            for name, array in start.cm._asdict().items():
                assert np.array_equal(array, getattr(start.free[0], name)) or name == "clock", name
        with monkeypatch.context() as patch:  # the way of longer blocks
            patch.setattr(records, "MAX_BYTES", 0)
            long = RecordEngine(plain, dictionary)
            assert [long.encode(text, plan, quiet) for text in TEXTS] == fresh
            decoded = [long.decode(stream, len(text), plan, quiet) for text, stream in zip(TEXTS, fresh, strict=True)]
            assert decoded == TEXTS


def test_long_blocks_after_a_dictionary(plain: Engine, weights: Weights) -> None:
    raw = varied_text(40000, 9)
    for plan in (Plan(1, True, 0), Plan(1, False, 2), Plan(1, True, None)):
        for two_threads in (False, True):
            engine = RecordEngine(Engine(weights, CpuBackend(weights, two_threads)), DICTIONARY)
            costs: list[NDArray[np.float64]] = []
            stream = engine.encode(raw, plan, quiet)
            assert engine.encode(raw, plan, quiet, costs.append) == stream
            assert engine.decode(stream, len(raw), plan, quiet) == raw
            assert 0 <= len(stream) - sum(part.sum() for part in costs) / 8 < 20


def test_blocks_of_several_lanes_and_wide_ones_know_no_dictionary(plain: Engine) -> None:
    raw, engine = words(3000), RecordEngine(plain, DICTIONARY)
    for plan in (Plan(2, True, 0), Plan(3, False, 2)):
        assert engine.encode(raw, plan, quiet) == plain.encode(raw, plan, quiet)
    wide = Plan(1, True, 0, wide=True)
    assert engine.encode_wide(raw, wide, quiet) == plain.encode_wide(raw, wide, quiet)


def test_tables_are_shared_by_threads_and_don_t_pile_up(plain: Engine) -> None:
    engine, plan, here = RecordEngine(plain, DICTIONARY), Plan(1, True, 0), threading.Barrier(3)
    expected = engine.encode_records(TEXTS, plan, quiet)

    def encode(_: int) -> list[bytes]:
        here.wait()
        return engine.encode_records(TEXTS, plan, quiet)

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(encode, range(3))) == [expected] * 3
    for size in (1, 300, 900, 2000, 4000, 8000):
        text = words(size)
        assert engine.decode(engine.encode(text, plan, quiet), size, plan, quiet) == text
    assert len(engine._starts) <= records.MAX_STARTS
    assert all(1 <= len(start.free) <= 3 for start in engine._starts.values())


@pytest.mark.parametrize("profile", range(len(PROFILES)))
def test_blocks_of_one_start_have_tables_of_one_size(profile: int, plain: Engine) -> None:
    sizes = sorted({1, 2, 3, 4095, 4096, *(2**k + d for k in range(6, 12) for d in (-1, 0, 1)), 57, 113, 910, 1821})
    engine, starts, found = RecordEngine(plain), np.zeros(1, np.int64), set[object]()
    for size in sizes:
        there = engine._start(Plan(1, False, profile), size).cm
        found |= engine._starts.keys()
        for name, array in plain.initial_cm_state(Plan(1, False, profile), starts, size)._asdict().items():
            assert array.shape == getattr(there, name).shape or name == "text", (size, name)
    assert 5 < len(found) < 40
