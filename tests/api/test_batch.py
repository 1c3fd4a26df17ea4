"""`compress_batch` and `open_batch`: records in one file, read by number."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from helpers import words

import arzip
from arzip import block_codec

TEXT = words(6000)
RECORDS = [TEXT[at : at + 300] for at in range(0, 3000, 300)] + [b"", b"x"]


@pytest.fixture(scope="module")
def batch() -> bytes:
    return arzip.compress_batch(RECORDS, 1)


def test_records_are_read_by_number(batch: bytes, tmp_path: Path) -> None:
    path = tmp_path / "records.arz"
    path.write_bytes(batch)
    for source in (path, str(path), io.BytesIO(batch)):
        with arzip.open_batch(source) as records:
            assert len(records) == len(RECORDS)
            assert [records[k] for k in (3, 0, -1, -2)] == [RECORDS[k] for k in (3, 0, -1, -2)]
            assert records[2:7] == RECORDS[2:7]
            assert list(records) == RECORDS
            with pytest.raises(IndexError):
                records[len(RECORDS)]


def test_a_record_is_decoded_alone(batch: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[int] = []
    decode = block_codec.decode
    monkeypatch.setattr(block_codec, "decode", lambda *args: decoded.append(1) or decode(*args))
    assert arzip.open_batch(io.BytesIO(batch))[5] == RECORDS[5]
    assert len(decoded) == 1


def test_a_batch_is_archives_one_after_the_other(batch: bytes) -> None:
    assert batch == b"".join(arzip.compress(record, 1) for record in RECORDS)
    assert arzip.decompress(batch) == b"".join(RECORDS)


def test_damage_to_a_record_leaves_the_others(batch: bytes) -> None:
    first = len(arzip.compress(RECORDS[0], 1))
    damaged = bytearray(batch)
    damaged[first - 5] ^= 1
    records = arzip.open_batch(io.BytesIO(damaged))
    assert records[1:] == RECORDS[1:]
    with pytest.raises(arzip.DamagedError):
        records[0]


def test_what_is_no_batch_is_refused(batch: bytes, tmp_path: Path) -> None:
    with pytest.raises(arzip.TruncatedError):
        arzip.open_batch(io.BytesIO(batch[:-1]))
    with pytest.raises(arzip.NotAnArchiveError):
        arzip.open_batch(io.BytesIO(b"nothing like it"))
    with pytest.raises(FileNotFoundError):
        arzip.open_batch(tmp_path / "missing")
    with pytest.raises(TypeError):
        arzip.open_batch(7)
    shorter = io.BytesIO(batch)
    records = arzip.open_batch(shorter)
    shorter.truncate(len(batch) // 2)
    with pytest.raises(arzip.DamagedError, match="shorter"):
        records[-2]


def test_a_batch_of_nothing() -> None:
    assert arzip.compress_batch([]) == b""
    with pytest.raises(arzip.NotAnArchiveError):
        arzip.open_batch(io.BytesIO(b""))
