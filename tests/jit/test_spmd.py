"""Kernels in SPMD form have no data races, and many threads leave what one leaves: run as Python, all accesses watched.

ARZIP_LONG_TESTS=1 runs every profile at every team size, and looks for barriers that nothing needs.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from spmd.cases import WARM_STEPS, Case, block_bytes, frequencies, new_lanes, new_state, text_of

import arzip
from arzip.coding import wide
from arzip.context_mixing import predictor
from arzip.jit.spmd import Launch

TESTS = Path(__file__).parents[1]
FAST, FULL, MIDDLE, LARGE = range(4)
CASES = (
    Case(FAST, False, 8, Launch(1, 8), 4),
    Case(FAST, True, 6, Launch(32, 64), 3),
    Case(MIDDLE, True, 7, Launch(2, 8), 3),
    Case(MIDDLE, False, 4, Launch(8, 32), 3),
    Case(FULL, False, 4, Launch(4, 16), 2),
    Case(FULL, True, 3, Launch(16, 32), 2),
    Case(LARGE, True, 4, Launch(8, 32), 2),
    Case(LARGE, False, 3, Launch(1, 3), 2),
)
# What is left out, or made no atomic operation -> a case in which that is a race.
PLANTED = {
    "replace_slots": Case(MIDDLE, False, 16, Launch(4, 32), 2),  # two lanes replace one slot
    "add_inputs": Case(LARGE, True, 4, Launch(8, 32), 1),  # only profiles with joint maps have this barrier
    "update": CASES[3],
    "insert": CASES[3],
    "atomic_add": CASES[3],
    "atomic_max": CASES[3],
}
TEAM_SIZES = (1, 2, 4, 8, 16, 32)
LONG = pytest.mark.skipif(not os.environ.get("ARZIP_LONG_TESTS"), reason="takes long: ARZIP_LONG_TESTS=1 runs it")


class Blocks:
    """Blocks in the middle of their text, on disk, and what the CPU's kernels make of their next steps."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.made: dict[Case, tuple[Path, dict[str, str]]] = {}

    def digests(self, case: Case) -> dict[str, str]:
        """Of every array after the case's steps, by the CPU's kernels; `job` can be called then."""
        if case not in self.made:
            path = self.folder / f"{case}.npz"
            cm, freqs = new_state(case, block_bytes(case)), frequencies(case)
            block = new_lanes(case, text_of(block_bytes(case), case.lanes))
            predictor.begin(cm, 0, case.lanes)
            wide.code_steps(cm, block, freqs, 0, WARM_STEPS)
            arrays = {f"cm.{name}": array for name, array in cm._asdict().items()}
            arrays |= {f"block.{name}": array for name, array in block._asdict().items()} | {"frequencies": freqs}
            np.savez(path, **arrays)  # type: ignore[arg-type]
            wide.code_steps(cm, block, freqs, WARM_STEPS, WARM_STEPS + case.steps)
            self.made[case] = path, {n: hashlib.sha256(array.tobytes()).hexdigest() for n, array in arrays.items()}
        return self.made[case][1]

    def simulate(self, cases: tuple[Case, ...], without: tuple[str, ...] = ("",)) -> Iterator[dict[str, Any]]:
        """Results of spmd/simulator.py for each case, without each of these barriers."""
        jobs = [
            {
                "state": str(self.made[case][0]) if self.digests(case) else "",
                "launch": case.launch,
                "steps": (WARM_STEPS, WARM_STEPS + case.steps),
                "seed": seed,
                "without": name,
            }
            for seed, case in enumerate(cases)
            for name in without
        ]
        (self.folder / "jobs.json").write_text(json.dumps(jobs))
        paths = os.pathsep.join([str(Path(arzip.__file__).parents[1]), str(TESTS)])
        environment = {**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": paths}
        command = [sys.executable, "-m", "spmd.simulator", str(self.folder / "jobs.json")]
        lines = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
        return map(json.loads, lines.splitlines())


@pytest.fixture(scope="module")
def blocks(tmp_path_factory: pytest.TempPathFactory) -> Blocks:
    return Blocks(tmp_path_factory.mktemp("blocks"))


def check(case: Case, result: dict[str, Any], expected: dict[str, str]) -> None:
    """Threads without races leave the CPU's arrays."""
    assert not result["failure"], case
    assert not result["races"], case
    assert {name for name, digest in result["digests"].items() if digest != expected[name]} == set(), case


def test_threads_of_a_block_do_not_race_and_leave_what_the_cpu_leaves(blocks: Blocks) -> None:
    for case, result in zip(CASES, blocks.simulate(CASES), strict=True):
        check(case, result, blocks.digests(case))


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_race_is_found(blocks: Blocks, name: str) -> None:
    (result,) = blocks.simulate((PLANTED[name],), (name,))
    assert result["races"]


@LONG
@pytest.mark.parametrize("network", [False, True])
@pytest.mark.parametrize("profile", [FAST, FULL, MIDDLE, LARGE])
def test_no_team_size_races(blocks: Blocks, profile: int, network: bool) -> None:
    cases = tuple(Case(profile, network, 5, Launch(size, 4 * size), 4) for size in TEAM_SIZES)
    for case, result in zip(cases, blocks.simulate(cases), strict=True):
        check(case, result, blocks.digests(case))


@LONG
def test_every_barrier_is_needed(blocks: Blocks) -> None:
    case = Case(LARGE, True, 4, Launch(8, 32), 2)
    (whole,) = blocks.simulate((case,))
    names = tuple(whole["barriers"])
    results = dict(zip(names, blocks.simulate((case,), names), strict=True))
    assert {name for name, result in results.items() if not result["races"]} == set()
