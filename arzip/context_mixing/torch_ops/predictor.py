"""See arzip/context_mixing/predictor.py: the memory's verbs, for the lanes [first, end) of a block at once.

Tensors that come and go are those of these lanes, (end - first,) int64.
"""

from __future__ import annotations

from torch import Tensor

from arzip.context_mixing.state import BIT, NETWORK, PARTIAL, RECENT, STEP
from arzip.context_mixing.torch_ops import apm as finals
from arzip.context_mixing.torch_ops import contexts
from arzip.context_mixing.torch_ops import hash_table as slots
from arzip.context_mixing.torch_ops import lane_history as past
from arzip.context_mixing.torch_ops import match_model as match
from arzip.context_mixing.torch_ops import mixer_inputs as opinions
from arzip.context_mixing.torch_ops import run_model as runs
from arzip.context_mixing.torch_ops import update as learn
from arzip.context_mixing.torch_ops.state import Crew, DeviceMemory
from arzip.context_mixing.torch_ops.uint64 import mix


def turn(memory: DeviceMemory, step: int) -> None:
    """The lanes that are now predicted stand at this step, before their first bit."""
    clock = memory.shared["clock"]
    clock[STEP], clock[BIT] = step, 0
    learn.pace(clock, memory.shared["rates"])


def predict(memory: DeviceMemory, first: int, end: int, network: Tensor | None) -> Tensor:
    """P(bit = 1) in Q22 of each lane's next bit; network: its opinion in Q22, if it takes part."""
    crew = memory.crew(first, end)
    assert (network is not None) == bool(crew.clock[NETWORK])
    opinions.gather(crew, network)
    opinions.select(crew, network)
    opinions.blend(crew)
    return finals.refine(crew)


def update(memory: DeviceMemory, first: int, end: int, bits: Tensor) -> None:
    """Learn each lane's bit, 0 or 1, after all lanes were predicted, and move on to the next."""
    crew = memory.crew(first, end)
    learn.collect(crew, bits)
    learn.settle(crew)
    crew.lane[:, PARTIAL] = crew.lane[:, PARTIAL] * 2 + bits
    crew.clock[BIT] += 1
    if crew.clock[BIT] == 4:
        slots.find(crew)


def end_byte(memory: DeviceMemory, first: int, end: int, values: Tensor, step: int) -> None:
    """Move on to the next byte; values are the bytes just coded."""
    crew = memory.crew(first, end)
    crew.clock[STEP] = step
    crew.text[crew.starts + step] = values.to(crew.text.dtype)
    past.push_byte(crew, values)
    crew.clock[STEP] = step + 1
    past.choose_rows(crew)
    own = match.own_text(crew)
    keys = match.text_keys(crew, own)
    match.follow(crew, values, own, keys)
    match.enter(crew, keys)
    runs.enter(crew, values)
    ready_byte(crew)


def ready_byte(crew: Crew) -> None:
    """Contexts, direct entries and slots for the byte that comes."""
    crew.clock[BIT] = 0
    crew.lane[:, PARTIAL] = 1
    learn.judge_haste(crew)
    contexts.hash_contexts(crew)
    for d, order in enumerate(crew.orders):
        rows = (crew.map_bases[d + 1] - crew.map_bases[d]) // 256
        row = crew.lane[:, RECENT] & (1 << 8 * order) - 1
        if order > 1:
            hashed = mix(row, order) & rows - 1
            row = hashed if order > 2 else hashed.where(row >= rows, row)
        crew.direct[:, d] = crew.map_bases[d] + (row << 8)
    runs.find(crew)
    slots.find(crew)
