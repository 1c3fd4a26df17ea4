"""A slot on a rented machine: what is packed, how its stages run and fail, how its networks come back."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

CHECKOUT = Path(__file__).parents[2]
if not (CHECKOUT / "scripts" / "slot").is_dir():
    pytest.skip("no checkout", allow_module_level=True)
pytest.importorskip("torch")
sys.path.append(str(CHECKOUT))  # behind what is installed

from arzip.errors import ArzipError  # noqa: E402
from arzip.train.data import SHARES, Source, load_mix, load_source  # noqa: E402
from scripts.slot import cases, compare, exports, land, pack, rehearse, subset  # noqa: E402
from scripts.slot.plan import PLAN, TOY, Core  # noqa: E402
from scripts.slot.run import Slot, train_all  # noqa: E402
from scripts.slot.training import WAYS  # noqa: E402
from scripts.slot.unpack import unpack  # noqa: E402


@pytest.mark.parametrize("core", [core for core in PLAN.cores if core.start], ids=lambda core: core.name)
def test_network_of_the_plan_has_the_shape_of_the_model_it_goes_on_from(core: Core) -> None:
    from arzip.weights import registry as models
    from arzip.weights.file import load_weights

    try:
        path = models.find(core.start)
    except ArzipError:
        pytest.skip("the shipped model is not at hand")
    start = load_weights(path, with_initial_states=False).config
    assert dataclasses.replace(start, blocks=core.config.blocks) == core.config and start.blocks <= core.config.blocks


# ------------------------------------------------------------------------------------------- what is taken of a source


def numbered(folder: Path, documents: int) -> Source:
    """A source whose document k is k, four bytes, 20 to 60 times."""
    sizes = np.random.default_rng(documents).integers(20, 60, documents)
    np.repeat(np.arange(documents), sizes).astype("<u4").tofile(folder / "numbered.bin")
    (4 * (np.cumsum(sizes) - sizes)).astype("<u8").tofile(folder / "numbered.idx")
    return load_source(folder / "numbered.bin", "kind", 1.0)


def numbers(source: Source, spans: np.ndarray) -> list[int]:
    """The documents in these spans, each whole."""
    found = [np.frombuffer(source.data[lo:hi].tobytes(), "<u4") for lo, hi in spans]
    assert all(len(set(document.tolist())) == 1 for document in found)
    return [int(document[0]) for document in found]


@pytest.mark.parametrize("documents", [3, 57, 99, 100, 101, 150, 199, 200, 1234])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.8, 1.0])
def test_part_of_a_source_holds_out_what_the_whole_holds_out(documents: int, share: float, tmp_path: Path) -> None:
    whole = numbered(tmp_path, documents)
    asked = int(share * whole.data.size)
    part = subset.take(whole, asked)
    (tmp_path / "part.bin").write_bytes(part.data)
    part.starts.astype("<u8").tofile(tmp_path / "part.idx")
    taken = load_source(tmp_path / "part.bin", "kind", 1.0)
    held, train = numbers(taken, taken.held_out), numbers(taken, taken.train)
    assert held and set(held) <= set(numbers(whole, whole.held_out))
    assert train and set(train) <= set(numbers(whole, whole.train)) and train == sorted(train)
    assert abs(taken.data.size - asked) < 3 * 240 + 0.02 * asked
    if share == 1.0:
        assert (len(train), len(held)) == (len(whole.train), len(whole.held_out))


@pytest.mark.parametrize("asked", [100, 5000, 10**6])
def test_part_of_a_single_document_holds_out_its_end(asked: int, tmp_path: Path) -> None:
    (tmp_path / "one.bin").write_bytes(np.arange(25000).astype("<u4").tobytes())
    whole = load_source(tmp_path / "one.bin", "kind", 1.0)
    (tmp_path / "part.bin").write_bytes(subset.take(whole, asked).data)
    taken = load_source(tmp_path / "part.bin", "kind", 1.0)
    [(lo, hi)], [(_, cut)] = taken.held_out, whole.train
    assert taken.data[lo:hi].tobytes() in whole.data[cut:].tobytes()
    assert taken.data[:lo].tobytes() == whole.data[:lo].tobytes() and lo <= cut


def test_folder_with_shares_is_drawn_by_them(tmp_path: Path) -> None:
    for name in ("a/x", "b/x", "b/y"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.bin").write_bytes(bytes(1000))
    (tmp_path / SHARES).write_text(json.dumps({"a/x": 0.5, "b/x": 0.2, "b/y": 0.3}))
    assert {(s.kind, s.name): s.share for s in load_mix([tmp_path])} == {
        ("a", "x"): 0.5,
        ("b", "x"): 0.2,
        ("b", "y"): 0.3,
    }
    (tmp_path / SHARES).write_text(json.dumps({"a/x": 1.0}))
    with pytest.raises(ValueError, match=r"not both in shares\.json and among the files"):
        load_mix([tmp_path])


def test_sources_are_taken_in_proportion_to_their_shares_or_whole() -> None:
    sizes, shares, costs = np.array([1e9, 1e6, 1e9]), np.array([0.6, 0.2, 0.2]), np.array([0.3, 0.1, 0.2])
    taken = pack.allocate(sizes, shares, costs, 50e6)
    assert taken[1] == 10**6 and taken[0] == pytest.approx(3 * taken[2], rel=1e-6)
    assert (taken * costs).sum() == pytest.approx(50e6, rel=1e-4)


# ------------------------------------------------------------------------------------------------- stages and failures


@pytest.fixture
def slot(tmp_path: Path) -> Slot:
    return Slot(tmp_path / "results", 100.0, [])


class Stages:
    """Stands in for Slot.stage: networks fail in ways before these."""

    def __init__(self, **needed: int) -> None:
        self.needed, self.calls = needed, []

    def __call__(self, name: str, words: list[str], until: float) -> bool:
        core, way = words[1], int(words[-1])
        self.calls.append((core, way, until - time.time()))
        return way >= self.needed.get(core, 0)


def test_what_fails_is_tried_in_a_safer_way_and_so_is_the_rest(slot: Slot, monkeypatch: pytest.MonkeyPatch) -> None:
    stages = Stages(small=2)
    monkeypatch.setattr(slot, "stage", stages)
    train_all(slot, PLAN, time.time() + 1000)
    tried = [(core, way) for core, way, _ in stages.calls]
    assert tried == [("base", 0), ("small", 0), ("small", 1), ("small", 2), ("nano", 2)]


def test_network_that_fails_in_every_way_stops_nothing(slot: Slot, monkeypatch: pytest.MonkeyPatch) -> None:
    stages = Stages(base=9)
    monkeypatch.setattr(slot, "stage", stages)
    train_all(slot, PLAN, time.time() + 1000)
    assert [core for core, _, _ in stages.calls] == ["base"] * len(WAYS) + ["small", "nano"]


def test_time_for_training_is_shared_as_the_plan_says(slot: Slot, monkeypatch: pytest.MonkeyPatch) -> None:
    stages = Stages()
    monkeypatch.setattr(slot, "stage", stages)
    train_all(slot, PLAN, time.time() + 1000)  # the stages take no time here: what one leaves, the next may use
    shares = [core.share for core in PLAN.cores]
    expected = [1000 * share / sum(shares[k:]) for k, share in enumerate(shares)]
    assert [seconds for _, _, seconds in stages.calls] == pytest.approx(expected, abs=1)
    assert sum(shares) == pytest.approx(1)


def test_too_little_time_trains_nothing(
    slot: Slot, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    stages = Stages()
    monkeypatch.setattr(slot, "stage", stages)
    train_all(slot, PLAN, time.time() + 5)
    assert not stages.calls and capfd.readouterr().out.count("too few to train") == 3


@pytest.mark.parametrize(
    ("program", "whole", "logged"),
    [
        ("print('RESULT {\"a\": 1}')", True, "done"),
        ("print('half'); raise MemoryError('full')", False, "MemoryError: full"),
        ("import time; print('begun', flush=True); time.sleep(60)", False, "FAILED, exit code -9"),
        ("print('no result')", False, "FAILED, exit code 0"),
    ],
)
def test_stage_that_fails_or_hangs_is_ended_and_logged(program: str, whole: bool, logged: str, slot: Slot) -> None:
    slot.command = [sys.executable, "-c", program]
    began = time.time()
    assert slot.stage("it", [], began - 2) is whole and time.time() - began < 20
    assert logged in (slot.output / "log.txt").read_text()
    found = json.loads((slot.output / "results.json").read_text())["it"]
    assert found == {"a": 1} if whole else "failed" in found


def run_installed(module: str, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a module of the checkout's scripts with the arzip that is installed, whose kernels are compiled."""
    code = (
        f"import runpy, sys; sys.path.append({str(CHECKOUT)!r}); runpy.run_module({module!r}, None, '__main__', True)"
    )
    command = [sys.executable, "-c", code, *map(str, words)]
    return subprocess.run(command, cwd=CHECKOUT / "tests", capture_output=True, text=True, timeout=300)


