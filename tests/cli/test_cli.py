"""The command line, with a stub for the codec: names, options, exit codes, and what reaches which stream."""

from __future__ import annotations

import io
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tarfile
from functools import partial
from pathlib import Path

import pytest
import stub_codec

import arzip.api
from arzip import cli
from arzip.cli.args import expand_levels
from arzip.format.stream import Writer

TESTS = Path(__file__).parents[1]
RUN_STUBBED = f"""
import sys
sys.path.insert(0, {str(TESTS)!r})
import arzip, stub_codec
arzip.codec = sys.modules["arzip.codec"] = stub_codec
from arzip.cli import main
sys.exit(main())
"""
HEAVY = {"torch", "numpy", "numba", "rich", "constriction"}


@pytest.fixture(autouse=True)
def _workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(arzip.__file__).parent.parent))  # the same package for subprocesses
    monkeypatch.setitem(sys.modules, "arzip.codec", stub_codec)
    monkeypatch.setattr(arzip, "codec", stub_codec, raising=False)
    monkeypatch.setitem(sys.modules, "arzip.api.recovery", stub_codec)
    monkeypatch.setattr(arzip.api, "recovery", stub_codec, raising=False)


def put(name: str, data: bytes = b"some words, some words, some words\n") -> Path:
    Path(name).write_bytes(data)
    return Path(name)


def spawn(*args: str, **options: object) -> subprocess.Popen[bytes]:
    """The command in its own process, with the stub; every stream a pipe unless said otherwise."""
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    return subprocess.Popen([sys.executable, "-c", RUN_STUBBED, *args], **{**streams, **options})  # type: ignore


def one_line(text: str) -> bool:
    return text.startswith("arzip: ") and text.count("\n") == 1 and "Traceback" not in text


# ------------------------------------------------------------------------------------------------- there and back


def test_file_there_and_back_keeps_the_source(capfd: pytest.CaptureFixture[str]) -> None:
    data = put("a.txt").read_bytes()
    assert cli.main(["a.txt"]) == 0
    assert Path("a.txt").read_bytes() == data
    Path("a.txt").unlink()
    assert cli.main(["-d", "a.txt.arz"]) == 0
    assert Path("a.txt").read_bytes() == data
    assert capfd.readouterr() == ("", "")


def test_commands_are_the_same_as_flags() -> None:
    put("a")
    assert cli.main(["compress", "-9", "a"]) == 0
    first = Path("a.arz").read_bytes()
    assert cli.main(["-f9", "a"]) == 0
    assert Path("a.arz").read_bytes() == first
    assert cli.main(["decompress", "-o", "b", "a.arz"]) == cli.main(["-d", "-oc", "a.arz"]) == 0
    assert Path("b").read_bytes() == Path("c").read_bytes() == Path("a").read_bytes()
    assert cli.main(["test", "a.arz"]) == cli.main(["-t", "a.arz"]) == cli.main(["-dt", "a.arz"]) == 0


@pytest.mark.parametrize("names", [[], ["-"]])
def test_stdin_to_stdout(names: list[str]) -> None:
    archive, talk = spawn(*names).communicate(b"words")
    assert archive.startswith(stub_codec.MAGIC) and not talk
    assert spawn("-d", *names).communicate(archive) == (b"words", b"")


@pytest.mark.skipif(shutil.which("tar") is None, reason="no tar here")
def test_tar_runs_it_both_ways() -> None:
    Path("stub.py").write_text(RUN_STUBBED)
    Path("wrapper").write_text(f'#!/bin/sh\nexec "{sys.executable}" "{Path("stub.py").resolve()}" "$@"\n')
    Path("wrapper").chmod(0o755)
    Path("folder").mkdir()
    put("folder/a")
    command = str(Path("wrapper").resolve())
    subprocess.run(["tar", "-I", command, "-cf", "x.tar.arz", "folder"], check=True)
    assert Path("x.tar.arz").read_bytes().startswith(stub_codec.MAGIC)
    shutil.rmtree("folder")
    subprocess.run(["tar", "-I", command, "-xf", "x.tar.arz"], check=True)
    assert Path("folder/a").exists()
    assert not tarfile.is_tarfile("x.tar.arz")


