"""The network is a function of integers: what docs/FORMAT.md says, alike on every processor, lane by lane."""

from __future__ import annotations

import gzip
import json
import math
import random
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import tiny_network
from helpers import english
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from reference.decoder import network as reference
from reference.decoder.lanes import Predictor, decode_lanes
from reference.decoder.range_decoder import RangeDecoder
from reference.decoder.weights import Model
from safetensors.numpy import load, save

from arzip import levels
from arzip.coding import lane_state, lockstep
from arzip.context_mixing import static_shapes
from arzip.context_mixing.state import create
from arzip.engine.cpu_backend import CpuBackend
from arzip.engine.engine import NO_CM_PROFILE, Engine
from arzip.engine.plan import Plan
from arzip.errors import ModelError, ModelMissingError
from arzip.jit import cpu_features
from arzip.network import forward_cpu, gemm, ngram_rows, packing
from arzip.network.config import NetworkConfig, Weights
from arzip.probability import P_BITS
from arzip.weights import registry
from arzip.weights.file import METADATA_KEY, dump_weights, load_weights, pack, parse_weights

needs_vnni = pytest.mark.skipif(not cpu_features.HAS_VNNI, reason="this processor has no AVX-512 VNNI")
needs_avx2 = pytest.mark.skipif(not cpu_features.HAS_AVX2, reason="this processor has no AVX2")
needs_amx = pytest.mark.skipif(
    not cpu_features.HAS_AMX, reason="no AMX tiles here: the processor or the system has none"
)
PRODUCTS = [
    "gemm_plain",
    pytest.param("gemm_avx2", marks=needs_avx2),
    pytest.param("gemm_vnni", marks=needs_vnni),
    pytest.param("gemm_amx", marks=needs_amx),
    pytest.param("gemm_tiles", marks=needs_amx),
]
MODELS = {
    "lively": (tiny_network.lively(), tiny_network.SHAPE),
    "other shape": (tiny_network.lively(tiny_network.OTHER_SHAPE, seed=2), tiny_network.OTHER_SHAPE),
    "extreme": (tiny_network.extreme(), tiny_network.SHAPE),
    "nearly all alike": (tiny_network.extreme(alike=0.9), tiny_network.SHAPE),
    "all 127": (tiny_network.extreme(alike=1.0), tiny_network.SHAPE),
    "all -127": (tiny_network.extreme(alike=0.0), tiny_network.SHAPE),
}


@pytest.fixture(scope="module", params=MODELS)
def model(request: pytest.FixtureRequest) -> Weights:
    return tiny_network.weights(*MODELS[request.param])


@pytest.fixture(scope="module")
def network() -> forward_cpu.Network:
    return forward_cpu.load_network(tiny_network.weights(tiny_network.lively()))


def some_text(lane_count: int, steps: int) -> NDArray[np.uint8]:
    """(steps, L) bytes: English, the bytes of UTF-8 text, and noise."""
    source = np.random.default_rng(3)
    text = (
        np.frombuffer(english(2 * lane_count * steps)[: lane_count * steps], np.uint8)
        .reshape(lane_count, steps)
        .T.copy()
    )
    text[:, 1::3] |= source.choice(np.array([0, 0, 128], np.uint8), text[:, 1::3].shape)
    text[:, 2::3] = source.integers(0, 256, text[:, 2::3].shape)
    return text


def engine(weights: Weights) -> Engine:
    """The compiled engine, on one thread."""
    return Engine(weights, CpuBackend(weights, two_threads=False))


