"""The kernels of wide blocks on a GPU: cases made by the CPU's kernels, and checked where no numba is.

A case is the state that blocks start from, their texts, and a digest of every array after their last step, encoded and
decoded; with the network, what it is for these texts, too. The PTX is the checkout's.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from arzip.engine.cuda_batch import SHAPES, Batch, Device, Field, Kernels, load_kernels
from arzip.engine.cuda_driver import DriverError
from arzip.engine.cuda_network import DeviceNetwork
from scripts.slot import cases
from scripts.slot.cases import Arrays

PART = 0, 1  # encoding, decoding
DIRECTIONS = "encoding", "decoding"
TABLES = "slots", "match_table", "run_table"  # empty at first, and as large as a block asks for
LARGE_BYTES = 8 << 20  # of the block whose tables a timing is made with, so that the caches hold as little of them
WARM_STEPS = 16  # before a clock starts: the network's kernel may have to be compiled
NGRAM_ROWS = 1 << 12  # of the model's table: the whole of it doesn't pack


def digest(array: NDArray[Any]) -> str:
    """Of an array's bytes."""
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]


def make(path: Any, profile: int, texts: Sequence[bytes], lanes: int, with_network: bool = False) -> Arrays:
    """A case of blocks of one size with a model's initial state for a profile."""
    from arzip.coding import wide
    from arzip.coding.lane_state import finish_streams, lane_starts, new_wide_state
    from arzip.context_mixing import pretrained
    from arzip.context_mixing.profile import PROFILES
    from arzip.context_mixing.state import USE_NETWORK, create
    from arzip.weights.file import load_weights

    weights, size, components = load_weights(path), len(texts[0]), (with_network, True)
    tensors, starts = weights.tensors, lane_starts(size, lanes)
    ngrams, initial_states = pretrained.ngrams_of(tensors)[:NGRAM_ROWS], pretrained.initial_states(tensors)

    def new_memory() -> Any:
        cm = create(PROFILES[profile], starts[:-1], size, ngrams)
        if (profile, with_network) in initial_states:
            pretrained.load_into(cm, PROFILES[profile], initial_states[profile, with_network])
        cm.clock[USE_NETWORK] = with_network
        return cm

    texts_array = np.frombuffer(b"".join(texts), np.uint8).reshape(len(texts), size)
    blocks = [new_wide_state(text.copy(), lanes, components, None) for text in texts_array]
    initial = new_memory()
    case: Arrays = {f"cm:{name}": array for name, array in initial._asdict().items()}
    facts: dict[str, Any] = {"cm": initial._fields, "lanes": blocks[0]._fields, "shared": sorted(wide.SHARED)}
    large = create(PROFILES[profile], starts[:-1], LARGE_BYTES)
    facts["network"] = with_network
    facts["large"] = {name: getattr(large, name).shape for name in TABLES}
    found: list[dict[str, list[str]]] = []
    for part in PART:
        if part:
            streams = [finish_streams(block._replace(stream=block.stream.copy())) for block in blocks]
            assert all(streams)
            blocks = [new_wide_state(np.zeros(size, np.uint8), lanes, components, own) for own in streams]
        for name in blocks[0]._fields:
            case[f"{part}:{name}"] = np.stack([getattr(block, name) for block in blocks])
        digests: dict[str, list[str]] = {}
        for block in blocks:
            cm = new_memory()
            code_on_cpu(cm, block, weights if with_network else None)
            for kind, state in (("cm", cm), ("lanes", block)):
                for name, array in state._asdict().items():
                    digests.setdefault(f"{kind}:{name}", []).append(digest(array))
        found.append(digests)
    return case | {"facts": np.array(json.dumps(facts | {"digests": found}))}


def lanes_of(texts: Sequence[bytes], lanes: int) -> NDArray[np.uint8]:
    """What each lane of some texts of one size holds (L, T); a shorter one goes on with its neighbour's first byte."""
    from arzip.coding.lane_state import lane_starts

    starts = lane_starts(len(texts[0]), lanes)
    longest = int(starts[1])
    padded = [np.frombuffer(text + bytes(longest), np.uint8) for text in texts]
    return np.stack([text[at : at + longest] for text in padded for at in starts[:-1]])


