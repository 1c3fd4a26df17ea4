"""`compress_batch` and `open_batch`: records in one file, read by number."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from helpers import words

import arzip
from arzip import block_codec
from arzip.api import record_codec
from arzip.format.stream import list_members

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


def test_a_batch_is_an_archive_of_a_block_a_record(batch: bytes) -> None:
    assert arzip.decompress(batch) == b"".join(RECORDS)
    first, empty, last = list_members(io.BytesIO(batch))
    assert [frame.raw_bytes for frame in first.frames] == [300] * 10
    assert (empty.raw_bytes, last.raw_bytes) == (0, 1)
    joined = b"".join(arzip.compress_many(RECORDS, 1))
    assert len(batch) < len(joined) - 50
    assert list(arzip.open_batch(io.BytesIO(joined))) == RECORDS


def test_a_long_record_is_one_block(tiny_model: Path, tiny_blocks: None, monkeypatch: pytest.MonkeyPatch) -> None:
    records = [TEXT[:2500], b"", TEXT[2500:2600]]
    batch = arzip.compress_batch(records, model=tiny_model)
    assert list(arzip.open_batch(io.BytesIO(batch), model=tiny_model)) == records
    monkeypatch.setattr(record_codec, "MAX_BLOCK_BYTES", 2499)
    with pytest.raises(ValueError, match="2499"):
        arzip.compress_batch(records, model=tiny_model)


def test_damage_to_a_record_leaves_the_others(batch: bytes) -> None:
    (member, *_) = list_members(io.BytesIO(batch))
    at = len(member.header.pack()) + len(member.frames[0].pack()) + member.frames[0].coded_bytes // 2
    damaged = bytearray(batch)
    damaged[at] ^= 1
    records = arzip.open_batch(io.BytesIO(damaged))
    assert records[1:] == RECORDS[1:]
    for wrong in (0, slice(0, 3)):
        with pytest.raises(arzip.DamagedError):
            records[wrong]


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
    with pytest.raises(arzip.DamagedError, match="truncated"):
        records[-3]


def test_a_batch_of_nothing() -> None:
    assert arzip.compress_batch([]) == b""
    with pytest.raises(arzip.NotAnArchiveError):
        arzip.open_batch(io.BytesIO(b""))
