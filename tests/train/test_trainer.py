"""The training loop: one step whichever way it is made, budgets, deadlines, and no compiler of CPU kernels."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

from arzip.network.config import NetworkConfig  # noqa: E402
from arzip.train import long_run, optim  # noqa: E402
from arzip.train.cuda_graph import GraphedStep  # noqa: E402
from arzip.train.data import Source, load_mix  # noqa: E402
from arzip.train.device_mix import SLOTS, DeviceMix, HostMix  # noqa: E402
from arzip.train.long_run import Periods  # noqa: E402
from arzip.train.qat_network import QatNetwork  # noqa: E402
from arzip.train.recipes import Recipe, scaled  # noqa: E402
from arzip.train.trainer import WAIT_STEPS, Trainer  # noqa: E402
from arzip.weights.file import parse_weights  # noqa: E402

SMALL = NetworkConfig(d=64, blocks=2, hidden=64, orders=(2, 3), ngram_d=8)
RECIPE = Recipe(1.0, 4, 32, 3e-3, 0.03, 0.1, seed=1)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> list[Source]:
    """Two sources of documents that share their words."""
    folder = tmp_path_factory.mktemp("mix")
    rng = np.random.default_rng(0)
    words = [bytes(rng.integers(97, 123, n).astype(np.uint8)) for n in rng.integers(2, 9, 50)]
    for name in ("a", "b"):
        documents = [b" ".join(words[k] for k in rng.integers(0, 50, 400)) for _ in range(120)]
        (folder / f"{name}.bin").write_bytes(b"".join(documents))
        sizes = np.array([len(d) for d in documents])
        (np.cumsum(sizes) - sizes).astype("<u8").tofile(folder / f"{name}.idx")
    return load_mix([folder])


# ------------------------------------------------------------------------------------------------------------ the parts


def test_text_on_the_device_gives_the_hosts_batches(sources: list[Source]) -> None:
    mixes = [mix(sources, 5, 64, 7, "cpu") for mix in (HostMix, DeviceMix)]
    for _ in range(2 * SLOTS + 3):
        for mix in mixes:
            mix.prepare()
        (text, fresh), (text_there, fresh_there) = (mix.draw() for mix in mixes)
        assert torch.equal(text, text_there) and torch.equal(fresh, fresh_there)
    assert WAIT_STEPS < SLOTS


def test_muon_is_that_of_torch() -> None:
    if not hasattr(torch.optim, "Muon"):
        pytest.skip("this torch has no Muon")
    g = torch.Generator().manual_seed(0)
    shapes = [(96, 32), (32, 96), (32, 32), (96, 32), (48, 96)]
    mine, theirs = ([torch.nn.Parameter(torch.ones(s)) for s in shapes] for _ in range(2))
    optimizers = optim.Muon(mine, 0.1, 0.01), torch.optim.Muon(theirs, lr=0.1, weight_decay=0.01)
    for _ in range(5):
        for a, b in zip(mine, theirs, strict=True):
            a.grad = torch.randn(a.shape, generator=g)
            b.grad = a.grad.clone()
        for optimizer in optimizers:
            optimizer.step()
    for a, b in zip(mine, theirs, strict=True):
        assert (a - b).abs().max() < 0.02 * (b - 1).abs().max()


def test_dense_adagrad_is_the_sparse_one() -> None:
    g = torch.Generator().manual_seed(0)
    tables = [torch.zeros(3, 1000, 4) for _ in range(2)]
    totals = [torch.full((3, 1000, 4), 1e-7) for _ in range(2)]
    dense = optim.DenseAdagrad(tables[1])
    for _ in range(5):
        rows = torch.randint(0, 1000, (300, 3), generator=g) // 7  # many of them twice and more
        grad = torch.randn(300, 3, 4, generator=g) * 1e-3
        optim.sparse_adagrad(tables[0], totals[0], rows, grad, 0.1, 1.98)
        dense.step(tables[1], totals[1], rows, grad, torch.tensor(0.1), 1.98)
    assert tables[0].abs().max() > 0.1
    assert torch.allclose(*tables, rtol=1e-5, atol=1e-6) and torch.allclose(*totals, rtol=1e-5, atol=1e-12)


# ------------------------------------------------------------------------------------------------------------- the step


def test_a_step_made_as_on_a_gpu_is_the_cpus(sources: list[Source]) -> None:
    recipe = dataclasses.replace(RECIPE, budget_bytes=100 * RECIPE.batch * RECIPE.length)  # a clock would differ
    trainers = [Trainer(QatNetwork(SMALL, 0), sources, recipe, fused=fused) for fused in (False, True)]
    for step in range(4):
        losses = [float(trainer.step()) for trainer in trainers]
        assert losses[0] == pytest.approx(losses[1], rel=1e-3)
        if step == 0:
            for plain, fused in zip(trainers[0].net.p.values(), trainers[1].net.p.values(), strict=True):
                assert torch.allclose(plain, fused, rtol=1e-4, atol=1e-5)
            assert torch.allclose(trainers[0].net.ngram, trainers[1].net.ngram, atol=1e-5)
    assert trainers[0].net.ngram.abs().max() > 1e-3


class Operations(TorchDispatchMode):
    """Names of the operations that were called."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        self.names.append(func.name())
        return func(*args, **(kwargs or {}))


