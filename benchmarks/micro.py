"""How long the parts take: products, steps, memory, coder, container, start-up. Run by `make bench-micro`.

No test: nothing here fails because it is slow. Compare two runs by `pytest-benchmark compare`.
"""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from arzip import levels, planner
from arzip.bench.samples import samples
from arzip.coding import range_coder
from arzip.engine.engine import Engine, open_engine
from arzip.engine.plan import Plan
from arzip.format.records import Method
from arzip.format.stream import Writer, list_members
from arzip.network import gemm, packing
from arzip.probability import P_BITS
from arzip.weights import registry

Benchmark = Callable[..., Any]
LANES, K, N = 24, 512, 512
SIZE_BYTES = 48_000


@pytest.fixture(scope="module")
def engine() -> Engine:
    return open_engine(registry.find(levels.level(levels.DEFAULT).model))


@pytest.fixture(scope="module")
def prose() -> bytes:
    return next(samples())[1][:SIZE_BYTES]


def quiet(_: int) -> None:
    """Takes the engine's ticks."""


def test_gemm(benchmark: Benchmark) -> None:
    source = np.random.default_rng(0)
    a = source.integers(0, 256, (LANES, K), dtype=np.uint8)
    w = source.integers(-127, 128, (N, K), dtype=np.int8)
    packed, start, c = packing.pack_weights(w), packing.start_values(w), np.zeros((LANES, N), np.int32)
    benchmark.pedantic(gemm.gemm, (a, packed, start, c), rounds=200, iterations=20, warmup_rounds=2)


def test_network_steps(benchmark: Benchmark, engine: Engine, prose: bytes) -> None:
    benchmark.pedantic(engine.encode, (prose, Plan(LANES, True, None), quiet), rounds=5, warmup_rounds=1)


@pytest.mark.parametrize("profile", [levels.FAST, levels.FULL, levels.MIDDLE])
def test_memory_steps(benchmark: Benchmark, engine: Engine, prose: bytes, profile: int) -> None:
    benchmark.pedantic(engine.encode, (prose, Plan(1, False, profile), quiet), rounds=5, warmup_rounds=1)


def test_planning(benchmark: Benchmark, engine: Engine, prose: bytes) -> None:
    benchmark.pedantic(planner.choose, (engine, prose, levels.level(levels.DEFAULT)), rounds=5, warmup_rounds=1)


@pytest.mark.parametrize("level", [levels.DEFAULT, 9])
def test_encode(benchmark: Benchmark, engine: Engine, prose: bytes, level: int) -> None:
    plan = planner.choose(engine, prose, levels.level(level))
    benchmark.pedantic(engine.encode, (prose, plan, quiet), rounds=3, warmup_rounds=1)


@pytest.mark.parametrize("level", [levels.DEFAULT, 9])
def test_decode(benchmark: Benchmark, engine: Engine, prose: bytes, level: int) -> None:
    plan = planner.choose(engine, prose, levels.level(level))
    stream = engine.encode(prose, plan, quiet)
    assert benchmark.pedantic(engine.decode, (stream, len(prose), plan, quiet), rounds=3, warmup_rounds=1) == prose


def test_coder(benchmark: Benchmark) -> None:
    source = np.random.default_rng(0)
    chances = source.integers(1, 1 << P_BITS, 100_000).astype(np.uint32)
    bits = (source.integers(0, 1 << P_BITS, chances.size) < chances).astype(np.uint8)

    def there_and_back() -> None:
        encoder = range_coder.Encoder()
        encoder.encode(bits, chances)
        assert np.array_equal(range_coder.Decoder(encoder.finish()).decode(chances), bits)

    benchmark(there_and_back)


def test_container(benchmark: Benchmark) -> None:
    payload, raw = bytes(1000), bytes(5000)

    def there_and_back() -> None:
        archive = io.BytesIO()
        writer = Writer(archive, b"\1\2\3\4")
        for _ in range(200):
            writer.write_coded(raw, payload, Method.MIXED, 1, 0)
        writer.finish()
        archive.seek(0)
        assert sum(member.raw_bytes for member in list_members(archive)) == 200 * len(raw)

    benchmark(there_and_back)


def test_start_of_version(benchmark: Benchmark) -> None:
    command = [sys.executable, "-m", "arzip", "--version"]
    benchmark.pedantic(subprocess.check_output, (command,), rounds=10)


def test_start_of_compressing(benchmark: Benchmark, tmp_path: Path) -> None:
    (tmp_path / "raw").write_bytes(b"a few words\n")
    command = [sys.executable, "-m", "arzip", "-c", str(tmp_path / "raw")]
    benchmark.pedantic(subprocess.check_output, (command,), rounds=5, warmup_rounds=1)
