"""Initial state of context mixing from the weights file: maps, mixer weights and the n-gram table.

The tensors "memory.PROFILE.MODE.NAME", for each index in PROFILES, MODE "alone" or "mixed" (with the network), and
"memory.ngrams", shared by all. Match tables and direct maps start empty. Must not import file or training code.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from arzip.context_mixing import ngram_table
from arzip.context_mixing.profile import PROFILES, Profile
from arzip.context_mixing.state import (
    APM_CONTEXTS,
    APM_STEPS,
    LAYER2_ROWS,
    MAP_COUNT_BITS,
    WEIGHT_BITS,
    WEIGHT_SET_ROWS,
    CMState,
    input_count,
    map_sizes,
)
from arzip.context_mixing.state_table import STATES
from arzip.probability import P_BITS

PREFIX = "memory."
NGRAMS = PREFIX + "ngrams"  # (N, 4) uint8: see ngram_table.py
NGRAM_ROWS = [1 << bits for bits in range(8, 25)]
MODES = {"alone": False, "mixed": True}  # whether the network takes part
COUNT_BITS = 32 - P_BITS  # a map entry in the file, uint32: probability in Q22 above its count
COUNT_MASK = (1 << COUNT_BITS) - 1
MAX_COUNTS = (30, 30, 8)  # of context maps, other maps, APM stage 0: so low that the coded data soon dominates
INITIAL_WEIGHT_BITS = 11  # int16 in Q11
LAYER2_LIMIT = 1 << (WEIGHT_BITS + 6)

Tensors = dict[str, NDArray[Any]]


def map_slices(cm: CMState) -> tuple[slice, slice, slice]:
    """The parts of `maps` that the file holds: context maps; match, run and joint maps; the order-0 APM stage."""
    direct = cm.orders.size
    matches, final = int(cm.map_bases[direct]), int(cm.map_bases[direct + 3])
    return (
        slice(0, cm.kinds.size * STATES),
        slice(matches, final),
        slice(final, final + APM_CONTEXTS[0] * APM_STEPS),
    )


def layout(profile: Profile) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
    """Name -> shape and dtype of a profile's tensors."""
    assert profile.apms[0] == 0
    rows = sum(WEIGHT_SET_ROWS[kind] for kind in profile.mixer_contexts)
    return {
        "maps": ((sum(map_sizes(profile)) + APM_CONTEXTS[0] * APM_STEPS,), np.dtype(np.uint32)),
        "weights": ((rows, input_count(profile)), np.dtype(np.int16)),
        "final": ((LAYER2_ROWS, len(profile.mixer_contexts)), np.dtype(np.int32)),
    }


def pack(cm: CMState) -> Tensors:
    """The tensors of a state, quantised as in the file."""
    words = [cm.maps[part] for part in map_slices(cm)]
    counts = [np.minimum(w & ((1 << MAP_COUNT_BITS) - 1), cap) for w, cap in zip(words, MAX_COUNTS, strict=True)]
    maps = np.concatenate(words) >> MAP_COUNT_BITS << COUNT_BITS | np.concatenate(counts)
    shift = WEIGHT_BITS - INITIAL_WEIGHT_BITS
    weights = np.clip((cm.weights.astype(np.int64) + (1 << (shift - 1))) >> shift, -32767, 32767)
    final = np.clip(cm.layer2_weights, -LAYER2_LIMIT, LAYER2_LIMIT)
    return {
        "maps": maps.astype(np.uint32),
        "weights": weights.astype(np.int16),
        "final": final.astype(np.int32),
    }


def load_into(cm: CMState, profile: Profile, tensors: Tensors) -> None:
    """Load `pack`'s tensors into a fresh state of this profile, and set the learning rate of a pretrained start."""
    words, at = tensors["maps"].astype(np.int64), 0
    words = words >> COUNT_BITS << MAP_COUNT_BITS | words & COUNT_MASK
    for part in map_slices(cm):
        cm.maps[part] = words[at : at + part.stop - part.start]
        at += part.stop - part.start
    cm.weights[:] = tensors["weights"].astype(np.int32) << (WEIGHT_BITS - INITIAL_WEIGHT_BITS)
    cm.layer2_weights[:] = tensors["final"]
    cm.rates[1] = cm.rates[1] * profile.pretrained_extra // max(profile.rate_extra, 1)


def name_tensors(index: int, with_network: bool, tensors: Tensors) -> Tensors:
    """Name `pack`'s tensors of the profile at this index in PROFILES as in the weights file."""
    mode = "mixed" if with_network else "alone"
    return {f"{PREFIX}{index}.{mode}.{name}": tensor for name, tensor in tensors.items()}


def initial_states(tensors: Tensors) -> dict[tuple[int, bool], Tensors]:
    """(index in PROFILES, with the network) -> `pack`'s tensors, from a file's tensors; empty if it has none."""
    found: dict[tuple[int, bool], Tensors] = {}
    for name, tensor in tensors.items():
        if name.startswith(PREFIX) and name != NGRAMS:
            index, mode, what = name[len(PREFIX) :].split(".")
            found.setdefault((int(index), MODES[mode]), {})[what] = tensor
    return found


def ngrams_of(tensors: Tensors) -> NDArray[np.uint8]:
    """The n-gram table (rows, 4) of a file's tensors; no rows if it has none."""
    return tensors.get(NGRAMS, ngram_table.NO_ROWS)


def without_initial_states(tensors: Tensors) -> Tensors:
    """A file's tensors without initial states; the n-gram table stays."""
    return {name: tensor for name, tensor in tensors.items() if not name.startswith(PREFIX) or name == NGRAMS}


def check_tensors(tensors: Tensors) -> None:
    """Raises ValueError unless the tensors of each profile and mode are absent, or complete and within bounds.

    A model that is older than a profile has no tensors for it: that profile starts from the default state.
    """
    rows = ngrams_of(tensors)
    if rows.dtype != np.uint8 or rows.shape[1:] != (ngram_table.ROW_BYTES,) or len(rows) not in (0, *NGRAM_ROWS):
        raise ValueError(f"{NGRAMS} is {rows.dtype} {rows.shape}")
    names = {name for name in tensors if name.startswith(PREFIX) and name != NGRAMS}
    expected = {
        f"{PREFIX}{index}.{mode}.{name}": (name, *spec)
        for index, profile in enumerate(PROFILES)
        for mode in MODES
        for name, spec in layout(profile).items()
    }
    groups = {name.rsplit(".", 1)[0] for name in names}
    wanted = {name for name in expected if name.rsplit(".", 1)[0] in groups}
    if names != wanted:
        raise ValueError(f"{min(names ^ wanted)} is missing, or one too many")
    for full_name in sorted(names):
        tensor, (name, shape, dtype) = tensors[full_name], expected[full_name]
        if tensor.shape != shape or tensor.dtype != dtype:
            raise ValueError(f"{full_name} is {tensor.dtype} {tensor.shape}, not {dtype} {shape}")
        if (
            (name == "maps" and int((tensor & np.uint32(COUNT_MASK)).max()) > max(MAX_COUNTS))
            or (name == "weights" and int(tensor.min()) < -32767)
            or (name == "final" and max(int(tensor.max()), -int(tensor.min())) > LAYER2_LIMIT)
        ):
            raise ValueError(f"{full_name} is out of bounds")