def run(network: forward_cpu.Network, text: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Frequencies (steps, L, 256) before each byte of text (steps, L)."""
    state = forward_cpu.init_state(network, text.shape[1])
    seen = np.concatenate([np.zeros((1, text.shape[1]), np.uint8), text[:-1]])
    result = []
    for row in seen:
        forward_cpu.step(network, state, row, 0, text.shape[1])
        result.append(state.freqs.copy())
    return np.stack(result)


# ------------------------------------------------------------------------------------------------------------ the spec


def network_of_the_spec(model: Weights, lanes: int) -> reference.Network:
    return reference.Network(Model(dump_weights(model.config, model.tensors, model.metadata)), lanes)


def test_step_agrees_with_the_specification_bit_for_bit(model: Weights) -> None:
    text = some_text(3, 40)
    network = network_of_the_spec(model, text.shape[1])
    fast = run(forward_cpu.load_network(model), text)
    for k in range(text.shape[1]):
        for t in range(len(text)):
            assert fast[t, k].tolist() == network.freqs(k), (t, k)
            network.push_byte(k, int(text[t, k]))


@pytest.mark.parametrize("lane_count", [1, 3, 7, 150])
def test_a_decoder_written_from_the_specification_reads_our_blocks(model: Weights, lane_count: int) -> None:
    raw = english(60)
    payload = engine(model).encode(raw, Plan(lane_count, True, None), lambda _: None)
    predictor = Predictor(network_of_the_spec(model, lane_count), None)
    assert decode_lanes(predictor, len(raw), lane_count, [RangeDecoder(payload)], False) == raw


def test_frequencies_are_positive_and_the_largest_is_one(model: Weights) -> None:
    freqs = run(forward_cpu.load_network(model), some_text(16, 40))
    assert freqs.min() > 0
    assert (freqs.max(axis=2) == 1 << 20).all()


def test_extreme_models_saturate_what_can_saturate() -> None:
    network, text = forward_cpu.load_network(tiny_network.weights(tiny_network.extreme(alike=0.9))), some_text(4, 40)
    state = forward_cpu.init_state(network, 4)
    for row in text:
        forward_cpu.step(network, state, row, 0, 4)
    assert np.abs(state.h).max() == 4 << 18
    assert set(np.unique(state.u)) >= {255}
    assert np.abs(state.y.astype(int) - packing.OFFSET).max() <= 127
    assert state.freqs.min() == 1


@given(st.lists(st.sampled_from(b"\0/09@AZ[`az{\x7f\x80\xff EeRr"), max_size=30), st.integers(16, 20))
def test_context_and_rows_agree_with_the_specification(text: list[int], row_bits: int) -> None:
    """Training's way to the rows, which goes by the same functions as that of `step`."""
    orders = [1, 2, 3, 4, 5, 6, 7, 0]
    expected, contexts = reference.Context(), np.zeros((1, ngram_rows.CONTEXT_FIELDS), np.uint64)
    rows = np.empty((len(text), 1, len(orders)), np.int64)
    ngram_rows.window_rows(np.array([text], np.uint8), contexts, np.array(orders), row_bits, rows)
    for byte, row in zip(text, rows[:, 0], strict=True):
        assert row.tolist() == [expected.row(order, 1 << row_bits) for order in orders]
        expected.push_byte(byte)
    assert contexts[0].tolist() == [expected.history, expected.word, expected.previous]


def test_norm_agrees_with_the_specification_where_roots_are_whole() -> None:
    out = np.empty(16, np.uint8)
    for root in range(4, 3000):
        x, rest = [], root * root - 16
        while rest > 0:
            x.append(math.isqrt(rest))
            rest -= x[-1] ** 2
        x += [0] * (16 - len(x))
        assert math.isqrt(16 * sum(value * value for value in x) // 16 + 16) == root
        forward_cpu.norm(np.array(x, np.int32), out)
        assert [int(value) - packing.OFFSET for value in out] == reference.norm(np.array(x, np.int64)).tolist()


@given(st.lists(st.integers(-(1 << 26), 1 << 26), min_size=1, max_size=64), st.integers(0, 26))
def test_norm_agrees_with_the_specification_at_every_size(x: list[int], shift: int) -> None:
    x = [value >> shift for value in x]
    out = np.empty(len(x), np.uint8)
    forward_cpu.norm(np.array(x, np.int32), out)
    assert [int(value) - packing.OFFSET for value in out] == reference.norm(np.array(x, np.int64)).tolist()


@given(st.integers(0, 1 << 28))
def test_integer_square_root_is_exact_beside_every_square(root: int) -> None:
    for n in (root * root - 1, root * root, root * root + 1, root * root + root):
        if n >= 0:
            assert forward_cpu.integer_sqrt(n) == math.isqrt(n)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 16, *(2**k + i for k in range(40, 58) for i in (-1, 0, 1))])
