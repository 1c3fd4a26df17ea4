"""How a memory starts when the model file primes it: maps, mixer weights and n-grams of the training mix.

The tensors "memory.PROFILE.MODE.NAME" of a weights file, for each place in PROFILES, alone and mixed with the
network, and "memory.ngrams", which all share. Matches and large maps start empty all the same. Must not know files,
nor how this was learned.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from arzip.context_mixing import ngram_table as ngrams
from arzip.context_mixing.profile import PROFILES, Profile
from arzip.context_mixing.state import (
    APM_STEPS,
    FINAL_CONTEXTS,
    FINAL_ROWS,
    MAP_COUNT_BITS,
    SELECTOR_ROWS,
    WEIGHT_BITS,
    Memory,
    input_count,
    map_sizes,
)
from arzip.context_mixing.state_table import HISTORIES
from arzip.probability import P_BITS

PREFIX = "memory."
NGRAMS = PREFIX + "ngrams"  # (N, 4) uint8: see ngrams
NGRAM_ROWS = [1 << bits for bits in range(8, 25)]
MODES = {"alone": False, "mixed": True}  # whether the network takes part
COUNT_BITS = 32 - P_BITS  # a primed map entry, uint32: probability in Q22 above its count
COUNT_MASK = (1 << COUNT_BITS) - 1
CAPS = (30, 30, 8)  # largest counts: histories, match maps, final map; so small that a file soon overrules
PRIMED_WEIGHT_BITS = 11  # int16 in Q11
FINAL_LIMIT = 1 << (WEIGHT_BITS + 6)

Tensors = dict[str, NDArray[Any]]


def map_parts(memory: Memory) -> tuple[slice, slice, slice]:
    """Where the primed entries stand in a memory's maps: histories; match, run and joint maps; order-0 final map."""
    direct = memory.orders.size
    matches, final = int(memory.map_bases[direct]), int(memory.map_bases[direct + 3])
    return (
        slice(0, memory.kinds.size * HISTORIES),
        slice(matches, final),
        slice(final, final + FINAL_CONTEXTS[0] * APM_STEPS),
    )


def layout(profile: Profile) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
    """Shape and dtype of a profile's tensors."""
    assert profile.finals[0] == 0
    rows = sum(SELECTOR_ROWS[kind] for kind in profile.selectors)
    return {
        "maps": ((sum(map_sizes(profile)) + FINAL_CONTEXTS[0] * APM_STEPS,), np.dtype(np.uint32)),
        "weights": ((rows, input_count(profile)), np.dtype(np.int16)),
        "final": ((FINAL_ROWS, len(profile.selectors)), np.dtype(np.int32)),
    }


def pack(memory: Memory) -> Tensors:
    """What a memory has learned, as tensors."""
    words = [memory.maps[part] for part in map_parts(memory)]
    counts = [np.minimum(w & ((1 << MAP_COUNT_BITS) - 1), cap) for w, cap in zip(words, CAPS, strict=True)]
    maps = np.concatenate(words) >> MAP_COUNT_BITS << COUNT_BITS | np.concatenate(counts)
    shift = WEIGHT_BITS - PRIMED_WEIGHT_BITS
    weights = np.clip((memory.weights.astype(np.int64) + (1 << (shift - 1))) >> shift, -32767, 32767)
    final = np.clip(memory.final_weights, -FINAL_LIMIT, FINAL_LIMIT)
    return {"maps": maps.astype(np.uint32), "weights": weights.astype(np.int16), "final": final.astype(np.int32)}


def apply(memory: Memory, profile: Profile, tensors: Tensors) -> None:
    """Let a fresh memory of this profile start from `pack`'s tensors, its mixer at the pace that suits them."""
    words, at = tensors["maps"].astype(np.int64), 0
    words = words >> COUNT_BITS << MAP_COUNT_BITS | words & COUNT_MASK
    for part in map_parts(memory):
        memory.maps[part] = words[at : at + part.stop - part.start]
        at += part.stop - part.start
    memory.weights[:] = tensors["weights"].astype(np.int32) << (WEIGHT_BITS - PRIMED_WEIGHT_BITS)
    memory.final_weights[:] = tensors["final"]
    memory.rates[1] = memory.rates[1] * profile.primed_extra // max(profile.rate_extra, 1)


def name_tensors(place: int, network: bool, tensors: Tensors) -> Tensors:
    """`pack`'s tensors of the profile at this place in PROFILES under their names in the weights file."""
    mode = "mixed" if network else "alone"
    return {f"{PREFIX}{place}.{mode}.{name}": tensor for name, tensor in tensors.items()}


def starts(tensors: Tensors) -> dict[tuple[int, bool], Tensors]:
    """(place in PROFILES, with the network) -> `pack`'s tensors, from all of a weights file; empty if it has none."""
    found: dict[tuple[int, bool], Tensors] = {}
    for name, tensor in tensors.items():
        if name.startswith(PREFIX) and name != NGRAMS:
            place, mode, what = name[len(PREFIX) :].split(".")
            found.setdefault((int(place), MODES[mode]), {})[what] = tensor
    return found


def known_ngrams(tensors: Tensors) -> NDArray[np.uint8]:
    """The counted n-grams (rows, 4), from all of a weights file; no rows if it has none."""
    return tensors.get(NGRAMS, ngrams.NO_ROWS)


def without(tensors: Tensors) -> Tensors:
    """All of a weights file but what the memory was primed with: the counted n-grams stay."""
    return {name: tensor for name, tensor in tensors.items() if not name.startswith(PREFIX) or name == NGRAMS}


def check_tensors(tensors: Tensors) -> None:
    """Raises ValueError unless the tensors of each profile and mode are absent, or complete and within bounds.

    A model made before a profile was added has none for it: that one starts empty.
    """
    rows = known_ngrams(tensors)
    if rows.dtype != np.uint8 or rows.shape[1:] != (ngrams.ROW_BYTES,) or len(rows) not in (0, *NGRAM_ROWS):
        raise ValueError(f"{NGRAMS} is {rows.dtype} {rows.shape}")
    names = {name for name in tensors if name.startswith(PREFIX) and name != NGRAMS}
    expected = {
        f"{PREFIX}{place}.{mode}.{name}": (name, *spec)
        for place, profile in enumerate(PROFILES)
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
            (name == "maps" and int((tensor & np.uint32(COUNT_MASK)).max()) > max(CAPS))
            or (name == "weights" and int(tensor.min()) < -32767)
            or (name == "final" and max(int(tensor.max()), -int(tensor.min())) > FINAL_LIMIT)
        ):
            raise ValueError(f"{full_name} is out of bounds")
