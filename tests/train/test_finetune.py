"""A model of one's own: the split, the loop that stops, the command, and archives that need the new model."""

from __future__ import annotations

import io
import random
import shutil
from pathlib import Path

import numpy as np
import pytest

from arzip import cli, codec
from arzip.codec import Options
from arzip.errors import ArzipError, ModelMissingError
from arzip.weights import registry

torch = pytest.importorskip("torch")

from arzip.train import compare_codecs, finetune, user_data  # noqa: E402


def log_lines(lines: int, seed: int = 0) -> bytes:
    """Lines of a made-up log."""
    source = random.Random(seed)
    words = ["error", "warning", "request", "from", "to", "at", "user", "file", "line", "sent", "lost"]
    rows = (f"{k:06} host-{source.randint(1, 9)} {' '.join(source.choices(words, k=6))}\n" for k in range(lines))
    return "".join(rows).encode()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of one log and something hidden."""
    folder = tmp_path_factory.mktemp("own") / "data"
    folder.mkdir()
    (folder / "a.log").write_bytes(log_lines(600))
    (folder / ".hidden").write_bytes(bytes(10**6))
    return folder


# ----------------------------------------------------------------------------------------------------------- the split


def test_few_files_are_split_by_records(data: Path) -> None:
    split = user_data.load_user_data([data])
    parts = [*split.train, *split.validation, *split.test]
    assert split.files == 1 and split.size_bytes == len(log_lines(600))
    assert sorted(b"".join(parts).splitlines()) == sorted(log_lines(600).splitlines())
    assert all(
        1 << 10 <= len(part) <= user_data.MAX_RECORD_BYTES for part in parts[:-1] if part not in split.train[-1:]
    )
    assert split.test and split.validation and not set(split.train) & set(split.validation + split.test)


def test_many_files_are_held_out_whole(tmp_path: Path) -> None:
    contents = [log_lines(30, seed) for seed in range(200)]
    for k, content in enumerate(contents):
        (tmp_path / f"{k:03}").write_bytes(content)
    split = user_data.load_user_data([tmp_path])
    assert sorted(split.train + split.validation + split.test) == sorted(contents)
    assert sum(map(len, split.test)) < 0.15 * split.size_bytes


def test_split_is_the_same_every_time(data: Path) -> None:
    assert user_data.load_user_data([data], 1) == user_data.load_user_data([data], 1)
    assert user_data.load_user_data([data], 1).test != user_data.load_user_data([data], 2).test


def test_too_little_data_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"few\n")
    with pytest.raises(ArzipError, match="too little to learn from"):
        user_data.load_user_data([tmp_path])
    with pytest.raises(ArzipError, match="no such file or folder"):
        user_data.load_user_data([tmp_path / "nowhere"])


@pytest.mark.parametrize("content", [bytes(100_000), b"\n" * 100_000, log_lines(3000)])
def test_records_are_all_of_a_file(content: bytes) -> None:
    records = user_data.cut_records(content)
    assert b"".join(records) == content and max(map(len, records)) <= user_data.MAX_RECORD_BYTES


def test_documents_for_initial_states_are_short_and_from_the_training_part(data: Path) -> None:
    split = user_data.load_user_data([data])
    text = b"".join(split.train)
    for source in split.pretraining_documents(10_000, 0):
        assert source.data.tobytes() in text
        assert source.held_out.size == 0 and source.train[-1, 1] == source.data.size


# ------------------------------------------------------------------------------------------------------------ the loop


class Clock:
    """Stands in for the trainer: a step takes a round's time and moves one bias by one."""

    def __init__(self, net: torch.nn.Module, *_: object) -> None:
        self.net, self.seconds, self.seen_bytes, self.ngram_sum = net, 0.0, 0, torch.zeros(1)

    def step(self) -> None:
        self.seconds += 60 / finetune.ROUNDS
        with torch.no_grad():
            self.net.p["out_bias"] += 1


