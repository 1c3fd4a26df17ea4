"""The evaluation corpora: the manifest, looking for them, fetching and verifying, overlap. No network, no corpora."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from arzip import cli
from arzip.bench.corpora import catalog
from arzip.errors import ArzipError

FILES = {"one": b"first words\n" * 300, "two": b"second words\n" * 200, "all": b"0123456789" * 500}


def entry(member: str, size_bytes: int | None = None) -> dict[str, object]:
    data = FILES[member][:size_bytes]
    return {"name": member, "size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that publishes a corpus "toy": a tar.gz, a zip of which a prefix is wanted, and a plain file."""
    shop = tmp_path / "shop"
    (shop / "manifest").mkdir(parents=True)
    with tarfile.open(shop / "one.tar.gz", "w:gz") as tar:
        info = tarfile.TarInfo("folder/one")
        info.size = len(FILES["one"])
        tar.addfile(info, io.BytesIO(FILES["one"]))
    with zipfile.ZipFile(shop / "all.zip", "w") as archive:
        archive.writestr("all", FILES["all"])
    (shop / "two").write_bytes(FILES["two"])
    sources = [
        {"url": (shop / "one.tar.gz").as_uri(), "files": [entry("one")]},
        {
            "url": (shop / "all.zip").as_uri(),
            "files": [entry("all", 77) | {"name": "begin", "member": "all", "prefix": True}],
        },
        {"url": (shop / "two").as_uri(), "files": [entry("two")]},
    ]
    toy = {"name": "toy", "about": "three files", "home": "nowhere", "sources": sources}
    (shop / "manifest" / catalog.MANIFEST).write_text(json.dumps({"corpora": [toy]}))
    monkeypatch.setattr(catalog, "manifest_folder", lambda: shop / "manifest")
    catalog.manifest.cache_clear()
    monkeypatch.setenv("ARZIP_CORPORA", str(tmp_path / "here"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    yield shop
    catalog.manifest.cache_clear()


def test_manifest_is_complete_and_found() -> None:
    assert {"canterbury", "calgary", "artificial", "large", "silesia", "json", "loghub", "enwik"} == set(
        catalog.names()
    )
    for name in catalog.names():
        corpus = catalog.corpus(name)
        assert corpus.files and len({file.name for file in corpus.files}) == len(corpus.files)
        assert all(source.url.startswith("https://") for source in corpus.downloads)
        assert all(len(file.sha256) == 64 and file.size_bytes > 0 for file in corpus.files)


def test_training_mix_adds_up() -> None:
    mix = json.loads((catalog.manifest_folder() / "training-mix.json").read_text())["sources"]
    assert abs(sum(source["share"] for source in mix) - 1) < 0.001
    assert all(len(source["sha256"]) == 64 for source in mix)


def test_fetch_brings_what_was_published(shop: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["corpora", "fetch", "toy"]) == 0
    here = tmp_path / "here" / "toy"
    assert catalog.files("toy") == [here / "one", here / "begin", here / "two"]
    assert [path.read_bytes() for path in catalog.files("toy")] == [FILES["one"], FILES["all"][:77], FILES["two"]]
    assert sorted(os.listdir(here)) == ["begin", "one", "two"]
    capfd.readouterr()
    assert cli.main(["corpora", "verify", "-v"]) == 0
    assert "3 files" in capfd.readouterr().err


def test_wrong_content_takes_no_name(shop: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (shop / "two").write_bytes(FILES["two"][:-1] + b"?")
    assert cli.main(["corpora", "fetch"]) == 1
    assert "two: what came is not what the manifest describes" in capfd.readouterr().err
    assert sorted(os.listdir(tmp_path / "here" / "toy")) == ["begin", "one"]


@pytest.mark.parametrize("data", [b"no archive", b""])
def test_broken_archive_is_one_line(shop: Path, data: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    (shop / "one.tar.gz").write_bytes(data)
    assert cli.main(["corpora", "fetch"]) == 1
    assert capfd.readouterr().err.count("\n") == 1


def test_unreachable_source_is_one_line(shop: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (shop / "one.tar.gz").unlink()
    assert cli.main(["corpora", "fetch"]) == 1
    err = capfd.readouterr().err
    assert "can't be fetched" in err and err.count("\n") == 1


def test_verify_names_what_is_missing_or_damaged(shop: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["corpora", "fetch"]) == 0
    one, _, two = catalog.files("toy")
    two.write_bytes(FILES["two"][:-1] + b"?")
    one.unlink()
    capfd.readouterr()
    assert cli.main(["corpora", "verify", "--json"]) == 1
    out, err = capfd.readouterr()
    assert json.loads(out)[0]["damage"] == {"one": "missing", "two": "damaged"}
    assert "one missing, two damaged" in err
    assert cli.main(["corpora", "fetch"]) == cli.main(["corpora", "verify"]) == 0


def test_missing_corpus_says_how_to_get_it(shop: Path) -> None:
    with pytest.raises(ArzipError, match="arzip corpora fetch toy"):
        catalog.files("toy")
    with pytest.raises(ArzipError, match=r"no corpus is called 'nonsense': toy"):
        catalog.files("nonsense")


def test_user_folder_is_looked_in_after_the_named_one(shop: Path, tmp_path: Path) -> None:
    (tmp_path / "home" / "arzip").mkdir(parents=True)
    assert cli.main(["corpora", "fetch"]) == 0
    (tmp_path / "here").rename(tmp_path / "home" / "arzip" / "corpora")
    assert catalog.files("toy")[0] == tmp_path / "home" / "arzip" / "corpora" / "toy" / "one"


def test_list_says_what_is_at_hand(shop: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["corpora"]) == 0
    assert capfd.readouterr().out.splitlines()[1].split()[:4] == ["6,277", "3", "0", "toy"]
    assert cli.main(["corpora", "list", "toy", "--json"]) == 0
    [row] = json.loads(capfd.readouterr().out)
    assert (row["files"], row["present"], row["size_bytes"]) == (3, 0, 3600 + 77 + 2600)


def test_overlap_counts_shared_shingles(tmp_path: Path) -> None:
    from arzip.train.contamination import measure

    theirs, ours = os.urandom(40_000), os.urandom(40_000)
    (tmp_path / "mix").write_bytes(os.urandom(50_000) + theirs[:10_000] + os.urandom(5_000) + bytes(100))
    for name, data in {"some": theirs, "none": ours, "blank": bytes(5_000), "short": b"words"}.items():
        (tmp_path / name).write_bytes(data)
    report = measure([tmp_path / "mix"], [tmp_path / name for name in ("some", "none", "blank", "short")])
    some, none, blank, short = report.values()
    assert abs(some.telling - 0.25) < 0.03 and abs(some.sampled - 5_000) < 500
    assert none.all == none.telling == blank.telling == short.all == 0.0
    assert (blank.sampled == 0) or blank.all == 1.0