def test_integer_square_root_is_exact_at_the_edges(n: int) -> None:
    assert forward_cpu.integer_sqrt(n) == math.isqrt(n)


# ------------------------------------------------------------------------------------------------------------ products


def product(a: NDArray[np.uint8], w: NDArray[np.int8], bias: NDArray[np.int32] | int) -> NDArray[np.int64]:
    sums: NDArray[np.int64] = (a.astype(np.int64) - packing.OFFSET) @ w.astype(np.int64).T + bias
    return sums


@pytest.mark.parametrize("how", ["random", "extreme", "all 127", "opposite"])
@pytest.mark.parametrize("rows", [1, 2, 5, 6, 7, 12, 13, 16, 17, 31, 32])
@pytest.mark.parametrize("name", PRODUCTS)
def test_product_is_that_of_whole_numbers(name: str, rows: int, how: str) -> None:
    source = np.random.default_rng(rows)
    for n, k in ((64, 64), (128, 192), (192, 1024)):
        a = source.integers(1, 256, (rows, k), dtype=np.uint8)
        w = source.integers(-127, 128, (n, k), dtype=np.int8)
        if how != "random":
            a = source.choice(np.array([1, 255], np.uint8), a.shape) if how == "extreme" else np.full_like(a, 255)
            sign = source.choice(np.array([-127, 127], np.int8), w.shape)
            w = sign if how == "extreme" else np.full_like(w, 127 if how == "all 127" else -127)
        bias = source.integers(-(1 << 24), 1 << 24, n, dtype=np.int32)
        c = np.full((rows, n), 7, np.int32)
        run = getattr(gemm, name)
        run(a, packing.pack_weights(w), packing.start_values(w, bias), c)
        assert np.array_equal(c, product(a, w, bias))


@pytest.mark.parametrize("name", PRODUCTS)
def test_product_reads_and_writes_only_its_own_part_of_wider_arrays(name: str) -> None:
    source = np.random.default_rng(0)
    wide_a, w = source.integers(1, 256, (9, 100), dtype=np.uint8), source.integers(-127, 128, (64, 64), dtype=np.int8)
    wide_c = np.full((9, 200), 7, np.int32)
    getattr(gemm, name)(wide_a[:7, :64], packing.pack_weights(w), packing.start_values(w), wide_c[:7, 64:128])
    assert np.array_equal(wide_c[:7, 64:128], product(wide_a[:7, :64], w, 0))
    wide_c[:7, 64:128] = 7
    assert (wide_c == 7).all()


@pytest.mark.parametrize("offset", [1, 16, 60])
@pytest.mark.parametrize("name", PRODUCTS)
def test_product_does_not_need_its_arrays_at_cache_lines(name: str, offset: int) -> None:
    source = np.random.default_rng(offset)
    a, w = source.integers(1, 256, (7, 64), dtype=np.uint8), source.integers(-127, 128, (64, 64), dtype=np.int8)
    moved = packing.aligned((64 * 64 + 64,), np.int8)[offset:][: 64 * 64].reshape(4, 16, 64)
    moved[...] = packing.pack_weights(w)
    c = np.zeros((7, 64), np.int32)
    getattr(gemm, name)(a, moved, packing.start_values(w), c)
    assert np.array_equal(c, product(a, w, 0))


@pytest.mark.parametrize("dtype", [np.uint8, np.int32])
def test_aligned_arrays_start_at_cache_lines(dtype: type) -> None:
    for shape in ((1,), (3, 5), (2, 3, 64)):
        array = packing.aligned(shape, dtype, 7)
        assert array.shape == shape and array.ctypes.data % packing.CACHE_LINE == 0 and (array == 7).all()


# --------------------------------------------------------------------------------------------------------------- lanes