def test_a_gpus_step_asks_for_no_value_and_leaves_its_tensors_in_place(sources: list[Source]) -> None:
    trainer = Trainer(QatNetwork(SMALL, 0), sources, RECIPE, fused=True)
    for _ in range(2):
        trainer.step()
    trainer.optimizers.pop()  # torch's AdamW, which is told to do so only on a GPU

    def places() -> list[int]:
        kept = [trainer.net.ngram, trainer.ngram_sum, trainer.feed.contexts, trainer.loss_sum, *trainer.net.p.values()]
        kept += [value for pair in trainer.state for value in pair]
        kept += [value for o in trainer.optimizers for s in o.state.values() for value in s.values()]
        return [value.data_ptr() for value in kept]

    before = places()
    trainer.mix.prepare()
    with Operations() as called:
        trainer.work()
    assert places() == before and len(called.names) > 100
    asking = ("local_scalar_dense", "item", "nonzero", "unique", "masked_select", "is_nonzero", "equal")
    assert not [name for name in called.names if name.split("::")[1].split(".")[0].lstrip("_") in asking]


def test_without_a_gpu_there_is_no_graph_but_a_step_and_a_line() -> None:
    said: list[str] = []
    step = GraphedStep(lambda: torch.ones(()), said.append)
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert [float(step()) for _ in range(6)] == [1.0] * 6
    assert len(said) == 1 and said[0].startswith("no CUDA graph")


# ------------------------------------------------------------------------------------------------------------- the runs


def test_a_budget_of_bytes_is_kept_and_the_rate_comes_down(sources: list[Source], tmp_path: Path) -> None:
    trainer = Trainer(QatNetwork(SMALL, 0), sources, Recipe(9.0, 4, 32, budget_bytes=4 * 32 * 20))
    bits = trainer.run(tmp_path / "checkpoint", lambda _: None)
    assert trainer.steps == 20 and set(bits) == {""}
    assert trainer.learning_rate() == pytest.approx(trainer.recipe.final_lr_share)
    other = Trainer(QatNetwork(SMALL, 1), sources, trainer.recipe)
    other.load(tmp_path / "checkpoint")
    assert torch.equal(other.net.ngram, trainer.net.ngram) and other.steps == 20 and other.progress() == 1


def test_a_deadline_is_met_with_the_last_export(sources: list[Source], monkeypatch: pytest.MonkeyPatch) -> None:
    now, looks = 100.0, []

    def clock() -> float:  # reading it takes a hundredth of a second, an evaluation a whole one
        nonlocal now
        now += 0.01
        return now

    def evaluate(*_: object) -> dict[str, float]:
        nonlocal now
        now += 1.0
        looks.append(now)
        return {"text": 2.0}

    monkeypatch.setattr(time, "monotonic", clock)
    monkeypatch.setattr(long_run, "evaluate", evaluate)
    trainer = Trainer(QatNetwork(SMALL, 0), sources, Recipe(0.0, 4, 32))
    files: list[bytes] = []
    trainer.metadata["name"] = "here"
    assert trainer.run(None, lambda _: None, Periods(1, 3, 3, 3), deadline=110.0, on_export=files.append) == {"text": 2}
    assert 107.5 < now < 110  # half an evaluation and a second are kept for what takes longer than before
    assert trainer.learning_rate() == pytest.approx(trainer.recipe.final_lr_share)
    assert len(looks) >= 3 and len(files) >= 3
    weights = parse_weights(files[-1], "here")
    assert weights.metadata["name"] == "here" and int(weights.metadata["seen_bytes"]) == trainer.seen_bytes
    assert weights.metadata["bits_per_byte"] == "text 2.000"


def test_rates_grow_with_the_batch_and_adagrads_start_shrinks_with_a_touchs_gradient() -> None:
    old, wider, widest = scaled(16, 256), scaled(64, 256), scaled(512, 256, budget_bytes=10**9, seed=3)
    assert (old.lr, old.muon_lr, old.ngram_lr, old.ngram_start) == (3e-3, 0.03, 0.1, 1e-7)
    assert wider.muon_lr == pytest.approx(2 * old.muon_lr) and wider.ngram_start == pytest.approx(old.ngram_start / 16)
    assert widest.muon_lr == pytest.approx(0.09) and widest.ngram_lr == pytest.approx(0.4)
    assert widest.ngram_start == pytest.approx(1e-7 / 32**2) and (widest.budget_bytes, widest.seed) == (10**9, 3)


NO_NUMBA = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("numba", "llvmlite", "constriction"):
            raise ImportError(name)
sys.meta_path.insert(0, Blocked())
from pathlib import Path
from arzip.network.config import NetworkConfig
from arzip.weights.file import parse_weights
from arzip.train import cuda_graph, device_mix, export, scan
from arzip.train.data import load_mix
from arzip.train.recipes import Recipe
from arzip.train.trainer import Trainer
from arzip.train.qat_network import QatNetwork
config = NetworkConfig(d=64, blocks=1, hidden=64, orders=(2, 3), ngram_d=8)
trainer = Trainer(QatNetwork(config), load_mix([Path(sys.argv[1])]), Recipe(1.0, 2, 32), fused=True)
before = float(trainer.step())
data = export.export_bytes(trainer.net, {"name": "x"})
again = export.import_weights(parse_weights(data, "x"))
assert export.export_bytes(again, {"name": "x"}) == data
assert not {"numba", "constriction"} & set(sys.modules)
print("trained", before > 0)
"""


def test_training_needs_no_compiler_of_cpu_kernels(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"some words, again and again. " * 1000)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", NO_NUMBA, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.stdout == "trained True\n", done.stderr
