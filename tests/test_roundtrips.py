"""Structured data of any kind comes back, whatever the level, the lanes, the sizes of blocks and the filters."""

from __future__ import annotations

import gzip
import random
import struct
import zlib
from dataclasses import replace
from unittest import mock

from helpers import compress, decompress, words
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from arzip import levels
from arzip.codec import Options
from arzip.levels import Level

SEED = st.integers(0, 1 << 16)
SIZE = st.integers(1, 1500)


def table(seed: int, size: int) -> bytes:
    source = random.Random(seed)
    return b"".join(b"%d,%s,%.2f\n" % (i, words(5, i % 7), source.random()) for i in range(size))[:size]


def numbers(seed: int, size: int) -> bytes:
    source = random.Random(seed)
    form = source.choice(["<h", ">i", "<f", "<d", ">H"])
    return b"".join(struct.pack(form, int(90 * i % 7000 + source.gauss(0, 30)) % 9000) for i in range(size))[:size]


def machine_code(seed: int, size: int) -> bytes:
    source = random.Random(seed)
    pieces = (
        source.choice([b"\xe8", b"\x0f\x84", b"\x48\x8b\x05", b"\x90" * 3]) + source.randbytes(2) + b"\0\0"
        for _ in range(size)
    )
    return b"".join(pieces)[:size]


def deflated(seed: int, size: int) -> bytes:
    source = random.Random(seed)
    data = source.choice([gzip.compress(words(size), source.randint(1, 9), mtime=0), zlib.compress(table(seed, size))])
    return source.randbytes(source.randrange(9)) + data + source.randbytes(source.randrange(9))


def repeated(seed: int, size: int) -> bytes:
    unit = random.Random(seed).randbytes(1 + seed % 700)
    return (unit * (size // len(unit) + 1))[:size]


KINDS = (
    st.builds(words, SIZE, SEED),
    *(st.builds(kind, SEED, SIZE) for kind in (table, numbers, machine_code, deflated, repeated)),
    st.binary(max_size=600),
)
DATA = st.lists(st.one_of(*KINDS), max_size=4).map(b"".join)


@given(
    DATA,
    st.sampled_from([300, 1000, 1 << 20]),
    st.integers(1, 9),
    st.sampled_from([16, 64, 4000]),
    st.sampled_from([levels.FAST, levels.FULL, levels.MIDDLE]),
    st.booleans(),
    st.integers(1, 3),
)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_anything_comes_back(
    options: Options, raw: bytes, block: int, lanes: int, lane_bytes: int, profile: int, opens: bool, threads: int
) -> None:
    level = Level(block, levels.ALWAYS, lanes, profile, profile)
    with (
        mock.patch.object(levels, "LEVELS", (level,) * 9),
        mock.patch.object(levels, "WINDOW_BYTES", max(block, 1000)),
        mock.patch.object(levels, "LANE_BYTES", lane_bytes),
    ):
        options = replace(options, opens=opens, threads=threads)
        archive = compress(raw, options)
        assert decompress(archive, options) == raw
        assert len(archive) <= len(raw) + 40 + 20 * (len(raw) // block + 1)