def run_module(*words: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *map(str, words)]
    return subprocess.run(
        command, cwd=CHECKOUT, capture_output=True, text=True, env=os.environ | variables, timeout=300
    )


def test_output_that_cannot_be_written_is_said_before_anything_is_run(tmp_path: Path) -> None:
    (tmp_path / "taken").write_bytes(b"")
    (tmp_path / "pack").mkdir()
    done = run_module("scripts.slot.run", tmp_path / "pack", "-o", tmp_path / "taken" / "in")
    assert done.returncode == 1 and "nothing was run" in done.stderr and not done.stdout


# --------------------------------------------------------------------------------------------------- exports in pieces


def test_export_of_several_pieces_comes_back_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "PIECE_BYTES", 1000)
    for size in (0, 999, 1000, 2500):
        data = bytes(range(256)) * 10
        exports.write(tmp_path, f"a{size}", data[:size], {"seen_bytes": size})
    assert all(exports.read(tmp_path, f"a{size}") == data[:size] for size in (0, 999, 1000, 2500))
    assert exports.read_index(tmp_path)["a2500"]["seen_bytes"] == 2500
    assert max(path.stat().st_size for path in tmp_path.glob("a*")) <= 1000


def test_export_that_was_broken_off_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "PIECE_BYTES", 1000)
    exports.write(tmp_path, "a", bytes(2500), {})
    (tmp_path / "a.0").write_bytes(b"1" * 1000)  # the next writing came so far
    with pytest.raises(ValueError, match="don't make the file"):
        exports.read(tmp_path, "a")
    (tmp_path / "a.0").unlink()
    with pytest.raises(ValueError, match=r"a\.0: No such file"):
        exports.read(tmp_path, "a")
    with pytest.raises(ValueError, match="no export is called 'b'; there are: a"):
        exports.read(tmp_path, "b")


