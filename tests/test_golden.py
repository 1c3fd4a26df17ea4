"""Archives made once are opened for ever, and made again byte for byte. See golden/README.md."""

from __future__ import annotations

import hashlib
import io
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from golden_data import GOLDEN, MEMBERS, RAWS, RECIPES, Recipe, text

from arzip import block_codec, codec, levels, planner
from arzip.codec import Options
from arzip.errors import (
    ArzipError,
    DamagedError,
    DictionaryMissingError,
    ModelMissingError,
    NotAnArchiveError,
    TruncatedError,
    UnsupportedError,
)
from arzip.format.records import MAGIC, VERSION, Frame, Header
from arzip.format.stream import list_members
from arzip.weights import registry

FROZEN = GOLDEN / "frozen.txt"  # name, SHA-256 of the archive, SHA-256 of what it holds


def compress(recipe: Recipe) -> bytes:
    sink = io.BytesIO()
    options = Options(
        recipe.level,
        recipe.model,
        wide=recipe.wide,
        dictionary=recipe.dictionary,
        block_bytes=recipe.block_bytes,
    )
    with pytest.MonkeyPatch.context() as patch:  # wide ones are short, so that many lanes are short, too
        patch.setattr(levels, "WIDE_ALONE_LANE_BYTES", levels.WIDE_LANE_BYTES)
        if recipe.keeps_repeats:
            patch.setattr(levels, "LEVELS", tuple(replace(each, min_repeat=1 << 26) for each in levels.LEVELS))
        if recipe.as_samples:
            patch.setattr(block_codec, "is_worthwhile", lambda *_: True)
        if recipe.plan:
            patch.setattr(planner, "choose", lambda *_: recipe.plan)
        codec.compress(io.BytesIO(recipe.raw), sink, options)
    return sink.getvalue()


def decompress(archive: bytes, dictionary: bytes = b"") -> bytes:
    sink = io.BytesIO()
    codec.decompress(io.BytesIO(archive), sink, Options(dictionary=dictionary))
    return sink.getvalue()


def made(name: str) -> bytes:
    """A golden archive, made anew."""
    return b"".join(map(compress, MEMBERS[name] if name in MEMBERS else [RECIPES[name]]))


def kept(name: str) -> bytes:
    """A golden archive as it was made once."""
    return (GOLDEN / "good" / f"{name}.arz").read_bytes()


def bad_archives() -> dict[str, bytes]:
    whole = compress(Recipe(text(9000), 1))
    middle = len(whole) // 2
    return {
        "damaged-DamagedError": whole[:middle] + bytes([whole[middle] ^ 16]) + whole[middle + 1 :],
        "header-DamagedError": whole[:9] + bytes([whole[9] ^ 1]) + whole[10:],
        "truncated-TruncatedError": whole[:middle],
        "gzip-NotAnArchiveError": b"\x1f\x8b\x08" + bytes(20),
    }


def unsupported_archives() -> dict[str, bytes]:
    import binascii

    def header(version: int, flags: int, digest: bytes) -> bytes:
        start = MAGIC + bytes([version, flags]) + digest
        return start + binascii.crc_hqx(start, 0xFFFF).to_bytes(2, "little")

    whole = compress(Recipe(text(9000), 6))
    size = len(Header(b"1234").pack())
    frame, frame_bytes = Frame.parse(whole[size:])
    return {
        "version-UnsupportedError": header(77, 1, b"1234") + whole[size:],
        "old-UnsupportedError": header(0, 1, b"1234") + whole[size:],
        "feature-UnsupportedError": header(VERSION, 1 | 1 << 5, b"1234") + whole[size:],
        "filter-UnsupportedError": whole[:size]
        + replace(frame, profile_byte=frame.profile_byte | 9 << 4).pack()
        + whole[size + frame_bytes :],
        "dictionary-DictionaryMissingError": compress(Recipe(text(900), 1, dictionary=b"another one")),
        "model-ModelMissingError": header(VERSION, 1, b"\xde\xad\xbe\xef") + whole[size:],
    }


_ERRORS = (DamagedError, TruncatedError, NotAnArchiveError, UnsupportedError, ModelMissingError, DictionaryMissingError)
ERRORS = {e.__name__: e for e in _ERRORS}
REFUSED = sorted([*GOLDEN.glob("bad/*.arz"), *GOLDEN.glob("unsupported/*.arz")])

try:
    registry.find(levels.LEVELS[0].model)
except ArzipError:
    pytestmark = pytest.mark.skip(reason="the shipped model is not at hand")


def frozen_line(name: str) -> str:
    """A golden archive's line of FROZEN."""
    return " ".join((name, *(hashlib.sha256(data).hexdigest() for data in (kept(name), RAWS[name]))))


@pytest.mark.parametrize("name", RAWS)
def test_golden_archive_opens(name: str) -> None:
    assert decompress(kept(name), RECIPES[name].dictionary if name in RECIPES else b"") == RAWS[name]


@pytest.mark.parametrize("name", RAWS)
def test_golden_archive_is_made_again_byte_for_byte(name: str) -> None:
    assert made(name) == kept(name)


def test_golden_wide_archives_are_wide() -> None:
    for name in (name for name, recipe in RECIPES.items() if recipe.wide):
        (member,) = list_members(io.BytesIO(kept(name)))
        assert all(frame.wide for frame in member.frames), name


def test_golden_archives_are_all_there_and_as_they_were_made() -> None:
    """Of each archive that format 1 began with, or that came later, the bytes and what they hold stand in FROZEN."""
    assert {path.stem for path in GOLDEN.glob("good/*.arz")} == set(RAWS)
    assert {path.stem for path in REFUSED} == {*bad_archives(), *unsupported_archives()}
    assert FROZEN.read_text().splitlines() == [frozen_line(name) for name in sorted(RAWS)]


@pytest.mark.parametrize("path", REFUSED, ids=lambda path: path.stem)
def test_golden_bad_archive_is_refused(path: Path) -> None:
    with pytest.raises(ERRORS[path.stem.rsplit("-", 1)[1]]) as caught:
        decompress(path.read_bytes())
    assert "\n" not in str(caught.value)


def write() -> None:
    """Make those that aren't there yet, and FROZEN: an archive of format 1 is never made anew."""
    good = {name: (lambda name=name: made(name)) for name in RAWS}
    refused = {"bad": bad_archives(), "unsupported": unsupported_archives()}
    for folder, archives in (("good", good), *refused.items()):
        (GOLDEN / folder).mkdir(exist_ok=True)
        for name, archive in archives.items():
            path = GOLDEN / folder / f"{name}.arz"
            if not path.exists():
                path.write_bytes(archive() if callable(archive) else archive)
    FROZEN.write_text("".join(frozen_line(name) + "\n" for name in sorted(RAWS)))


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit("usage: python tests/test_golden.py --write")
    write()
