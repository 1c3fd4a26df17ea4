"""Filters: whatever the bytes, undo gives them back; code gets shorter; nothing else is touched."""

from __future__ import annotations

import io
import platform
import random
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from helpers import check_roundtrip, decompress, english, words
from hypothesis import given, settings
from hypothesis import strategies as st

from arzip import levels
from arzip.cli.tables import archive_rows, filter_name
from arzip.codec import Options
from arzip.errors import UnsupportedError
from arzip.format import stream
from arzip.format.records import Header, Method
from arzip.levels import Level
from arzip.preprocess import bcj
from arzip.preprocess.bcj import ARM64, CALLS, JUMPS, KNOWN, OPERANDS

CODE_BYTES = b"\xe8\xe9\x0f\x85\x8b\x05\xff\x00\x00\xff\x48\x15\xc7\x83\x94\x90\x38"


def check(raw: bytes) -> None:
    for kinds in KNOWN:
        text = bcj.apply(raw, kinds)
        assert len(text) == len(raw)
        assert bcj.undo(text, kinds) == raw
        assert bcj.apply(bcj.undo(raw, kinds), kinds) == raw


def code(size_bytes: int, functions: int = 60) -> bytes:
    """Noise like instructions that calls the same functions, and reads the same variables, from everywhere."""
    source, out = random.Random(3), bytearray()
    places = [source.randrange(size_bytes) for _ in range(functions)]
    while len(out) < size_bytes:
        out += bytes(source.choices(b"\x48\x89\xc3\x5b\x31\xc0\x55\x90", k=source.randint(3, 12)))
        out += source.choice((b"\xe8", b"\xe8", b"\x48\x8b\x05"))
        out += (source.choice(places) - len(out) - 4).to_bytes(4, "little", signed=True)
    return bytes(out[:size_bytes])


