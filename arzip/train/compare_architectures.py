"""`python -m arzip.train.compare_architectures MIX -o cores.json`: train several networks alike and compare them.

All have the same embedding, quantisation, optimisers and data; only the recurrence has an integer version that arzip
runs. Bits per byte on held-out text are given for the network alone, and mixed with context mixing: what that predicts
without the network, a network gains nothing by predicting.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from arzip import levels
from arzip.context_mixing import pretrained
from arzip.context_mixing.profile import PROFILES
from arzip.context_mixing.state import USE_NETWORK, create
from arzip.network.config import NetworkConfig
from arzip.probability import P_ONE
from arzip.system import figures
from arzip.system.files import write_whole
from arzip.train.architectures import WINDOW, Attention, Convolution, NibbleTree, Tied
from arzip.train.data import Source, held_out_rows, load_mix
from arzip.train.ngram_rows import Feed
from arzip.train.prime import train_document
from arzip.train.qat_network import QatNetwork
from arzip.train.recipes import Recipe
from arzip.train.trainer import Trainer
from arzip.weights.file import load_weights

ROW_BYTES, ROWS_A_SOURCE = 4096, 1


@dataclass(frozen=True)
class Candidate:
    """A network to compare. attention_products: multiplications a byte and block that involve no weights."""

    name: str
    config: NetworkConfig
    network_class: Callable[[NetworkConfig, int], QatNetwork] = QatNetwork
    attention_products: int = 0

    def products(self, net: QatNetwork) -> int:
        """Multiplications a byte of text."""
        matrices: int = sum(v.numel() for n, v in net.p.items() if v.ndim == 2 and n != "byte")
        if self.network_class is NibbleTree:
            matrices -= 240 * self.config.d  # only the 16 low nibbles of one high nibble are computed
        if self.network_class is Tied:
            matrices += int(net.p["byte"].numel())
        return matrices + self.attention_products * self.config.blocks


CANDIDATES = (
    Candidate("recurrence 192 x 2", NetworkConfig()),
    Candidate("attention 192 x 2", NetworkConfig(hidden=832), Attention, 2 * WINDOW * 192),
    Candidate("convolution 192 x 2", NetworkConfig(), Convolution),
    Candidate("recurrence 128 x 1", NetworkConfig(d=128, blocks=1, hidden=384, ngram_d=12)),
    Candidate("recurrence 256 x 2", NetworkConfig(d=256, hidden=768)),
    Candidate("recurrence 192 x 3", NetworkConfig(blocks=3)),
    Candidate("rows of 12", NetworkConfig(ngram_d=12)),
    Candidate("2^18 rows", NetworkConfig(rows=1 << 18)),
    Candidate("orders 3, 4, 5", NetworkConfig(orders=(3, 4, 5))),
    Candidate("no n-grams but 2", NetworkConfig(orders=(2,))),
    Candidate("nibble tree", NetworkConfig(), NibbleTree),
    Candidate("tied output", NetworkConfig(), Tied),
)


@torch.no_grad()
def network_probabilities(net: QatNetwork, text: NDArray[np.uint8]) -> tuple[NDArray[np.int32], float]:
    """text (B, T) -> P(bit = 1) in Q22 (B, T, 8), and the mean bits per byte."""
    last, grams, target = Feed(net.config, "cpu").tensors(text, np.ones(len(text), np.bool_))
    state, parts, nats = net.init_state(len(text)), [], 0.0
    for t in range(0, len(last), 256):
        part = slice(t, t + 256)
        logits, state = net(last[part], net.gather(grams[part]), state)
        nats += float(nn.functional.cross_entropy(logits.flatten(0, 1), target[part].flatten(), reduction="sum"))
        p, bits = torch.softmax(logits, -1), []
        for bit in range(8):  # the two halves of the byte range that the bits so far leave
            halves = p.view(*p.shape[:2], 1 << bit, 2, -1).sum(-1)
            which = (target[part] >> (8 - bit))[..., None, None].expand(-1, -1, 1, 2)
            zero, one = halves.gather(2, which).squeeze(2).unbind(-1)
            bits.append(one / (zero + one))
        parts.append(torch.stack(bits, -1))
    q = torch.cat(parts).transpose(0, 1).numpy() * P_ONE
    return np.clip(np.rint(q), 1, P_ONE - 1).astype(np.int32), nats / math.log(2) / target.numel()


def held_out_bits(net: QatNetwork, held_out: dict[str, NDArray[np.uint8]], start: Path) -> tuple[float, float]:
    """Mean over the kinds of held-out text, in bits per byte: of the network alone, of it with context mixing.

    start: weights file whose n-grams and initial state context mixing gets.
    """
    weights = load_weights(start)
    index, ngrams = levels.MIDDLE, pretrained.ngrams_of(weights.tensors)
    profile, tensors = PROFILES[index], pretrained.initial_states(weights.tensors)[(index, True)]
    alone, mixed = [], []
    for text in held_out.values():
        network_p, bits = network_probabilities(net, text)
        alone.append(bits)
        total = 0.0
        for row in range(len(text)):
            cm = create(profile, np.zeros(1, np.int64), text.shape[1], ngrams)
            cm.clock[USE_NETWORK] = 1
            pretrained.load_into(cm, profile, tensors)
            total += train_document(cm, text[row], network_p[row], np.zeros(len(cm.weights)))
        mixed.append(total / text.size)
    return float(np.mean(alone)), float(np.mean(mixed))


def train_and_evaluate(candidate: Candidate, sources: list[Source], megabytes: float, start: Path) -> dict[str, Any]:
    """Train a network on so many megabytes of text; returns its row of the result."""
    torch.manual_seed(0)
    recipe = Recipe(0.0, 16, 256, 3e-3, 0.03, 0.1, seed=3, budget_bytes=int(megabytes * 1e6))
    trainer = Trainer(candidate.network_class(candidate.config, 0), sources, recipe)
    while trainer.progress() < 1:
        trainer.step()
    alone, mixed = held_out_bits(trainer.net, held_out_rows(sources, ROW_BYTES, ROWS_A_SOURCE), start)
    return {
        "core": candidate.name,
        "products": candidate.products(trainer.net),
        "file_bytes": sum(v.numel() for v in trainer.net.p.values()) + trainer.net.ngram.numel(),
        "seen_bytes": trainer.seen_bytes,
        "alone_bpb": round(alone, 4),
        "mixed_bpb": round(mixed, 4),
    }


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.argument("data", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(dir_okay=False, path_type=Path), help="A JSON file.")
@click.option("--memory", required=True, type=click.Path(exists=True, path_type=Path), help="Model that primes it.")
@click.option("--megabytes", default=2.0, help="Text that each core sees.")
@click.option("--plot", "picture", type=click.Path(dir_okay=False, path_type=Path), help="Draw a PNG too.")
def main(data: tuple[Path, ...], output: Path, memory: Path, megabytes: float, picture: Path | None) -> None:
    """Train every network on the same text, and write each one's size, cost and bits per byte."""
    torch.set_num_threads(1)
    if picture:
        figures.check()
    sources, rows = load_mix(list(data)), []
    for candidate in CANDIDATES:
        rows.append(train_and_evaluate(candidate, sources, megabytes, memory))
        click.echo(json.dumps(rows[-1]))
        write_whole(output, json.dumps(rows, indent=1).encode() + b"\n")
    if picture:
        figures.plot_cores(rows, picture)


if __name__ == "__main__":
    main()
