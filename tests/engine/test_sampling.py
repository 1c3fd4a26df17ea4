"""Sampling: what the model writes is drawn by its own weights, and the same for the same seed."""

from __future__ import annotations

import math
from pathlib import Path
from random import Random

import numpy as np
import pytest
import tiny_network

from arzip import cli
from arzip.engine import sampling
from arzip.engine.sampling import Choice
from arzip.network.config import Weights

PROMPT = b"a test "


@pytest.fixture(scope="module")
def weights() -> Weights:
    return tiny_network.weights(tiny_network.lively())


def text(weights: Weights, choice: Choice, seed: int = 0, size_bytes: int = 60) -> bytes:
    return b"".join(sampling.write(weights, PROMPT, size_bytes, choice, seed))


def test_same_seed_same_text_other_seed_other_text(weights: Weights) -> None:
    assert text(weights, Choice(), 1) == text(weights, Choice(), 1) != text(weights, Choice(), 2)


def test_a_prompt_changes_what_follows(weights: Weights) -> None:
    other = b"".join(sampling.write(weights, b"", 60, Choice(0.0), 0))
    assert other != text(weights, Choice(0.0))


@pytest.mark.parametrize("choice", [Choice(0.0), Choice(top_k=1), Choice(top_p=1e-9), Choice(0.001)])
def test_narrow_choices_are_greedy(weights: Weights, choice: Choice) -> None:
    assert text(weights, choice) == text(weights, Choice(0.0), 5)


def test_weights_are_those_of_the_engine(weights: Weights) -> None:
    """What greedy writing expects is what compressing spends least on."""
    from arzip.engine.cpu_backend import CpuBackend
    from arzip.engine.engine import Engine
    from arzip.engine.plan import Plan

    written = PROMPT + text(weights, Choice(0.0), size_bytes=20)
    engine = Engine(weights, CpuBackend(weights, two_threads=False))
    spent = engine.cost_bits(written, Plan(1, use_network=True, cm_profile=None))
    writer, bits = sampling.Writer(weights), 0.0
    for value in written:
        share = writer.freqs[0].astype(np.float64)
        bits -= math.log2(share[value] / share.sum())
        writer.read(bytes([value]))
    assert abs(spent - bits) < 0.01 * bits


def test_draws_follow_the_weights() -> None:
    weights = np.ones(256, np.int32)
    weights[[65, 66]] = 30_000, 10_000
    random = Random(0)
    drawn = [sampling.choose(weights, Choice(), random) for _ in range(2000)]
    assert 1400 < drawn.count(65) < 1600 and 400 < drawn.count(66) < 600
    flat = [sampling.choose(weights, Choice(100.0), random) for _ in range(2000)]
    assert len(set(flat)) > 200
    assert {sampling.choose(weights, Choice(top_k=2), random) for _ in range(500)} == {65, 66}
    assert {sampling.choose(weights, Choice(top_p=0.7), random) for _ in range(500)} == {65}


def test_beam_finds_nothing_dearer_than_greedy(weights: Weights) -> None:
    def cost(written: bytes) -> float:
        writer, bits = sampling.Writer(weights), 0.0
        for value in PROMPT:
            writer.read(bytes([value]))
        for value in written:
            bits -= math.log2(writer.freqs[0][value] / writer.freqs[0].sum())
            writer.read(bytes([value]))
        return bits

    greedy = text(weights, Choice(0.0), size_bytes=12)
    assert sampling.search(weights, PROMPT, 12, 1) == greedy
    assert cost(sampling.search(weights, PROMPT, 12, 16)) <= cost(greedy) + 1e-9


def test_command_writes_bytes_and_nothing_else(tiny_model: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    words = ["sample", "-m", str(tiny_model), "--prompt", "-5 degrees", "--bytes", "30"]
    assert cli.main([*words, "--greedy"]) == 0
    out, err = capfdbinary.readouterr()
    assert len(out) == 30 and err == b""
    assert cli.main([*words, "--beam", "1"]) == 0
    assert capfdbinary.readouterr().out == out
    assert cli.main([*words, "--seed", "3", "--temperature", "0.8", "--top-k", "9", "--top-p", "0.9"]) == 0


@pytest.mark.parametrize("more", [["--greedy", "--top-k", "3"], ["--beam", "2", "--greedy"], ["--top-p", "0"]])
def test_contradictions_are_one_line(more: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["sample", *more]) == 1
    out, err = capfd.readouterr()
    assert out == "" and err.startswith("arzip: ") and err.count("\n") == 1


def test_missing_model_is_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["sample", "-m", "nonsense"]) == 1
    assert "no model is called 'nonsense'" in capfd.readouterr().err
