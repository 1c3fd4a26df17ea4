"""`ArzipFile` and `open`: what files of the standard library do, and seeking by the index."""

from __future__ import annotations

import array
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers import words

import arzip
from arzip import ArzipFile

TEXT = words(3500).replace(b"e ", b"e\n")


@pytest.fixture(autouse=True)
def settings(tiny_model: Path, tiny_blocks: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Archives of the tiny model, in blocks of 1000 bytes."""
    monkeypatch.setenv("ARZIP_MODEL_PATH", str(tiny_model))


@pytest.fixture
def archive(tiny_model: Path) -> bytes:
    """TEXT in four blocks."""
    return arzip.compress(TEXT, model=tiny_model, threads=1)


@pytest.fixture
def path(archive: bytes, tmp_path: Path) -> Path:
    target = tmp_path / "text.arz"
    target.write_bytes(archive)
    return target


@pytest.fixture
def opened(archive: bytes) -> Callable[[int], ArzipFile]:
    return lambda times=1: ArzipFile(io.BytesIO(archive * times), threads=1)


def decoded_blocks(file: ArzipFile) -> int:
    """How many blocks have been decoded for a file."""
    assert file._reader is not None
    return file._reader.raw.decoded_blocks  # type: ignore[attr-defined,no-any-return]


class Pipe(io.RawIOBase):
    """A source that can't seek, and gives a few bytes at a time."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        part = self._data.read(min(len(buffer), 5))
        buffer[: len(part)] = part
        return len(part)


def test_modes(path: Path, tmp_path: Path) -> None:
    for mode in ("r", "rb"):
        with ArzipFile(path, mode) as file:
            assert (file.mode, file.readable(), file.writable(), file.seekable()) == ("rb", True, False, True)
    for mode in ("w", "wb", "x", "xb"):
        with ArzipFile(tmp_path / mode, mode) as file:
            assert (file.mode, file.readable(), file.writable(), file.seekable()) == ("wb", False, True, False)
    for mode in ("x", "xb"):
        with pytest.raises(FileExistsError):
            ArzipFile(path, mode)


@pytest.mark.parametrize("mode", ["", "t", "rt", "wt", "r+", "w+", "rw", "rx", "wx", "x+", "U", (3, "x"), None])
def test_bad_modes_are_value_errors(mode: Any, archive: bytes) -> None:
    with pytest.raises(ValueError, match="invalid mode"):
        ArzipFile(io.BytesIO(archive), mode)


@pytest.mark.parametrize("mode", ["a", "ab", "at"])
def test_appending_is_refused_with_a_reason(mode: str, path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(ValueError, match="can't be appended to: its blocks learn"):
        arzip.open(path, mode)
    assert path.read_bytes() == before


def test_bad_arguments_are_refused(archive: bytes, tmp_path: Path) -> None:
    for file in (None, 7, [], object()):
        with pytest.raises(TypeError, match="filename must be"):
            ArzipFile(file)
    for options in ({"level": 6}, {"wide": True}, {"opens": False}):
        with pytest.raises(ValueError, match="for writing"):
            ArzipFile(io.BytesIO(archive), **options)  # type: ignore[arg-type]
    for level in (0, 10):
        with pytest.raises(ValueError, match="level"):
            ArzipFile(tmp_path / "new", "w", level=level)
    with pytest.raises(TypeError):
        ArzipFile(tmp_path / "new", "w", level="6")  # type: ignore[arg-type]
    assert not (tmp_path / "new").exists()


def test_file_names_of_all_kinds(path: Path) -> None:
    for name in (path, str(path), os.fsencode(path)):
        with ArzipFile(name) as file:
            assert file.read() == TEXT
            assert file.name == (str(path) if name is path else name)
            assert isinstance(file.fileno(), int)


def test_an_open_file_is_used_and_left_open(path: Path) -> None:
    with open(path, "rb") as raw:
        with ArzipFile(raw) as file:
            assert file.read() == TEXT
            assert (file.name, file.fileno()) == (raw.name, raw.fileno())
        assert not raw.closed
    with open(os.open(path, os.O_RDONLY), "rb") as raw, ArzipFile(raw) as file:
        assert file.read() == TEXT
        assert (file.name, file.fileno()) == (raw.name, raw.fileno())


def test_an_open_file_is_read_from_where_it_stands(archive: bytes) -> None:
    source = io.BytesIO(b"a header" + archive)
    source.seek(8)
    with ArzipFile(source) as file:
        assert file.read() == TEXT
        file.seek(-9, io.SEEK_END)
        assert file.read() == TEXT[-9:]
        file.seek(0)
        assert file.read() == TEXT


def test_closing(path: Path, archive: bytes) -> None:
    source = io.BytesIO(archive)
    file = ArzipFile(source)
    for _ in range(2):
        file.close()
        assert not source.closed
    file = ArzipFile(path)
    inner = file._file
    assert not file.closed
    file.read()
    assert not file.closed
    for _ in range(2):
        file.close()
        assert file.closed
        assert inner.closed


@pytest.mark.parametrize("mode", ["r", "w"])
def test_a_closed_file_raises_value_error(mode: str, archive: bytes) -> None:
    file = ArzipFile(io.BytesIO(archive), mode)
    file.close()
    calls: list[Callable[[], Any]] = [
        *(file.read, file.read1, file.peek, file.readline, file.readlines, file.tell, file.fileno, file.flush),
        *(file.readable, file.writable, file.seekable, file.__enter__, lambda: file.seek(0), lambda: next(file)),
        *(
            lambda: file.write(b""),
            lambda: file.readinto(bytearray(1)),
            lambda: file.name,
            lambda: file.writelines([b""]),
        ),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="closed file"):
            call()
    assert file.mode == mode + "b"


def test_a_file_in_memory_has_neither_name_nor_descriptor(archive: bytes) -> None:
    with ArzipFile(io.BytesIO(archive)) as file:
        with pytest.raises(AttributeError):
            _ = file.name
        with pytest.raises(io.UnsupportedOperation):
            file.fileno()


def test_reading(opened: Callable[..., ArzipFile]) -> None:
    with opened() as file:
        assert file.read() == TEXT
        assert file.read() == file.read(10) == b""
    with opened() as file:
        assert file.read(None) == TEXT
    with opened() as file:
        assert file.read(0) == b""
    with opened(3) as file:
        parts = list(iter(lambda: file.read(10), b""))
        assert all(len(part) == 10 for part in parts[:-1])
        assert b"".join(parts) == TEXT * 3
    with opened() as file:
        assert file.read(1700) + file.read() == TEXT
    with opened() as file, pytest.raises(TypeError):
        file.read(1.0)  # type: ignore[arg-type]


def test_reading_from_a_pipe(archive: bytes) -> None:
    with ArzipFile(Pipe(archive * 2)) as file:
        assert not file.seekable()
        with pytest.raises(io.UnsupportedOperation):
            file.seek(0)
        assert file.read(1500) + file.read() == TEXT * 2
        assert file.tell() == 2 * len(TEXT)


def test_read1_returns_from_one_block(opened: Callable[..., ArzipFile]) -> None:
    with opened(2) as file:
        assert file.read1(0) == b""
        parts = list(iter(file.read1, b""))
        assert b"".join(parts) == TEXT * 2
        assert max(map(len, parts)) <= 1000
    with opened() as file:
        assert b"".join(iter(lambda: file.read1(10), b"")) == TEXT
        assert file.read1() == b""
    with opened() as file, pytest.raises(TypeError):
        file.read1(None)  # type: ignore[arg-type]


def test_readinto(opened: Callable[..., ArzipFile]) -> None:
    with opened() as file:
        buffer = array.array("H", bytes(3000))
        assert file.readinto(buffer) == 3000
        assert buffer.tobytes() == TEXT[:3000]
        assert file.readinto1(bytearray(9000)) == 500
        assert file.readinto(bytearray(10)) == 0


def test_peek_stays_where_it_is(opened: Callable[..., ArzipFile]) -> None:
    with opened() as file:
        for size in (-1, 10):
            seen = file.peek(size)
            assert seen
            assert TEXT.startswith(seen)
        assert file.tell() == 0
        assert file.read() == TEXT
        assert file.peek() == b""


def test_lines(opened: Callable[..., ArzipFile]) -> None:
    lines = TEXT.splitlines(keepends=True)
    assert len(lines) > 20
    with opened() as file:
        assert list(file) == lines
    with opened() as file:
        assert file.readlines() == lines
    with opened() as file:
        assert [file.readline() for _ in lines] == lines
        assert file.readline() == b""
    with opened() as file:
        assert file.readline(3) == TEXT[:3]


def test_several_archives_are_read_as_one(archive: bytes) -> None:
    with ArzipFile(io.BytesIO(archive + arzip.compress(b"", threads=1) + archive)) as file:
        assert file.read() == TEXT * 2


def test_an_incomplete_archive_raises_eof_error(archive: bytes) -> None:
    for size in (0, 5, 13, 14, len(archive) // 2, len(archive) - 1):
        with ArzipFile(io.BytesIO(archive[:size])) as file:
            with pytest.raises(arzip.ArzipError) as caught:
                file.read()
            assert size == 0 or isinstance(caught.value, EOFError)
    with ArzipFile(io.BytesIO(archive[:-5])) as file:
        assert file.read(len(TEXT)) == TEXT
        for _ in range(2):
            with pytest.raises(EOFError):
                file.read(1)


def test_damage_is_raised_where_it_is(archive: bytes) -> None:
    damaged = bytearray(archive)
    damaged[len(archive) // 2] ^= 32
    with ArzipFile(io.BytesIO(damaged)) as file:
        assert file.read(1000) == TEXT[:1000]
        with pytest.raises(arzip.DamagedError):
            file.read()
        assert file.seek(3100) == 3100
        assert file.read() == TEXT[3100:]
    with ArzipFile(io.BytesIO(b"no archive, but long enough")) as file, pytest.raises(arzip.NotAnArchiveError):
        file.read()


def test_a_tail_that_is_no_archive_is_damage(archive: bytes) -> None:
    with ArzipFile(io.BytesIO(archive + b"junk")) as file:
        assert file.read(len(TEXT)) == TEXT
        with pytest.raises(arzip.DamagedError, match="trailing garbage"):
            file.read(1)
        assert file.seek(3100) == 3100
        assert file.read(400) == TEXT[3100:]
        with pytest.raises(arzip.DamagedError, match="trailing garbage"):
            file.seek(0, io.SEEK_END)


def test_seeking_decodes_only_the_block_that_is_read(archive: bytes) -> None:
    with ArzipFile(io.BytesIO(archive * 3), threads=1) as file:
        assert file.seek(0, io.SEEK_END) == 3 * len(TEXT)
        assert decoded_blocks(file) == 0
        file.seek(len(TEXT) + 1234)
        assert file.read(100) == TEXT[1234:1334]
        assert decoded_blocks(file) == 1
        file.seek(len(TEXT) + 1000)
        assert file.read(234) == TEXT[1000:1234]
        assert decoded_blocks(file) == 1
        file.seek(-100, io.SEEK_END)
        assert file.read() == TEXT[-100:]
        assert decoded_blocks(file) == 2
        file.seek(990)
        assert file.read(20) == TEXT[990:1010]
        assert decoded_blocks(file) == 4


def test_seeking_goes_everywhere(opened: Callable[..., ArzipFile]) -> None:
    whole = TEXT * 2
    with opened(2) as file:
        for at in (0, 1, 999, 1000, 1001, 3499, 3500, 3501, 6999, 7000, 500, 4500, 2):
            assert file.seek(at) == at == file.tell()
            assert file.read(7) == whole[at : at + 7]
            assert file.tell() == min(at + 7, 7000)
        file.seek(100)
        assert file.seek(1236, io.SEEK_CUR) == 1336
        assert file.read(5) == whole[1336:1341]
        assert file.seek(-41, io.SEEK_CUR) == 1300
        assert file.read() == whole[1300:]
        assert file.seek(-555, io.SEEK_END) == 6445
        assert file.read() == whole[-555:]


def test_seeking_stops_at_the_ends(opened: Callable[..., ArzipFile]) -> None:
    with opened() as file:
        file.seek(len(TEXT) + 9001)
        assert file.tell() == len(TEXT)
        assert file.read() == b""
        file.seek(-88)
        assert file.tell() == 0
        assert file.read() == TEXT


def test_seeking_with_bad_arguments(opened: Callable[..., ArzipFile]) -> None:
    with opened() as file:
        with pytest.raises(ValueError, match="whence"):
            file.seek(0, 3)
        for offset in (None, b"derp"):
            with pytest.raises(TypeError):
                file.seek(offset)  # type: ignore[arg-type]
    with ArzipFile(io.BytesIO(), "w") as file, pytest.raises(io.UnsupportedOperation):
        file.seek(0)


def test_tell(opened: Callable[..., ArzipFile]) -> None:
    with opened() as file:
        position = 0
        while part := file.read(183):
            position += len(part)
            assert file.tell() == position
    with ArzipFile(io.BytesIO(), "w") as file:
        for at in range(0, len(TEXT), 144):
            assert file.tell() == at
            file.write(TEXT[at : at + 144])
        assert file.tell() == len(TEXT)


def test_writing_makes_what_compress_makes(archive: bytes, tiny_model: Path, tmp_path: Path) -> None:
    for size in (10, 1000, 5000):
        sink = io.BytesIO()
        with ArzipFile(sink, "w", model=tiny_model, threads=1) as file:
            written = [file.write(TEXT[at : at + size]) for at in range(0, len(TEXT), size)]
            assert sum(written) == len(TEXT)
            with pytest.raises(AttributeError):
                _ = file.name
        assert sink.getvalue() == archive
    sink = io.BytesIO()
    with ArzipFile(sink, "w", model=tiny_model, threads=1) as file:
        file.writelines(TEXT.splitlines(keepends=True))
    assert sink.getvalue() == archive
    for name in (tmp_path / "a", str(tmp_path / "a"), os.fsencode(tmp_path / "a")):
        with ArzipFile(name, "w", model=tiny_model, threads=1) as file:
            file.write(TEXT)
            assert isinstance(file.fileno(), int)
        assert (tmp_path / "a").read_bytes() == archive


def test_writing_to_an_open_file(archive: bytes, tiny_model: Path, tmp_path: Path) -> None:
    with open(tmp_path / "a", "wb") as raw:
        with ArzipFile(raw, "w", model=tiny_model, threads=1) as file:
            file.write(TEXT)
            assert (file.name, file.fileno()) == (raw.name, raw.fileno())
        assert not raw.closed
    assert (tmp_path / "a").read_bytes() == archive


def test_writing_bad_things(archive: bytes) -> None:
    with ArzipFile(io.BytesIO(), "w") as file:
        for data in (None, "text", 789):
            with pytest.raises(TypeError):
                file.write(data)  # type: ignore[arg-type]
    with ArzipFile(io.BytesIO(archive)) as file, pytest.raises(io.UnsupportedOperation, match="writing"):
        file.write(b"bar")
    with ArzipFile(io.BytesIO(), "w") as file:
        for call in (file.read, file.read1, file.peek, file.readline, file.readlines, lambda: next(file)):
            with pytest.raises(io.UnsupportedOperation, match="reading"):
                call()


def test_writing_buffers_of_any_item_size() -> None:
    numbers = array.array("Q", range(5))
    with ArzipFile(io.BytesIO(), "w", level=1) as file:
        assert file.write(numbers) == file.tell() == 40


def test_a_disk_that_is_full_is_told_and_the_file_closed(tmp_path: Path) -> None:
    class Full(io.BytesIO):
        def write(self, data: Any, /) -> int:
            raise OSError(28, "No space left on device")

    file = ArzipFile(Full(), "w", level=1)
    file.write(b"data")
    with pytest.raises(OSError, match="No space"):
        file.close()
    assert file.closed


def test_open_binary(archive: bytes, path: Path, tiny_model: Path, tmp_path: Path) -> None:
    for source in (io.BytesIO(archive), path, str(path)):
        with arzip.open(source, "rb") as file:
            assert isinstance(file, ArzipFile)
            assert file.read() == TEXT
    for mode in ("wb", "xb"):
        with arzip.open(tmp_path / mode, mode, model=tiny_model, threads=1) as file:
            file.write(TEXT)  # type: ignore[arg-type]
        assert (tmp_path / mode).read_bytes() == archive


def test_open_text(path: Path, tmp_path: Path) -> None:
    with arzip.open(path, "rt", encoding="ascii") as file:
        assert file.read() == TEXT.decode()
    for mode in ("wt", "xt"):
        with arzip.open(tmp_path / mode, mode, level=1, encoding="utf-16-le", newline="\n") as file:
            file.write("na\u00efve\n" * 3)
        assert arzip.decompress((tmp_path / mode).read_bytes()).decode("utf-16-le") == "na\u00efve\n" * 3
        with arzip.open(tmp_path / mode, "rt", encoding="utf-16-le") as file:
            assert list(file) == ["na\u00efve\n"] * 3
    with pytest.raises(FileExistsError):
        arzip.open(path, "xt", encoding="ascii")


def test_open_text_errors_and_newlines() -> None:
    source = io.BytesIO(arzip.compress(b"foo\xffbar\nend", 1))
    with arzip.open(source, "rt", encoding="ascii", errors="ignore", newline="\r") as file:
        assert file.readlines() == ["foobar\nend"]


def test_open_with_bad_parameters(path: Path) -> None:
    for mode in ("", "rbt", "t", "rr"):
        with pytest.raises(ValueError, match="invalid mode"):
            arzip.open(path, mode)
    for options in ({"encoding": "utf-8"}, {"errors": "ignore"}, {"newline": "\n"}):
        with pytest.raises(ValueError, match="are for text"):
            arzip.open(path, "rb", **options)  # type: ignore[arg-type]