def arm64(size_bytes: int) -> bytes:
    """The same for ARM64."""
    source, out = random.Random(4), bytearray()
    places = [source.randrange(size_bytes) // 4 for _ in range(60)]
    while len(out) < size_bytes:
        for _ in range(source.randint(2, 5)):
            out += source.choice((b"\xe0\x03\x13\xaa", b"\xf3\x7b\xbf\xa9", b"\x1f\x20\x03\xd5"))
        out += (0x25 << 26 | (source.choice(places) - len(out) // 4) % (1 << 26)).to_bytes(4, "little")
    return bytes(out[:size_bytes])


def undo_by_the_book(text: bytes, kinds: int) -> bytes:
    """docs/FORMAT.md, 'Filters', x86, as it stands there."""
    b, n, i, free = bytearray(text), len(text), 0, 0
    moves = {*(8 * high + low for high in range(8) for low in range(4)), 0x63, *range(0x84, 0x8C), 0x8D, 0xFF}
    behinds = dict.fromkeys(moves, 0) | dict.fromkeys((0x80, 0x83, 0xC6), 1) | dict.fromkeys((0x81, 0xC7), 4)
    while i + 5 <= n:
        found = None  # kind, operand at, behind
        if b[i] in (0xE8, 0xE9):
            found = (CALLS if b[i] == 0xE8 else JUMPS), i + 1, 0
        elif b[i] == 0x0F:
            if b[i + 1] // 16 == 8:
                found = JUMPS, i + 2, 0
            elif b[i + 2] & 0xC7 == 5 and b[i + 1] not in (0x38, 0x3A, 0xE8, 0xE9):
                found = OPERANDS, i + 3, 0
        elif b[i] in behinds and b[i + 1] & 0xC7 == 5:
            found = OPERANDS, i + 2, behinds[b[i]]
        i += 1
        if found and found[0] & kinds and found[1] + 4 <= n and found[1] >= free:
            a = found[1]
            free = a + 4
            if b[a + 3] in (0, 255):
                place = b[a] << 16 | b[a + 1] << 8 | b[a + 2] | (b[a + 3] & 1) << 24
                distance = (place - a - 4 - found[2]) % (1 << 25)
                b[a : a + 4] = bytes(
                    [distance & 255, distance >> 8 & 255, distance >> 16 & 255, 255 * (distance >> 24)]
                )
                i = free
    return bytes(b)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_come_back(raw: bytes) -> None:
    check(raw)


@settings(max_examples=600, deadline=None)
@given(st.lists(st.sampled_from(CODE_BYTES), max_size=120))
def test_bytes_that_look_like_code_come_back(raw: list[int]) -> None:
    check(bytes(raw))


def test_a_million_bytes_that_look_like_code_come_back() -> None:
    source = random.Random(1)
    raw = bytes(source.choices(CODE_BYTES, k=1_000_000))
    check(raw)
    assert all(undo_by_the_book(bcj.apply(raw, kinds), kinds) == raw for kinds in (1, 2, 4, 7))
    check(source.randbytes(1_000_000))


@pytest.mark.parametrize(
    ("kinds", "raw", "text"),
    [  # place = distance + end of the instruction; high byte first, but the top one last
        (CALLS, "90 e8 10 20 30 00", "90 e8 30 20 16 00"),
        (CALLS, "e8 fb ff ff ff", "e8 00 00 00 00"),
        (CALLS, "e8 fa ff ff ff", "e8 ff ff ff ff"),
        (CALLS, "e8 ff ff ff 00", "e8 00 00 04 ff"),  # modulo 2^25
        (CALLS, "e8 10 20 30 01", "e8 10 20 30 01"),  # farther than 16 MiB
        (CALLS, "e8 10 20 30", "e8 10 20 30"),
        (CALLS, "e9 10 00 00 00", "e9 10 00 00 00"),
        (JUMPS, "e9 10 00 00 00", "e9 00 00 15 00"),
        (JUMPS, "0f 84 10 00 00 00", "0f 84 00 00 16 00"),
        (OPERANDS, "48 8b 05 10 00 00 00", "48 8b 05 00 00 17 00"),
        (OPERANDS, "83 3d 10 00 00 00 07", "83 3d 00 00 17 00 07"),
        (OPERANDS, "c7 05 10 00 00 00 01 02 03 04", "c7 05 00 00 1a 00 01 02 03 04"),
        (OPERANDS, "0f b6 0d 10 00 00 00", "0f b6 0d 00 00 17 00"),
        (CALLS, "e8 e8 01 02 03 00 00", "e8 e8 01 02 03 00 00"),  # the first stays, and so its last byte
        (ARM64, "1f 20 03 d5 04 00 00 94", "1f 20 03 d5 05 00 00 94"),
        (ARM64, "00 00 00 90", "00 00 00 90"),
    ],
)
def test_operands_become_places(kinds: int, raw: str, text: str) -> None:
    assert bcj.apply(bytes.fromhex(raw), kinds).hex(" ") == text
    assert bcj.undo(bytes.fromhex(text), kinds).hex(" ") == raw


def test_adrp_counts_pages() -> None:
    raw = bytes(8192) + b"\x20\x00\x00\xf0"  # v = 4 * 1 + 3
    assert bcj.apply(raw, ARM64)[8192:] == b"\x40\x00\x00\xb0"  # v = 9


def test_code_is_known() -> None:
    assert bcj.choose(code(60_000)) & (CALLS | OPERANDS) == CALLS | OPERANDS
    assert bcj.choose(arm64(60_000)) == ARM64
    assert bcj.choose(english(100_000) + code(60_000)) & CALLS


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"a",
        bytes(100_000),
        b"\xe8" * 100_000,
        english(200_000),
        words(100_000),
        random.Random(2).randbytes(300_000),
        b"".join(k.to_bytes(4, "little") for k in range(50_000)),
        b"\xe8\x00\x00\x00\x00abc" * 5000,
        bytes(random.Random(2).choices(CODE_BYTES, k=300_000)),
    ],
)
def test_what_is_no_code_is_left_alone(raw: bytes) -> None:
    assert bcj.choose(raw) == 0


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="this Python is no x86-64 code")
def test_this_python_gets_shorter(options: Options, monkeypatch: pytest.MonkeyPatch) -> None:
    library = Path(sysconfig.get_config_var("LIBDIR") or "") / (sysconfig.get_config_var("INSTSONAME") or "")
    raw = (library if library.is_file() and library.suffix != ".a" else Path(sys.executable)).read_bytes()
    windows = (raw[at : at + 120_000] for at in range(0, len(raw), 120_000))
    window = next((window for window in windows if bcj.choose(window) & CALLS), b"")
    if not window:
        pytest.skip("this Python is a launcher without much code")
    archive = check_roundtrip(window, options)
    monkeypatch.setattr(bcj, "choose", lambda raw, segments: 0)
    assert len(archive) < 0.97 * len(check_roundtrip(window, options))


