"""Blocks for the tests of the SPMD kernels: each profile, with the network and without, in the middle of a text.

Imported by the tests and by simulator.py, in a process without a compiler: nothing here may call a kernel.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from arzip.coding import lane_state, range_coder
from arzip.coding.lane_state import LaneState
from arzip.context_mixing import pretrained
from arzip.context_mixing.profile import PROFILES
from arzip.context_mixing.state import USE_NETWORK, CMState, create
from arzip.jit.spmd import Launch

WARM_STEPS = 254  # coded before the steps that a simulator repeats: matches, fields and votes for a record length


class Case(NamedTuple):
    """What a block's steps are coded with."""

    profile: int  # index in PROFILES
    network: bool
    lanes: int
    launch: Launch
    steps: int  # that are simulated; the last one has one lane less

    def __str__(self) -> str:
        mode = "network" if self.network else "alone"
        return f"{self.profile}-{mode}-{self.lanes}x{self.launch.team_size}of{self.launch.block_threads}"


def text_of(size: int, seed: int) -> bytes:
    """Words, lines with fields, and records of 24 bytes; neighbouring lanes have much in common."""
    rng = np.random.default_rng(seed)
    words = [b"the ", b"Team ", b"of ", b"bytes\n", b"name=\xe9, ", b"<tag>", b"12.5;"]
    parts: list[bytes] = []
    while sum(map(len, parts)) < size:
        if rng.integers(3):
            parts += [words[i] for i in rng.integers(len(words), size=8)]
        else:
            parts += [b"RECORD" + bytes([i, 0, 7]) + b"abcdefghij\x01\x02\x03\x04\x05" for i in range(16)]
    return b"".join(parts)[:size]


def pretrained_tensors(profile: int, seed: int) -> dict[str, NDArray[Any]]:
    """A valid pretrained state of random values: entries and weights near their limits are among them."""
    rng = np.random.default_rng(seed)
    shapes = {name: shape for name, (shape, _) in pretrained.layout(PROFILES[profile]).items()}
    words = rng.integers(0, 1 << 22, shapes["maps"]) << pretrained.COUNT_BITS | rng.integers(0, 9, shapes["maps"])
    return {
        "maps": words.astype(np.uint32),
        "weights": np.clip(rng.normal(0, 9000, shapes["weights"]), -32767, 32767).astype(np.int16),
        "final": rng.integers(0, 1 << 19, shapes["final"]).astype(np.int32),
    }


def new_state(case: Case, size: int) -> CMState:
    """A pretrained state before its block's first byte; `begin` must be called."""
    ngrams = np.random.default_rng(7).integers(0, 256, (256, 4), dtype=np.uint8)
    cm = create(PROFILES[case.profile], lane_state.lane_starts(size, case.lanes)[:-1], size, ngrams)
    pretrained.load_into(cm, PROFILES[case.profile], pretrained_tensors(case.profile, 6))
    cm.clock[USE_NETWORK] = case.network
    return cm


def new_lanes(case: Case, text: bytes, streams: list[bytes] | None = None) -> LaneState:
    """A block of lanes with a stream each, to encode, or to decode from `streams` (text: only its length counts)."""
    raw = np.frombuffer(text, np.uint8).copy() if streams is None else np.zeros(len(text), np.uint8)
    block = lane_state.new_lane_state(raw, case.lanes, (case.network, True), None)
    steps = lane_state.steps_of(raw.size, case.lanes)
    words = range_coder.words_needed(8 * steps) + 2
    stream, registers = np.zeros((case.lanes, words), np.uint32), np.tile(range_coder.init_encoder(), (case.lanes, 1))
    for lane, data in enumerate(streams or []):
        own = range_coder.words(data)
        stream[lane, : own.size], registers[lane] = own, range_coder.init_decoder(own)
    block.flags[2] = streams is not None
    return block._replace(stream=stream, registers=registers)


def frequencies(case: Case) -> NDArray[np.int32]:
    """What a network might say (L, 256); none without one."""
    rows = case.lanes if case.network else 0
    return np.random.default_rng(5).integers(1, 1 << 14, (rows, 256)).astype(np.int32)


def block_bytes(case: Case) -> int:
    """The size of a case's block: one lane is a byte shorter than the others."""
    return case.lanes * (WARM_STEPS + case.steps) - 1
