"""A dictionary: the shared beginning of archives, in every function and in the command."""

from __future__ import annotations

import hashlib
import io
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers import harmless_changes, words

import arzip
from arzip import codec, planner
from arzip.api import dictionary as module
from arzip.api.recovery import salvage
from arzip.cli import main
from arzip.codec import Options
from arzip.engine.plan import Plan
from arzip.format.records import Header
from arzip.format.stream import list_members
from arzip.weights import registry

RECORDS = [b'{"id": %d, "name": "%s", "list": [%d, %d]}\n' % (k, words(9, k), k * k, k % 7) for k in range(40)]
KNOWN = b"".join(RECORDS[20:])
TEXT = b"".join(RECORDS[:20])


@pytest.mark.parametrize("level", [1, 6])
def test_archives_after_a_dictionary_come_back_smaller(level: int, tiny_model: Path) -> None:
    options = {"model": tiny_model, "dictionary": KNOWN}
    archive = arzip.compress(TEXT, level, **options)  # type: ignore[arg-type]
    assert len(archive) < len(arzip.compress(TEXT, level, model=tiny_model)) - 20
    assert arzip.decompress(archive, **options) == TEXT  # type: ignore[arg-type]
    assert arzip.decompress(2 * archive, max_length=len(TEXT) + 3, **options) == TEXT + TEXT[:3]  # type: ignore[arg-type]
    assert arzip.decompress(arzip.compress(TEXT, level, model=tiny_model), **options) == TEXT  # type: ignore[arg-type]


def test_all_ways_make_and_read_the_same_archive(tmp_path: Path) -> None:
    archive = arzip.compress(TEXT, 1, dictionary=KNOWN)
    compressor = arzip.ArzipCompressor(1, dictionary=bytearray(KNOWN))
    assert compressor.compress(TEXT[:100]) + compressor.compress(TEXT[100:]) + compressor.flush() == archive
    decompressor = arzip.ArzipDecompressor(dictionary=memoryview(KNOWN))
    assert b"".join(decompressor.decompress(archive[at : at + 7]) for at in range(0, len(archive), 7)) == TEXT
    with arzip.open(tmp_path / "a.arz", "wb", level=1, dictionary=KNOWN) as file:
        file.write(TEXT)
    assert (tmp_path / "a.arz").read_bytes() == archive
    with arzip.open(tmp_path / "a.arz", dictionary=KNOWN) as file:
        file.seek(50)
        assert file.read(20) == TEXT[50:70]
        file.seek(0)
        assert file.read() == TEXT


def test_many_records_are_those_of_each_alone(tiny_model: Path) -> None:
    several = [*RECORDS[:20], b"", b"x", words(5000)]
    alone = [arzip.compress(record, model=tiny_model, dictionary=KNOWN, threads=1) for record in several]
    for threads in (1, 2):
        options = {"model": tiny_model, "dictionary": KNOWN, "threads": threads}
        assert arzip.compress_many(several, **options) == alone  # type: ignore[arg-type]
        assert arzip.decompress_many(alone, **options) == several  # type: ignore[arg-type]
        batch = arzip.compress_batch(several, **options)  # type: ignore[arg-type]
        assert len(batch) < sum(map(len, alone)) - 12 * len(several)
        with arzip.open_batch(io.BytesIO(batch), **options) as records:  # type: ignore[arg-type]
            assert list(records) == records[:] == several
        assert arzip.decompress(batch, **options) == b"".join(several)  # type: ignore[arg-type]


def test_members_and_blocks_start_from_the_dictionary_each(tiny_blocks: None, options: Options) -> None:
    known = {"model": options.model, "dictionary": KNOWN}
    raw = words(2300) + TEXT
    archive = arzip.compress(raw, **known)  # type: ignore[arg-type]
    other = arzip.compress(TEXT, **known)  # type: ignore[arg-type]
    assert arzip.decompress(archive + other, **known) == raw + TEXT  # type: ignore[arg-type]
    assert len(next(list_members(io.BytesIO(archive))).frames) > 2


def test_a_reader_without_the_dictionary_names_it() -> None:
    archive = arzip.compress(TEXT, 1, dictionary=KNOWN)
    digest = hashlib.sha256(KNOWN).hexdigest()[:8]
    reads: list[Callable[[bytes | None], object]] = [
        lambda wrong: arzip.decompress(archive, dictionary=wrong),
        lambda wrong: arzip.decompress_many([archive], dictionary=wrong),
        lambda wrong: arzip.open_batch(io.BytesIO(archive), dictionary=wrong)[0],
        lambda wrong: arzip.ArzipDecompressor(dictionary=wrong).decompress(archive),
        lambda wrong: arzip.ArzipFile(io.BytesIO(archive), dictionary=wrong).read(),
    ]
    for wrong in (None, b"another", KNOWN + b"x"):
        for read in reads:
            with pytest.raises(arzip.DictionaryMissingError, match=digest):
                read(wrong)
    assert Header.parse(archive)[0].dictionary.hex() == digest


