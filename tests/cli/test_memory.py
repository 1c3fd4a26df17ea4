"""The memory that `list` names, held to what context mixing allocates."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import english

import arzip
from arzip import codec
from arzip.cli import memory, tables
from arzip.context_mixing import state
from arzip.context_mixing.profile import PROFILES
from arzip.format.opened_head import OpenedHead
from arzip.format.records import Frame, Header, Method
from arzip.format.stream import Member


@pytest.mark.parametrize("number", range(len(PROFILES)))
@pytest.mark.parametrize(("lanes", "size"), [(1, 1), (1, 300_000), (24, 1 << 20)])
def test_tables_are_as_large_as_context_mixing_makes_them(number: int, lanes: int, size: int) -> None:
    profile = PROFILES[number]
    made = state.create(profile, np.zeros(lanes, np.int64), size)
    allocated = sum(array.nbytes for name, array in made._asdict().items() if name != "text")
    named = memory.tables_bytes(profile, lanes, size)
    assert 0.95 * allocated - 300_000 < named <= allocated


# Prints the peak of a command's memory. A process of its own: one begins with the memory of the one that starts it.
PEAK = """
import os, sys
pid = os.spawnv(os.P_NOWAIT, sys.argv[1], sys.argv[1:])
_, status, usage = os.wait4(pid, 0)
print(usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def test_decoding_takes_about_what_is_named(tmp_path: Path) -> None:
    raw, archive = tmp_path / "raw", tmp_path / "raw.arz"
    raw.write_bytes(english(30_000))
    with open(archive, "wb") as sink, open(raw, "rb") as source:
        codec.compress(source, sink, codec.Options(level=1, threads=1))
    named = tables.archive_rows(str(archive))[0]["memory_bytes"]
    command = [sys.executable, "-m", "arzip", "-t", "-T1", str(archive)]
    environment = {**os.environ, "PYTHONPATH": str(Path(arzip.__file__).parent.parent)}
    done = subprocess.run([sys.executable, "-c", PEAK, *command], env=environment, check=True, stdout=subprocess.PIPE)
    peak = int(done.stdout) * (1 if sys.platform == "darwin" else 1024)
    assert 0.7 * named < peak < 1.25 * named


def frame(method: Method, size: int, cm_profile: int = 0) -> Frame:
    return Frame(method, 1, cm_profile, size, size, 0)


def test_the_largest_block_counts() -> None:
    blocks = (frame(Method.MEMORY, 1000, 3), frame(Method.STORED, 1 << 20), frame(Method.MEMORY, 5 << 20, 3))
    member = Member(Header(bytes(4)), 0, 0, blocks, b"", (None,) * 3)
    assert memory.member_bytes(member) == memory.PROGRAM_BYTES + memory.block_bytes(blocks[2], None)
    assert memory.member_bytes(Member(Header(), 0, 0, (), b"")) == memory.PROGRAM_BYTES


def test_opened_contents_and_samples_count() -> None:
    head = OpenedHead(True, True, False, 100, 9 << 20, 1, 0, 0)
    opened = frame(Method.OPENED, 1 << 20, 1)
    assert memory.block_bytes(opened, head) > memory.block_bytes(frame(Method.MIXED, 9 << 20, 1), None)
    assert memory.block_bytes(frame(Method.NETWORK, 1 << 20), None) < memory.block_bytes(
        frame(Method.MIXED, 1 << 20), None
    )
    assert memory.block_bytes(frame(Method.MEMORY, 1 << 20, 5), None) > memory.MEDIA_TABLES_BYTES
