"""The training mix: shares, what is held out, windows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from arzip.train.data import Windows, held_out_rows, load_mix


@pytest.fixture
def mix(tmp_path: Path) -> Path:
    """Two kinds, three sources; a document's bytes are its number."""
    for kind, name, documents in (("code", "c", 300), ("code", "go", 300), ("markup", "xml", 150)):
        (tmp_path / kind).mkdir(exist_ok=True)
        sizes = np.full(documents, 600)
        (tmp_path / kind / f"{name}.bin").write_bytes(
            np.repeat(np.arange(documents) % 256, sizes).astype("u1").tobytes()
        )
        (np.cumsum(sizes) - sizes).astype("<u8").tofile(tmp_path / kind / f"{name}.idx")
    return tmp_path


def test_more_of_a_source_is_drawn_at_the_cost_of_all_others(mix: Path) -> None:
    plain = {s.name: s.share for s in load_mix([mix])}
    more = {s.name: s.share for s in load_mix([mix], ("go=3",))}
    assert sum(plain.values()) == pytest.approx(1) == sum(more.values())
    assert more["go"] / more["c"] == pytest.approx(3 * plain["go"] / plain["c"])
    assert more["xml"] / more["c"] == pytest.approx(plain["xml"] / plain["c"])


@pytest.mark.parametrize("word", ["go", "go=", "go=x", "go=0", "go=-1", "=2", "rust=2", ""])
def test_more_that_says_nothing_is_refused(mix: Path, word: str) -> None:
    with pytest.raises(ValueError):
        load_mix([mix], (word,))


def test_no_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no training data"):
        load_mix([tmp_path])


def test_staggered_rows_do_not_all_start_anew_at_once(mix: Path) -> None:
    for stagger in (False, True):
        windows = Windows(load_mix([mix]), 16, 64, 0, 1024, stagger)
        fresh = np.array([windows.next()[1].sum() for _ in range(64)])
        assert fresh[0] == 16 and abs(fresh[16:].sum() - 48) <= 8  # a segment every 16 windows, either way
        assert (fresh[16:].max() <= 4) == stagger


def test_what_is_held_out_is_never_drawn(mix: Path) -> None:
    sources = load_mix([mix])
    held = {99, 199, 299 % 256}  # every hundredth document; numbers repeat from 256 on
    assert all(set(np.unique(rows)) <= held for rows in held_out_rows(sources, 100, 3).values())
    windows = Windows(sources, 4, 64, seed=0, segment_bytes=128)
    drawn = set(np.unique(np.concatenate([windows.next()[0] for _ in range(2000)])))
    assert not drawn & (held - {299 % 256}) and len(drawn) > 200