def blocks(archive: bytes) -> list[stream.Block]:
    return [event for event in stream.read_events(io.BytesIO(archive)) if isinstance(event, stream.Block)]


@pytest.mark.parametrize("raw", [code(40_000), arm64(40_000)], ids=["x86", "arm64"])
@pytest.mark.parametrize("level", [1, 6])
def test_filtered_archive_is_shorter(raw: bytes, level: int, options: Options, monkeypatch: pytest.MonkeyPatch) -> None:
    options = replace(options, level=level)
    archive = check_roundtrip(raw, options)
    assert blocks(archive)[0].frame.filter == bcj.choose(raw)
    monkeypatch.setattr(bcj, "choose", lambda raw, segments: 0)
    assert len(archive) < 0.9 * len(check_roundtrip(raw, options))


@pytest.mark.parametrize("make", [code, arm64])
def test_filter_and_repeats_go_together(
    make: Callable[[int], bytes], options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(levels, "LEVELS", (Level(1 << 20, levels.ALWAYS, 7, levels.FAST, levels.FAST),) * 9)
    monkeypatch.setattr(levels, "LANE_BYTES", 4000)
    part, other = make(30_000), random.Random(8).randbytes(1003)
    [block] = blocks(check_roundtrip(part[:9000] + other + other + b"a" + part[9000 + 2007 :] + other, options))
    assert (block.frame.method, block.frame.lanes) == (Method.REPEATS, 7)
    assert block.frame.filter


def test_places_are_those_in_the_block_whatever_was_taken_out() -> None:
    for raw, kinds in ((code(20_000), CALLS), (arm64(20_000), ARM64)):
        segments = [(0, 8004, 0), (8004, 15_001, 8003 + 1000)]  # the second piece no longer at a multiple of 4
        rest = raw[:8004] + raw[9003:16_000]
        text = bcj.apply(rest, kinds, segments)
        assert bcj.undo(text, kinds, segments) == rest
        same = sum(a == b for a, b in zip(text[8004:], bcj.apply(raw, kinds)[9003:16_000], strict=True))
        assert same > len(text[8004:]) - 10


@pytest.mark.parametrize("number", range(9, 16))
def test_unknown_filter_is_unsupported(number: int, options: Options) -> None:
    archive = check_roundtrip(words(3000), options)
    [block] = blocks(archive)
    frame = replace(block.frame, profile_byte=block.frame.cm_profile | number << 4)
    with pytest.raises(UnsupportedError, match=f"filter {number}"):
        decompress(archive[: Header.parse(archive)[1]] + frame.pack() + block.payload, options)


def test_list_names_the_filter(tmp_path: Path, options: Options) -> None:
    path = tmp_path / "code.arz"
    path.write_bytes(check_roundtrip(code(40_000), options))
    [row] = archive_rows(str(path))
    assert [block["filter"] for block in row["blocks"]] == ["calls+operands"]
    assert [filter_name(number) for number in (0, 3, ARM64)] == ["", "calls+jumps", "arm64"]
