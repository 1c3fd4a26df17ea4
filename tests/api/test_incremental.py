"""`ArzipCompressor` and `ArzipDecompressor`."""

from __future__ import annotations

import pickle
import random
import threading
from pathlib import Path

import pytest
from helpers import words

import arzip
from arzip import ArzipCompressor, ArzipDecompressor, codec

TEXT = words(3500)


@pytest.fixture
def archive(tiny_model: Path, tiny_blocks: None) -> bytes:
    """TEXT in four blocks."""
    return arzip.compress(TEXT, model=tiny_model, threads=1)


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


@pytest.mark.parametrize("size", [1, 10, 999, 1000, 1001, 5000])
def test_compressor_makes_the_same_archive_of_pieces(size: int, archive: bytes, tiny_model: Path) -> None:
    for threads in (1, 3):
        compressor = ArzipCompressor(model=tiny_model, threads=threads)
        made = b"".join(map(compressor.compress, pieces(TEXT, size))) + compressor.flush()
        assert made == archive


def test_compressor_returns_blocks_as_they_are_done(archive: bytes, tiny_model: Path) -> None:
    compressor = ArzipCompressor(model=tiny_model, threads=1)
    parts = [compressor.compress(piece) for piece in pieces(TEXT, 500)]
    assert any(parts)
    assert b"".join(parts) + compressor.flush() == archive


def test_compressor_of_nothing(tiny_model: Path) -> None:
    compressor = ArzipCompressor(model=tiny_model)
    made = compressor.compress(b"") + compressor.compress(b"") + compressor.flush()
    assert made == arzip.compress(b"", model=tiny_model)
    assert arzip.decompress(made, model=tiny_model) == b""


def test_compressor_is_used_up_by_flush(tiny_model: Path) -> None:
    compressor = ArzipCompressor(model=tiny_model)
    compressor.flush()
    with pytest.raises(ValueError, match="flushed"):
        compressor.compress(b"more")
    with pytest.raises(ValueError, match="flush"):
        compressor.flush()


def test_compressor_refuses_bad_arguments() -> None:
    for level in (0, 10):
        with pytest.raises(ValueError, match="level"):
            ArzipCompressor(level)
    with pytest.raises(TypeError):
        ArzipCompressor("6")  # type: ignore[arg-type]
    for data in ("text", None, 7):
        with pytest.raises(TypeError):
            ArzipCompressor().compress(data)  # type: ignore[arg-type]


def test_a_compressor_that_is_dropped_stops_its_threads(tiny_model: Path, tiny_blocks: None) -> None:
    before = threading.active_count()
    compressor = ArzipCompressor(model=tiny_model, threads=2)
    compressor.compress(TEXT * 3)
    assert threading.active_count() > before
    del compressor
    assert threading.active_count() == before


@pytest.mark.parametrize("size", [1, 2, 10, 333, 100000])
def test_decompressor_takes_pieces(size: int, archive: bytes, tiny_model: Path) -> None:
    decompressor, out = ArzipDecompressor(model=tiny_model), b""
    for piece in pieces(archive, size):
        assert not decompressor.eof
        assert decompressor.needs_input
        assert decompressor.decompress(b"") == b""
        out += decompressor.decompress(piece)
    assert out == TEXT
    assert decompressor.eof
    assert not decompressor.needs_input
    assert decompressor.unused_data == b""


def test_decompressor_takes_random_pieces_and_lengths(archive: bytes, tiny_model: Path) -> None:
    for seed in range(10):
        source, decompressor, out, at = random.Random(seed), ArzipDecompressor(model=tiny_model), b"", 0
        while not decompressor.eof:
            size, length = source.randrange(300), source.randrange(400)
            if not decompressor.needs_input:
                size = 0
            part = decompressor.decompress(archive[at : at + size], length)
            at += size
            assert len(part) <= length
            out += part
        assert out == TEXT
        assert decompressor.unused_data == b""