def code_on_cpu(cm: Any, block: Any, weights: Any) -> None:
    """All steps of a block by the kernels that the wheel brings; weights: the network's, if it takes part."""
    from arzip.coding import wide_lockstep
    from arzip.coding.lane_state import steps_of
    from arzip.context_mixing import predictor, static_shapes
    from arzip.network import forward_cpu

    lanes, steps = block.last.size, steps_of(block.text.size, block.last.size)
    network = forward_cpu.empty_network() if weights is None else forward_cpu.load_network(weights)
    state = forward_cpu.init_state(network, lanes)
    predictor.begin(cm, 0, lanes)
    chunk = wide_lockstep.new_chunk(block, 0, steps, False)  # in lockstep both ways, as a device does it
    wide_lockstep.run_coder(network, state, cm, block, chunk, static_shapes.counts_of(cm))


def load_network(network: Arrays, device: Device) -> Any:
    """The network of `cases.pack_network` on a device. Raises DriverError."""
    return DeviceNetwork(cases.unpack_network(network), f"cuda:{device.number}", device.multiprocessors)


def place(
    case: Arrays, part: int, device: Device, kernels: Kernels, network: Any, times: int = 1, large: bool = False
) -> Batch:
    """The case's blocks on a device, so many times over. network: as of `load_network`. large: with large tables."""
    facts = json.loads(str(case["facts"]))
    shared, blocks = facts["shared"], times * len(case["0:text"])
    arrays = {name: case[f"cm:{name}"] for name in facts["cm"]}
    if large:
        arrays |= {name: np.zeros(shape, arrays[name].dtype) for name, shape in facts["large"].items()}
    cm = [Field(name, [array], name in shared) for name, array in arrays.items()]
    lanes = []
    for name in facts["lanes"]:
        parts = list(case[f"{part}:{name}"])
        lanes.append(Field(name, parts[:1] if name in shared else parts * times, name in shared))
    step = network.start(blocks * case["0:last"].shape[1]) if network else None
    return Batch(device, kernels, cm, lanes, blocks, step)


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


class Loaded:
    """What is loaded into a device once: the kernels of each shape of launches, and the network of the cases."""

    def __init__(self, device: Device, network: Arrays, load: Callable[..., Any] = load_network) -> None:
        """network: of `cases.pack_network`."""
        self.device, self._packed, self._load = device, network, load
        self._kernels: dict[tuple[int, int], Kernels] = {}
        self._network: Any = None

    def kernels(self, shape: tuple[int, int]) -> Kernels:
        """Raises DriverError."""
        if shape not in self._kernels:
            self._kernels[shape] = load_kernels(self.device, shape)
        return self._kernels[shape]

    def network(self, case: Arrays) -> Any:
        """None: the case has none. Raises DriverError."""
        if not json.loads(str(case["facts"]))["network"]:
            return None
        self._network = self._network or self._load(self._packed, self.device)
        return self._network


def check(case: Arrays, loaded: Loaded, shapes: Sequence[tuple[int, int]] = SHAPES) -> list[str]:
    """One line for each shape of launches and direction: EQUAL, or which arrays differ."""
    lines = []
    for shape in shapes:
        for part in PART:
            what = f"{shape[0]} threads a lane, {shape[1]} a block, {DIRECTIONS[part]}"
            try:
                with place(case, part, loaded.device, loaded.kernels(shape), loaded.network(case)) as batch:
                    batch.begin()
                    batch.code_steps(0, steps_of(case))
                    wrong = list(differences(case, part, batch))
            except DriverError as error:
                wrong = [str(error)]
            blocks = len(case["0:text"])
            lines.append(f"{what}: {f'DIFFERENT: {wrong[:8]}' if wrong else f'EQUAL to the CPU, {blocks} blocks'}")
    return lines


class Speed(NamedTuple):
    """Of a batch, without transfers. us_a_step: of all its lanes. mb_s: of raw bytes."""

    us_a_step: float
    mb_s: float


def speed(
    case: Arrays,
    part: int,
    loaded: Loaded,
    shape: tuple[int, int],
    blocks: int,
    steps: int = 0,
) -> Speed:
    """How fast at least so many blocks with large tables are coded, in some steps after the first few; 0: all steps."""
    times, last = -(-blocks // len(case["0:text"])), steps_of(case)
    first = min(WARM_STEPS, last // 4)
    end = min(first + steps, last) if steps else last
    with place(case, part, loaded.device, loaded.kernels(shape), loaded.network(case), times, True) as batch:
        batch.begin()
        batch.code_steps(0, first)
        began = time.perf_counter()
        batch.code_steps(first, end)
        seconds = (time.perf_counter() - began) / (end - first)
    lanes = times * len(case["0:text"]) * case["0:last"].shape[1]
    return Speed(round(seconds * 1e6, 1), round(lanes / seconds / 1e6, 3))
