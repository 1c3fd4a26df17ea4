"""arzip in other libraries, the real ones: fsspec, pandas, dask, pyarrow, numcodecs, zarr. Archives of level 1."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import arzip

TABLE = "name,count\n" + "".join(f"row{number},{number * number}\n" for number in range(200))


@pytest.fixture
def fsspec() -> Any:
    """The library, with the compression registered."""
    library = pytest.importorskip("fsspec")
    arzip.register_fsspec()
    arzip.register_fsspec()
    return library


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """x.csv.arz"""
    path = tmp_path / "x.csv.arz"
    path.write_bytes(arzip.compress(TABLE.encode(), 1))
    return path


# ------------------------------------------------------------------------------------------------ fsspec, pandas


def test_fsspec_there_and_back(fsspec: Any, tmp_path: Path) -> None:
    path = str(tmp_path / "a.txt.arz")
    with fsspec.open(path, "wb", compression="arzip") as file:
        file.write(TABLE.encode())
    assert arzip.decompress(Path(path).read_bytes()) == TABLE.encode()
    with fsspec.open(path, "rt", compression="infer") as file:
        assert file.read() == TABLE
    with fsspec.open(path, "rb", compression="arzip") as file:
        file.seek(11)
        assert file.read(4) == b"row0"


def test_fsspec_in_memory_by_suffix(fsspec: Any) -> None:
    with fsspec.open("memory://here/a.arz", "wt", compression="infer") as file:
        file.write(TABLE[:100])
    assert fsspec.filesystem("memory").cat("/here/a.arz").startswith(b"\x8fAZ")
    with fsspec.open("memory://here/a.arz", "rt", compression="infer") as file:
        assert file.read() == TABLE[:100]


def test_pandas_reads_and_writes_a_table_through_fsspec(fsspec: Any, table: Path, tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    with fsspec.open(str(table), compression="infer") as file:
        frame = pandas.read_csv(file)
    assert list(frame.columns) == ["name", "count"] and len(frame) == 200
    assert frame["count"].sum() == sum(number * number for number in range(200))
    with fsspec.open(str(tmp_path / "y.csv.arz"), "wt", compression="infer", newline="") as file:
        frame.to_csv(file, index=False, lineterminator="\n")
    assert arzip.decompress((tmp_path / "y.csv.arz").read_bytes()).decode() == TABLE


def test_pandas_reads_an_archive_by_arzip_alone(table: Path) -> None:
    pandas = pytest.importorskip("pandas")
    with arzip.open(table) as file:
        assert len(pandas.read_csv(file)) == 200


def test_dask_reads_lines(fsspec: Any, table: Path) -> None:
    bag = pytest.importorskip("dask.bag")
    lines = bag.read_text(str(table.parent / "*.arz"), compression="infer").compute(scheduler="sync")
    assert "".join(lines) == TABLE


def test_pyarrow_reads_a_table(fsspec: Any, table: Path) -> None:
    csv = pytest.importorskip("pyarrow.csv")
    with fsspec.open(str(table), "rb", compression="arzip") as file:
        assert csv.read_csv(file).num_rows == 200


def test_a_damaged_archive_is_an_error_of_arzip_in_pandas(fsspec: Any, table: Path) -> None:
    pandas = pytest.importorskip("pandas")
    archive = bytearray(table.read_bytes())
    archive[-5] ^= 1
    table.write_bytes(archive)
    with pytest.raises(arzip.DamagedError), fsspec.open(str(table), compression="infer") as file:
        pandas.read_csv(file)


# ---------------------------------------------------------------------------------------------- numcodecs, zarr


@pytest.fixture
def numcodec() -> Any:
    """The codec of numcodecs, level 1, registered."""
    numcodecs = pytest.importorskip("numcodecs")
    from arzip.api.numcodecs import Arzip

    numcodecs.register_codec(Arzip)
    return Arzip(level=1)


@pytest.fixture
def zarr() -> Any:
    """The library, with the codec for format 3 registered, if it has that format."""
    library = pytest.importorskip("zarr")
    if has_format_3(library):
        from zarr.registry import register_codec

        from arzip.api.zarr import NAME, ArzipCodec

        register_codec(NAME, ArzipCodec)
    return library


def has_format_3(zarr: Any) -> bool:
    return int(zarr.__version__.split(".")[0]) >= 3


def test_numcodecs_there_and_back(numcodec: Any) -> None:
    import numcodecs
    import numpy as np

    chunk = np.arange(300, dtype="<i4").reshape(20, 15)
    encoded = numcodec.encode(chunk)
    assert arzip.decompress(encoded) == chunk.tobytes()
    out = np.empty_like(chunk)
    numcodec.decode(encoded, out)
    assert (out == chunk).all() and bytes(numcodec.decode(encoded)) == chunk.tobytes()
    assert numcodec.get_config() == {"id": "arzip", "level": 1}
    assert numcodecs.get_codec(numcodec.get_config()) == numcodec


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_zarr_there_and_back(zarr: Any, numcodec: Any, zarr_format: int, tmp_path: Path) -> None:
    import numpy as np

    values = np.add.outer(np.arange(40), np.arange(30)).astype("<i4")
    sizes: dict[str, Any] = {"shape": (40, 30), "chunks": (20, 30), "dtype": "<i4"}
    if not has_format_3(zarr):
        if zarr_format == 3:
            pytest.skip("this zarr has format 2 alone")
        array = zarr.open(str(tmp_path / "a"), mode="w", compressor=numcodec, **sizes)
    elif zarr_format == 2:
        array = zarr.create_array(tmp_path / "a", zarr_format=2, compressors=numcodec, **sizes)
    else:
        from arzip.api.zarr import ArzipCodec

        array = zarr.create_array(tmp_path / "a", zarr_format=3, compressors=ArzipCodec(level=1), **sizes)
    array[:] = values
    files = [path.read_bytes() for path in (tmp_path / "a").rglob("*") if path.is_file()]
    assert sum(content.startswith(b"\x8fAZ\r\n\x1a") for content in files) == 2  # a chunk each
    again = zarr.open(str(tmp_path / "a"), mode="r")
    assert (again[:] == values).all() and again[25, 7] == 32


def test_zarr_metadata_give_the_codec_again(zarr: Any) -> None:
    if not has_format_3(zarr):
        pytest.skip("this zarr has format 2 alone")
    from arzip.api.zarr import ArzipCodec

    codec = ArzipCodec(level=3)
    assert codec.to_dict() == {"name": "arzip", "configuration": {"level": 3}}
    assert ArzipCodec.from_dict(codec.to_dict()) == codec
    with pytest.raises(ValueError, match="gzip"):
        ArzipCodec.from_dict({"name": "gzip"})


@pytest.mark.parametrize(
    ("group", "library", "level_of"),
    [
        ("numcodecs.codecs", "numcodecs", lambda numcodecs: numcodecs.get_codec({"id": "arzip", "level": 2}).level),
        ("zarr.codecs", "zarr.registry", lambda registry: registry.get_codec_class("arzip")(level=2).level),
    ],
)
def test_entry_points_bring_the_codecs(group: str, library: str, level_of: Callable[[Any], int]) -> None:
    if "arzip" not in {entry.name for entry in importlib.metadata.entry_points(group=group)}:
        pytest.skip("runs in a checkout that isn't installed")
    assert level_of(pytest.importorskip(library)) == 2


# -------------------------------------------------------------------------------------------- what isn't there


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(arzip.ArzipError, match=r"fsspec: pip install 'arzip\[fsspec\]'"):
        arzip.register_fsspec()


def test_arzip_imports_none_of_these_libraries() -> None:
    code = (
        "import sys, arzip; arzip.open_any, arzip.tar_open, arzip.register_fsspec; "
        "print({'fsspec', 'numcodecs', 'numpy', 'pandas', 'zarr'} & set(sys.modules))"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(arzip.__file__).parent.parent)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
