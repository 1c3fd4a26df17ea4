"""The benchmark says what is true: sizes are those of files that came back, a codec that fails has no figures."""

from __future__ import annotations

import bz2
import csv
import gzip
import hashlib
import importlib.util
import io
import json
import lzma
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from arzip import cli
from arzip.bench import codecs, external, inputs, plot, results, table, worker
from arzip.bench.results import Result, Row, Speed
from arzip.bench.samples import samples
from arzip.errors import ArzipError

STDLIB = "gzip:9,bzip2:9,xz:0"
COPY = "copy=cp {in} {out} / cp {in} {out}"
CHECKOUT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_matplotlib = pytest.mark.skipif(not importlib.util.find_spec("matplotlib"), reason="matplotlib is not installed")


@pytest.fixture(autouse=True)
def _workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ARZIP_CORPORA", raising=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two files, in a folder that is their corpus."""
    folder = tmp_path / "things"
    (folder / "below").mkdir(parents=True)
    (folder / "words.txt").write_bytes(b"some words, some words and other words\n" * 40)
    (folder / "below" / "zeros.bin").write_bytes(bytes(3000))
    return folder


def bench(*args: str) -> Result:
    """What the command measures, by way of its JSON file."""
    cli.main(["bench", *args, "--runs", "2", "--export", "json", "-o", "result"])
    return results.load(Path("result.json"))


def row(codec: str = "gzip", level: str = "9", **fields: object) -> Row:
    """A row that went well."""
    good: dict[str, object] = {
        **{"corpus": "things", "file": "a", "raw_bytes": 1000, "how": "in-process", "packed_bytes": 250},
        **{"compress_seconds": (0.1, 0.1, 0.1), "decompress_seconds": (0.01,)},
    }
    return Row(codec=codec, level=level, **{**good, **fields})  # type: ignore[arg-type]


# ---------------------------------------------------------------------------------------------------- what is measured


def test_sizes_are_those_of_real_archives(folder: Path) -> None:
    result = bench(str(folder), "--codecs", STDLIB, "--keep", "kept")
    for measured in result.rows:
        kept = Path("kept", "things", f"{measured.file}.{measured.label.replace(' ', '')}")
        raw = (folder / measured.file).read_bytes()
        unpack = {"gzip": gzip.decompress, "bzip2": bz2.decompress, "xz": lzma.decompress}[measured.codec]
        assert measured.packed_bytes == kept.stat().st_size and unpack(kept.read_bytes()) == raw
    assert len(result.rows) == 6


def test_sizes_are_those_of_the_commands(folder: Path) -> None:
    if not shutil.which("gzip") or not shutil.which("xz"):
        pytest.skip("gzip and xz are not installed")
    (raw,) = bench(str(folder / "words.txt"), "--codecs", "gzip:9").rows
    assert raw.packed_bytes == len(subprocess.check_output(["gzip", "-9nc", folder / "words.txt"]))
    (raw,) = bench(str(folder / "words.txt"), "--codecs", "xz:9e").rows
    assert raw.packed_bytes == len(subprocess.check_output(["xz", "-9ec", "-T1", folder / "words.txt"]))


def test_runs_are_as_many_as_asked_for(folder: Path) -> None:
    result = bench(str(folder), "--codecs", "gzip", "--command", COPY)
    assert {(len(r.compress_seconds), len(r.decompress_seconds)) for r in result.rows} == {(2, 2)}


