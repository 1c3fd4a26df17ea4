"""The cores that are compared with the product's: each predicts from the past alone, and carries its state along."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from arzip.network.config import NetworkConfig  # noqa: E402
from arzip.probability import P_ONE  # noqa: E402
from arzip.system import figures  # noqa: E402
from arzip.train.architectures import Attention, Convolution, NibbleTree, Tied  # noqa: E402
from arzip.train.compare_architectures import CANDIDATES, Candidate, network_probabilities  # noqa: E402
from arzip.train.ngram_rows import Feed  # noqa: E402

SMALL = NetworkConfig(d=64, blocks=2, hidden=64, orders=(2, 3), ngram_d=8)
KINDS = [Attention, Convolution, NibbleTree, Tied]


@pytest.fixture
def text() -> np.ndarray:
    return np.random.default_rng(0).integers(97, 123, (2, 300)).astype(np.uint8)


@pytest.mark.parametrize("kind", KINDS)
def test_a_core_goes_on_where_it_stopped_and_never_looks_ahead(kind: type, text: np.ndarray) -> None:
    net = kind(SMALL, 0).eval()
    last, grams, _ = Feed(SMALL, "cpu").tensors(text, np.ones(2, np.bool_))
    with torch.no_grad():
        whole, _ = net(last, net.gather(grams), net.init_state(2))
        first, state = net(last[:170], net.gather(grams[:170]), net.init_state(2))
        second, _ = net(last[170:], net.gather(grams[170:]), state)
    assert whole.shape == (300, 2, 256) and whole.std() > 0
    assert (torch.cat([first, second]) - whole).abs().mean() < 0.01 * whole.std()  # some may round the other way


@pytest.mark.parametrize("kind", KINDS)
def test_probabilities_of_bits_cost_what_the_bytes_cost(kind: type, text: np.ndarray) -> None:
    found, bits = network_probabilities(kind(SMALL, 0), text)
    ones = np.unpackbits(text[..., None], axis=-1).astype(bool)
    p = np.where(ones, found, P_ONE - found) / P_ONE
    assert found.shape == (2, 300, 8)
    assert -np.log2(p).sum() / text.size == pytest.approx(bits, rel=1e-3)


def test_products_are_counted() -> None:
    plain = Candidate("", replace(SMALL, blocks=1))
    d = 64
    assert plain.products(plain.network_class(plain.config, 0)) == 3 * d * 2 * d + d * d + 2 * d * d + 256 * d
    tree = replace(plain, network_class=NibbleTree)
    assert (
        plain.products(plain.network_class(plain.config, 0)) - tree.products(tree.network_class(tree.config, 0))
        == 224 * d
    )
    assert len({candidate.name for candidate in CANDIDATES}) == len(CANDIDATES)


def test_picture_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    rows = [{"core": "a", "products": 10**6, "alone_bpb": 3.0, "mixed_bpb": 2.0}]
    figures.plot_cores(json.loads(json.dumps(rows)), tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
