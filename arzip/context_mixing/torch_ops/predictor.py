"""The bit predictor for the lanes [first, end) of a block; see arzip/context_mixing/predictor.py.

Tensor arguments and results hold one int64 for each of these lanes.
"""

from __future__ import annotations

from torch import Tensor

from arzip.context_mixing.state import BIT, PARTIAL, RECENT, STEP, USE_NETWORK
from arzip.context_mixing.torch_ops import apm, contexts, hash_table, lane_history, match_model, mixer_inputs, run_model
from arzip.context_mixing.torch_ops.state import DeviceState, LaneGroup
from arzip.context_mixing.torch_ops.uint64 import hash_pair
from arzip.context_mixing.torch_ops.update import accumulate, clamp, set_learning_rate, set_lr_scale


def set_step(cm: DeviceState, step: int) -> None:
    """Set the clock to the first bit of a step, and the learning rate of that step."""
    clock = cm.shared["clock"]
    clock[STEP], clock[BIT] = step, 0
    set_learning_rate(clock, cm.shared["rates"])


def predict(cm: DeviceState, first: int, end: int, network_p: Tensor | None) -> Tensor:
    """P(bit = 1) in Q22 of each lane's next bit; network_p: the network's, Q22, if it takes part."""
    group = cm.group(first, end)
    assert (network_p is not None) == bool(group.clock[USE_NETWORK])
    mixer_inputs.add_inputs(group, network_p)
    mixer_inputs.select_weight_sets(group, network_p)
    mixer_inputs.mix(group)
    return apm.refine(group)


def update(cm: DeviceState, first: int, end: int, bits: Tensor) -> None:
    """Update all models with each lane's bit, 0 or 1, after `predict`; move on to the next bit."""
    group = cm.group(first, end)
    accumulate(group, bits)
    clamp(group)
    group.lane[:, PARTIAL] = group.lane[:, PARTIAL] * 2 + bits
    group.clock[BIT] += 1
    if group.clock[BIT] == 4:
        hash_table.find_slots(group)


def end_byte(cm: DeviceState, first: int, end: int, values: Tensor, step: int) -> None:
    """Append the bytes just coded, `values`, to the lanes' history and prepare the next byte."""
    group = cm.group(first, end)
    group.clock[STEP] = step
    group.text[group.starts + step] = values.to(group.text.dtype)
    lane_history.push_byte(group, values)
    group.clock[STEP] = step + 1
    lane_history.detect_record_length(group)
    own = match_model.own_text(group)
    keys = match_model.text_keys(group, own)
    match_model.advance(group, values, own, keys)
    match_model.insert(group, keys)
    run_model.insert(group, values)
    prepare_byte(group)


def prepare_byte(group: LaneGroup) -> None:
    """Hash the contexts of the next byte; look up its direct rows, runs and slots."""
    group.clock[BIT] = 0
    group.lane[:, PARTIAL] = 1
    set_lr_scale(group)
    contexts.hash_contexts(group)
    for d, order in enumerate(group.orders):
        rows = (group.map_bases[d + 1] - group.map_bases[d]) // 256
        row = group.lane[:, RECENT] & (1 << 8 * order) - 1
        if order > 1:
            hashed = hash_pair(row, order) & rows - 1
            row = hashed if order > 2 else hashed.where(row >= rows, row)
        group.direct[:, d] = group.map_bases[d] + (row << 8)
    run_model.find_entries(group)
    hash_table.find_slots(group)