@pytest.mark.parametrize(
    ("held_out", "best_round"),
    [([2.5, 2.7, 2.8, 2.9, 3.0], 1), ([3.1] * finetune.PATIENCE, 0), ([2.9 - k / 16 for k in range(16)], 16)],
)
def test_network_is_left_as_it_was_at_its_best(
    held_out: list[float], best_round: int, data: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from arzip.train.export import import_weights
    from arzip.weights.file import load_weights

    net, said = import_weights(load_weights(tiny_model)), []
    before = net.p["out_bias"].detach().clone()
    answers = iter([3.0, *held_out])
    monkeypatch.setattr(finetune, "evaluate", lambda *_: {"own": next(answers)})
    monkeypatch.setattr(finetune, "Trainer", Clock)
    best, _ = finetune.train_network(net, user_data.load_user_data([data]), True, 1.0, 0, said.append)
    assert best == min(3.0, *held_out) and len(said) == 1 + len(held_out)
    assert torch.equal(net.p["out_bias"], before + best_round)


# --------------------------------------------------------------------------------------------------------- the command


@pytest.fixture(scope="module")
def trained(data: Path, tiny_model: Path) -> tuple[Path, str, str]:
    """A model trained for a moment: its path, and what was said on stdout and stderr."""
    path = data.parent / "logs.safetensors"
    stdout, stderr = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(finetune, "MIN_PRETRAINING_BYTES", 1 << 12)
        patch.setattr(finetune, "ROUNDS", 2)
        patch.setattr("sys.stdout", stdout)
        patch.setattr("sys.stderr", stderr)
        words = ["train", str(data), "-o", str(path), "--from", str(tiny_model), "--minutes", "0.05", "-T", "1"]
        code = cli.main(words)
    assert code == 0, stderr.getvalue()
    return path, stdout.getvalue(), stderr.getvalue()


def test_training_gains_and_says_so(trained: tuple[Path, str, str], tiny_model: Path, data: Path) -> None:
    path, out, err = trained
    assert out.count("\n") == 1 and "held-out records" in out and "xz -9e" in out
    assert "held out at the start" in err and "in exact integers" in err
    assert registry.read_info(path).metadata["started_from"] == registry.file_digest(tiny_model).hex()
    records = user_data.load_user_data([data]).test
    assert compare_codecs.archive_bytes(records, str(path), 1) < compare_codecs.archive_bytes(
        records, str(tiny_model), 1
    )


def test_archives_need_the_new_model_and_find_it(
    trained: tuple[Path, str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, archive, raw = trained[0], io.BytesIO(), log_lines(20, 5)
    digest = registry.file_digest(path).hex()
    monkeypatch.delenv("ARZIP_MODEL_PATH", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    codec.compress(io.BytesIO(raw), archive, Options(9, str(path), threads=1))

    def restored(options: Options) -> bytes:
        back = io.BytesIO()
        codec.decompress(io.BytesIO(archive.getvalue()), back, options)
        return back.getvalue()

    with pytest.raises(ModelMissingError, match=digest) as caught:
        restored(Options())
    assert str(registry.user_folder()) in str(caught.value) and "--model" in str(caught.value)
    assert restored(Options(model=str(path))) == raw
    monkeypatch.setenv("ARZIP_MODEL_PATH", str(path.parent))
    assert restored(Options()) == raw
    monkeypatch.delenv("ARZIP_MODEL_PATH")
    registry.user_folder().mkdir(parents=True)
    shutil.copy(path, registry.user_folder())
    assert restored(Options()) == raw and registry.find("logs") == registry.user_folder() / path.name


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-o", "x.bin"], "ends with .safetensors"),
        (["-o", "nowhere/x.safetensors"], "no such folder"),
        (["-o", "there.safetensors"], "-f overwrites it"),
        (["-o", "x.safetensors", "--from", "nonsense"], "no model is called"),
    ],
)
def test_what_cannot_be_is_said_before_the_work(
    words: list[str], message: str, data: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(data.parent)
    Path("there.safetensors").write_bytes(b"")
    assert cli.main(["train", "data", *words]) == 1
    err = capfd.readouterr().err
    assert message in err and err.count("\n") == 1


def test_zstd_with_a_dictionary_beats_zstd_without() -> None:
    records = user_data.cut_records(log_lines(4000))
    with_dictionary = compare_codecs.zstd_bytes(records[:20], records[20:])
    if with_dictionary is None:
        pytest.skip("no zstd is here")
    assert with_dictionary < compare_codecs.xz_bytes(records[:20])


def test_verdict_says_what_is_not_at_hand() -> None:
    line = compare_codecs.summary_line({"new": 50, "stock": 100, "zstd": None}, 1000, 3)
    assert "new 50 (0.400 bpb)" in line and "stock 100 (+50.0% saved)" in line and "zstd not at hand" in line


def test_rows_are_of_one_length(data: Path) -> None:
    rows = user_data.load_user_data([data]).validation_rows()
    assert rows.dtype == np.uint8 and rows.shape[1] == user_data.ROW_BYTES and len(rows)
