"""Model files of strangers: each bound of the format is checked, and nothing is believed before it is bounded."""

from __future__ import annotations

import gzip
import io
import json
import os
import resource
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_network
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save

from arzip import cli
from arzip.errors import ModelError
from arzip.weights import registry
from arzip.weights.bounds import SQUARES_LIMIT, residual_limit
from arzip.weights.file import METADATA_KEY, load_weights, parse_weights
from arzip.weights.head import HEAD_LIMIT_BYTES, LIMIT_BYTES, read_head, unpack

SHAPE = tiny_network.SHAPE
FIELDS = json.loads(SHAPE.dumps())


def model(network: Any = FIELDS, about: Any = None, **changed: np.ndarray[Any, Any]) -> bytes:
    """A model file, right but for what is said."""
    tensors = tiny_network.lively() | changed
    said = json.dumps({"network": network, "about": {} if about is None else about})
    return save({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}, {METADATA_KEY: said})


def raw_head(entries: Any, data: bytes = b"") -> bytes:
    """A file with this JSON as its head, as text or not yet."""
    text = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
    return len(text).to_bytes(8, "little") + text + data


def said(network: Any = None, about: Any = None) -> dict[str, str]:
    return {METADATA_KEY: json.dumps({"network": network or FIELDS, "about": about or {}})}


def refuse(data: bytes) -> str:
    with pytest.raises(ModelError) as caught:
        parse_weights(data, "m")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_within_bounds_is_a_model() -> None:
    assert parse_weights(model(), "m").config == SHAPE


# ---------------------------------------------------------------------------------------------------- its numbers


@pytest.mark.parametrize(
    "change",
    [
        *({name: float(FIELDS[name])} for name in ("d", "blocks", "hidden", "rows", "ngram_d")),
        *({name: True} for name in ("d", "blocks", "hidden", "rows", "ngram_d")),
        *({name: None} for name in FIELDS),
        *({name: "64"} for name in FIELDS),
        *({name: [64]} for name in ("d", "blocks")),
        *({name: 10**4000} for name in ("d", "blocks", "hidden", "rows", "ngram_d")),
        *({name: -64} for name in ("d", "blocks", "hidden", "rows", "ngram_d")),
        {"d": 0},
        {"d": 96},
        {"d": 1088},
        {"hidden": 96},
        {"hidden": 1088},
        {"blocks": 0},
        {"blocks": 17},
        {"rows": 1 << 15},
        {"rows": 1 << 25},
        {"rows": 100_000},
        {"ngram_d": 0},
        {"ngram_d": 22},
        {"orders": [2, 0]},
        {"orders": [2, 8]},
        {"orders": [2, 3.0]},
        {"orders": [2, float("inf")]},
        {"orders": [2, float("nan")]},
        {"orders": 2},
        {"orders": [2] * 100_000},
        {"more": 1},
    ],
    ids=str,
)
def test_a_shape_out_of_bounds_is_refused(change: dict[str, Any]) -> None:
    refuse(model(FIELDS | change))


def test_sums_that_do_not_fit_into_64_bits_are_refused() -> None:
    """d X^2 < 2^59, FORMAT: the root of a negative number once took a second a byte."""
    at_most = int((SQUARES_LIMIT / SHAPE.d) ** 0.5)
    wide = np.full((SHAPE.d, SHAPE.hidden), 127, np.int8)
    limit = residual_limit(SHAPE, tiny_network.lively() | {"block0.mlp_out": wide, "block1.mlp_out": wide})
    assert limit < at_most  # nothing of this width is too large
    fields = {"d": 1024, "blocks": 16, "hidden": 1024, "orders": [], "rows": 1 << 16, "ngram_d": 1}
    config = type(SHAPE)(**{**fields, "orders": ()})
    tensors = {
        name: np.zeros(shape, np.int32 if len(shape) == 1 else np.int8) for name, shape in config.shapes().items()
    }
    tables = {name: tensor for name, tensor in tiny_network.lively().items() if name in ("sigmoid", "exponential")}
    for value, fits in ((3, True), (4, False)):
        for k in range(16):
            tensors[f"block{k}.mlp_out"].fill(value)
            tensors[f"block{k}.state_out"].fill(-value)
        data = save(tensors | tables, said(fields))
        assert (config.d * residual_limit(config, tensors) ** 2 < SQUARES_LIMIT) == fits
        if fits:
            assert parse_weights(data, "m").config == config
        else:
            assert "64 bits" in refuse(data)