def test_two_runs_give_the_same(network: forward_cpu.Network) -> None:
    text = some_text(9, 30)
    assert np.array_equal(run(network, text), run(network, text))


def test_one_lane_is_lane_k_of_64(network: forward_cpu.Network) -> None:
    text = some_text(64, 40)
    together = run(network, text)
    for k in (0, 1, 5, 6, 31, 62, 63):
        assert np.array_equal(run(network, text[:, k : k + 1])[:, 0], together[:, k])


def test_a_lane_does_not_depend_on_the_others(network: forward_cpu.Network) -> None:
    text, other = some_text(8, 40), some_text(8, 40) ^ 85
    other[:, 3] = text[:, 3]
    one, two = run(network, text), run(network, other)
    assert np.array_equal(one[:, 3], two[:, 3])
    assert not np.array_equal(one[:, 2], two[:, 2])


def test_lanes_that_are_at_their_end_stay_as_they_are(network: forward_cpu.Network) -> None:
    state = forward_cpu.init_state(network, 8)
    for row in some_text(8, 10):
        forward_cpu.step(network, state, row, 0, 8)
    before = [part[-3:].copy() if part.ndim == 2 else part[:, -3:].copy() for part in state]
    forward_cpu.step(network, state, np.full(8, 65, np.uint8), 0, 5)
    for part, old in zip(state, before, strict=True):
        assert np.array_equal(part[-3:] if part.ndim == 2 else part[:, -3:], old)


@given(st.integers(1, 400), st.integers(1, 90))
def test_lanes_cover_the_block_and_the_first_are_longer(size_bytes: int, lane_count: int) -> None:
    starts = lane_state.lane_starts(size_bytes, lane_count)
    sizes = np.diff(starts).tolist()
    assert (starts[0], starts[-1], len(sizes)) == (0, size_bytes, lane_count)
    assert sizes == sorted(sizes, reverse=True) and max(sizes) - min(sizes) <= 1
    assert lane_state.steps_of(size_bytes, lane_count) == max(sizes)
    for t in range(max(sizes)):
        assert lane_state.active_lanes(starts, t) == sum(t < size for size in sizes)


@given(st.integers(0, 90), st.integers(0, 50), st.integers(1, 4))
def test_tiles_of_a_group_are_all_of_it(first: int, size: int, tiles: int) -> None:
    parts = [lockstep.tile_lanes(first, first + size, tile, tiles) for tile in range(tiles)]
    assert [lane for part in parts for lane in range(*part)] == list(range(first, first + size))


