"""The file system's promises: an output is complete or absent, and nothing that exists is lost."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from arzip.errors import ArzipError, OutputError
from arzip.system import files, outputs


@pytest.fixture
def source(tmp_path: Path) -> Iterator[files.InputFile]:
    path = tmp_path / "source"
    path.write_bytes(b"raw")
    with files.open_source(str(path)) as opened:
        yield opened


def names(folder: Path) -> set[str]:
    return set(os.listdir(folder))


def write(path: Path, data: bytes, source: files.InputFile, *, overwrite: bool = False) -> None:
    with outputs.open_output(str(path), source, overwrite=overwrite) as sink:
        sink.write(data)


def test_output_appears_only_when_complete(tmp_path: Path, source: files.InputFile) -> None:
    target = tmp_path / "out"
    with outputs.open_output(str(target), source, overwrite=False) as sink:
        sink.write(b"half ")
        assert not target.exists()
        sink.write(b"and half")
    assert target.read_bytes() == b"half and half"
    assert names(tmp_path) == {"source", "out"}


@pytest.mark.parametrize("overwrite", [False, True])
def test_failed_output_leaves_nothing(tmp_path: Path, source: files.InputFile, overwrite: bool) -> None:
    with pytest.raises(ArzipError), outputs.open_output(str(tmp_path / "out"), source, overwrite=overwrite) as sink:
        sink.write(b"half")
        raise ArzipError("stop")
    assert names(tmp_path) == {"source"}


def test_existing_output_survives_an_error_half_way(tmp_path: Path, source: files.InputFile) -> None:
    target = tmp_path / "out"
    target.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), outputs.open_output(str(target), source, overwrite=True) as sink:
        sink.write(b"new")
        raise KeyboardInterrupt
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == {"source", "out"}


def test_existing_output_is_refused_before_anything_is_written(tmp_path: Path, source: files.InputFile) -> None:
    target = tmp_path / "out"
    target.write_bytes(b"old")
    with pytest.raises(OutputError, match="exists already"):
        write(target, b"new", source)
    write(target, b"new", source, overwrite=True)
    assert target.read_bytes() == b"new"


def test_name_taken_in_the_meantime_is_not_overwritten(tmp_path: Path, source: files.InputFile) -> None:
    target = tmp_path / "out"
    with pytest.raises(OutputError), outputs.open_output(str(target), source, overwrite=False) as sink:
        sink.write(b"late")
        target.write_bytes(b"early")
    assert target.read_bytes() == b"early"
    assert names(tmp_path) == {"source", "out"}


def test_output_appears_where_the_file_system_has_no_hard_links(
    tmp_path: Path, source: files.InputFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(*_: object, **__: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", link)
    write(tmp_path / "out", b"new", source)
    assert names(tmp_path) == {"source", "out"}


def test_mode_and_mtime_carried(tmp_path: Path) -> None:
    path, target = tmp_path / "source", tmp_path / "out"
    path.write_bytes(b"raw")
    path.chmod(0o4640)
    os.utime(path, ns=(1_000_000_000_123_456_789, 1_111_111_111_123_456_789))
    with files.open_source(str(path)) as source:
        write(target, b"new", source)
    assert stat.S_IMODE(target.stat().st_mode) == 0o640  # not the set-user-id bit
    assert target.stat().st_mtime_ns == 1_111_111_111_123_456_789


def test_unfinished_output_is_closed_to_others(tmp_path: Path, source: files.InputFile) -> None:
    with outputs.open_output(str(tmp_path / "out"), source, overwrite=False) as sink:
        assert stat.S_IMODE(os.fstat(sink.fileno()).st_mode) == 0o600


def test_an_output_is_put_on_the_disk_once(
    tmp_path: Path, source: files.InputFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is finished before it is read back, and before it gets its name: each fsync takes some 10 ms."""
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    with outputs.open_output(str(tmp_path / "out"), source, overwrite=False) as sink:
        sink.write(b"new")
        sink.finish()
        sink.finish()
        assert synced == [sink.fileno()]
        sink.write(b"er")
        sink.finish()
        assert synced == [sink.fileno()] * 2
    assert len(synced) == 3  # and its name


def test_device_is_written_to_and_not_replaced(tmp_path: Path, source: files.InputFile) -> None:
    write(Path(os.devnull), b"new", source, overwrite=True)
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)


def test_link_is_followed_and_stays_a_link(tmp_path: Path, source: files.InputFile) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere" / "real")
    with pytest.raises(OutputError, match="exists"):
        write(tmp_path / "link", b"new", source)
    write(tmp_path / "link", b"new", source, overwrite=True)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "elsewhere" / "real").read_bytes() == b"new"


def test_output_that_is_the_input_is_refused(tmp_path: Path, source: files.InputFile) -> None:
    os.link(tmp_path / "source", tmp_path / "same")
    for name in ("source", "same"):
        with pytest.raises(OutputError, match="is the input itself"):
            write(tmp_path / name, b"new", source, overwrite=True)
    assert (tmp_path / "source").read_bytes() == b"raw"


@pytest.mark.parametrize("path", ["folder", "missing/out", "source/out"])
def test_impossible_output_is_a_one_line_error(tmp_path: Path, source: files.InputFile, path: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError) as caught:
        write(tmp_path / path, b"new", source, overwrite=True)
    assert path in str(caught.value) and "\n" not in str(caught.value) and "Errno" not in str(caught.value)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_full_disk_is_a_one_line_error(source: files.InputFile) -> None:
    with pytest.raises(OutputError, match=r"^/dev/full: no space left on device$"):
        write(Path("/dev/full"), b"new", source)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_folder_without_permission_is_a_one_line_error(tmp_path: Path, source: files.InputFile) -> None:
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    with pytest.raises(OutputError, match="permission denied"):
        write(folder / "out", b"new", source)