@pytest.mark.parametrize("name", ["block0.gates_bias", "block1.gates_bias", "out_bias"])
@pytest.mark.parametrize("sign", [-1, 1])
def test_biases_end_at_2_to_24(name: str, sign: int) -> None:
    tensor = tiny_network.lively()[name].astype(np.int32)
    tensor[3] = sign << 24
    parse_weights(model(**{name: tensor}), "m")
    tensor[3] += sign
    assert name in refuse(model(**{name: tensor}))


@pytest.mark.parametrize(("name", "low", "high"), [("sigmoid", 0, 1 << 16), ("exponential", 1, 1 << 20)])
def test_tables_are_bounded(name: str, low: int, high: int) -> None:
    for value, fits in ((low, True), (high, True), (low - 1, False), (high + 1, False)):
        tensor = tiny_network.lively()[name].astype(np.int32)
        tensor[7] = value
        if fits:
            parse_weights(model(**{name: tensor}), "m")
        else:
            assert name in refuse(model(**{name: tensor}))


@pytest.mark.parametrize("name", [name for name, shape in SHAPE.shapes().items() if len(shape) > 1])
def test_no_weight_is_minus_128(name: str) -> None:
    tensor = tiny_network.lively()[name].copy()
    tensor.flat[-1] = -128
    assert name in refuse(model(**{name: tensor}))


# ------------------------------------------------------------------------------------------------- what it says


@pytest.mark.parametrize(
    "head",
    [
        b"[" * 5000,
        b'{"a":' * 5000,
        b'{"__metadata__": {"arzip": 5}}',
        b'{"__metadata__": []}',
        b'{"__metadata__": {"arzip": "[]"}}',
        b'{"__metadata__": {"arzip": "null"}}',
        json.dumps({"__metadata__": {"arzip": "[" * 5000}}).encode(),
        json.dumps({"__metadata__": {"arzip": '{"network": ' + "[" * 5000}}).encode(),
        json.dumps({"__metadata__": {"arzip": '{"network": 1, "about": {}}'}}).encode(),
        json.dumps({"__metadata__": {"arzip": '{"network": {}, "about": 1}'}}).encode(),
        b'{"__metadata__": {"arzip": "\\ud800"}}',
        b"\xff\xfe",
        b"7",
        *(
            json.dumps({"__metadata__": said(), "w": entry}).encode()
            for entry in (
                1,
                [],
                {},
                {"dtype": "I8"},
                {"dtype": "I8", "shape": [6], "data_offsets": [0]},
                {"dtype": "F32", "shape": [6], "data_offsets": [0, 24]},
                {"dtype": ["I8"], "shape": [6], "data_offsets": [0, 6]},
                {"dtype": "I8", "shape": [6.0], "data_offsets": [0, 6]},
                {"dtype": "I8", "shape": ["6"], "data_offsets": [0, 6]},
                {"dtype": "I8", "shape": [-2, -3], "data_offsets": [0, 6]},
                {"dtype": "I8", "shape": [6], "data_offsets": [6, 0]},
                {"dtype": "I8", "shape": [1] * 5, "data_offsets": [0, 1]},
                {"dtype": "I8", "shape": [1 << 40], "data_offsets": [0, 1 << 40]},
                {"dtype": "I8", "shape": [1 << 62], "data_offsets": [0, 1 << 62]},
            )
        ),
    ],
    ids=lambda head: head[:60].decode("latin-1"),
)
def test_a_head_that_is_none_is_refused_by_all_who_read_it(head: bytes, tmp_path: Path) -> None:
    for data in (raw_head(head), gzip.compress(raw_head(head))):
        refuse(data)
        path = tmp_path / "m.safetensors.gz"
        path.write_bytes(data)
        with pytest.raises(ModelError):
            registry.read_info(path)


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_are_refused(junk: bytes, with_length: bool) -> None:
    data = raw_head(junk) if with_length else junk
    for form in (data, gzip.compress(data), b"\x1f\x8b" + data):
        refuse(form)


