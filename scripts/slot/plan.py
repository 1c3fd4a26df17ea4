"""The plan of a slot, in one place: which networks are trained, for which share of the time, and how.

A toy plan of the same form serves the rehearsal on a CPU.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from arzip.network.config import NetworkConfig

ROOT = Path(__file__).resolve().parent.parent.parent  # of the checkout


@dataclass(frozen=True)
class Core:
    """A network to train. share: of the time for training; level: whose archives show what it is worth.

    start: of which shipped model it goes on from, "": from random weights. batch: rows of `length` bytes. rate: times
    the learning rates that arzip.train.recipes gives for such a batch.
    """

    name: str
    config: NetworkConfig
    share: float
    level: int
    start: str = ""
    batch: int = 512
    length: int = 256
    rate: float = 1.0


@dataclass(frozen=True)
class Plan:
    """A slot. pack_bytes: of all that travels beside the checkout; more: see arzip.train.data.load_mix.

    held_out_rows, held_out_bytes: rows of a source that are evaluated, and their size. case_lanes, case_steps: of the
    exactness cases. wide_lanes, wide_bytes: of the blocks of the wide cases; wide_full_lanes: of those that are like
    the blocks of large files; wide_blocks: how many of them are timed at once, of 1 MB (1), 16 MB (2) and 256 MB (32)
    of text and beyond, for wide_steps steps; wide_first: the cases that are timed first. network_lanes, network_tiles:
    at which the network is timed, lanes and warps a program, for network_steps steps. batches, timing_steps: of the
    timings. report_seconds: between evaluations. timing_share: of the whole time.
    min_seconds, max_seconds: a network isn't trained for less, nor for more once its process is ready.
    """

    cores: tuple[Core, ...]
    pack_bytes: int
    more: tuple[str, ...] = ()
    held_out_rows: int = 8
    held_out_bytes: int = 1024
    case_lanes: int = 200
    case_steps: int = 24
    wide_lanes: int = 64
    wide_bytes: int = 64 * 500 - 9
    wide_full_lanes: int = 256
    wide_blocks: tuple[int, ...] = (32, 2, 1, 132, 528)
    wide_steps: int = 96
    wide_first: tuple[str, ...] = ()
    network_lanes: tuple[int, ...] = (8192, 2048, 33792)
    network_tiles: tuple[tuple[int, int], ...] = ((64, 4), (16, 4), (64, 8), (32, 4))
    network_steps: int = 50
    batches: tuple[int, ...] = (512, 1024, 2048)
    timing_steps: int = 20
    report_seconds: float = 60.0
    timing_share: float = 0.08
    min_seconds: float = 20.0
    max_seconds: float = math.inf

    def timed_first(self, names: Iterable[str]) -> list[str]:
        """All cases in the order of their worth."""
        return sorted(names, key=lambda name: (name not in self.wide_first, name))

    def core(self, name: str) -> Core:
        """The network of this name."""
        [found] = [core for core in self.cores if core.name == name]
        return found


# What gains most comes first: a slot may end early. base: the largest core that decodes at 12 KB/s without VNNI
# (docs/experiments/2026-11-28-core-sizes.md), with twice the rows of the shipped one.
PLAN = Plan(
    cores=(
        Core("base", NetworkConfig(blocks=3, rows=1 << 17), 0.55, 9),
        Core("small", NetworkConfig(), 0.35, 6, start="small"),
        Core("nano", NetworkConfig(d=128, blocks=1, hidden=384, ngram_d=12), 0.10, 5, start="nano"),
    ),
    wide_first=("full-1-network", "full-1", "full-0"),
    pack_bytes=63_300_000,  # 64 MiB less 3.8 MB for the checkout without its models
)

TOY = Plan(
    cores=(
        Core("base", NetworkConfig(d=64, blocks=2, hidden=64, orders=(2, 3), ngram_d=8), 0.6, 9, "", 8, 64),
        Core("small", NetworkConfig(d=64, blocks=1, hidden=64, orders=(2, 3), ngram_d=8), 0.4, 6, "small", 8, 64),
    ),
    pack_bytes=690_000,
    held_out_rows=2,
    held_out_bytes=256,
    case_lanes=20,
    case_steps=6,
    wide_lanes=5,
    wide_full_lanes=7,
    wide_bytes=58,
    wide_blocks=(2,),
    batches=(8, 16),
    timing_steps=2,
    report_seconds=2.0,
    timing_share=0.25,
    min_seconds=2.0,
    max_seconds=6.0,
)