def test_a_stored_block_needs_no_dictionary() -> None:
    noise = bytes((k * k * 31 + (k * 73 >> 3)) & 255 for k in range(300))
    assert arzip.decompress(arzip.compress(noise, 1, dictionary=KNOWN)) == noise


@pytest.mark.parametrize("wide", [False, True])
def test_blocks_of_lanes_need_no_dictionary(wide: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are coded without it, as docs/FORMAT.md says, so that a reader doesn't ask for it."""
    monkeypatch.setattr(planner, "choose", lambda *_: Plan(3, False, 0, wide))
    sink, back = io.BytesIO(), io.BytesIO()
    codec.compress(io.BytesIO(TEXT), sink, Options(1, wide=wide, dictionary=KNOWN))
    (member,) = list_members(io.BytesIO(sink.getvalue()))
    assert member.frames[0].lanes == 3
    codec.decompress(io.BytesIO(sink.getvalue()), back, Options())
    assert back.getvalue() == TEXT


def test_any_changed_byte_is_noticed() -> None:
    archive = arzip.compress(TEXT[:120], 1, dictionary=KNOWN)
    changes = harmless_changes(TEXT[:120], archive, Options(dictionary=KNOWN))
    assert changes <= {len(archive) - 1}


def test_whole_blocks_are_salvaged_after_the_dictionary() -> None:
    archive = arzip.compress(TEXT, 1, dictionary=KNOWN)
    for damaged in (archive[:3] + b"?" + archive[4:], b"junk" + archive):
        sink = io.BytesIO()
        salvage(io.BytesIO(damaged), sink, Options(dictionary=KNOWN))
        assert sink.getvalue() == TEXT


def test_bad_dictionaries_are_refused() -> None:
    for wrong in (7, "text"):
        with pytest.raises(TypeError):
            arzip.compress(b"x", dictionary=wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="1,048,576"):
        arzip.compress(b"x", dictionary=bytes((1 << 20) + 1))
    with pytest.raises(ValueError, match="wide"):
        arzip.compress(b"x", dictionary=b"y", wide=True)
    assert arzip.compress(TEXT, 1, dictionary=b"") == arzip.compress(TEXT, 1)


def test_the_command_takes_a_dictionary(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    known, source, archive = (str(tmp_path / name) for name in ("known", "text", "text.arz"))
    Path(known).write_bytes(KNOWN)
    Path(source).write_bytes(TEXT)
    assert main(["-1", "-D", known, source]) == 0
    assert Path(archive).read_bytes() == arzip.compress(TEXT, 1, dictionary=KNOWN)
    assert main(["-t", f"-D{known}", archive]) == main(["test", "--dictionary", known, archive]) == 0
    assert main(["-d", "-D", known, archive, "-o", source + "2"]) == 0
    assert Path(source + "2").read_bytes() == TEXT
    capsys.readouterr()
    assert main(["-t", archive]) == 1
    line = capsys.readouterr().err
    assert hashlib.sha256(KNOWN).hexdigest()[:8] in line and "-D" in line and line.count("\n") == 1
    assert main(["-l", archive]) == 0
    assert hashlib.sha256(KNOWN).hexdigest()[:8] in capsys.readouterr().out
    empty = tmp_path / "empty"
    empty.touch()
    assert main(["-1", "-D", str(empty), source, "-o", source + "3"]) == 1
    assert main(["-1", "-D", source + "missing", source, "-o", source + "3"]) == 1


def test_a_dictionary_is_made_of_samples() -> None:
    made = arzip.train_dictionary(RECORDS, 400)
    assert 300 < len(made) <= 400
    assert made == arzip.train_dictionary(list(RECORDS), 400)
    assert sorted(arzip.train_dictionary(RECORDS[:5])) == sorted(b"".join(RECORDS[:5]))
    assert arzip.train_dictionary([TEXT], 100) == TEXT[-100:]
    common = arzip.train_dictionary([b"abcdefgh" * 3, b"abcdefghabcd", b"nothing else like it"], 24)
    assert b"abcdefgh" in common and b"nothing" not in common
    for wrong in (0, (1 << 20) + 1):
        with pytest.raises(ValueError, match="size"):
            arzip.train_dictionary(RECORDS, wrong)
    for empty in ([], [b""]):
        with pytest.raises(ValueError, match="samples"):
            arzip.train_dictionary(empty)
    with pytest.raises(TypeError):
        arzip.train_dictionary(b"one")  # type: ignore[arg-type]
    assert module.DEFAULT_BYTES == 112640


def test_a_model_that_is_replaced_is_noticed(tiny_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "tiny.safetensors"
    shutil.copy(tiny_model, path)
    first = registry.file_digest(path)
    path.write_bytes(path.read_bytes()[:-4] + b"1234")
    assert registry.file_digest(path) != first
    path.unlink()
    with pytest.raises(arzip.ModelError):
        registry.file_digest(path)
