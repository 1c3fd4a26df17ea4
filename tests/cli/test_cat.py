"""`arzip cat`: a part of an archive by its index, of a file or a URL."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import helpers
import pytest

from arzip import ArzipFile
from arzip.cli import main
from arzip.codec import Options
from arzip.errors import DamagedError
from arzip.format import index
from arzip.format.records import Header
from arzip.format.stream import Writer


class Counting(io.BytesIO):
    """Counts the bytes that are read."""

    count = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.count += len(data)
        return data


@pytest.fixture
def raw() -> bytes:
    return helpers.words(30_000)


@pytest.fixture
def archive(raw: bytes, options: Options, tiny_blocks: None) -> bytes:
    """30 blocks of 1000 bytes."""
    return helpers.compress(raw, options)


def test_a_part_is_read_by_the_index_and_the_block_alone(raw: bytes, archive: bytes, options: Options) -> None:
    source = Counting(archive)
    entries, _, size = index.read_index(io.BytesIO(archive))
    assert (len(entries), size) == (30, len(archive))
    with ArzipFile(source, model=options.model, threads=1) as file:
        file.seek(17_100)
        assert file.read1(200) == raw[17_100:17_300]
    end_record = len(archive) - entries[-1].offset - entries[-1].span_bytes
    assert source.count <= entries[17].span_bytes + 2 * end_record + 100
    assert source.count < len(archive) // 10


def test_the_index_by_the_end_record_is_that_of_the_frames(archive: bytes, options: Options) -> None:
    by_end = index.index_by_end(io.BytesIO(archive))
    assert by_end is not None
    two = archive + archive
    assert index.index_by_end(io.BytesIO(two)) is None
    entries, _, size = index.read_index(io.BytesIO(two))
    assert (entries[:30], size) == (by_end[0], len(two))
    for one_block in (helpers.compress(b"", options), helpers.compress(b"short", options)):
        assert index.index_by_end(io.BytesIO(one_block)) is None
        assert len(index.read_index(io.BytesIO(one_block))[0]) <= 1


def test_an_end_record_that_says_other_sizes_than_the_frames_is_damage() -> None:
    sink = io.BytesIO()
    writer = Writer(sink)
    for part in (b"aaaa", b"bbbbb", b"cc"):
        writer.write_stored(part)
    writer._sizes[0] = (writer._sizes[0][0], 3)
    writer.finish()
    with ArzipFile(io.BytesIO(sink.getvalue())) as file, pytest.raises(DamagedError, match="as long as the end record"):
        file.seek(1)
        file.read()
    assert Header().pack() == sink.getvalue()[:10]


def cat(capfdbinary: pytest.CaptureFixture[bytes], *arguments: str | Path) -> bytes:
    assert main(["cat", *map(str, arguments)]) == 0
    found: bytes = capfdbinary.readouterr().out
    return found


def test_cat_writes_files_and_parts(
    raw: bytes, archive: bytes, options: Options, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    path, model = tmp_path / "a.arz", ["-m", str(options.model)]
    path.write_bytes(archive)
    assert cat(capfdbinary, *model, path) == raw
    assert cat(capfdbinary, *model, path, path, "--range", "999:2") == raw[999:1001] * 2
    assert cat(capfdbinary, *model, path, "--range", "29990:100") == raw[29_990:]
    assert cat(capfdbinary, *model, path, "--range", "28K:") == raw[28 << 10 :]
    assert cat(capfdbinary, *model, path, "--range", "1M:5") == b""
    assert main(["cat", str(path), "--range", "5"]) == 1
    assert main(["cat", str(tmp_path / "none.arz")]) == 1


def test_cat_reads_urls(
    raw: bytes, archive: bytes, options: Options, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    fsspec: Any = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/cat.arz", archive)
    try:
        found = cat(capfdbinary, "-m", str(options.model), "memory://cat.arz", "--range", "17000:1500")
        assert found == raw[17_000:18_500]
    finally:
        memory.rm("/cat.arz")
