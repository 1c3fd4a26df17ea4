"""What salvage brings back of real archives, what it says is missing, and which model it takes."""

from __future__ import annotations

import io
import os
from dataclasses import replace
from pathlib import Path

import pytest
import tiny_network
from helpers import compress, words

from arzip.api import recovery
from arzip.api.recovery import Missing, Recovery
from arzip.codec import Options
from arzip.format.stream import Block, read_events
from arzip.weights.file import dump_weights


def salvage(data: bytes, options: Options, zeros: bool = False) -> tuple[bytes, Recovery]:
    sink = io.BytesIO()
    found = recovery.salvage(io.BytesIO(data), sink, options, zeros=zeros)
    return sink.getvalue(), found


def offsets(data: bytes) -> list[int]:
    return [event.offset for event in read_events(io.BytesIO(data)) if isinstance(event, Block)]


@pytest.mark.usefixtures("tiny_blocks")
@pytest.mark.parametrize("threads", [1, 3])
def test_zeros_keep_everything_in_its_place(options: Options, threads: int) -> None:
    raw, options = words(5500), replace(options, threads=threads)
    archive = bytearray(compress(raw, options))
    starts = offsets(bytes(archive))
    for lost in (1, 2, 4):
        archive[starts[lost] + 40] ^= 8
    missing = (Missing(1000, 2000), Missing(4000, 1000))
    kept = [raw[:1000], raw[3000:4000], raw[5000:]]
    assert salvage(bytes(archive), options) == (b"".join(kept), Recovery(2500, len(archive), 3, missing))
    assert salvage(bytes(archive), options, zeros=True)[0] == kept[0] + bytes(2000) + kept[1] + bytes(1000) + kept[2]


@pytest.mark.usefixtures("tiny_blocks")
def test_what_is_whole_misses_nothing_and_what_is_cut_off_may(options: Options) -> None:
    raw = words(2500)
    archive = compress(raw, options)
    assert salvage(archive, options) == (raw, Recovery(2500, len(archive), 3))
    cut = archive[: offsets(archive)[2] + 30]
    assert salvage(cut, options) == (raw[:2000], Recovery(2000, len(cut), 2, (Missing(2000, 500), Missing(2500, None))))


@pytest.fixture
def models(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Three models at hand: the tiny one, and two others."""
    found = {"tiny": tmp_path / "tiny.safetensors"}
    found["tiny"].write_bytes(tiny_model.read_bytes())
    for seed in (2, 3):
        found[f"other{seed}"] = tmp_path / f"other{seed}.safetensors"
        data = dump_weights(tiny_network.SHAPE, tiny_network.lively(seed=seed), {"name": "other"})
        found[f"other{seed}"].write_bytes(data)
    monkeypatch.setenv("ARZIP_MODEL_PATH", str(tmp_path))
    return found


@pytest.mark.usefixtures("tiny_blocks")
@pytest.mark.parametrize("model", ["tiny", "other2", "other3"])
def test_a_header_that_lost_a_bit_is_made_up_for_by_the_models_at_hand(model: str, models: dict[str, Path]) -> None:
    raw = words(1500) + os.urandom(700)
    archive = compress(raw, Options(model=str(models[model]), threads=1))
    for at in range(14):
        damaged = archive[:at] + bytes([archive[at] ^ 4]) + archive[at + 1 :]
        expected = Recovery(2200, len(archive), 3, (), (model,))
        assert salvage(damaged, Options(model="tiny", threads=1)) == (raw, expected)


@pytest.mark.usefixtures("tiny_blocks")
def test_each_member_has_its_own_model(models: dict[str, Path]) -> None:
    first, second = words(1500), words(900, seed=4)
    archive = compress(first, Options(model="tiny", threads=1)) + compress(second, Options(model="other3", threads=1))
    at = archive.rindex(b"\x8fAZ")
    damaged = archive[:3] + b"?" + archive[4 : at + 3] + b"?" + archive[at + 4 :]
    raw, found = salvage(damaged, Options(model="other2", threads=2))
    assert (raw, found.models, found.missing) == (first + second, ("other3", "tiny"), ())
