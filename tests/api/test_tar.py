"""Tar files in archives, by tarfile and by shutil; and `open_any`. Archives of level 1."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers import words

import arzip
from arzip.api import tar

TEXT = "one line\nanother line\n" * 20


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder with files, a link and a folder in it."""
    folder = tmp_path / "tree"
    (folder / "b").mkdir(parents=True)
    (folder / "a.txt").write_bytes(words(500))
    (folder / "b" / "c.txt").write_bytes(words(300, seed=1))
    (folder / "link").symlink_to("a.txt")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_tar_there_and_back(tree: Path, tmp_path: Path) -> None:
    with arzip.tar_open(tmp_path / "x.tar.arz", "w", level=1) as file:
        file.add(tree, "tree")
    raw = arzip.decompress((tmp_path / "x.tar.arz").read_bytes())
    with tarfile.open(fileobj=io.BytesIO(raw)) as plain:
        assert plain.getnames()[0] == "tree"
    with arzip.tar_open(tmp_path / "x.tar.arz") as file:
        member = file.extractfile("tree/b/c.txt")
        assert member is not None and member.read() == words(300, seed=1)
        file.extractall(tmp_path / "out")
    assert contents(tmp_path / "out" / "tree") == contents(tree)


def test_tar_of_a_source_tree(tmp_path: Path) -> None:
    sources = sorted((Path(arzip.__file__).parent / "format").rglob("*.py"))
    with arzip.tar_open(tmp_path / "x.tar.arz", "w", level=1) as file:
        for path in sources:
            file.add(path, path.name)
    with arzip.tar_open(tmp_path / "x.tar.arz") as file:
        assert file.getnames() == [path.name for path in sources]
        for path in reversed(sources):
            member = file.extractfile(path.name)
            assert member is not None and member.read() == path.read_bytes()


@pytest.mark.skipif(shutil.which("tar") is None, reason="no tar here")
def test_tar_of_the_system_reads_it(tree: Path, tmp_path: Path) -> None:
    with arzip.tar_open(tmp_path / "x.tar.arz", "w", level=1) as file:
        file.add(tree, "tree")
    raw = arzip.decompress((tmp_path / "x.tar.arz").read_bytes())
    done = subprocess.run(["tar", "-tf", "-"], input=raw, capture_output=True, check=True)
    assert b"tree/b/c.txt" in done.stdout.split()


def test_closing_a_tar_ends_its_archive_also_after_a_fault(tree: Path) -> None:
    stored = io.BytesIO()
    with pytest.raises(FileNotFoundError), arzip.tar_open(stored, "w", level=1) as file:
        file.add(tree / "a.txt", "a.txt")
        file.add(tree / "missing")
    assert b"a.txt" in arzip.decompress(stored.getvalue())
    with pytest.raises(tarfile.ReadError):
        arzip.tar_open(io.BytesIO(arzip.compress(b"no tar file" * 100, 1)))
    with pytest.raises(ValueError, match="invalid mode"):
        arzip.tar_open(stored, "a")


@pytest.fixture
def arztar(monkeypatch: pytest.MonkeyPatch) -> str:
    """The format's name, registered, with level 1."""
    monkeypatch.setattr(tar, "LEVEL", 1)
    arzip.register_shutil()
    arzip.register_shutil()
    return "arztar"


def test_shutil_there_and_back(arztar: str, tree: Path, tmp_path: Path) -> None:
    made = shutil.make_archive(str(tmp_path / "sub" / "x"), arztar, tree)
    assert made == str(tmp_path / "sub" / "x.tar.arz")
    shutil.unpack_archive(made, tmp_path / "out")
    assert contents(tmp_path / "out") == contents(tree)
    shutil.copy(made, tmp_path / "y.tarz")
    shutil.unpack_archive(tmp_path / "y.tarz", tmp_path / "out2")
    assert contents(tmp_path / "out2") == contents(tree)
    (tmp_path / "bad.tar.arz").write_bytes(b"not an archive")
    with pytest.raises(shutil.ReadError, match="not an arzip archive"):
        shutil.unpack_archive(tmp_path / "bad.tar.arz", tmp_path / "out3")