@pytest.mark.parametrize("chunk_bytes", [1, 50, 1 << 17])
def test_chunks_leave_no_trace(model: Weights, chunk_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = english(1001)
    coder_, plan = engine(model), Plan(6, True, None)
    whole = coder_.encode(raw, plan, lambda _: None)
    monkeypatch.setattr(lane_state, "CHUNK_BYTES", chunk_bytes)
    ticks: list[int] = []
    assert coder_.encode(raw, plan, ticks.append) == whole
    assert sum(ticks) == len(raw)
    ticks.clear()
    assert coder_.decode(whole, len(raw), plan, ticks.append) == raw
    assert sum(ticks) == len(raw)


def test_stream_costs_what_the_frequencies_say() -> None:
    model = tiny_network.weights(tiny_network.lively())
    text = np.frombuffer(english(2000), np.uint8).reshape(4, 500).T
    freqs = run(forward_cpu.load_network(model), text).astype(float)
    coded = np.take_along_axis(freqs, text[..., None].astype(int), 2)[..., 0]
    ideal = -np.log2(coded / freqs.sum(2)).sum()
    plan = Plan(4, True, None)
    payload = engine(model).encode(text.T.tobytes(), plan, lambda _: None)
    assert engine(model).cost_bits(text.T.tobytes(), plan) == pytest.approx(ideal, rel=1e-3)
    assert 8 * len(payload) == pytest.approx(ideal, rel=1e-3, abs=16)


# ------------------------------------------------------------------------------------------------------ the float twin


def shipped(name: str) -> Weights:
    try:
        return load_weights(registry.find(name))
    except ModelMissingError:
        pytest.skip(f"models/{name}.safetensors is not at hand")


@pytest.mark.parametrize("name", ["tiny", *sorted({level.model for level in levels.LEVELS})])
def test_exact_network_is_within_one_percent_of_its_float_twin(name: str) -> None:
    torch = pytest.importorskip("torch")
    from arzip.train.evaluation import evaluate
    from arzip.train.export import import_weights

    weights = tiny_network.weights(tiny_network.lively()) if name == "tiny" else shipped(name)
    text = np.frombuffer(english(8000), np.uint8).reshape(8, 1000)
    bits = engine(weights).cost_bits(text.tobytes(), Plan(8, True, None))
    twin = import_weights(weights)
    with torch.no_grad():
        expected = evaluate(twin, {"text": text}, "cpu")["text"]
    assert bits / text.size == pytest.approx(expected, rel=0.01)


def test_export_brings_back_what_was_imported() -> None:
    pytest.importorskip("torch")
    from arzip.train.export import export_tensors, import_weights

    before = tiny_network.lively()
    after = export_tensors(import_weights(tiny_network.weights(before)))
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        assert tensor.dtype == after[name].dtype and np.array_equal(tensor, after[name]), name


# ---------------------------------------------------------------------------------------------------- the weights file


@pytest.fixture(scope="module")
def file_bytes() -> bytes:
    return dump_weights(tiny_network.SHAPE, tiny_network.lively(), {"name": "tiny", "bpb": "{}"})


def head(network: str) -> dict[str, str]:
    """The metadata of a weights file, with this text where its shape stands."""
    return {METADATA_KEY: '{"about": {}, "network": ' + network + "}"}


def refuse(data: bytes) -> str:
    """The message under which `data` is refused as a model."""
    with pytest.raises(ModelError) as caught:
        parse_weights(data, "some/model")
    message = str(caught.value)
    assert message.startswith("some/model: ") and "\n" not in message
    return message


def test_weights_file_roundtrips(tmp_path: Path, file_bytes: bytes) -> None:
    path = tmp_path / "tiny.safetensors"
    path.write_bytes(file_bytes)
    weights = load_weights(path)
    assert (weights.config, weights.metadata) == (tiny_network.SHAPE, {"name": "tiny", "bpb": "{}"})
    assert dump_weights(weights.config, weights.tensors, weights.metadata) == file_bytes
    assert all(np.array_equal(tensor, weights.tensors[name]) for name, tensor in tiny_network.lively().items())


def test_digest_is_the_first_four_bytes_of_the_files_sha256(tmp_path: Path, file_bytes: bytes) -> None:
    path = tmp_path / "tiny.safetensors"
    path.write_bytes(file_bytes)
    digest = sha256(file_bytes).digest()[:4]
    assert load_weights(path).digest == registry.file_digest(path) == digest
    info = registry.read_info(path)
    assert (info.name, info.digest, info.file_bytes) == ("tiny", digest.hex(), len(file_bytes))


def test_packed_weights_file_is_the_same_model_under_a_digest_of_its_own(tmp_path: Path, file_bytes: bytes) -> None:
    path = tmp_path / "tiny.safetensors.gz"
    path.write_bytes(pack(file_bytes))
    assert gzip.decompress(path.read_bytes()) == file_bytes
    weights, info = load_weights(path), registry.read_info(path)
    assert weights.digest == registry.file_digest(path) == sha256(path.read_bytes()).digest()[:4]
    assert dump_weights(weights.config, weights.tensors, weights.metadata) == file_bytes
    assert (info.name, info.digest, info.file_bytes) == ("tiny", weights.digest.hex(), path.stat().st_size)
    assert registry.find(str(path)) == path


@pytest.mark.parametrize("size", [2, 10, 100, 1000, -1])
def test_damaged_packed_weights_file_is_refused(tmp_path: Path, file_bytes: bytes, size: int) -> None:
    packed = pack(file_bytes)
    refuse(packed[:size])
    refuse(packed[:size] + bytes([packed[size] ^ 255]) + packed[size + 1 :] if size > 0 else packed + b"more")
    path = tmp_path / "tiny.safetensors.gz"
    for head in (packed[: abs(size) % 100], b"\x1f\x8bnonsense"):
        path.write_bytes(head)
        with pytest.raises(ModelError):
            registry.read_info(path)


def test_configuration_roundtrips() -> None:
    assert NetworkConfig.loads(tiny_network.SHAPE.dumps()) == tiny_network.SHAPE


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 100, 1000, 100_000, -1])
def test_cut_weights_file_is_refused(file_bytes: bytes, size: int) -> None:
    refuse(file_bytes[:size])