# ------------------------------------------------------------------------------------------------ a rehearsal, in parts


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a toy mix, toy models, toy corpora, and slot/, a pack of them."""
    folder = tmp_path_factory.mktemp("rehearsal")
    rehearse.make_mix(folder / "mix")
    rehearse.make_models(folder / "models")
    rehearse.make_corpora(folder / "corpora")
    words = ["-o", folder / "slot", "--models", folder / "models", "--toy"]
    done = run_installed("scripts.slot.pack", folder / "mix", *words)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def results(packed: Path) -> Path:
    """What a run without numba and constriction leaves."""
    for name in ("numba", "constriction", "llvmlite"):
        (packed / "without").mkdir(exist_ok=True)
        (packed / "without" / f"{name}.py").write_text("raise ImportError('not on this machine')")
    words = ["-o", packed / "results", "--seconds", "240", "--device", "cpu", "--toy"]
    done = run_module("scripts.slot.run", packed / "slot", *words, PYTHONPATH=str(packed / "without"))
    assert done.returncode == 0, done.stderr
    return packed / "results"


def test_pack_unpacks_to_documents_and_shares_of_the_mix(packed: Path, tmp_path: Path) -> None:
    assert unpack(packed / "slot", tmp_path) > 0
    whole = {(s.kind, s.name): s for s in load_mix([packed / "mix"])}
    parts = {(s.kind, s.name): s for s in load_mix([tmp_path / "mix"])}
    assert parts.keys() == whole.keys()
    for key, part in parts.items():
        assert part.share == pytest.approx(whole[key].share, abs=1e-6)
        text = whole[key].data.tobytes()
        assert all(part.data[lo:hi].tobytes() in text for lo, hi in part.train)
    assert sum(part.data.size for part in parts.values()) < sum(source.data.size for source in whole.values())


def test_damaged_pack_is_noticed(packed: Path, tmp_path: Path) -> None:
    shutil.copytree(packed / "slot", tmp_path / "slot")
    facts = json.loads((tmp_path / "slot/pack.json").read_text())
    name = "mix/markup/json.bin"
    facts["files"][name] = "0" * 64
    (tmp_path / "slot/pack.json").write_text(json.dumps(facts))
    with pytest.raises(ValueError, match=r"markup/json\.bin is damaged"):
        unpack(tmp_path / "slot", tmp_path / "there")


def test_run_needs_no_numba_and_every_stage_brings_something(results: Path) -> None:
    assert not rehearse.failures(results), (results / "log.txt").read_text()
    found = json.loads((results / "results.json").read_text())
    for core in TOY.cores:
        assert found[f"train {core.name}"]["seen_bytes"] > 0
        assert set(found[f"train {core.name}"]["bits_per_byte"]) == {"code", "en_text", "markup"}
    assert len(list(results.iterdir())) <= 8  # so many files a rented machine may give back


def test_case_that_differs_is_told_with_place_and_size(packed: Path, tmp_path: Path) -> None:
    """The compiled step stands in for the GPU's: the rows that a case left out are never asked for."""
    from arzip.network import forward_cpu

    def stepper(weights: Any, lanes: int, tile: int) -> cases.Stepper:
        network = forward_cpu.load_network(weights)
        state = forward_cpu.init_state(network, lanes)

        def run(last: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            forward_cpu.step(network, state, last, 0, lanes)
            return state.freqs, state.h

        return run

    unpack(packed / "slot", tmp_path, ["cases/"])
    case = cases.load((tmp_path / "cases/small.npz").read_bytes())
    assert all("EQUAL" in line for line in cases.check(case, stepper))
    case["digests"][3, 1] = "0"
    first, second, *others = cases.check(case, stepper)
    assert "DIFFERENT at step 3: states" in first and "DIFFERENT" in second
    assert others and all("EQUAL" in line for line in others)


def test_wide_cases_are_packed_for_every_profile_with_and_without_the_network(packed: Path, tmp_path: Path) -> None:
    unpack(packed / "slot", tmp_path, ["wide/"])
    names = {path.stem for path in (tmp_path / "wide").glob("*.npz")}
    assert names >= {f"{profile}{network}" for profile in range(4) for network in ("", "-network")}
    assert set(PLAN.wide_first) <= names


# -------------------------------------------------------------------------------------------------------- the way back


def test_network_takes_over_counted_ngrams_and_nothing_else(packed: Path, results: Path) -> None:
    from arzip.weights.file import load_weights, parse_weights

    old = load_weights(packed / "models/small.safetensors")
    export = parse_weights(exports.read(results, "small.safetensors"), "export")
    new = land.take_over(export, old)
    assert (new.tensors["memory.ngrams"] == old.tensors["memory.ngrams"]).all()
    assert {name for name in new.tensors if name.startswith("memory.")} == {"memory.ngrams"}
    assert all((new.tensors[name] == tensor).all() for name, tensor in export.tensors.items())
    assert new.metadata["counted_bytes"] == old.metadata["counted_bytes"]


def test_archives_are_measured_once_and_what_is_larger_is_named(tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "calgary").mkdir()
    (tmp_path / "calgary/text").write_bytes(b"a few words of text, " * 40)
    files = compare.evaluation_files(tmp_path, ["calgary"])
    job = compare.Job("calgary", files[0][1], 6, tiny_model)
    said: list[str] = []
    results = compare.measure_all([job], tmp_path / "sizes.json", said.append)
    assert compare.measure_all([job], tmp_path / "sizes.json", said.append) == results and len(said) == 1
    assert 0 < results[job].archive_bytes < results[job].raw_bytes == 840
    larger = compare.Result(840, results[job].archive_bytes * 2, (1.0, 1.0))
    found = [compare.Pair("calgary", "text", 6, results[job], larger), compare.Pair("calgary", "b", 6, larger, larger)]
    [line] = compare.worse(found)
    assert line.startswith("calgary/text -6:") and "+100.00%" in line
    assert "| calgary -6 | 1,680 |" in compare.table(found)[2]
    with pytest.raises(ValueError, match="no such corpus"):
        compare.evaluation_files(tmp_path, ["json"])


def test_what_speaks_against_a_network_is_said() -> None:
    good, bad = ({"code": 2.0}, {"code": 2.001}), ({"code": 2.0}, {"code": 2.1})
    landed = land.Landed(TOY.core("small"), Path("old"), Path("new"), 5, (good, bad))
    doubts = land.doubts(landed)
    assert len(doubts) == 2 and "more than rounding" in doubts[0] and "held out: 2.0010 -> 2.1000" in doubts[1]
    assert not land.doubts(land.Landed(TOY.core("small"), Path("old"), Path("new"), 5, (bad, good)))