def test_command_is_measured_as_a_process(folder: Path) -> None:
    result = bench(str(folder), "--codecs", "gzip:1", "--command", COPY)
    assert {(r.label, r.how) for r in result.rows} == {("gzip -1", "in-process"), ("copy", "process")}
    copies = [r for r in result.rows if r.codec == "copy"]
    assert all(r.verified and r.packed_bytes == r.raw_bytes and r.compress_memory_bytes > 0 for r in copies)


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("bad=cp {in} {out} / sh -c 'echo oops >&2; exit 3' {in} {out}", "decompressing: exit code 3: oops"),
        ("bad=sh -c 'kill -9 $$' {in} {out} / cp {in} {out}", "compressing: ended by signal 9"),
        ("bad=cp {in} {out} / sh -c true {in} {out}", "decompressing: no output file appeared"),
        ("bad=cp {in} {out} / sh -c 'echo other > $0' {out} {in}", "decompressing: other bytes came back"),
        ("bad=no-such-command {in} {out} / cp {in} {out}", "compressing: FileNotFoundError"),
    ],
)
def test_failing_codec_is_shown_as_failed_without_a_size(
    folder: Path, command: str, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    args = ["bench", str(folder / "words.txt"), "--codecs", "gzip:9", "--command", command, "--runs", "1"]
    assert cli.main([*args, "--export", "json,md,csv", "-o", "result"]) == 1
    out, err = capsys.readouterr()
    good, bad = results.load(Path("result.json")).rows
    assert good.verified and not bad.verified
    assert bad.packed_bytes is None and bad.compress_speed is None and why in bad.error
    assert "FAILED" in out and err.startswith("arzip: bad on words.txt: ") and err.count("\n") == 1
    line = next(
        line for line in Path("result.md").read_text().splitlines() if line.startswith("| files/words.txt | bad")
    )
    assert line.split(" | ")[2:9] == ["FAILED", "-", "-", "-", "-", "-", "-"]
    assert f"bad FAILED on files/words.txt: {bad.error}" in Path("result.md").read_text()
    fields = list(csv.DictReader(Path("result.csv").read_text().splitlines()))[1]
    assert (fields["packed_bytes"], fields["bits_per_byte"], fields["verified"]) == ("", "", "False")


def test_memory_of_a_call_is_what_it_added(tmp_path: Path) -> None:
    (tmp_path / "raw").write_bytes(bytes(1000))
    job = worker.Job(str(tmp_path / "raw"), str(tmp_path / "packed"), "", 1, 1.0, str(tmp_path), "xz", "9", [])
    run = [sys.executable, "-m", "arzip.bench.worker"]
    done = subprocess.run(
        run, input=json.dumps(job._asdict()), capture_output=True, text=True, cwd=CHECKOUT, check=True
    )
    assert 1e6 < json.loads(done.stdout)["memory_bytes"] < 1e9


def test_empty_file_has_no_rate(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    (measured,) = bench(str(tmp_path / "empty"), "--codecs", "gzip:9").rows
    assert measured.verified and measured.packed_bytes == 20 and measured.bits_per_byte is None


def test_every_codec_that_is_here_gives_back_what_it_got(folder: Path) -> None:
    here = [f for f in codecs.families() if not f.missing and f.name != "arzip"]
    names = ",".join(f"{f.name}:{f.levels[0]}+{f.levels[-1]}" for f in here if f.name not in ("kanzi", "zpaq"))
    result = bench(str(folder), "--codecs", names)
    assert [r.error for r in result.rows if not r.verified] == []


def test_arzip_is_a_process_of_this_python_and_its_model_is_counted(folder: Path, tiny_model: Path) -> None:
    codec = external.arzip("arzip", "9", str(tiny_model), "cpu", 1)
    assert codec.how == "process" and codec.compress[:3] == (sys.executable, "-m", "arzip")
    assert codec.is_arzip and str(tiny_model) in codec.compress and "-9" in codec.compress


# ------------------------------------------------------------------------------------------------------ the arithmetic


def test_speed_is_the_median_and_its_distance() -> None:
    assert Speed.of(1000, [1.0, 0.5, 0.25]) == Speed(2.0, 0.5)  # of 1, 2 and 4 KB/s
    assert Speed.of(1000, [1.0]) == Speed(1.0, None)
    assert table.speed(Speed(1350.4, 0.031)) == "1,350 ±3%"
    assert table.speed(Speed(12.34, None)) == "12.3"


def test_rates_are_those_of_the_bytes() -> None:
    assert row().bits_per_byte == 2.0 and row().ratio == 4.0


def test_total_is_the_sum_of_the_sizes_and_the_mean_of_the_rates() -> None:
    rows = [
        row(),
        row(file="b", raw_bytes=3000, packed_bytes=2250, compress_seconds=(0.3,), decompress_seconds=(0.03,)),
    ]
    (total,) = Result({}, rows).totals()
    assert (total.files, total.raw_bytes, total.packed_bytes) == (2, 4000, 2500)
    assert total.mean_bits_per_byte == (2 + 6) / 2 and total.bits_per_byte == 5.0
    assert total.compress_kbps == pytest.approx(10) and total.decompress_kbps == pytest.approx(100)


def test_total_of_a_codec_that_failed_once_is_none() -> None:
    (total,) = Result({}, [row(), row(file="b", packed_bytes=None, error="oops")]).totals()
    assert (total.failed, total.packed_bytes, total.compress_kbps, total.mean_bits_per_byte) == (1, None, None, None)
    assert table.total_cells(total)[3] == "FAILED on 1"


def test_model_bytes_have_a_column_and_a_note_and_are_not_in_the_size() -> None:
    result = Result({}, [row("arzip", "6", model_bytes=10_880_568), row(file="b")])
    (ours, _) = result.totals()
    assert (ours.model_bytes, ours.packed_bytes) == (10_880_568, 250)
    for text in (table.summary(result), table.markdown(result)):
        assert "model bytes" in text and "10,880,568" in text
    assert any(note.startswith("model bytes") for note in table.notes(result))


def test_corpora_are_summed_up_apart_and_together() -> None:
    result = Result({}, [row(), row(corpus="others")])
    assert [result.totals(corpus)[0].packed_bytes for corpus in ("things", "others", "")] == [250, 250, 500]


def test_front_holds_what_nobody_beats() -> None:
    points = [(100.0, 3.0), (10.0, 2.0), (50.0, 3.5), (10.0, 2.5), (1.0, 1.0), (5.0, 2.0)]
    assert plot.front(points) == [(100.0, 3.0), (10.0, 2.0), (1.0, 1.0)]


# ------------------------------------------------------------------------------------------------------------- exports


def test_json_comes_back_as_it_was(tmp_path: Path) -> None:
    result = Result({"date": "2026-01-31"}, [row(), row(file="b", packed_bytes=None, error="oops")])
    (tmp_path / "r.json").write_text(results.dump(result))
    assert results.load(tmp_path / "r.json") == result


def test_result_is_shown_again_without_measuring(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bench(str(folder), "--codecs", STDLIB)
    capsys.readouterr()
    assert cli.main(["bench", "--from", "result.json", "--export", "csv", "-o", "-"]) == 0
    lines = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [line["codec"] for line in lines] == ["gzip", "bzip2", "xz"] * 2
    for line in lines:
        assert float(line["bits_per_byte"]) == 8 * int(line["packed_bytes"]) / int(line["raw_bytes"])


def test_markdown_table_is_aligned_and_whole() -> None:
    lines = table.summary(Result({}, [row(), row("xz", "9e")])).splitlines()
    assert len({line.count("|") for line in lines}) == 1 and len(lines) == 4
    assert lines[1].startswith("|:--|--:|")


def test_readme_is_generated(tmp_path: Path) -> None:
    script = CHECKOUT / "scripts" / "bench_readme.py"
    spec = importlib.util.spec_from_file_location("bench_readme", script)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "benchmarks").mkdir()
    machine = {"date": "2026-01-31 10:00 UTC"}
    (tmp_path / "benchmarks" / "new.json").write_text(results.dump(Result(machine, [row()])))
    machine = {"date": "2025-01-31 10:00 UTC"}
    (tmp_path / "benchmarks" / "old.json").write_text(results.dump(Result(machine, [row("old")])))
    (tmp_path / "README.md").write_text(f"before\n{module.BEGIN}\nstale\n{module.END}\nafter\n")
    with pytest.raises(SystemExit):
        module.main(tmp_path, check=True)
    module.main(tmp_path, check=False)
    text = (tmp_path / "README.md").read_text()
    assert "| gzip -9 | 2.000 |" in text and "benchmarks/new.png" in text and "stale" not in text
    assert text.startswith("before\n") and text.endswith("after\n")
    module.main(tmp_path, check=True)


@pytest.mark.skipif(not list((CHECKOUT / "benchmarks").glob("*.json")), reason="no result is committed yet")
def test_readme_says_what_the_newest_result_does() -> None:
    subprocess.run([sys.executable, "scripts/bench_readme.py", "--check"], cwd=CHECKOUT, check=True)


@needs_matplotlib
def test_pictures_are_made_for_light_and_dark(folder: Path) -> None:
    cli.main(["bench", str(folder), "--codecs", STDLIB, "--runs", "1", "--export", "png,md", "-o", "result"])
    light, dark = Path("result.png").read_bytes(), Path("result-dark.png").read_bytes()
    assert light.startswith(b"\x89PNG") and dark.startswith(b"\x89PNG") and light != dark
    assert "![bits per byte against KB/s](result.png)" in Path("result.md").read_text()


@needs_matplotlib
def test_report_needs_nothing_else(folder: Path) -> None:
    cli.main(["bench", str(folder), "--codecs", STDLIB, "--runs", "1", "--export", "html", "-o", "result"])
    page = Path("result.html").read_text()
    assert "<svg" in page and "var(--ink)" in page and "xz -0" in page
    for word in ("src=", "@import", "url(http", "<link"):
        assert word not in page


@needs_matplotlib
@pytest.mark.skipif(not CHROMIUM, reason="no Chromium is installed")
def test_report_sorts_in_a_browser(folder: Path) -> None:
    """The page's own script runs without an error, and a click on a heading sorts by number, not by letter."""
    cli.main(["bench", str(folder), "--codecs", STDLIB, "--runs", "1", "--export", "html", "-o", "result"])
    probe = """<script>
    const errors = []; addEventListener("error", event => errors.push(event.message));
    const table = document.querySelector("#rows"), head = table.tHead.rows[0].cells[2];
    const sizes = () => [...table.tBodies[0].rows].map(row => Number(row.cells[2].dataset.key));
    head.firstElementChild.click(); const up = sizes();
    head.firstElementChild.click(); const down = sizes();
    const shown = document.querySelector("svg").getBoundingClientRect();
    const box = document.querySelector("input");
    box.value = "xz"; box.dispatchEvent(new Event("input"));
    const left = [...table.tBodies[0].rows].filter(row => !row.hidden).length;
    document.title = JSON.stringify({errors, up, down, left, width: shown.width, page: document.body.scrollWidth});
    </script>"""
    Path("probe.html").write_text(Path("result.html").read_text().replace("</html>", probe + "</html>"))
    command = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--window-size=1280,900", "--dump-dom"]
    page = Path("probe.html").resolve().as_uri()
    dom = subprocess.run([*command, page], capture_output=True, text=True, timeout=120, check=True).stdout
    found = json.loads(dom[dom.index("<title>") + 7 : dom.index("</title>")])
    assert found["errors"] == [] and found["left"] == 2
    assert found["up"] == sorted(found["up"]) and found["down"] == found["up"][::-1] and len(found["up"]) == 6
    assert 600 < found["width"] <= found["page"] <= 1280


# ------------------------------------------------------------------------------------------------- what a user asks for


def chosen(names: str = "", levels: str = "") -> list[str]:
    return [results.label(codec.name, codec.level) for codec in codecs.choose(codecs.families(), names, levels)]


def test_codecs_and_levels_are_chosen_by_name() -> None:
    assert chosen("gzip:1+9,xz:9e") == ["gzip -1", "gzip -9", "xz -9e"]
    assert chosen("gzip:1-3") == ["gzip -1", "gzip -2", "gzip -3"]
    assert chosen("gzip,xz", "9") == ["gzip -9", "xz -9"]
    assert len(chosen("bzip2", "all")) == 9
    assert {"arzip -6", "gzip -9", "bzip2 -9", "xz -9e"} <= set(chosen())
    assert "gzip -3" in chosen(levels="3") and "zpaq -5" not in chosen(levels="3")


def test_models_are_codecs_of_their_own() -> None:
    known = codecs.families(models=["small", "other/tiny.safetensors"])
    assert [c.name for c in codecs.choose(known, "arzip(small):6,arzip(tiny):6")] == ["arzip(small)", "arzip(tiny)"]
    assert [c.name for c in codecs.choose(known, "arzip:6")] == ["arzip(small)", "arzip(tiny)"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["nowhere.txt"], "no such file, folder or corpus"),
        (["--codecs", "zip"], "no codec is called 'zip'"),
        (["--codecs", "gzip:12"], "gzip has no level 12"),
        (["--command", "gzip -9"], "write it as"),
        (["--command", "a=b {in} / c {in} {out}"], "belong in both halves"),
        (["--export", "doc"], "'doc' is none of md, csv, json, html, png"),
        (["-o", "-", "--export", "json,md"], "-o - takes one export"),
        (["-o", "name"], "-o goes with --export"),
        (["--from", "nothing.json"], "no such file"),
        (["--export", "json", "-o", "no/such/folder"], "no/such: no such folder"),
        (["--from", "README", "a"], "--from measures nothing"),
    ],
)
def test_what_a_user_can_get_wrong_is_one_line(
    args: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["bench", *args]) == 1
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("arzip: ") and err.count("\n") == 1 and message in err


