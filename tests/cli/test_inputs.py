"""Which files the command takes: folders, lists, what is compressed already; and the environment. With a stub codec."""

from __future__ import annotations

import gzip
import lzma
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import stub_codec

import arzip.api
from arzip import cli
from arzip.cli import COMMANDS
from arzip.system import compressed

WORDS = b"some words, some words, some words\n"
TESTS = Path(__file__).parents[1]
RUN_STUBBED = f"""
import sys
sys.path.insert(0, {str(TESTS)!r})
import arzip, stub_codec
arzip.codec = sys.modules["arzip.codec"] = stub_codec
from arzip.cli import main
sys.exit(main())
"""


@pytest.fixture(autouse=True)
def _workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(arzip.__file__).parent.parent))
    for variable in ("ARZIP_LEVEL", "ARZIP_THREADS", "NO_COLOR"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setitem(sys.modules, "arzip.codec", stub_codec)
    monkeypatch.setattr(arzip, "codec", stub_codec, raising=False)
    monkeypatch.setitem(sys.modules, "arzip.api.recovery", stub_codec)
    monkeypatch.setattr(arzip.api, "recovery", stub_codec, raising=False)


def put(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(WORDS)


def tree() -> set[str]:
    return {os.path.relpath(path) for path in Path(".").rglob("*") if not path.is_dir()}


def level_of(archive: str) -> int:
    return Path(archive).read_bytes()[len(stub_codec.MAGIC)]


# ------------------------------------------------------------------------------------------------------- folders


def test_a_folder_there_and_back(capfd: pytest.CaptureFixture[str]) -> None:
    files = {"a/one", "a/b/two.txt", "a/b/c/.three"}
    put(*files)
    assert cli.main(["-r", "--rm", "a"]) == 0
    assert tree() == {name + ".arz" for name in files}
    assert cli.main(["-t", "-r", "a"]) == 0
    assert cli.main(["-dr", "--rm", "a"]) == 0
    assert tree() == files
    assert capfd.readouterr() == ("", "")


def test_archives_and_links_in_a_folder_are_skipped(capfd: pytest.CaptureFixture[str]) -> None:
    put("a/one", "outside/two")
    put("a/old.ARZ", "a/old.tarz")
    Path("a/link").symlink_to("one")
    Path("a/folder").symlink_to(Path("outside").resolve())
    os.mkfifo("a/pipe")
    before = tree()
    assert cli.main(["-r", "a"]) == 0
    assert tree() - before == {"a/one.arz"}
    assert capfd.readouterr().err == ""
    assert cli.main(["-rfv", "a"]) == 0
    err = capfd.readouterr().err
    assert err.count("is an archive, skipped") == 3 and err.count("is a link or no regular file, skipped") == 2
    assert tree() - before == {"a/one.arz"}


def test_decompressing_a_folder_takes_archives_alone(capfd: pytest.CaptureFixture[str]) -> None:
    put("a/one")
    assert cli.main(["-r", "--rm", "a"]) == 0
    put("a/other")
    assert cli.main(["-d", "-r", "a"]) == 0
    assert tree() == {"a/one", "a/one.arz", "a/other"}
    assert cli.main(["-d", "-r", "a/other"]) == 1  # named, not found
    assert "unknown suffix" in capfd.readouterr().err


def test_an_empty_folder_is_not_the_standard_input() -> None:
    Path("empty").mkdir()
    assert cli.main(["-r", "empty"]) == cli.main(["-dr", "empty"]) == 0
    assert tree() == set()


def test_a_folder_needs_the_option(capfd: pytest.CaptureFixture[str]) -> None:
    put("a/one")
    assert cli.main(["a"]) == 1
    assert capfd.readouterr().err == "arzip: a: is a directory; -r takes the files in it\n"


def test_a_folder_and_files_in_order() -> None:
    put("a/one", "b", "a/two")
    done = subprocess.run(
        [sys.executable, "-c", RUN_STUBBED, "-rv", "b", "a"], capture_output=True, text=True, check=True
    )
    assert [line.split(":")[1].strip() for line in done.stderr.splitlines()] == ["b", "a/one", "a/two"]


@pytest.mark.parametrize("args", [["-r"], ["-r", "-o", "x", "a"], ["-d", "--exclude-compressed", "a"]])
def test_what_does_not_go_together(args: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    put("a")
    assert cli.main(args) == 1
    assert capfd.readouterr().err.count("\n") == 1 and tree() == {"a"}


# --------------------------------------------------------------------------------------------------------- lists


def test_names_from_a_list() -> None:
    put("a", "b b", "c")
    Path("list").write_bytes(b"b b\n\nc")
    assert cli.main(["--filelist", "list", "a"]) == 0
    assert tree() == {"a", "b b", "c", "list", "a.arz", "b b.arz", "c.arz"}


def test_names_that_end_with_nul() -> None:
    put("a\nb", "c")
    Path("list").write_bytes(b"a\nb\0c\0")
    assert cli.main(["--filelist0=list"]) == 0
    assert {"a\nb.arz", "c.arz"} <= tree()


def test_names_from_the_standard_input() -> None:
    put("a", "b")
    command = [sys.executable, "-c", RUN_STUBBED, "--filelist", "-"]
    assert subprocess.run(command, input=b"a\nb\n", capture_output=True, check=True).stdout == b""
    assert tree() == {"a", "b", "a.arz", "b.arz"}


def test_a_list_with_folders_and_faults(capfd: pytest.CaptureFixture[str]) -> None:
    put("a/one")
    Path("list").write_bytes(b"a\nmissing\n")
    assert cli.main(["-r", "--filelist", "list"]) == 1
    assert capfd.readouterr().err == "arzip: missing: no such file or directory\n"
    assert Path("a/one.arz").exists()
    assert cli.main(["--filelist", "nowhere"]) == 1
    assert capfd.readouterr().err == "arzip: nowhere: no such file or directory\n"


def test_an_empty_list_is_not_the_standard_input() -> None:
    put("empty")
    Path("empty").write_bytes(b"")
    assert cli.main(["--filelist", "empty"]) == 0
    assert tree() == {"empty"}


# ------------------------------------------------------------------------------------------ compressed already


def test_compressed_files_are_excluded(capfd: pytest.CaptureFixture[str]) -> None:
    put("text", "named.mp4", "named.JPG")
    Path("xz-without-suffix").write_bytes(lzma.compress(WORDS))
    Path("gz-without-suffix").write_bytes(gzip.compress(WORDS))
    before = tree()
    assert cli.main(["--exclude-compressed", *sorted(before)]) == 0
    assert tree() - before == {"text.arz", "gz-without-suffix.arz"}  # what deflate packed is opened
    assert capfd.readouterr().err == ""
    assert cli.main(["--exclude-compressed", "--no-open", "-fv", "text", "gz-without-suffix"]) == 0
    assert "gz-without-suffix: is compressed already, excluded" in capfd.readouterr().err


def test_what_counts_as_compressed() -> None:
    with zipfile.ZipFile("a.bin", "w") as file:
        file.writestr("a", WORDS)
    assert compressed.is_compressed("a.bin", deflate_too=True)
    assert not compressed.is_compressed("a.bin", deflate_too=False)
    for start in (b"\x8fAZ\r\n\x1a", b"\0\0\0\x20ftypisom", b"RIFF\0\0\0\0WEBPVP8 ", b"\x28\xb5\x2f\xfd", b"OggS"):
        Path("b").write_bytes(start + WORDS)
        assert compressed.is_compressed("b", deflate_too=False)
    for start in (b"", b"BZ", b"RIFF\0\0\0\0WAVEfmt ", b"IDE", WORDS):
        Path("b").write_bytes(start)
        assert not compressed.is_compressed("b", deflate_too=True)
    os.mkfifo("pipe")
    assert not compressed.is_compressed("pipe", deflate_too=True)
    assert not compressed.is_compressed("missing", deflate_too=True)


# ------------------------------------------------------------------------------------------------------ suffixes


@pytest.mark.parametrize(
    ("name", "restored"),
    [("a.tarz", "a.tar"), ("a.TARZ", "a.tar"), ("a.txt.ARZ", "a.txt"), ("a.tar.Arz", "a.tar"), ("a.b/c.arz", "a.b/c")],
)
def test_suffixes_in_any_case(name: str, restored: str) -> None:
    put("raw")
    Path(name).parent.mkdir(exist_ok=True)
    assert cli.main(["raw", "-o", name]) == cli.main(["-d", name]) == 0
    assert Path(restored).read_bytes() == WORDS


def test_an_archive_in_capitals_is_not_compressed_again(capfd: pytest.CaptureFixture[str]) -> None:
    put("a.ARZ", "b.tarz")
    assert cli.main(["a.ARZ", "b.tarz"]) == 2
    assert "has the suffix .ARZ already" in capfd.readouterr().err
    assert cli.main(["-f", "a.ARZ"]) == 0
    assert Path("a.ARZ.arz").exists()


# --------------------------------------------------------------------------------------------------- environment


def test_the_environment_says_the_level(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    put("a")
    monkeypatch.setenv("ARZIP_LEVEL", "3")
    assert cli.main(["a"]) == 0 and level_of("a.arz") == 3
    assert cli.main(["compress", "-f", "a"]) == 0 and level_of("a.arz") == 3
    assert cli.main(["-f8", "a"]) == 0 and level_of("a.arz") == 8
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("value", ["0", "10", "fast", "-3", "²", "3.0"])
def test_a_level_that_is_none_is_ignored_with_a_warning(
    value: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    put("a")
    monkeypatch.setenv("ARZIP_LEVEL", value)
    assert cli.main(["a"]) == 0 and level_of("a.arz") == 6
    err = capfd.readouterr().err
    assert err.startswith("arzip: ARZIP_LEVEL=") and err.count("\n") == 1
    assert cli.main(["-fq", "a"]) == 0 and cli.main(["a", "-f", "-q"]) == 0 and cli.main(["-5", "-f", "a"]) == 0
    assert capfd.readouterr().err == ""


def test_the_environment_says_the_threads(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    put("a")
    seen: list[int] = []
    real = stub_codec.compress

    def compress(source, sink, options, progress=None):  # type: ignore[no-untyped-def]
        seen.append(options.threads)
        return real(source, sink, options, progress)

    monkeypatch.setattr(stub_codec, "compress", compress)
    for value in ("3", "0", "many", ""):
        monkeypatch.setenv("ARZIP_THREADS", value)
        assert cli.main(["-f", "a"]) == 0
    monkeypatch.setenv("ARZIP_THREADS", "3")
    assert cli.main(["-f", "-T5", "a"]) == 0
    assert seen == [3, 0, 0, 0, 5]
    assert capfd.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(("value", "colours"), [("", True), ("1", False)])
def test_no_color_is_heeded(value: str, colours: bool) -> None:
    put("a")
    terminal, side = os.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "NO_COLOR": value}
    command = [sys.executable, "-c", RUN_STUBBED, "--progress", "a"]
    with subprocess.Popen(command, stdin=side, stdout=side, stderr=side, env=environment):
        os.close(side)
        shown = b""
        try:
            while piece := os.read(terminal, 4096):
                shown += piece
        except OSError:  # the other side is closed
            pass
    os.close(terminal)
    assert shown and (b"\x1b[3" in shown or b"\x1b[38" in shown) == colours


# ---------------------------------------------------------------------------------------------------------- help


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_fits_100_columns_and_50_lines(
    command: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    assert cli.main([*command.split(), "--help"]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert len(lines) <= 50 and max(map(len, lines)) <= 100
    assert not any(line.rstrip().endswith("...") for line in lines[1:])  # no text is cut
