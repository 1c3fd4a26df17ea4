"""`arzip.compress` and `decompress`, and what `import arzip` costs."""

from __future__ import annotations

import array
import io
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from helpers import words

import arzip
from arzip import codec
from arzip.codec import Options

TEXT = words(3000)


@pytest.fixture
def archive(tiny_model: Path, tiny_blocks: None) -> bytes:
    """TEXT in four blocks."""
    return arzip.compress(TEXT, model=tiny_model, threads=1)


def test_importing_loads_nothing_heavy() -> None:
    script = (
        "import sys, arzip; arzip.ArzipFile, arzip.ArzipCompressor(), arzip.ArzipDecompressor(), arzip.open\n"
        "print(sorted({'numpy', 'numba', 'click', 'rich'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_importing_runs_few_modules() -> None:
    script = "import sys; before = set(sys.modules); import arzip; print(*sorted(set(sys.modules) - before))"
    found = subprocess.run([sys.executable, "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}; {script}"],
                           capture_output=True, text=True, check=True)  # fmt: skip
    assert set(found.stdout.split()) <= {"arzip", "arzip.version", "__future__"}


def test_all_names_are_there() -> None:
    assert set(arzip.__all__) <= set(dir(arzip))
    for name in arzip.__all__:
        assert getattr(arzip, name).__module__.startswith("arzip")
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = arzip.nothing  # type: ignore[attr-defined]


def test_compress_makes_what_the_command_makes(archive: bytes, tiny_model: Path) -> None:
    sink = io.BytesIO()
    codec.compress(io.BytesIO(TEXT), sink, Options(model=str(tiny_model), threads=1))
    assert archive == sink.getvalue()
    assert arzip.decompress(archive, model=tiny_model) == TEXT


@pytest.mark.parametrize("data", [bytearray(TEXT), memoryview(TEXT), array.array("H", TEXT), memoryview(TEXT)[::1]])
def test_any_buffer_is_data(data: Any, archive: bytes, tiny_model: Path) -> None:
    assert arzip.compress(data, model=tiny_model, threads=1) == archive
    assert arzip.decompress(memoryview(archive), model=tiny_model) == TEXT


@pytest.mark.parametrize("arguments", [{}, {"data": []}, {"data": "text"}, {"data": 7}, {"data": None}])
def test_what_is_no_buffer_is_a_type_error(arguments: dict[str, Any]) -> None:
    for function in (arzip.compress, arzip.decompress):
        with pytest.raises(TypeError):
            function(**arguments)


def test_bad_options_are_refused() -> None:
    for level in (0, 10, -1):
        with pytest.raises(ValueError, match="levels are 1"):
            arzip.compress(b"", level)
    for options in ({"level": "6"}, {"level": 6.0}, {"threads": 1.5}, {"model": 7}, {"preset": 6}):
        with pytest.raises(TypeError):
            arzip.compress(b"", **options)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="as many as there are cores"):
        arzip.compress(b"", threads=-1)
    for size in (-1, 1, 4095, (64 << 20) + 1):
        with pytest.raises(ValueError, match="can be had"):
            arzip.compress(b"", block_size=size)
    with pytest.raises(arzip.ModelMissingError):
        arzip.compress(b"", model="no such model")


def test_block_size_is_that_of_every_way_to_write(tiny_model: Path) -> None:
    raw, options = words(10_000), {"level": 1, "model": tiny_model, "block_size": 4096}
    archive = arzip.compress(raw, **options)  # type: ignore[arg-type]
    assert arzip.decompress(archive, model=tiny_model) == raw
    assert archive != arzip.compress(raw, 1, model=tiny_model)
    compressor, sink = arzip.ArzipCompressor(**options), io.BytesIO()  # type: ignore[arg-type]
    assert compressor.compress(raw) + compressor.flush() == archive
    with arzip.open(sink, "wb", **options) as file:  # type: ignore[arg-type]
        file.write(raw)
    assert sink.getvalue() == archive


def test_several_archives_are_decompressed_as_one(archive: bytes, tiny_model: Path) -> None:
    assert arzip.decompress(archive * 3, model=tiny_model) == TEXT * 3


def test_a_tail_that_is_no_archive_is_damage(archive: bytes, tiny_model: Path) -> None:
    for whole in (archive, archive * 2):
        with pytest.raises(arzip.DamagedError, match="trailing garbage"):
            arzip.decompress(whole + b"junk that follows", model=tiny_model)


def test_faulty_archives_are_refused(archive: bytes, tiny_model: Path) -> None:
    for size in range(0, len(archive), 7):
        with pytest.raises(arzip.ArzipError):
            arzip.decompress(archive[:size], model=tiny_model)
    with pytest.raises(EOFError):
        arzip.decompress(archive[:-1], model=tiny_model)
    with pytest.raises(arzip.NotAnArchiveError, match="gzip"):
        arzip.decompress(b"\x1f\x8b" + archive)


def test_max_length_decodes_no_more_than_it_returns(
    archive: bytes, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[int] = []
    decode = codec.Decoder.decode
    monkeypatch.setattr(codec.Decoder, "decode", lambda *args: decoded.append(1) or decode(*args))
    for length, blocks in ((0, 0), (1, 1), (1000, 1), (1001, 2), (3000, 3), (9000, 6)):
        decoded.clear()
        assert arzip.decompress(archive * 2, max_length=length, model=tiny_model) == (TEXT * 2)[:length]
        assert len(decoded) == blocks


def test_threads_can_call_it_side_by_side(archive: bytes, tiny_model: Path) -> None:
    results: list[bytes] = []

    def run() -> None:
        results.append(arzip.decompress(arzip.compress(TEXT, model=tiny_model), model=tiny_model))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [TEXT] * 4


def test_a_model_that_was_replaced_is_read_again(tmp_path: Path, tiny_model: Path) -> None:
    import tiny_network

    from arzip.weights.file import dump_weights

    path = tmp_path / "mine.safetensors"
    path.write_bytes(tiny_model.read_bytes())
    first = arzip.compress(TEXT, model=path, threads=1)
    path.write_bytes(dump_weights(tiny_network.SHAPE, tiny_network.lively(), {"name": "another"}))
    assert arzip.compress(TEXT, model=path, threads=1)[8:12] != first[8:12]
