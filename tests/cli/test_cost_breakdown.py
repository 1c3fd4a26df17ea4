"""Where the bits go: the costs of single bytes add up to what the engine spends, by place and by kind."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import tiny_network
from helpers import words

from arzip import cli, levels
from arzip import planner as planning
from arzip.cli import cost_breakdown
from arzip.engine.cpu_backend import CpuBackend
from arzip.engine.engine import Engine
from arzip.engine.plan import Plan
from arzip.weights import registry

MIXED = b"Words, 1234 words;\r\n\tmore: \xc3\xa9\x00\n" * 40


@pytest.mark.parametrize("plan", [Plan(1, True, 0), Plan(1, True, 1), Plan(1, False, 2)])
def test_costs_are_those_of_the_engine(plan: Plan) -> None:
    weights = tiny_network.weights(tiny_network.lively())
    engine, raw = Engine(weights, CpuBackend(weights, two_threads=False)), words(3000) + MIXED
    bits = engine.cost_bits(raw, plan)
    gain = levels.ALWAYS if plan.use_network else levels.NEVER
    level = levels.Level(1 << 20, gain, 1, plan.cm_profile or 0, plan.cm_profile or 0)
    costs = cost_breakdown.block_costs(engine, raw, level)
    assert costs.shape == (len(raw),) and costs.min() > 0
    assert abs(costs.sum() - bits) < 1e-6 * bits


def test_costs_are_those_of_the_shipped_model() -> None:
    """Whatever the model's file starts the memory with is in them."""
    try:
        path = registry.find(levels.level(9).model)
    except registry.ModelMissingError:
        pytest.skip("the model is not at hand")
    from arzip.engine.engine import open_engine

    engine = open_engine(path, "cpu")
    bits = engine.cost_bits(MIXED, planning.choose(engine, MIXED, levels.level(9)))
    assert abs(cost_breakdown.byte_costs(MIXED, 9, None).sum() - bits) < 1e-6 * bits


def test_tables_add_up() -> None:
    costs = np.random.default_rng(0).random(len(MIXED))
    tables = cost_breakdown.break_down(MIXED, costs)
    assert len(tables.by_position) == cost_breakdown.SEGMENTS
    for rows in (tables.by_position, tables.by_byte_class):
        assert sum(row["bytes"] for row in rows) == len(MIXED)
        assert abs(sum(row["bits"] for row in rows) - costs.sum()) < 1e-6
        assert abs(sum(row["bits_share"] for row in rows) - 1) < 1e-9
    kinds = {row["class"]: row["bytes"] // 40 for row in tables.by_byte_class}
    assert kinds == {"letter": 14, "digit": 4, "space": 4, "newline": 3, "punctuation": 3, "control": 1, "high": 2}


@pytest.mark.parametrize("raw", [b"", b"a", bytes(7)])
def test_short_files_have_their_tables(raw: bytes) -> None:
    tables = cost_breakdown.break_down(raw, np.ones(len(raw)))
    assert sum(row["bytes"] for row in tables.by_position) == len(raw)


def test_eval_prints_both_tables(tiny_model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a").write_bytes(MIXED)
    call = ["eval", "-m", str(tiny_model), "-1", "--by-position", "--by-byte-class", str(tmp_path / "a")]
    assert cli.main(call) == 0
    out = capfd.readouterr().out
    assert "in one lane" in out and "punctuation" in out and f".. {len(MIXED):,}" in out
    assert cli.main([*call, "--json"]) == 0
    [row] = json.loads(capfd.readouterr().out)
    assert {part["class"] for part in row["by_byte_class"]} == set(cost_breakdown.CLASSES)
    assert abs(sum(part["bits"] for part in row["by_position"]) - row["model_bits"]) < 0.01 * row["model_bits"]


@pytest.mark.skipif(importlib.util.find_spec("matplotlib") is not None, reason="matplotlib is here")
def test_plot_without_matplotlib_is_one_line(
    tiny_model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a").write_bytes(MIXED)
    assert cli.main(["eval", "-m", str(tiny_model), "-1", str(tmp_path / "a"), "--plot", str(tmp_path / "a.png")]) == 1
    err = capfd.readouterr().err
    assert "pip install 'arzip[plot]'" in err and err.count("\n") == 1


@pytest.mark.filterwarnings("default")
def test_plot_is_a_png(tiny_model: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    (tmp_path / "a").write_bytes(MIXED)
    assert cli.main(["eval", "-m", str(tiny_model), "-1", str(tmp_path / "a"), "--plot", str(tmp_path / "a.png")]) == 0
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_plot_needs_a_png_name(capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["eval", "--plot", "a.svg", "a"]) == 1
    assert capfd.readouterr().err.count("\n") == 1