def test_stdout_takes_several_files(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    put("a", b"one "), put("b", b"two")
    assert cli.main(["a", "b"]) == 0
    assert cli.main(["-dc", "a.arz", "b.arz"]) == 0
    assert capfdbinary.readouterr().out == b"one two"


def test_output_may_be_named() -> None:
    put("a")
    assert cli.main(["a", "-o", "there.bin"]) == 0
    assert cli.main(["-d", "there.bin", "-o", "b"]) == 0
    assert Path("b").read_bytes() == Path("a").read_bytes()


def test_word_of_a_command_wins_and_can_be_escaped(capfd: pytest.CaptureFixture[str]) -> None:
    put("list")
    assert cli.main(["./list"]) == cli.main(["-f", "--", "list"]) == cli.main(["-f", "list"]) == 0
    assert Path("list.arz").exists()
    assert cli.main(["list", "list"]) == 1
    assert "not an arzip archive" in capfd.readouterr().err
    assert cli.main(["-k", "compress"]) == 1
    assert "comes first" in capfd.readouterr().err


def test_name_with_any_bytes(capfd: pytest.CaptureFixture[str]) -> None:
    put("a\udcff\n\x1b[31m.txt")
    assert cli.main(["-v", "a\udcff\n\x1b[31m.txt"]) == 0
    assert one_line(capfd.readouterr().err)
    assert cli.main(["-l", "a\udcff\n\x1b[31m.txt"]) == 1
    assert one_line(capfd.readouterr().err)


# --------------------------------------------------------------------------------------------------------- levels


@pytest.mark.parametrize("level", range(1, 10))
def test_each_level_is_a_flag(level: int) -> None:
    put("a")
    assert cli.main([f"-{level}", "a"]) == 0
    assert Path("a.arz").read_bytes()[len(stub_codec.MAGIC)] == level


def test_default_level_is_6_and_the_last_one_counts() -> None:
    put("a")
    assert cli.main(["a"]) == cli.main(["-1", "-k4", "-f", "a", "-o", "b"]) == 0
    assert [Path(name).read_bytes()[len(stub_codec.MAGIC)] for name in ("a.arz", "b")] == [6, 4]


@pytest.mark.parametrize("args", [["-19"], ["-k19"], ["-0"], ["-99f"], ["--level=19"], ["-T2", "-12"]])
def test_level_19_is_an_error(args: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    put("a")
    assert cli.main([*args, "a"]) == 1
    assert one_line(capfd.readouterr().err)
    assert not Path("a.arz").exists()


@pytest.mark.parametrize(
    ("args", "expanded"),
    [
        (["-T16"], ["-T16"]),
        (["-9T16", "x"], ["--level=9", "-T16", "x"]),
        (["-m", "-19"], ["-m", "-19"]),
        (["-3m", "-19", "-4"], ["--level=3", "-m", "-19", "--level=4"]),
        (["--output", "-19"], ["--output", "-19"]),
        (["--", "-19"], ["--", "-19"]),
        (["-", "--rm"], ["-", "--rm"]),
        (["-o"], ["-o"]),
        (["-9b64k", "-1"], ["--level=9", "-b64k", "--level=1"]),
        (["--block-size", "-1"], ["--block-size", "-1"]),
    ],
)
def test_digits_in_values_are_no_levels(args: list[str], expanded: list[str]) -> None:
    assert expand_levels(args) == expanded


# ------------------------------------------------------------------------------------------------ nothing is lost


@pytest.mark.parametrize("how", ["damaged", "memory", "bug"])
@pytest.mark.parametrize("flags", [[], ["-f"], ["-f", "--rm"]])
def test_existing_output_survives_a_failed_compress(
    how: str, flags: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    put("a", f"fail:{how} ".encode()), put("a.arz", b"old")
    assert cli.main([*flags, "a"]) == 1
    assert one_line(capfd.readouterr().err)
    assert Path("a.arz").read_bytes() == b"old"
    assert sorted(os.listdir()) == ["a", "a.arz"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
@pytest.mark.parametrize("existing", [False, True])
def test_interrupt_leaves_no_partial_file(number: int, code: int, existing: bool) -> None:
    put("a", b"fail:slow ")
    if existing:
        put("a.arz", b"old")
    heeded = partial(signal.signal, number, signal.SIG_DFL)  # whoever runs the tests may ignore it, as nohup does
    process = spawn("-f", "--rm", "a", preexec_fn=heeded)
    assert process.stderr is not None
    assert process.stderr.readline() == b"half-way\n"
    assert len(os.listdir()) <= 2 + existing  # the unfinished output is there, with a name or without
    process.send_signal(number)
    assert process.communicate() == (b"", b"")
    assert process.returncode == code
    assert sorted(os.listdir()) == ["a", "a.arz"][: 1 + existing]
    assert not existing or Path("a.arz").read_bytes() == b"old"


@pytest.mark.skipif(not hasattr(os, "O_TMPFILE"), reason="unfinished outputs have names here")
def test_kill_leaves_nothing() -> None:
    put("a", b"fail:slow ")
    process = spawn("a")
    assert process.stderr is not None
    assert process.stderr.readline() == b"half-way\n"
    process.kill()
    process.communicate()
    assert os.listdir() == ["a"]


def test_rm_only_after_success() -> None:
    put("good"), put("bad", b"fail:damaged ")
    assert cli.main(["--rm", "bad", "good"]) == 1
    assert sorted(os.listdir()) == ["bad", "good.arz"]
    assert cli.main(["-d", "--rm", "good.arz"]) == 0
    assert sorted(os.listdir()) == ["bad", "good"]
    assert cli.main(["--rm", "-k", "good"]) == 0
    assert Path("good").exists()


@pytest.mark.parametrize("flags", [["--rm", "-c"], ["--rm", "-o-"], ["-d", "--rm", "--salvage"]])
def test_rm_without_a_whole_output_file_is_an_error(flags: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    """It is one of the command line: nothing is read or written first."""
    put("a.arz")
    assert cli.main([*flags, "a.arz"]) == 1
    assert Path("a.arz").exists()
    out, err = capfd.readouterr()
    assert out == "" and err.startswith("arzip: --rm ")


def test_existing_output_is_an_error_without_a_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    put("a"), put("a.arz", b"old")
    process = spawn("a")
    assert one_line(process.communicate()[1].decode()) and process.returncode == 1
    assert Path("a.arz").read_bytes() == b"old"
    assert cli.main(["-f", "a"]) == 0
    assert Path("a.arz").read_bytes() != b"old"


@pytest.mark.parametrize(("answer", "code"), [(b"n\n", 1), (b"\n", 1), (b"y\n", 0)])
def test_existing_output_is_asked_for_on_a_terminal(answer: bytes, code: int) -> None:
    put("a"), put("a.arz", b"old")
    terminal, side = os.openpty()
    process = spawn("--no-progress", "a", stdin=side, stderr=side)
    os.write(terminal, answer)
    process.communicate()
    os.close(side), os.close(terminal)
    assert process.returncode == code
    assert (Path("a.arz").read_bytes() == b"old") == (code == 1)


def test_archive_is_not_written_to_a_terminal() -> None:
    put("a")
    terminal, side = os.openpty()
    process = spawn("-c", "a", stdout=side)
    assert b"not for a terminal" in process.communicate()[1]
    assert process.returncode == 1
    process = spawn("-cf", "a", stdout=side)
    process.communicate()
    assert process.returncode == 0
    assert os.read(terminal, 4) == stub_codec.MAGIC
    os.close(side), os.close(terminal)


def test_mode_and_mtime_carried_both_ways() -> None:
    put("a").chmod(0o640)
    os.utime("a", (1_000_000_000, 1_111_111_111))
    assert cli.main(["--rm", "a"]) == cli.main(["-d", "a.arz"]) == 0
    for name in ("a", "a.arz"):
        assert os.stat(name).st_mode & 0o7777 == 0o640
        assert os.stat(name).st_mtime == 1_111_111_111


# ----------------------------------------------------------------------------------------------------- exit codes


def test_several_files_worst_code(capfd: pytest.CaptureFixture[str]) -> None:
    put("a"), put("c"), put("old.arz")
    assert cli.main(["a", "missing", "old.arz", "c"]) == 1
    assert capfd.readouterr().err.splitlines() == [
        "arzip: missing: no such file or directory",
        "arzip: old.arz: has the suffix .arz already, skipped; -f compresses it once more",
    ]
    assert Path("a.arz").exists() and Path("c.arz").exists()
    assert cli.main(["-f", "a", "c"]) == 0
    assert cli.main(["old.arz"]) == 2


def test_quiet_keeps_the_exit_code(capfd: pytest.CaptureFixture[str]) -> None:
    put("old.arz")
    assert cli.main(["-q", "old.arz"]) == 2
    assert cli.main(["-qq", "missing"]) == 1
    assert capfd.readouterr().err == ""
    assert cli.main(["-q", "missing"]) == 1
    assert one_line(capfd.readouterr().err)


@pytest.mark.parametrize(
    "args",
    [
        ["--nonsense"],
        ["-o", "x", "a", "a"],
        ["-c", "-o", "x", "a"],
        ["-tl", "a"],
        ["--json", "a"],
        ["--salvage", "a"],
        ["-d", "--zeros", "a"],
        ["--device", "abacus", "a"],
        ["-T", "-1", "a"],
        ["list", "--rm", "a"],
        ["models", "a"],
        ["-o"],
        ["-o", "", "a"],
        ["-b", "1", "a"],
        ["-b", "65MiB", "a"],
        ["-b", "some", "a"],
    ],
)
def test_usage_error_is_one_line_and_code_1(args: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    put("a")
    assert cli.main(args) == 1
    out, err = capfd.readouterr()
    assert out == "" and one_line(err)
    assert os.listdir() == ["a"]


def test_link_and_folder_and_pipe(capfd: pytest.CaptureFixture[str]) -> None:
    put("a")
    Path("link").symlink_to("a")
    Path("folder").mkdir()
    os.mkfifo("pipe")
    assert cli.main(["link"]) == cli.main(["pipe"]) == 2
    assert cli.main(["folder"]) == 1
    assert "is a directory" in capfd.readouterr().err
    assert cli.main(["-f", "link"]) == cli.main(["-o", "x", "link"]) == cli.main(["-c", "link"]) == 0
    assert sorted(os.listdir()) == ["a", "folder", "link", "link.arz", "pipe", "x"]


@pytest.mark.parametrize("name", ["a.txt", ".arz"])
def test_unknown_suffix_is_an_error(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    put("b"), cli.main(["b", "-o", name])
    assert cli.main(["-d", name]) == cli.main(["-df", name]) == 1
    assert "unknown suffix" in capfd.readouterr().err
    assert cli.main(["-dc", name]) == 0


def test_damaged_archive_is_one_line_and_no_output(capfd: pytest.CaptureFixture[str]) -> None:
    put("a.arz", b"STUBxxxx")
    assert cli.main(["-d", "a.arz"]) == cli.main(["-t", "a.arz"]) == 1
    assert capfd.readouterr().err == "arzip: a.arz: block 1 is damaged\n" * 2
    assert os.listdir() == ["a.arz"]


def test_salvage_warns_that_something_may_be_missing(capfd: pytest.CaptureFixture[str]) -> None:
    put("a.arz", b"STUBxxxx")
    assert cli.main(["-d", "--salvage", "a.arz"]) == 2
    assert Path("a").read_bytes() == b"what is whole"
    model, missing = capfd.readouterr().err.splitlines()
    assert model == "arzip: a.arz: the header is lost; of the models at hand base fits"
    assert missing == (
        "arzip: a.arz: salvaged 13 bytes in 1 whole block; missing: bytes 13 to 17, perhaps more behind byte 18, "
        "byte 100, byte 200, byte 300, byte 400, byte 500, byte 600, 2 more: -v names all"
    )
    assert cli.main(["-dfv", "--salvage", "--zeros", "a.arz"]) == 2
    assert Path("a").read_bytes() == b"what is whole" + bytes(5)
    assert "byte 800 (zeros in their place)" in capfd.readouterr().err


# ------------------------------------------------------------------------------------------------------- streams


def test_pipe_closed_quietly() -> None:
    put("a", os.urandom(1 << 20))
    assert cli.main(["a"]) == 0
    process = spawn("-dc", "a.arz")
    assert process.stdout is not None and process.stderr is not None
    process.stdout.read(1)
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 141
    assert process.stdin is not None
    process.stdin.close()


def test_pipe_closed_under_text_quietly() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    process = spawn("--help", stdout=writer)
    os.close(writer)
    assert process.communicate()[1] == b""
    assert process.returncode == 141


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
@pytest.mark.parametrize("args", [["-c", "a"], ["--help"], ["-t", "--json", "a.arz"]])
def test_full_disk_under_stdout_is_one_line(args: list[str]) -> None:
    put("a")
    cli.main(["a"])
    with open("/dev/full", "wb") as full:
        process = spawn(*args, stdout=full)
        err = process.communicate()[1].decode()
    assert one_line(err) and "no space left" in err
    assert process.returncode == 1


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-"])
def test_closed_stream_is_not_mistaken_for_a_file(closed: str) -> None:
    put("a")
    command = ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-c", RUN_STUBBED]
    assert subprocess.run([*command, "-v", "a"], capture_output=True, check=False).returncode == 0
    assert Path("a.arz").read_bytes().startswith(stub_codec.MAGIC)
    done = subprocess.run([*command, "-c", "a"], capture_output=True, check=False)
    assert (done.returncode == 1 and b"bad file descriptor" in done.stderr) == (closed == ">&-")
    through = subprocess.run([*command, "-c", "-"], input=b"words", capture_output=True, check=False)
    assert through.returncode == (0 if closed == "2>&-" else 1)


def test_verbose_says_sizes_on_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    put("a")
    assert cli.main(["-v", "a"]) == 0
    out, err = capfd.readouterr()
    assert out == "" and one_line(err) and "bits per byte" in err and "KB/s" in err


@pytest.mark.parametrize(("flags", "wanted"), [(["--progress"], True), (["--no-progress"], False), ([], False)])
def test_progress_is_for_terminals(flags: list[str], wanted: bool) -> None:
    put("[a]")
    err = spawn(*flags, "[a]").communicate()[1].decode()
    assert (err != "") == wanted


def test_test_prints_json(capfd: pytest.CaptureFixture[str]) -> None:
    put("a"), put("bad.arz", b"STUBxxxx"), cli.main(["a"])
    assert cli.main(["-t", "--json", "a.arz", "bad.arz"]) == 1
    good, bad = json.loads(capfd.readouterr().out)
    assert good == {
        "name": "a.arz",
        "sound": True,
        "raw_bytes": 35,
        "archive_bytes": good["archive_bytes"],
        "blocks": 1,
    }
    assert bad == {"name": "bad.arz", "sound": False}


def archive(*blocks: bytes) -> bytes:
    """A real archive of stored blocks."""
    sink = io.BytesIO()
    writer = Writer(sink)
    for block in blocks:
        writer.write_stored(block)
    writer.finish()
    return sink.getvalue()


def test_list_shows_each_archive_of_a_file(capfd: pytest.CaptureFixture[str]) -> None:
    put("a.arz", archive(b"words") + archive(b"and", b"more"))
    assert cli.main(["-l", "--json", "a.arz"]) == 0
    first, second = json.loads(capfd.readouterr().out)
    assert (first["raw_bytes"], second["raw_bytes"]) == (5, 7)
    assert [block["method"] for block in second["blocks"]] == ["stored", "stored"]
    assert first["archive_bytes"] + second["archive_bytes"] == os.path.getsize("a.arz")
    assert cli.main(["list", "-v", "a.arz"]) == 0
    assert capfd.readouterr().out.count("stored") == 5


def test_eval_prints_totals_and_writes_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    put("a"), put("b", b"")
    assert cli.main(["eval", "a", "b", "missing"]) == 1
    assert [line.split()[-1] for line in capfd.readouterr().out.splitlines()] == ["name", "a", "b", "total"]
    assert sorted(os.listdir()) == ["a", "b"]


def test_models_lists_what_is_at_hand(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    header = json.dumps(
        {
            "__metadata__": {"arzip": json.dumps({"about": {"trained_on": "prose"}, "network": {}})},
            "w": {"dtype": "I8", "shape": [2, 3], "data_offsets": [0, 6]},
        }
    ).encode()
    put("tiny.safetensors", len(header).to_bytes(8, "little") + header + bytes(6))
    monkeypatch.setenv("ARZIP_MODEL_PATH", ".")
    assert cli.main(["models", "--json"]) == 0
    [tiny] = [row for row in json.loads(capfd.readouterr().out) if row["name"] == "tiny"]
    assert (tiny["parameters"], tiny["trained_on"]) == (6, "prose")
    assert cli.main(["models"]) == 0
    assert "prose" in capfd.readouterr().out


# ------------------------------------------------------------------------------------------------------- start-up


@pytest.mark.parametrize("args", [["--help"], ["--version"], ["list", "a.arz"], ["models"], ["--nonsense"]])
def test_help_imports_no_torch(args: list[str]) -> None:
    put("a.arz", archive(b"words"))
    code = f"import sys; from arzip.cli import main; main({args}); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not HEAVY & set(done.stderr.split())


@pytest.mark.parametrize("args", [["--help"], ["--version"], ["list", "a.arz"]])
def test_start_takes_less_than_400_ms(args: list[str]) -> None:
    put("a.arz", archive(b"words"))

    def seconds() -> float:  # of the processor, so that a busy machine doesn't count
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "arzip", *args], capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(seconds() for _ in range(3)) < 0.4


@pytest.mark.parametrize("command", ["", *cli.COMMANDS])
def test_every_command_has_help(command: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*command.split(), "-h"]) == 0
    assert "Usage: arzip" in capfd.readouterr().out


def test_version_is_that_of_the_package(capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["-V"]) == cli.main(["--version"]) == 0
    assert capfd.readouterr().out == "arzip 0.1.0\n" * 2


# --------------------------------------------------------------------------- limits, ranges, holes, verification


def stored_archive(path: str, *blocks: bytes) -> None:
    Path(path).write_bytes(archive(*blocks))


@pytest.fixture
def real_codec(monkeypatch: pytest.MonkeyPatch) -> None:
    """The codec itself instead of the stub, for archives of stored blocks."""
    for package, name in ((arzip, "codec"), (arzip.api, "recovery")):
        monkeypatch.delitem(sys.modules, f"{package.__name__}.{name}")
        monkeypatch.delattr(package, name)


BLOCKS = (b"0123456789", b"abcdefghij", b"ABCDEFGHIJ")


@pytest.mark.usefixtures("real_codec")
@pytest.mark.parametrize(
    ("asked", "got"),
    [
        ("0:30", b"".join(BLOCKS)),
        ("0:1000", b"".join(BLOCKS)),
        ("9:2", b"9a"),
        ("12:3", b"cde"),
        ("10:10", BLOCKS[1]),
        ("25:", b"FGHIJ"),
        ("30:5", b""),
        ("5:0", b""),
    ],
)
def test_range_restores_some_bytes(asked: str, got: bytes, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    stored_archive("a.arz", *BLOCKS)
    assert cli.main(["-d", "--range", asked, "a.arz"]) == 0
    assert Path("a").read_bytes() == got
    assert cli.main(["-dc", f"--range={asked}", "a.arz"]) == 0
    assert capfdbinary.readouterr().out == got


@pytest.mark.usefixtures("real_codec")
def test_range_needs_only_the_blocks_that_hold_it(capfd: pytest.CaptureFixture[str]) -> None:
    stored_archive("a.arz", *BLOCKS)
    data = Path("a.arz").read_bytes()
    Path("a.arz").write_bytes(data.replace(BLOCKS[0], b"damaged..."))
    assert cli.main(["-dc", "--range", "10:20", "a.arz"]) == 0
    assert capfd.readouterr().out == "abcdefghijABCDEFGHIJ"
    assert cli.main(["-d", "--range", "9:2", "a.arz"]) == 1
    assert "block 1 is damaged" in capfd.readouterr().err
    assert cli.main(["-d", "--range", "31:2", "a.arz"]) == 1
    assert "holds 30 bytes" in capfd.readouterr().err
    assert not Path("a").exists()


@pytest.mark.usefixtures("real_codec")
def test_range_of_a_pipe() -> None:
    stored_archive("a.arz", *BLOCKS)
    command = [sys.executable, "-m", "arzip", "-d", "--range", "15:10"]
    done = subprocess.run(command, input=Path("a.arz").read_bytes(), capture_output=True, check=True)
    assert done.stdout == b"fghijABCDE"


@pytest.mark.usefixtures("real_codec")
@pytest.mark.parametrize("flags", [["-d"], ["-dc"], ["-t"], ["-d", "--salvage"]])
def test_max_output_is_held(flags: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    stored_archive("a.arz", *BLOCKS)
    assert cli.main([*flags, "--max-output", "29", "a.arz"]) == 1
    assert "--max-output" in capfd.readouterr().err
    assert os.listdir() == ["a.arz"]
    assert cli.main(["-d", "--max-output", "30", "a.arz"]) == 0


@pytest.mark.usefixtures("real_codec")
def test_zeros_become_holes() -> None:
    blocks = (b"head" + bytes(1 << 20), b"middle", bytes(1 << 20))
    stored_archive("a.arz", *blocks)
    assert cli.main(["-d", "a.arz"]) == cli.main(["-d", "--no-sparse", "-o", "b", "a.arz"]) == 0
    assert Path("a").read_bytes() == Path("b").read_bytes() == b"".join(blocks)
    assert os.stat("b").st_blocks * 512 >= 2 << 20
    assert os.stat("a").st_blocks * 512 <= 1 << 18


@pytest.mark.parametrize("output", ["pipe", "/dev/null"])
@pytest.mark.parametrize("flags", [[], ["-d"]])
def test_rm_keeps_the_source_of_a_device_or_pipe(
    output: str, flags: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    put("a"), cli.main(["a"])
    os.mkfifo("pipe")
    reader = os.open("pipe", os.O_RDONLY | os.O_NONBLOCK)
    name = "a.arz" if flags else "a"
    assert cli.main([*flags, "--rm", name, "-o", output]) == 1
    assert "is a device or a pipe" in capfd.readouterr().err
    assert cli.main([*flags, name, "-o", output]) == 0
    os.close(reader)
    assert Path("a").exists() and Path("a.arz").exists()


@pytest.mark.parametrize("flags", [["--rm"], ["--verify"]])
def test_what_was_written_is_verified(
    flags: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    data = put("a").read_bytes()
    honest = stub_codec.decompress

    def flipped(source: io.BytesIO, sink: io.BytesIO, *rest: object) -> object:
        sink.write(b"other bytes")
        return honest(source, sink, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(stub_codec, "decompress", flipped)
    assert cli.main([*flags, "a"]) == 1
    assert "isn't what was to be written" in capfd.readouterr().err
    assert os.listdir() == ["a"]
    assert cli.main([*flags, "--no-verify", "-k", "a"]) == 0
    monkeypatch.setattr(stub_codec, "decompress", honest)
    assert cli.main([*flags, "-f", "a"]) == 0
    assert cli.main([*flags, "-d", "-o", "b", "a.arz"]) == 0
    assert Path("b").read_bytes() == data


def test_rm_of_the_standard_input_verifies_and_removes_nothing() -> None:
    put("a")
    with open("a", "rb") as source:
        process = spawn("--rm", "-o", "x", "-", stdin=source)
        assert process.communicate() == (b"", b"")
    assert process.returncode == 0 and sorted(os.listdir()) == ["a", "x"]


def test_a_source_that_changes_behind_its_times_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that is dirty already is written without a new mtime or ctime: only its bytes tell."""
    put("a")
    monkeypatch.setattr("arzip.system.files._CHANGES", ())
    honest = stub_codec.compress

    def changed(*args: object) -> object:
        summary = honest(*args)  # type: ignore[arg-type]
        put("a", b"others, as many")
        return summary

    monkeypatch.setattr(stub_codec, "compress", changed)
    assert cli.main(["--rm", "a"]) == 2
    assert Path("a").read_bytes() == b"others, as many" and Path("a.arz").exists()


@pytest.mark.parametrize(
    "args",
    [
        ["--range", "1:2", "a"],
        ["-t", "--range", "1:2", "a"],
        ["-d", "--range", "1", "a"],
        ["-d", "--range", "x:1", "a"],
        ["-d", "--rm", "--range", "1:2", "a"],
        ["--max-output", "1", "a"],
        ["-c", "--verify", "a"],
        ["-M", "some", "a"],
        ["-M0", "a"],
    ],
)
def test_options_that_contradict_each_other(args: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    put("a")
    assert cli.main(args) == 1
    assert one_line(capfd.readouterr().err)
    assert os.listdir() == ["a"]


@pytest.mark.skipif(sys.platform == "win32", reason="no such signal")
def test_ctrl_c_before_the_command_line_is_read_prints_no_traceback() -> None:
    code = "import os, signal, arzip.__main__; os.kill(os.getpid(), signal.SIGINT); print('still here')"
    heeded = partial(signal.signal, signal.SIGINT, signal.default_int_handler)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, preexec_fn=heeded)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, b"", b"")
