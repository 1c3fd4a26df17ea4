"""`compress_many` and `decompress_many`: the archives of many records, as `compress` makes them one by one."""

from __future__ import annotations

import io
import random
import zlib
from pathlib import Path

import pytest
from helpers import words

import arzip
from arzip import levels
from arzip.engine.engine import Engine

SOURCE = random.Random(3)
TEXT = words(40000)
RECORDS = [
    *(TEXT[at : at + SOURCE.randrange(1, 900)] for at in range(0, 30000, 1000)),
    *(b"", b"x", bytes(700), SOURCE.randbytes(300), TEXT[:4096], TEXT[:4097], TEXT[:6000]),
    b"head " + zlib.compress(TEXT[:3000]),  # is opened
    b"\x48\x8b\x05\x00\x01\x00\x00\xe8\x00\x02\x00\x00" * 40,
]


@pytest.mark.parametrize("level", [1, 6])
def test_archives_are_those_of_each_record_alone(level: int, tiny_model: Path) -> None:
    alone = [arzip.compress(record, level, model=tiny_model, threads=1) for record in RECORDS]
    for threads in (1, 3):
        assert arzip.compress_many(RECORDS, level, model=tiny_model, threads=threads) == alone
        assert arzip.decompress_many(alone, model=tiny_model, threads=threads) == RECORDS


def test_any_iterable_of_buffers_is_records(tiny_model: Path) -> None:
    made = arzip.compress_many((bytearray(record) for record in RECORDS[:3]), 1)
    assert made == arzip.compress_many(RECORDS[:3], 1)
    assert arzip.decompress_many(map(memoryview, made)) == RECORDS[:3]
    assert arzip.compress_many([]) == arzip.decompress_many([]) == []
    for function in (arzip.compress_many, arzip.decompress_many):
        for wrong in (b"one", "text", 7, [None], ["text"]):
            with pytest.raises(TypeError):
                function(wrong)  # type: ignore[operator]


def test_a_faulty_archive_is_refused() -> None:
    made = arzip.compress_many(RECORDS[:5], 1)
    with pytest.raises(arzip.TruncatedError):
        arzip.decompress_many([*made[:3], made[3][:-1], made[4]])
    with pytest.raises(arzip.NotAnArchiveError):
        arzip.decompress_many([b"no archive here"])


def test_archives_of_several_members_and_blocks(tiny_model: Path, tiny_blocks: None) -> None:
    made = arzip.compress_many([TEXT[:2500], b"short"], model=tiny_model)
    joined = [made[0] + made[1], made[1] + made[1]]
    assert arzip.decompress_many(joined, model=tiny_model) == [TEXT[:2500] + b"short", b"shortshort"]


def test_a_short_block_takes_the_network_unseen(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    probed: list[int] = []
    cost = Engine.cost_bits
    monkeypatch.setattr(Engine, "cost_bits", lambda self, raw, plan: probed.append(len(raw)) or cost(self, raw, plan))
    for level in (1, 6):
        for size in (1, 1000, levels.SHORT_BYTES):
            arzip.compress(TEXT[:size], level, model=tiny_model)
    assert probed == []
    arzip.compress(TEXT[: levels.SHORT_BYTES + 1], 6, model=tiny_model)
    assert probed


def test_records_in_files_are_read_like_any_archive(tiny_model: Path) -> None:
    made = arzip.compress_many(RECORDS[:4], 1)
    assert arzip.ArzipFile(io.BytesIO(b"".join(made))).read() == b"".join(RECORDS[:4])