def test_weights_file_that_is_absent_or_a_folder_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.safetensors"):
        with pytest.raises(ModelError, match="can't read the model"):
            load_weights(path)


def test_damaged_header_gives_a_model_error_or_a_model(file_bytes: bytes) -> None:
    source = random.Random(0)
    for _ in range(200):
        at = source.randrange(8 + int.from_bytes(file_bytes[:8], "little"))
        try:
            parse_weights(file_bytes[:at] + bytes([source.randrange(256)]) + file_bytes[at + 1 :], "damaged")
        except ModelError as error:
            assert "\n" not in str(error)


@pytest.mark.parametrize("data", [b"", b"hello", bytes(100), b"\xff" * 100, b"\x02\0\0\0\0\0\0\0{}"])
def test_junk_is_refused(data: bytes) -> None:
    refuse(data)


def test_foreign_safetensors_are_refused(file_bytes: bytes) -> None:
    tensors = load(file_bytes)
    refuse(save(tensors))
    refuse(save(tensors, {"format": "pt"}))
    for fields in (
        "",
        "[]",
        "{}",
        "7",
        json.dumps({"orders": [2, 3]}),
        json.dumps({"orders": 1}),
        '{"orders": [], "x": 1}',
    ):
        refuse(save(tensors, head(fields)))
    refuse(save(tensors, head(replace(tiny_network.SHAPE, blocks=3).dumps())))


@pytest.mark.parametrize(
    "name", ["byte", "ngram", "block1.gates", "block0.gates_bias", "out_bias", "sigmoid", "exponential"]
)
def test_wrong_tensors_are_refused_by_name(file_bytes: bytes, name: str) -> None:
    tensors, metadata = load(file_bytes), head(tiny_network.SHAPE.dumps())
    right = tensors.pop(name)
    assert name in refuse(save(tensors, metadata))
    for wrong in (right[:-1], right.astype(np.int16), right[None]):
        assert name in refuse(save(tensors | {name: np.ascontiguousarray(wrong)}, metadata))
        with pytest.raises(ValueError, match=name):
            dump_weights(tiny_network.SHAPE, tensors | {name: wrong}, {})
    if right.dtype == np.int8:
        wrong = right.copy()
        wrong.flat[5] = -128
        assert name in refuse(save(tensors | {name: wrong}, metadata))


def test_probability_of_a_bit_is_never_certain() -> None:
    """Frequencies as far apart as the format has them still leave the coder at least one part in 2**22."""
    raw = bytes(range(256))
    freqs = np.ones((1, 256), np.int32)
    freqs[0, 77] = 1 << 20
    block = lane_state.new_lane_state(np.frombuffer(bytearray(raw), np.uint8), 1, (True, False), None, True)
    block = lane_state.reserve(block, len(raw))
    cm = create(NO_CM_PROFILE, block.starts[:-1], 1)
    network = forward_cpu.empty_network()
    state = forward_cpu.init_state(network, 1)._replace(freqs=freqs)
    chunk = lockstep.new_chunk(block, 0, len(raw), False)
    chunk.counters[:] = len(raw) * chunk.tiles  # as if the network had predicted every byte: these frequencies
    at = lockstep.run_coder(network, state, cm, block, chunk, lockstep.SINGLE_LANE, static_shapes.counts_of(cm))
    assert at == 8 * len(raw)
    assert block.probabilities[:at].min() >= 1 and block.probabilities[:at].max() < 1 << P_BITS