def test_what_a_model_says_of_itself_is_text(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    strange = {"trained_on": 5, "bits_per_byte": [1], "name": {"a": None}, "x": None}
    weights = parse_weights(model(about=strange), "m")
    assert weights.metadata == {"trained_on": "5", "bits_per_byte": "[1]", "name": '{"a": null}', "x": "null"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ARZIP_MODEL_PATH", str(tmp_path))
    return tmp_path


def test_models_shows_the_good_ones_beside_all_others(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "int.safetensors").write_bytes(model(about={"trained_on": 5, "bits_per_byte": [1.5]}))
    (folder / "escape.safetensors").write_bytes(
        model(about={"trained_on": "\x1b]0;owned\x07", "bits_per_byte": "\x1b[2J"})
    )
    (folder / "foreign.safetensors").write_bytes(save({"w": np.zeros(3, np.float32)}))
    (folder / "deep.safetensors").write_bytes(raw_head(b"[" * 5000))
    (folder / "good.safetensors").write_bytes(model(about={"trained_on": "prose"}))
    (folder / "folder.safetensors").mkdir()
    (folder / "zero.safetensors").symlink_to("/dev/zero")
    os.mkfifo(folder / "pipe.safetensors")
    assert cli.main(["models"]) == 1
    out, err = capfd.readouterr()
    assert "prose" in out and "\x1b" not in out and "\\x1b]0;owned\\x07" in out and " int " in out
    assert err.count("\n") == 2 and "deep.safetensors" in err and "foreign.safetensors" in err
    assert cli.main(["models", "--json"]) == 1
    names = {row["name"] for row in json.loads(capfd.readouterr().out)}
    assert {"int", "escape", "good"} <= names and not {"foreign", "deep", "pipe", "zero", "folder"} & names


# --------------------------------------------------------------------------------------- time, memory, endless files


@pytest.mark.parametrize("name", ["pipe", "zero", "folder", "absent"])
def test_what_is_no_regular_file_is_refused_at_once(name: str, folder: Path) -> None:
    os.mkfifo(folder / "pipe.safetensors")
    (folder / "zero.safetensors").symlink_to("/dev/zero")
    (folder / "folder.safetensors").mkdir()
    path = folder / f"{name}.safetensors"
    start = time.monotonic()
    for read in (load_weights, registry.read_info, registry.file_digest, lambda path: registry.find(str(path))):
        with pytest.raises(ModelError):
            read(path)
    with pytest.raises(ModelError, match="is not at hand"):
        registry.find_digest(b"none")
    assert time.monotonic() - start < 5


def test_hints_of_any_kind_are_only_hints(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "good.safetensors").write_bytes(model())
    digest = registry.file_digest(folder / "good.safetensors")
    hints = folder / registry.HINTS
    writers: list[Callable[[], object]] = [
        lambda: hints.write_text('{"good.safetensors": 5}'),
        lambda: hints.write_text("[1]"),
        lambda: hints.write_text("[" * 5000),
        lambda: hints.write_bytes(b"\xff"),
        lambda: hints.symlink_to("/dev/zero"),
        lambda: os.mkfifo(hints),
    ]
    for write in writers:
        hints.unlink(missing_ok=True)
        write()
        registry._hints.cache_clear()
        assert registry.find_digest(digest) == folder / "good.safetensors"
    registry._hints.cache_clear()


def test_a_user_that_the_system_does_not_know_has_no_models(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setattr(Path, "home", unknown)
    assert list(registry.paths())  # the package's


def test_a_folder_that_may_not_be_read_has_no_models(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "glob", refuse)
    assert list(registry.paths()) == []
    with pytest.raises(ModelError, match="at hand: none"):
        registry.find("small")


def gzipped_zeros(head: bytes, mib: int) -> bytes:
    """A head and so many MiB of zeros, packed; of the end, which nobody should reach, the check is left out."""
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    start = packer.compress(head) + packer.flush(zlib.Z_FULL_FLUSH)
    piece = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return start + piece * mib + packer.flush()


BIG = 600  # MiB
BOMBS = {
    "no head": b"",
    "a long head": struct.pack("<Q", HEAD_LIMIT_BYTES + 1),
    "large tensors": raw_head(
        {"__metadata__": said(), "w": {"dtype": "I8", "shape": [BIG << 20], "data_offsets": [0, BIG << 20]}}
    ),
    "more than it says": model(),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_packed_bomb_is_refused_before_it_takes_memory(name: str, tmp_path: Path) -> None:
    """0.9 MB once took 2 GB."""
    path = tmp_path / "bomb.safetensors.gz"
    path.write_bytes(gzipped_zeros(BOMBS[name], BIG))
    code = (
        "import resource, sys\nfrom arzip.weights.file import load_weights\nfrom pathlib import Path\n"
        "from arzip.errors import ModelError\nbefore = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n    load_weights(Path(sys.argv[1]))\nexcept ModelError:\n"
        "    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 64 << 10  # KiB


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.safetensors"
    with open(path, "wb") as file:
        file.truncate(LIMIT_BYTES + 1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for read in (load_weights, registry.read_info, registry.file_digest):
        with pytest.raises(ModelError, match="too large"):
            read(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10


def test_packed_files_come_back_whole() -> None:
    data = model()
    assert unpack(data) == data == unpack(gzip.compress(data))
    head = read_head(io.BytesIO(data).read)
    assert (head.file_bytes, head.network) == (len(data), FIELDS)
    for wrong in (gzip.compress(data) + b"\0", gzip.compress(data) * 2, gzip.compress(data + b"\0")):
        with pytest.raises(ValueError, match="cut short"):
            unpack(wrong)