def test_folder_link_and_pipe_are_no_sources(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"raw")
    (tmp_path / "link").symlink_to("source")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ArzipError, match="is a directory"), files.open_source(str(tmp_path), special=True):
        pass
    for name in ("link", "pipe"):
        with pytest.raises(files.SkippedError), files.open_source(str(tmp_path / name)):
            pass
    with files.open_source(str(tmp_path / "link"), special=True) as source:
        assert source.stream.read() == b"raw"


@pytest.mark.parametrize("name", ["missing", "source/", "\udcff"])
def test_missing_source_is_a_one_line_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "source").write_bytes(b"raw")
    with pytest.raises(ArzipError, match=r"^no such file|^not a directory"), files.open_source(f"{tmp_path}/{name}"):
        pass


def test_source_is_removed_unless_it_changed(tmp_path: Path) -> None:
    path = tmp_path / "source"
    path.write_bytes(b"raw")
    with files.open_source(str(path)) as source:
        path.write_bytes(b"more than before")
        with pytest.raises(files.SkippedError, match="has changed"):
            files.remove_source(source)
    with files.open_source(str(path)) as source:
        files.remove_source(source)
    assert not path.exists()


def test_write_takes_more_than_a_pipe_holds() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    sizes: list[int] = []
    with open(reader, "rb") as far_end, outputs.OutputFile(writer, "pipe") as sink:
        thread = threading.Thread(target=lambda: sizes.append(len(far_end.read(1 << 20))))
        thread.start()
        assert sink.write(bytes(1 << 20)) == 1 << 20
        thread.join()
    assert sizes == [1 << 20]


def test_an_unfinished_output_has_no_name_where_the_system_can(tmp_path: Path, source: files.InputFile) -> None:
    with outputs.open_output(str(tmp_path / "out"), source, overwrite=False) as sink:
        sink.write(b"half")
        nameless = names(tmp_path) == {"source"}
    assert nameless or not hasattr(os, "O_TMPFILE") or not os.path.exists("/proc/self/fd")


@pytest.fixture(params=["nameless", "named", "no links of nameless ones"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The ways in which an output is written until it is complete."""
    if request.param == "named":
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    elif request.param != "nameless":
        honest = os.link

        def link(first: str, *rest: object, **more: object) -> None:
            if "src_dir_fd" in more:
                raise PermissionError
            honest(first, *rest, **more)  # type: ignore[arg-type]

        monkeypatch.setattr(os, "link", link)
    return str(request.param)


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("sparse", [False, True])
def test_each_way_makes_the_same_file(
    tmp_path: Path, source: files.InputFile, overwrite: bool, sparse: bool, way: str
) -> None:
    os.chmod(source.name, 0o640)
    data = [b"x" * 5000, bytes(100_000), b"", bytes(3), b"y", bytes(outputs.HOLE_BYTES), bytes(60_000)]
    if overwrite:
        (tmp_path / "out").write_bytes(b"old")
    with files.open_source(source.name) as again:
        with outputs.open_output(str(tmp_path / "out"), again, overwrite=overwrite, sparse=sparse) as sink:
            for piece in data:
                sink.write(piece)
            sink.finish()
            with sink.read_back() as written:
                assert written.read() == b"".join(data)
            written_to = os.fstat(sink.fileno()).st_ino
        assert (tmp_path / "out").read_bytes() == b"".join(data)
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o640
    assert ((tmp_path / "out").stat().st_ino == written_to) == (way != "no links of nameless ones")
    assert (tmp_path / "out").stat().st_blocks * 512 < 150_000 or not sparse
    assert names(tmp_path) == {"source", "out"}
    with pytest.raises(OutputError, match="exists"):
        write(tmp_path / "out", b"new", source)


@pytest.mark.usefixtures("way")
def test_name_taken_in_the_meantime_is_kept_each_way(tmp_path: Path, source: files.InputFile) -> None:
    with pytest.raises(OutputError), outputs.open_output(str(tmp_path / "out"), source, overwrite=False) as sink:
        sink.write(b"late")
        (tmp_path / "out").write_bytes(b"early")
    assert (tmp_path / "out").read_bytes() == b"early"
    assert names(tmp_path) == {"source", "out"}


def test_unfinished_outputs_of_dead_processes_are_removed(
    tmp_path: Path, source: files.InputFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    old, young, other = (tmp_path / name for name in (".arzip-1.tmp", ".arzip-2.tmp", "arzip-3.tmp"))
    for path in (old, young, other):
        path.write_bytes(b"half")
    for path in (old, other):
        os.utime(path, (1, 1))
    with outputs.open_output(str(tmp_path / "first"), source, overwrite=False):
        assert not old.exists() and young.exists() and other.exists()
        [first] = [path for path in tmp_path.glob(".arzip-*.tmp") if path != young]
        os.utime(first, (1, 1))  # old, but its lock is held
        monkeypatch.setattr(outputs, "unfinished", set())
        with outputs.open_output(str(tmp_path / "second"), source, overwrite=False):
            assert first.exists()


def test_source_that_changed_with_its_mtime_put_back_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "source"
    path.write_bytes(b"raw")
    with files.open_source(str(path)) as source:
        path.write_bytes(b"war")
        os.utime(path, ns=(source.status.st_atime_ns, source.status.st_mtime_ns))
        with pytest.raises(files.SkippedError, match="has changed"):
            files.remove_source(source)
    assert path.read_bytes() == b"war"
