"""The kernels of wide blocks on a GPU: cases made by the CPU's kernels, and checked where no numba is.

A case is the state that blocks start from, their texts, and a digest of every array after their last step, encoded and
decoded. The PTX is the checkout's.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arzip.engine.cuda_batch import NO_FREQS, SHAPES, Batch, Device, Field, Kernels, load_kernels
from arzip.engine.cuda_driver import DriverError
from scripts.slot.cases import Arrays

PART = 0, 1  # encoding, decoding
COMPONENTS = False, True  # context mixing alone
NGRAM_ROWS = 1 << 12  # of the model's table: the whole of it doesn't pack


def digest(array: NDArray[Any]) -> str:
    """Of an array's bytes."""
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]


def make(path: Any, profile: int, texts: Sequence[bytes], lanes: int) -> Arrays:
    """A case of blocks of one size with a model's initial state for a profile, without its network."""
    from arzip.coding import wide
    from arzip.coding.lane_state import finish_streams, lane_starts, new_wide_state
    from arzip.context_mixing import pretrained
    from arzip.context_mixing.profile import PROFILES
    from arzip.context_mixing.state import create
    from arzip.weights.file import load_weights

    tensors, size = load_weights(path).tensors, len(texts[0])
    starts, ngrams = lane_starts(size, lanes)[:-1], pretrained.ngrams_of(tensors)[:NGRAM_ROWS]
    initial_states = pretrained.initial_states(tensors)

    def new_memory() -> Any:
        cm = create(PROFILES[profile], starts, size, ngrams)
        if (profile, False) in initial_states:
            pretrained.load_into(cm, PROFILES[profile], initial_states[profile, False])
        return cm

    texts_array = np.frombuffer(b"".join(texts), np.uint8).reshape(len(texts), size)
    encoding = [new_wide_state(text.copy(), lanes, COMPONENTS, None) for text in texts_array]
    initial = new_memory()
    case: Arrays = {f"cm:{name}": array for name, array in initial._asdict().items()}
    found: list[dict[str, list[str]]] = []
    streams: list[list[bytes]] = []
    for part in PART:
        blocks = encoding
        if part:
            blocks = [new_wide_state(np.zeros(size, np.uint8), lanes, COMPONENTS, own) for own in streams]
        for name in blocks[0]._fields:
            case[f"{part}:{name}"] = np.stack([getattr(block, name) for block in blocks])
        digests: dict[str, list[str]] = {}
        for block in blocks:
            cm = new_memory()
            wide.begin(cm)
            wide.code_steps(cm, block, NO_FREQS, 0, -(-size // lanes))
            for kind, state in (("cm", cm), ("lanes", block)):
                for name, array in state._asdict().items():
                    digests.setdefault(f"{kind}:{name}", []).append(digest(array))
            if not part:
                whole = finish_streams(block._replace(stream=block.stream.copy()))
                assert whole is not None
                streams.append(whole)
        found.append(digests)
    facts = {"cm": initial._fields, "lanes": encoding[0]._fields, "shared": sorted(wide.SHARED), "digests": found}
    return case | {"facts": np.array(json.dumps(facts))}


def place(case: Arrays, part: int, device: Device, kernels: Kernels, times: int = 1) -> Batch:
    """The case's blocks on a device, so many times over."""
    facts = json.loads(str(case["facts"]))
    shared = facts["shared"]
    cm = [Field(name, [case[f"cm:{name}"]], name in shared) for name in facts["cm"]]
    lanes = []
    for name in facts["lanes"]:
        parts = list(case[f"{part}:{name}"])
        lanes.append(Field(name, parts[:1] if name in shared else parts * times, name in shared))
    return Batch(device, kernels, cm, lanes, times * len(case["0:text"]))


def steps_of(case: Arrays) -> int:
    """Number of steps of a block."""
    return int(-(-case["0:text"].shape[1] // (case["0:starts"].shape[1] - 1)))


def differences(case: Arrays, part: int, batch: Batch) -> Iterator[str]:
    """The arrays that aren't what the CPU left, after the last step."""
    facts = json.loads(str(case["facts"]))
    for name, expected in facts["digests"][part].items():
        kind, field = name.split(":")
        first = case[f"cm:{field}"] if kind == "cm" else case[f"{part}:{field}"][0]
        for block, wanted in enumerate(expected):
            target = np.empty_like(first)
            (batch.fetch_memory if kind == "cm" else batch.fetch)(field, block, target)
            if digest(target) != wanted:
                yield f"{name} of block {block}"


def check(case: Arrays, device: Device, shapes: Sequence[tuple[int, int]] = SHAPES) -> list[str]:
    """One line for each shape of launches and direction: EQUAL, or which arrays differ."""
    lines = []
    for shape in shapes:
        for part in PART:
            what = f"{shape[0]} threads a lane, {shape[1]} a block, {('encoding', 'decoding')[part]}"
            try:
                with place(case, part, device, load_kernels(device, shape)) as batch:
                    batch.begin()
                    batch.code_steps(0, steps_of(case))
                    wrong = list(differences(case, part, batch))
            except DriverError as error:
                wrong = [str(error)]
            blocks = len(case["0:text"])
            lines.append(f"{what}: {f'DIFFERENT: {wrong[:8]}' if wrong else f'EQUAL to the CPU, {blocks} blocks'}")
    return lines


def speed(case: Arrays, part: int, device: Device, shape: tuple[int, int], blocks: int) -> float:
    """MB/s of raw bytes with at least so many blocks, without transfers."""
    times = -(-blocks // len(case["0:text"]))
    with place(case, part, device, load_kernels(device, shape), times) as batch:
        batch.begin()
        device.wait()
        began = time.perf_counter()
        batch.code_steps(0, steps_of(case))
        return float(times * case["0:text"].size / (time.perf_counter() - began) / 1e6)
