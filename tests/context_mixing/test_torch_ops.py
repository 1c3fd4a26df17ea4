"""Context mixing in torch operations equals the compiled kernels: every probability, and the whole state."""

from __future__ import annotations

import numpy as np
import pytest
import tiny_network
from cm_cases import EVERYTHING, pretrained_model, random_ngrams, random_state, varied_text
from numpy.typing import NDArray

from arzip.coding.lane_state import group_lanes, lane_starts, steps_of
from arzip.context_mixing import predictor, pretrained, state_table
from arzip.context_mixing.ngram_table import NO_ROWS
from arzip.context_mixing.profile import FAST, FULL, PROFILES, Profile
from arzip.context_mixing.state import (
    APM_STEPS,
    MAP_COUNT_BITS,
    ORDER,
    RECORD_LENGTH,
    RECORD_LENGTH2,
    SLOT_BYTES,
    USE_NETWORK,
    CMState,
    create,
)
from arzip.engine.cpu_backend import CpuBackend
from arzip.engine.engine import Engine
from arzip.engine.plan import Plan
from arzip.probability import P_ONE

torch = pytest.importorskip("torch")

from arzip.context_mixing.torch_ops import predictor as verbs  # noqa: E402
from arzip.context_mixing.torch_ops.contexts import VALUES  # noqa: E402
from arzip.context_mixing.torch_ops.state import DeviceState  # noqa: E402
from arzip.engine.torch_backend import DEVICE_CM_LANES, TorchBackend  # noqa: E402

cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device is at hand")
DEVICES = ["cpu", pytest.param("cuda", marks=cuda)]
CASES = [  # lanes, steps, with the network, pretrained and with n-grams
    (1, 270, False, False),
    (1, 40, True, True),
    (2, 40, False, True),
    (2, 40, True, False),
    (3, 265, True, True),
    (3, 40, False, False),
    (7, 40, False, True),
    (7, 40, True, False),
    (24, 40, False, False),
    (24, 40, True, True),
]
STATE = ("slots", "maps", "weights", "layer2_weights", "match", "match_table", "length_votes", "text", "run_table")
STATE_OF_LANES = ("lane", "hashes", "slot", "direct", "last_seen", "indirect", "fields", "run")


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def mixture(size: int, seed: int) -> bytes:
    """Text, noise, records of two lengths and, beside them, copies of what was before, some of them with errors."""
    rng, text = np.random.default_rng(seed), varied_text(150, seed) + b"0123456789abc\0" * 9
    while len(text) < size:
        at = int(rng.integers(len(text) - 90))
        copy = bytearray(text[at : at + int(rng.integers(30, 90))])
        for _ in range(int(rng.integers(4))):
            copy[rng.integers(len(copy))] ^= 64
        text += bytes(copy) + varied_text(int(rng.integers(120)), len(text))
    return text[:size]


def start(profile: Profile, size: int, lanes: int, network: bool, is_pretrained: bool) -> CMState:
    """The state before the first byte of a block."""
    cm = create(profile, lane_starts(size, lanes)[:-1], size, random_ngrams(7) if is_pretrained else NO_ROWS)
    if is_pretrained:
        pretrained.load_into(cm, profile, random_state(profile, 6))
    cm.clock[USE_NETWORK] = network
    predictor.begin(cm, 0, cm.starts.size)
    return cm


def assert_same_state(cm: CMState, other: DeviceState) -> None:
    assert other.shared["record_lengths"].tolist() == cm.clock[[RECORD_LENGTH, RECORD_LENGTH2]].tolist()
    cm.lane[:, ORDER] = 0  # is found anew for each bit
    for name in STATE + STATE_OF_LANES:
        here, there = getattr(cm, name), other.shared[name].cpu().numpy()
        there = there[:-1] if name in ("maps", "match_table") else there
        assert np.array_equal(here, there.reshape(here.shape).astype(here.dtype)), name


def check(cm: CMState, text: bytes, device: str, network: bool) -> CMState:
    """Runs both over the text, as a block's lanes do, and holds one against the other."""
    lanes, data, other = cm.starts.size, np.frombuffer(text, np.uint8), DeviceState(cm, device)
    starts, rng, p = lane_starts(len(text), lanes), np.random.default_rng(3), np.zeros(lanes, np.int64)

    def there(numbers: NDArray[np.int64]) -> torch.Tensor:
        return torch.from_numpy(numbers).to(device)

    for t in range(steps_of(len(text), lanes)):
        for group in range(2):
            first, end = group_lanes(starts, t, group)
            if first == end:
                continue
            values = np.zeros(lanes, np.int64)
            values[first:end] = data[starts[first:end] + t]
            predictor.set_step(cm, t)
            verbs.set_step(other, t)
            for bit in range(8):
                network_p, bits = rng.integers(1, P_ONE, lanes), values >> (7 - bit) & 1
                predictor.predict(cm, first, end, network_p, p, lanes == 1)
                got = verbs.predict(other, first, end, there(network_p[first:end]) if network else None)
                assert got.tolist() == p[first:end].tolist(), (t, group, bit)
                predictor.update(cm, first, end, bits, lanes == 1)
                verbs.update(other, first, end, there(bits[first:end]))
            predictor.end_byte(cm, first, end, values, t, lanes == 1)
            verbs.end_byte(other, first, end, there(values[first:end]), t)
    assert_same_state(cm, other)
    return cm