def test_decompressor_returns_no_more_than_max_length(archive: bytes, tiny_model: Path) -> None:
    decompressor = ArzipDecompressor(model=tiny_model)
    half = len(archive) // 2
    out = decompressor.decompress(archive[:half], 100)
    assert len(out) == 100
    assert not decompressor.needs_input
    out += decompressor.decompress(b"", 100)
    assert len(out) == 200
    out += decompressor.decompress(archive[half:], 100)
    while not decompressor.eof:
        part = decompressor.decompress(b"", max_length=100)
        assert len(part) <= 100
        out += part
    assert out == TEXT


def test_decompressor_with_max_length_zero_decodes_nothing(
    archive: bytes, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decompressor = ArzipDecompressor(model=tiny_model)
    with monkeypatch.context() as patch:
        patch.setattr(codec, "Decoder", None)
        assert decompressor.decompress(archive, 0) == b""
    assert decompressor.decompress(b"") == TEXT


def test_decompressor_sees_the_end_with_the_last_byte_it_returns(archive: bytes, tiny_model: Path) -> None:
    decompressor = ArzipDecompressor(model=tiny_model)
    assert decompressor.decompress(archive, len(TEXT)) == TEXT
    assert decompressor.eof


def test_decompressor_needs_no_input_while_it_holds_output(archive: bytes, tiny_model: Path) -> None:
    decompressor = ArzipDecompressor(model=tiny_model)
    first = decompressor.decompress(archive, len(TEXT) - 11)
    assert not decompressor.needs_input
    assert not decompressor.eof
    assert first + decompressor.decompress(b"") == TEXT
    assert decompressor.eof


def test_decompressor_leaves_what_follows(archive: bytes, tiny_model: Path) -> None:
    for extra in (b"x", b"what follows", archive):
        decompressor = ArzipDecompressor(model=tiny_model)
        assert decompressor.decompress(archive + extra) == TEXT
        assert decompressor.eof
        assert decompressor.unused_data == extra


def test_decompressor_after_the_end_raises_eof_error(archive: bytes, tiny_model: Path) -> None:
    decompressor = ArzipDecompressor(model=tiny_model)
    decompressor.decompress(archive)
    for data in (b"more", b""):
        with pytest.raises(EOFError):
            decompressor.decompress(data)


def test_decompressor_raises_a_fault_again(archive: bytes, tiny_model: Path) -> None:
    decompressor = ArzipDecompressor()
    for _ in range(2):
        with pytest.raises(arzip.NotAnArchiveError):
            decompressor.decompress(b"no archive at all, that is plain")
    damaged = bytearray(archive)
    damaged[60] ^= 4
    decompressor = ArzipDecompressor(model=tiny_model)
    for _ in range(2):
        with pytest.raises(arzip.DamagedError, match="block 1"):
            decompressor.decompress(damaged)


def test_decompressor_finds_every_damage_that_decompress_finds(archive: bytes, tiny_model: Path) -> None:
    for at in range(0, len(archive), 9):
        damaged = archive[:at] + bytes([archive[at] ^ 16]) + archive[at + 1 :]
        decompressor = ArzipDecompressor(model=tiny_model)
        try:
            out = decompressor.decompress(damaged)
        except arzip.ArzipError:
            continue
        assert out == TEXT[: len(out)]
        assert not decompressor.eof or out == TEXT


def test_decompressor_holds_a_block_only(archive: bytes, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[int] = []
    decode = codec.Decoder.decode
    monkeypatch.setattr(codec.Decoder, "decode", lambda *args: decoded.append(1) or decode(*args))
    decompressor = ArzipDecompressor(model=tiny_model)
    decompressor.decompress(archive, 1)
    assert len(decoded) == 1
    decompressor.decompress(b"", 999)
    assert len(decoded) == 1
    decompressor.decompress(b"", 1)
    assert len(decoded) == 2


def test_decompressor_of_empty_and_stored(tiny_model: Path) -> None:
    for raw in (b"", b"\xff", random.Random(0).randbytes(100)):
        made = arzip.compress(raw, model=tiny_model)
        decompressor = ArzipDecompressor(model=tiny_model)
        assert b"".join(decompressor.decompress(made[k : k + 1]) for k in range(len(made))) == raw
        assert decompressor.eof


def test_neither_is_pickled() -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        for value in (ArzipCompressor(), ArzipDecompressor()):
            with pytest.raises(TypeError, match="cannot pickle"):
                pickle.dumps(value, protocol)