def test_folder_is_a_corpus_with_all_below(folder: Path, tmp_path: Path) -> None:
    items = inputs.resolve([str(folder)], tmp_path)
    assert [(item.corpus, item.name) for item in items] == [("things", "below/zeros.bin"), ("things", "words.txt")]


def test_corpus_is_found_by_name(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARZIP_CORPORA", str(tmp_path))
    monkeypatch.chdir("/")
    assert [item.name for item in inputs.resolve(["things"], tmp_path)] == ["words.txt"]
    assert [item.corpus for item in inputs.resolve(["things/words.txt"], tmp_path)] == ["things"]
    with pytest.raises(ArzipError, match="no file 'verbs'"):
        inputs.resolve(["things/verbs"], tmp_path)


def test_samples_never_change() -> None:
    digest = hashlib.sha256()
    for name, content in samples():
        digest.update(name.encode() + content)
    assert digest.hexdigest()[:16] == "14ef31414aa3334d"
    assert sum(len(content) for _, content in samples()) < 600_000


def test_nothing_heavy_is_imported_for_help() -> None:
    code = (
        "import sys; from arzip.cli import main; main(['bench', '-h']); "
        "sys.exit(any(name in sys.modules for name in ('numpy', 'torch', 'numba', 'rich', 'matplotlib')))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