@pytest.mark.parametrize(("lanes", "steps", "network", "is_pretrained"), CASES)
@pytest.mark.parametrize("profile", PROFILES)
def test_torch_agrees_with_the_kernels(
    profile: Profile, lanes: int, steps: int, network: bool, is_pretrained: bool
) -> None:
    size = lanes * steps - (max(lanes // 3, 1) if lanes > 1 else 0)  # some lanes end a step earlier
    cm = check(start(profile, size, lanes, network, is_pretrained), mixture(size, lanes), "cpu", network)
    assert cm.match[:, :, 0].any()
    assert cm.clock[RECORD_LENGTH] > 0 or steps < 256


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("lanes", [1, 3])
def test_torch_agrees_in_what_no_profile_uses_yet(device: str, lanes: int) -> None:
    text = b"".join(bytes(range(24)) * 6 + bytes(range(64, 80)) * 7 + mixture(24, lane) for lane in range(lanes))
    cm = check(start(EVERYTHING, len(text), lanes, True, True), text, device, True)
    assert cm.clock[RECORD_LENGTH] > 0 and cm.clock[RECORD_LENGTH2] > 0
    assert set(VALUES) == set(EVERYTHING.contexts)


@pytest.mark.parametrize("lanes", [1, 24])
@pytest.mark.parametrize("byte", [0, 97, 255])
def test_torch_agrees_where_all_that_can_saturate_does(byte: int, lanes: int) -> None:
    cm = start(FAST, 40 * lanes, lanes, True, True)
    cm.layer2_weights[:] = 1 << 24
    final = cm.maps[cm.map_bases[1] :].reshape(-1, APM_STEPS)
    final[:, :2], final[:, -2:] = 0, (P_ONE - 1) << MAP_COUNT_BITS
    check(cm, bytes([byte]) * (40 * lanes), "cpu", True)


def test_torch_agrees_in_a_table_where_neighbours_look_alike() -> None:
    rng, size, lanes = np.random.default_rng(1), 24 * 30, 24
    cm = start(FULL, size, lanes, False, True)
    table = cm.slots.reshape(-1, 2, SLOT_BYTES)[1:]  # slots 0 and 1 stay empty
    table[:] = rng.integers(0, state_table.FIRST_PRIOR, table.shape)
    table[:, :, 0] = rng.integers(0, 128, (len(table), 1)) * 2 + 1
    cm.ngrams[::3, 1] = 0  # rows of no n-gram, whatever else they hold
    check(cm, mixture(size, 2), "cpu", False)


def test_torch_agrees_on_noise_after_a_match() -> None:
    noise = np.random.default_rng(0).integers(0, 256, 400, dtype=np.uint8).tobytes()
    cm = check(start(FULL, 240, 1, False, False), noise[:60] * 3 + noise[340:], "cpu", False)
    assert not cm.match[:, 0, 0].any()  # given up


def test_no_value_is_fetched_from_the_device() -> None:
    """On torch's meta device there are no values, only shapes: whoever wants one gets an error."""
    cm = DeviceState(start(FULL, 600, 2, True, True), "meta")
    for t in (0, 255):
        values = torch.zeros(2, dtype=torch.int64, device="meta")
        verbs.set_step(cm, t)
        for _ in range(8):
            assert verbs.predict(cm, 0, 2, values).shape == (2,)
            verbs.update(cm, 0, 2, values)
        verbs.end_byte(cm, 0, 2, values, t)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    "plan", [Plan(1, True, 0), Plan(7, True, 2), Plan(24, True, 1), Plan(24, False, 1), Plan(5, True, None)]
)
def test_stream_with_context_mixing_on_a_device_is_that_of_the_compiled_loops(device: str, plan: Plan) -> None:
    weights = tiny_network.weights(pretrained_model()[0] | {pretrained.NGRAMS: random_ngrams(7)})
    plain = Engine(weights, CpuBackend(weights, two_threads=False))
    other = Engine(weights, TorchBackend(weights, device, device_cm_lanes=1))
    raw = mixture(50 if plan.lanes == 1 else 300, 1)
    stream = plain.encode(raw, plan, lambda _: None)
    assert other.encode(raw, plan, lambda _: None) == stream
    assert other.decode(stream, len(raw), plan, lambda _: None) == raw


@pytest.mark.parametrize("network", [False, True])
def test_many_lanes_run_context_mixing_on_the_device(network: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    weights, made = tiny_network.weights(tiny_network.lively()), []
    monkeypatch.setattr("arzip.engine.torch_backend.DeviceState", lambda *_: made.append(1))
    for lanes in (1, 24, DEVICE_CM_LANES - 1, DEVICE_CM_LANES):
        cm = create(FAST, lane_starts(1000, lanes)[:-1], 1000)
        TorchBackend(weights, "cpu").start(Plan(lanes, network, 0), cm)
        assert len(made) == (lanes == DEVICE_CM_LANES)
