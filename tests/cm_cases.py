"""A profile of every kind of context, texts that exercise all component models, and random initial states."""

from __future__ import annotations

import numpy as np
import tiny_network
from numpy.typing import NDArray

from arzip.context_mixing import pretrained
from arzip.context_mixing.profile import PROFILES, Profile
from arzip.probability import P_ONE

KINDS = (*range(15), *range(20, 63))
EVERYTHING = Profile(
    contexts=KINDS,
    direct=(1, 2, 3),
    matches=(4, 6, 16),
    mixer_contexts=tuple(range(11)),
    apms=(0, 1, 2, 3),
    runs=(1, 3, 10, 36),
    joints=(0, 2, 46),
    slots_bits=12,
    direct_bits=17,
    match_bits=7,
    run_bits=9,
)


def varied_text(size: int, seed: int) -> bytes:
    """Words, lines, noise and records of 24 bytes that repeat, so that every component model is exercised."""
    rng = np.random.default_rng(seed)
    words = [b"the ", b"Lane ", b"of ", b"bytes\n", b"\x00\xff\x80", b"<tag>", b"12.5 "]
    parts: list[bytes] = []
    while sum(map(len, parts)) < size:
        kind = int(rng.integers(4))
        if kind < 2:
            parts += [words[i] for i in rng.integers(len(words), size=12)]
        elif kind == 2:
            parts.append(rng.integers(0, 256, 9, dtype=np.uint8).tobytes())
        else:
            parts += [b"RECORD" + bytes([i, 0, 7]) + b"abcdefghij\x01\x02\x03\x04\x05" for i in range(16)]
    return b"".join(parts)[:size]


def random_state(profile: Profile, seed: int) -> pretrained.Tensors:
    """A valid initial state of random values, extremes among them."""
    rng = np.random.default_rng(seed)
    shapes = {name: shape for name, (shape, _) in pretrained.layout(profile).items()}
    words = rng.integers(0, P_ONE, shapes["maps"]) << pretrained.COUNT_BITS | rng.integers(0, 9, shapes["maps"])
    weights = rng.normal(0, 300, shapes["weights"])
    weights[0] = 32767
    final = rng.integers(0, 1 << 19, shapes["final"])
    return {
        "maps": words.astype(np.uint32),
        "weights": weights.astype(np.int16),
        "final": final.astype(np.int32),
    }


def random_ngrams(seed: int) -> NDArray[np.uint8]:
    """A small table of n-grams; some contexts of any text are in it, by chance."""
    return np.random.default_rng(seed).integers(0, 256, (256, 4), dtype=np.uint8)


def pretrained_model() -> tuple[pretrained.Tensors, pretrained.Tensors]:
    """All tensors of a model with a tiny network and random initial states; and those alone."""
    initial: pretrained.Tensors = {}
    for index, profile in enumerate(PROFILES):
        for network in (False, True):
            initial |= pretrained.name_tensors(index, network, random_state(profile, 2 * index + network))
    return tiny_network.lively() | initial, initial