@pytest.mark.skipif(not hasattr(tarfile, "data_filter"), reason="this Python's tarfile has no filters")
def test_shutil_leaves_no_folder(arztar: str, tmp_path: Path) -> None:
    with arzip.tar_open(tmp_path / "x.tar.arz", "w", level=1) as file:
        file.addfile(tarfile.TarInfo("../outside"))
    with pytest.raises(shutil.ReadError, match="outside"):
        shutil.unpack_archive(tmp_path / "x.tar.arz", tmp_path / "out")
    assert not (tmp_path / "outside").exists()


def test_shutil_gives_members_an_owner_and_writes_nothing_when_dry(arztar: str, tree: Path, tmp_path: Path) -> None:
    shutil.make_archive(str(tmp_path / "dry"), arztar, tree, dry_run=True)
    assert not (tmp_path / "dry.tar.arz").exists()
    grp, pwd = pytest.importorskip("grp"), pytest.importorskip("pwd")
    user, group = pwd.getpwall()[0].pw_name, grp.getgrall()[0].gr_name
    made = shutil.make_archive(str(tmp_path / "x"), arztar, tree, owner=user, group=group)
    with arzip.tar_open(made) as file:
        assert {(member.uname, member.gname) for member in file.getmembers()} == {(user, group)}


# --------------------------------------------------------------------------------------------------- open_any

MADE: dict[str, Callable[[bytes], bytes]] = {
    "arz": lambda raw: arzip.compress(raw, 1),
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "txt": bytes,
}


@pytest.mark.parametrize("suffix", MADE)
@pytest.mark.parametrize("is_named", [True, False])
def test_reading_goes_by_the_first_bytes(suffix: str, is_named: bool, tmp_path: Path) -> None:
    path = tmp_path / (f"a.{suffix}" if is_named else "a.bin")
    path.write_bytes(MADE[suffix](TEXT.encode()))
    with arzip.open_any(path) as file:
        assert file.read() == TEXT.encode()
    with arzip.open_any(str(path), "rt", encoding="utf-8") as file:
        assert file.readline() == "one line\n"


@pytest.mark.parametrize("suffix", [*MADE, "ARZ", "tarz"])
def test_writing_goes_by_the_suffix(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{suffix}"
    with arzip.open_any(path, "wt", level=1, encoding="utf-8") as file:
        file.write(TEXT)
    kind = "arz" if suffix in ("ARZ", "tarz") else suffix
    assert path.read_bytes()[:2] == MADE[kind](TEXT.encode())[:2]
    with arzip.open_any(path, "r") as file:
        assert file.read() == TEXT.encode()
    with pytest.raises(FileExistsError):
        arzip.open_any(path, "x")


def test_zstd_too(tmp_path: Path) -> None:
    zstandard = pytest.importorskip("zstandard")
    with arzip.open_any(tmp_path / "a.zst", "w", level=3) as file:
        file.write(TEXT.encode())
    assert zstandard.ZstdDecompressor().decompressobj().decompress((tmp_path / "a.zst").read_bytes()) == TEXT.encode()
    with arzip.open_any(tmp_path / "a.zst") as file:
        assert file.read() == TEXT.encode()


def test_missing_zstd_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(arzip.ArzipError, match="zstandard: pip install"):
        arzip.open_any(tmp_path / "a.zst", "w")


@pytest.mark.parametrize("mode", ["a", "rbt", "rw", "", "rbb", "+"])
def test_modes_that_are_none(mode: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="invalid mode"):
        arzip.open_any(tmp_path / "a", mode)


def test_an_empty_file_is_opened(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    with arzip.open_any(tmp_path / "a") as file:
        assert file.read() == b""
