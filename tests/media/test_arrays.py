"""Arrays of numbers: kernels against plain Python, arrays found in streams, archives of all of it."""

from __future__ import annotations

import contextlib
import io
import json
import struct
from typing import Any

import numpy as np
import pytest
from helpers import check_roundtrip, compress, english
from reference.decoder.array import decode_array

from arzip import block_codec, codec
from arzip.codec import Options
from arzip.errors import DamagedError
from arzip.format import stream
from arzip.format.records import Frame, Method
from arzip.format.stream import Block
from arzip.media import array_choice, array_detect, array_layout, array_payload, array_statistics, array_values
from arzip.media.array_layout import ArrayLayout
from arzip.media.array_values import BFLOAT, FLOAT, SIGNED, UNSIGNED

Numbers = np.ndarray[Any, np.dtype[Any]]


def field(height: int, width: int, seed: int = 0) -> Numbers:
    """A smooth field (H, W) with noise, of both signs."""
    rng = np.random.default_rng(seed)
    rough = rng.normal(0, 1, (height, width))
    y, x = np.meshgrid(np.fft.fftfreq(height), np.fft.fftfreq(width), indexing="ij")
    smooth = np.fft.ifft2(np.fft.fft2(rough) / (0.02 + x**2 + y**2)).real
    return 40 * smooth / smooth.std() + rng.normal(0, 0.05, (height, width))


def weights(height: int, width: int, seed: int = 0) -> Numbers:
    """Normal numbers (H, W) whose columns have scales of their own."""
    rng = np.random.default_rng(seed)
    return rng.normal(0, 1, (height, width)) * np.exp(rng.normal(-3, 0.5, width))


def bfloat(numbers: Numbers) -> bytes:
    return (numbers.astype("<f4").view("<u4") >> 16).astype("<u2").tobytes()


def npy(numbers: Numbers) -> bytes:
    sink = io.BytesIO()
    np.save(sink, numbers)
    return sink.getvalue()


def safetensors(tensors: dict[str, tuple[str, tuple[int, ...], bytes]]) -> bytes:
    about, at = {"__metadata__": {"format": "pt"}}, 0
    for name, (dtype, shape, data) in tensors.items():
        about[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(data)]}  # type: ignore[dict-item]
        at += len(data)
    text = json.dumps(about).encode()
    return struct.pack("<Q", len(text)) + text + b"".join(data for _, _, data in tensors.values())


def first(_: bytes, layouts: list[Any]) -> Any:
    return layouts[0]


def pieces_of(raw: bytes) -> list[array_detect.Piece]:
    return array_detect.Splitter().split(raw, first)


LAYOUTS = [
    (ArrayLayout(0, 0, FLOAT, 4, False, ((120, 12, 0),), True, 2, -20, 20), "field"),
    (ArrayLayout(3, 2, FLOAT, 8, True, ((40, 1, 0), (40, 20, 0)), True, 5, 980, 26), "field"),
    (ArrayLayout(1, 0, BFLOAT, 2, False, ((200, 20, 0),), False, 1, 85, 0), "weights"),
    (ArrayLayout(0, 0, FLOAT, 2, True, ((150, 1, 0),), False, 0, -20, 0), "weights"),
    (ArrayLayout(0, 1, SIGNED, 4, False, ((96, 4, 24),), True, 0, 0, 3), "field"),
    (ArrayLayout(0, 0, UNSIGNED, 2, True, ((144, 18, 36),), True, 1, 0, 3), "field"),
    (ArrayLayout(0, 0, SIGNED, 8, False, ((60, 3, 0),), True, 3, 30, 0), "any"),
    (ArrayLayout(0, 0, FLOAT, 4, False, ((100, 2, 0),), True, 0, -64, 28), "any"),
    (ArrayLayout(0, 0, SIGNED, 8, True, ((50, 50, 50),), False, 16, -64, 0), "any"),
]


