"""Sizes and ranges as the command line takes them."""

from __future__ import annotations

import pytest

from arzip.cli.sizes import parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("4096", 4096),
        *((f"3{suffix}", 3 << 10) for suffix in ("k", "K", "KB", "kB", "Ki", "KiB", "kib")),
        ("2M", 2 << 20),
        ("2MiB", 2 << 20),
        ("1G", 1 << 30),
    ],
)
def test_suffixes_are_those_of_xz(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "M", "-1", "1.5M", "1 M", "1B", "1MBs", "0x10", "²"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no size"):
        parse_size(text)