def block(layout: ArrayLayout, what: str, seed: int = 0) -> bytes:
    """The raw bytes of a block that lies as a layout says."""
    count = sum(part[0] for part in layout.parts)
    numbers = (weights if what == "weights" else field)(count, 1, seed).ravel()
    order = ">" if layout.big_endian else "<"
    if what == "any":
        body = np.random.default_rng(seed).integers(0, 256, count * layout.size, np.uint8).tobytes()
    elif layout.kind == BFLOAT:
        body = bfloat(numbers)
    elif layout.kind == FLOAT:
        numbers[::17] = [np.inf, -np.inf, np.nan, 0.0, -0.0, 1e-40][seed % 6]
        body = numbers.astype(f"{order}f{layout.size}").tobytes()
    else:
        body = (numbers * 100).astype(f"i{layout.size}").astype(f"{order}i{layout.size}").tobytes()
    return b"h" * layout.head + body + b"t" * layout.tail


@pytest.fixture
def as_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Layouts are taken as they are."""
    monkeypatch.setattr(array_choice, "choose", lambda items, layout: layout)


@pytest.mark.usefixtures("as_given")
@pytest.mark.parametrize(("layout", "what"), LAYOUTS, ids=str)
def test_kernels_agree_with_plain_python_bit_for_bit(layout: ArrayLayout, what: str) -> None:
    raw = block(layout, what)
    coded = array_payload.encode(raw, layout, lambda _: None)
    assert decode_array(coded, len(raw)) == raw


@pytest.mark.usefixtures("as_given")
@pytest.mark.parametrize(("layout", "what"), LAYOUTS, ids=str)
def test_items_come_back(layout: ArrayLayout, what: str) -> None:
    scale = 20
    layout = layout._replace(parts=tuple((scale * items, row, plane) for items, row, plane in layout.parts))
    for seed in range(3):
        raw, done = block(layout, what, seed), list[int]()
        coded = array_payload.encode(raw, layout, done.append)
        assert sum(done) == len(raw)
        assert array_payload.decode(coded, len(raw), done.append) == raw
        assert sum(done) == 2 * len(raw)
        assert len(coded) < 1.1 * len(raw) + 100


def test_costs_are_those_of_the_stream() -> None:
    layout, costs = ArrayLayout(0, 0, FLOAT, 4, False, ((3000, 50, 0),)), []
    raw = field(60, 50).astype("<f4").tobytes()
    coded = array_payload.encode(raw, layout, lambda _: None, lambda c: costs.append(c))
    head = len(array_layout.parse(coded, len(raw))[0].pack())
    assert abs(sum(float(c.sum()) for c in costs) / 8 - len(coded) + head) < 10


def test_noise_costs_one_bit_a_bit() -> None:
    rng = np.random.default_rng(5)
    noise = rng.integers(0, 1 << 20, 20000) | 0x3F800000
    raw = noise.astype("<u4").tobytes()
    coded = array_payload.encode(raw, ArrayLayout(0, 0, FLOAT, 4, False, ((20000, 1, 0),)), lambda _: None)
    assert len(coded) < 1.005 * len(noise) * 20 / 8 + 100


def test_weights_take_less_than_their_exponents_apart() -> None:
    raw = bfloat(weights(200, 100))
    coded = array_payload.encode(raw, ArrayLayout(0, 0, BFLOAT, 2, False, ((20000, 100, 0),)), lambda _: None)
    exponents = np.bincount(np.frombuffer(raw, "<u2") >> 7 & 255) / 20000
    exponents = exponents[exponents > 0]
    assert len(coded) < 20000 / 8 * (8 - float((exponents * np.log2(exponents)).sum()))


GOOD = bytes([0, 0, 2 | 2 << 2, 0, 0, 64, 1, 5, 1, 0])
BROKEN = {
    "nothing": b"",
    "no parts": GOOD[:7],
    "bytes of items": GOOD[:2] + bytes([0 | 2 << 2]) + GOOD[3:],
    "sixteen bytes": GOOD[:2] + bytes([4]) + GOOD[3:],
    "bfloat of four bytes": GOOD[:2] + bytes([2 | 3 << 2]) + GOOD[3:],
    "unsigned of eight bytes": GOOD[:2] + bytes([3]) + GOOD[3:],
    "form": GOOD[:2] + bytes([2 | 2 << 2 | 64]) + GOOD[3:],
    "plain": GOOD[:3] + b"\x09" + GOOD[4:],
    "drop": GOOD[:4] + b"\x1d" + GOOD[5:],
    "unit": GOOD[:5] + b"\x81\x20" + GOOD[6:],
    "part too long": GOOD[:7] + b"\x06\1\0",
    "part too short": GOOD[:7] + b"\4\1\0",
    "empty part": GOOD[:6] + b"\2\5\1\0\0\1\0",
    "no row": GOOD[:7] + b"\5\0\0",
    "row": GOOD[:7] + b"\5\6\0",
    "plane": GOOD[:7] + b"\5\1\6",
    "no part": GOOD[:6] + b"\0",
    "head": b"\x09" + GOOD[1:],
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_layout_that_does_not_fit_raises(name: str) -> None:
    assert len(array_payload.decode(GOOD, 20, lambda _: None)) == 20
    with pytest.raises(ValueError):
        array_payload.decode(BROKEN[name], 20 + BROKEN[name][:1].count(9), lambda _: None)


def test_any_payload_gives_bytes_or_an_error() -> None:
    rng = np.random.default_rng(2)
    for _ in range(200):
        payload = bytearray(GOOD + rng.integers(0, 256, 30, np.uint8).tobytes())
        payload[rng.integers(10)] = rng.integers(256)
        with contextlib.suppress(ValueError):
            assert len(array_payload.decode(bytes(payload), 20, lambda _: None)) == 20


@pytest.mark.parametrize("kind", [UNSIGNED, SIGNED, FLOAT, BFLOAT])
@pytest.mark.parametrize("size", array_values.SIZES)
@pytest.mark.parametrize("big_endian", [False, True])
def test_items_have_the_order_of_numbers(kind: int, size: int, big_endian: bool) -> None:
    if not array_values.is_known(kind, size):
        return
    raw = np.random.default_rng(1).integers(0, 256, 800, np.uint8).tobytes()
    items = array_values.unpack(raw, kind, size, big_endian)
    assert array_values.pack(items, kind, size, big_endian) == raw
    assert items.min() >= -(1 << (8 * size - 1)) and items.max() < 1 << (8 * size - 1)
    if kind != BFLOAT:
        name = {UNSIGNED: "u", SIGNED: "i", FLOAT: "f"}[kind]
        numbers = np.frombuffer(raw, f"{'>' if big_endian else '<'}{name}{size}")
        known = ~np.isnan(numbers) if kind == FLOAT else np.ones(len(items), bool)
        assert (np.diff(numbers[known][np.argsort(items[known])].astype(np.float64)) >= 0).all()


FILES = {
    "npy": (npy(field(60, 50).astype("<f4")), (FLOAT, 4, False, ((3000, 50, 0),))),
    "npy, most significant byte first": (npy(field(60, 50).astype(">f8")), (FLOAT, 8, True, ((3000, 50, 0),))),
    "npy of whole numbers": (npy(field(900, 4).astype("<i4")), (SIGNED, 4, False, ((3600, 4, 0),))),
    "npy in Fortran's order": (npy(np.asfortranarray(field(60, 50))), (FLOAT, 8, False, ((3000, 60, 0),))),
    "npy of planes": (npy(field(60, 60).reshape(6, 10, 60)), (FLOAT, 8, False, ((3600, 60, 600),))),
    "npy of complex numbers": (npy(field(60, 50) * 1j), (FLOAT, 8, False, ((6000, 2, 100),))),
    "safetensors": (
        safetensors(
            {
                "a": ("BF16", (60, 50), bfloat(weights(60, 50))),
                "b": ("BF16", (50,), bfloat(weights(50, 1))),
                "c": ("BF16", (70,), bfloat(weights(70, 1))),
            }
        ),
        (BFLOAT, 2, False, ((3000, 50, 0), (120, 1, 0))),
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_files_are_found_and_their_layout_is_right(name: str) -> None:
    raw, about = FILES[name]
    [(piece, layout)] = pieces_of(raw)
    assert piece == raw and layout is not None
    assert layout[2:6] == about


def test_tensors_of_other_types_are_apart() -> None:
    one, other = weights(80, 50).astype("<f4"), weights(60, 50)
    raw = safetensors({"a": ("F32", (80, 50), one.tobytes()), "b": ("BF16", (60, 50), bfloat(other))}) + english(900)
    pieces = pieces_of(raw)
    assert b"".join(piece for piece, _ in pieces) == raw
    assert [layout and layout.kind for _, layout in pieces] == [FLOAT, BFLOAT, None]


def test_an_array_goes_on_in_the_next_block() -> None:
    raw = english(1000) + npy(field(400, 50).astype("<f4")) + english(2000)
    for size in (9001, 12000, 20011):
        splitter = array_detect.Splitter()
        pieces = [piece for at in range(0, len(raw), size) for piece in splitter.split(raw[at : at + size], first)]
        assert b"".join(piece for piece, _ in pieces) == raw
        for piece, layout in pieces:
            if layout:  # in step with the items: else noise
                assert len(array_payload.encode(piece, layout, lambda _: None)) < 0.9 * len(piece)
        assert sum(len(piece) for piece, layout in pieces if layout) > 70000


def test_headers_with_wild_numbers_are_nothing() -> None:
    rng, files = np.random.default_rng(3), [raw for raw, _ in FILES.values()]
    for _ in range(500):
        raw = bytearray(files[rng.integers(len(files))])
        for at in rng.integers(0, 120, 3):
            raw[at] = rng.integers(256)
        assert b"".join(piece for piece, _ in pieces_of(bytes(raw))) == raw


UNNAMED = {
    "bfloat16": (bfloat(weights(200, 300)), (BFLOAT, 2, False)),
    "float32": (field(200, 150).astype("<f4").tobytes(), (FLOAT, 4, False)),
    "float32, most significant byte first": (field(200, 150).astype(">f4").tobytes(), (FLOAT, 4, True)),
    "float64": (field(200, 150).astype("<f8").tobytes(), (FLOAT, 8, False)),
    "int16": ((40 * field(200, 150)).astype("<i2").tobytes(), (SIGNED, 2, False)),
    "int32": ((4000 * field(200, 150)).astype(">i4").tobytes(), (SIGNED, 4, True)),
}


@pytest.mark.parametrize("name", UNNAMED)
def test_arrays_without_a_header_are_found(name: str) -> None:
    raw, about = UNNAMED[name]
    [found] = array_statistics.find(raw)
    assert found[1:4] == about and found.start == 0 and found.stop == len(raw)
    if name != "bfloat16":
        assert found.parts[0][1] == 150


@pytest.mark.parametrize("raw", [english(200000), bytes(200000), np.random.default_rng(1).bytes(200000), b"ab" * 50000])
def test_what_is_no_array_is_left_alone(raw: bytes) -> None:
    assert array_statistics.find(raw) == []


@pytest.mark.parametrize("name", ["npy", "safetensors"])
def test_archive_of_an_array_between_texts_is_restored(options: Options, name: str) -> None:
    raw = english(3000) + FILES[name][0] + english(500)
    archive = check_roundtrip(raw, Options(9, options.model))
    profiles = [(f.method, f.cm_profile) for m in stream.list_members(io.BytesIO(archive)) for f in m.frames]
    assert profiles.count((Method.MEMORY, array_payload.PROFILE)) == 1


def test_damaged_array_raises(options: Options) -> None:
    archive = bytearray(compress(FILES["npy"][0], Options(9, options.model)))
    archive[len(archive) // 2] ^= 8
    with pytest.raises(DamagedError):
        codec.decompress(io.BytesIO(bytes(archive)), io.BytesIO(), options)


@pytest.mark.parametrize(("lanes", "profile_byte"), [(2, 6), (1, 6 | 1 << 4), (1, 6 | 8)])
def test_a_frame_that_an_array_cannot_have_raises(lanes: int, profile_byte: int) -> None:
    frame = Frame(Method.MEMORY, lanes, profile_byte, 100, 10, 0)
    with pytest.raises(DamagedError):
        block_codec.decode(Block(1, 0, frame, bytes(10)), b"1234", lambda _: None, None, lambda _: None)  # type: ignore
