"""Archives made once are opened for ever, and made again byte for byte. See golden/README.md."""

from __future__ import annotations

import io
import struct
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from arzip import codec, levels
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
from arzip.format.records import MAGIC, Frame, Header
from arzip.format.stream import list_members
from arzip.weights import registry

GOLDEN = Path(__file__).parent / "golden"


def text(size: int) -> bytes:
    """Plain sentences that never change, some of them twice."""
    words = b"the a of and river stone house walks sees old young green slowly under over water light".split()
    out, state = bytearray(), 1
    while len(out) < size:
        state = state * 1103515245 + 12345 & 0x7FFFFFFF
        out += words[state >> 16 & 15]
        out += b".\n" if state >> 20 & 15 == 0 else b" "
    return bytes(out[:size])


def records(size: int) -> bytes:
    """Binary records of twelve bytes: a counter, a slow value, noise."""
    out, state = bytearray(), 7
    for k in range(size // 12 + 1):
        state = state * 1103515245 + 12345 & 0x7FFFFFFF
        out += (
            k.to_bytes(4, "little")
            + (k * k >> 9 & 0xFFFF).to_bytes(4, "big")
            + (state >> 8 & 0x3FF).to_bytes(4, "little")
        )
    return bytes(out[:size])


def log(size: int) -> bytes:
    """Lines of fields: a time, a name, keys and their values, now and then a field more."""
    out, state, time = bytearray(), 3, 1700000000
    while len(out) < size:
        state = state * 1103515245 + 12345 & 0x7FFFFFFF
        time += state >> 26
        name = b"alpha beta gamma delta".split()[state >> 12 & 3]
        out += b"%d\t[%s] id=%d, size=%d" % (time, name, state >> 16 & 7, (state >> 10) % 3000)
        out += b' note="late"\n' if state >> 20 & 7 == 0 else b"\n"
    return bytes(out[:size])


def code(size: int) -> bytes:
    """x86 that calls a few functions and reads a few variables from many places."""
    out, state = bytearray(), 5
    while len(out) < size:
        state = state * 1103515245 + 12345 & 0x7FFFFFFF
        out += b"\x48\x89\xc3\x5b\x31\xc0\x55\x90"[: state >> 8 & 7]
        out += b"\x48\x8b\x05" if state >> 12 & 1 else b"\xe8"
        out += ((state >> 16 & 31) * 997 - len(out) - 4).to_bytes(4, "little", signed=True)
    return bytes(out[:size])


def arm64(size: int) -> bytes:
    """The same for ARM64: BL, ADRP and two other words."""
    out, state = bytearray(), 9
    for k in range(size // 4):
        state = state * 1103515245 + 12345 & 0x7FFFFFFF
        words = (
            0x25 << 26 | ((state >> 16 & 31) * 97 - k) % (1 << 26),
            0xAA1303E0,
            0xF0000000 | state >> 25,
            0xD503201F,
        )
        out += words[k % 4 if k % 8 < 4 else k % 4 & 1].to_bytes(4, "little")
    return bytes(out)


PACKED = (
    GOLDEN / "packed.bin"
).read_bytes()  # zip with a gzip inside, a flushed zlib stream, a PNG: see golden/README.md


EXCEL = (GOLDEN / "excel.bin").read_bytes()  # two gzip files, packed as Excel does


def sound(frames: int) -> bytes:
    """A WAV file of two channels: two triangles and noise."""
    out, state = bytearray(), 11
    for k in range(frames):
        state = state * 1103515245 + 12345 & 0x7FFFFFFF
        left = abs(k % 200 - 100) * 90 + abs(k % 37 - 18) * 60 + (state >> 20 & 127) - 6000
        out += left.to_bytes(2, "little", signed=True)
        out += (left // 2 + (state >> 9 & 31)).to_bytes(2, "little", signed=True)
    head = b"WAVEfmt \x10\0\0\0\1\0\2\0\x44\xac\0\0\x10\xb1\2\0\4\0\x10\0data"
    return b"RIFF" + (36 + len(out)).to_bytes(4, "little") + head + len(out).to_bytes(4, "little") + bytes(out)


def picture(width: int, height: int, deep: bool = False) -> bytes:
    """A PPM file of slopes, noise and an edge; deep: of 16 bits, with more noise."""
    out, state = bytearray(), 13
    for y in range(height):
        for x in range(width):
            state = state * 1103515245 + 12345 & 0x7FFFFFFF
            base = x * 2 + y + (state >> 20 & 7) + (60 if 2 * x > width + y else 0)
            values = base & 255, base // 2 + (state >> 9 & 3), 255 - base // 3
            if deep:
                out += b"".join((250 * v + (state >> 12 & 31)).to_bytes(2, "big") for v in values)
            else:
                out += bytes(values)
    return b"P6\n%d %d\n%d\n" % (width, height, 65535 if deep else 255) + bytes(out)


def array(rows: int, row: int) -> bytes:
    """An .npy file of float32: slopes, a step, noise in 64ths."""
    out, state = bytearray(), 17
    for y in range(rows):
        for x in range(row):
            state = state * 1103515245 + 12345 & 0x7FFFFFFF
            value = 64 * (y * y - 3 * x) + (state >> 20 & 63) + (5000 if 2 * x > row else 0)
            out += struct.pack("<f", value / 64)
    about = b"{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d), }" % (rows, row)
    return b"\x93NUMPY\1\0\x76\0" + about.ljust(117) + b"\n" + bytes(out)


def tensors(size: int) -> bytes:
    """A safetensors file of two tensors of bfloat16: sums of noise, of both signs."""
    out, state = bytearray(), 19
    for k in range(size // 2):
        total = 0
        for _ in range(6):
            state = state * 1103515245 + 12345 & 0x7FFFFFFF
            total += (state >> 16 & 255) - 127
        out += struct.pack("<f", total * (1 + k % 48) / 65536)[2:]
    rows = size // 192  # of 48: half of the items
    about = b'{"a":{"dtype":"BF16","shape":[%d,48],"data_offsets":[0,%d]},' % (rows, 96 * rows)
    about += b'"b":{"dtype":"BF16","shape":[%d],"data_offsets":[%d,%d]}}' % (size // 2 - 48 * rows, 96 * rows, len(out))
    return struct.pack("<Q", len(about)) + about + bytes(out)


GOOD = {
    "empty": (b"", 6),
    "one-byte": (b"a", 6),
    "stored": (bytes((k * k * 31 + (k * 73 >> 3)) & 255 for k in range(300)), 1),
    **{f"text-{n}": (text(9000), n) for n in range(1, 10)},
    **{f"records-{n}": (records(5000), n) for n in (1, 3, 6, 9)},
    "long-text-6": (text(70000), 6),
    "long-text-7": (text(70000), 7),
    "long-text-8": (text(70000), 8),
    "repeats-6": (2 * text(70000), 6),
    "copies-1": (3 * text(3000), 1),
    "copies-6": (2 * text(70000), 6),
    "log-8": (log(70000), 8),
    "log-9": (log(20000), 9),
    "code-3": (code(20000), 3),
    "code-6": (code(20000), 6),
    "code-9": (code(20000), 9),
    "arm64-3": (arm64(20000), 3),
    "sound-6": (sound(3000), 6),
    "picture-6": (picture(50, 40), 6),
    "picture-9": (picture(50, 40), 9),
    "array-6": (array(60, 40), 6),
    "tensors-9": (tensors(9600), 9),
    "picture16-6": (picture(50, 40, True), 6),
    "picture16-9": (picture(50, 40, True), 9),
    **{f"packed-{n}": (PACKED, n) for n in (1, 4, 6, 9)},
    "excel-1": (EXCEL, 1),
}
WIDE = {  # as GOOD, in wide blocks
    **{f"wide-text-{n}": (text(70000), n) for n in (1, 2, 5, 6, 8)},
    "wide-records-3": (records(50000), 3),
    "wide-log-9": (log(50000), 9),
    "wide-code-6": (code(40000), 6),
    "wide-repeats-6": (2 * text(70000), 6),
}

AFTER = {"dictionary-6": (log(6400)[5000:], 6)}  # as GOOD, after the dictionary
DICTIONARY = log(5000)


LEFT_ALONE = {"repeats-6", "packed-1"}  # made when repeats of a single lane stayed where they are


def compress(raw: bytes, level: int, wide: bool = False, takes_repeats: bool = True, dictionary: bytes = b"") -> bytes:
    sink = io.BytesIO()
    with pytest.MonkeyPatch.context() as patch:  # wide ones are short, so that many lanes are short, too
        patch.setattr(levels, "WIDE_ALONE_LANE_BYTES", levels.WIDE_LANE_BYTES)
        if not takes_repeats:
            patch.setattr(levels, "LEVELS", tuple(replace(each, min_repeat=1 << 26) for each in levels.LEVELS))
        codec.compress(io.BytesIO(raw), sink, Options(level=level, wide=wide, dictionary=dictionary))
    return sink.getvalue()


def decompress(archive: bytes, dictionary: bytes = b"") -> bytes:
    sink = io.BytesIO()
    codec.decompress(io.BytesIO(archive), sink, Options(dictionary=dictionary))
    return sink.getvalue()


def bad_archives() -> dict[str, bytes]:
    whole = compress(text(9000), 1)
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

    whole = compress(text(9000), 6)
    size = len(Header(b"1234").pack())
    frame, frame_bytes = Frame.parse(whole[size:])
    return {
        "version-UnsupportedError": header(77, 1, b"1234") + whole[size:],
        "feature-UnsupportedError": header(0, 1 | 1 << 5, b"1234") + whole[size:],
        "filter-UnsupportedError": whole[:size]
        + replace(frame, profile_byte=frame.profile_byte | 9 << 4).pack()
        + whole[size + frame_bytes :],
        "dictionary-DictionaryMissingError": compress(text(900), 1, dictionary=b"another one"),
        "model-ModelMissingError": header(0, 1, b"\xde\xad\xbe\xef") + whole[size:],
    }


_ERRORS = (DamagedError, TruncatedError, NotAnArchiveError, UnsupportedError, ModelMissingError, DictionaryMissingError)
ERRORS = {e.__name__: e for e in _ERRORS}
REFUSED = sorted([*GOLDEN.glob("bad/*.arz"), *GOLDEN.glob("unsupported/*.arz")])

try:
    registry.find(levels.LEVELS[0].model)
except ArzipError:
    pytestmark = pytest.mark.skip(reason="the shipped model is not at hand")


@pytest.mark.parametrize("name", [*GOOD, *WIDE])
def test_golden_archive_opens(name: str) -> None:
    assert decompress((GOLDEN / "good" / f"{name}.arz").read_bytes()) == (GOOD | WIDE)[name][0]


@pytest.mark.parametrize("name", [*GOOD, *WIDE])
def test_golden_archive_is_made_again_byte_for_byte(name: str) -> None:
    assert (
        compress(*(GOOD | WIDE)[name], name in WIDE, name not in LEFT_ALONE)
        == (GOLDEN / "good" / f"{name}.arz").read_bytes()
    )


@pytest.mark.parametrize("name", AFTER)
def test_golden_archive_after_a_dictionary(name: str) -> None:
    archive = (GOLDEN / "good" / f"{name}.arz").read_bytes()
    assert decompress(archive, DICTIONARY) == AFTER[name][0]
    assert compress(*AFTER[name], dictionary=DICTIONARY) == archive


def test_golden_wide_archives_are_wide() -> None:
    for name in WIDE:
        (member,) = list_members(io.BytesIO((GOLDEN / "good" / f"{name}.arz").read_bytes()))
        assert all(frame.wide for frame in member.frames), name


def test_golden_archives_are_all_there() -> None:
    assert {path.stem for path in GOLDEN.glob("good/*.arz")} == {*GOOD, *WIDE, *AFTER}
    assert {path.stem for path in REFUSED} == {*bad_archives(), *unsupported_archives()}


@pytest.mark.parametrize("path", REFUSED, ids=lambda path: path.stem)
def test_golden_bad_archive_is_refused(path: Path) -> None:
    with pytest.raises(ERRORS[path.stem.rsplit("-", 1)[1]]) as caught:
        decompress(path.read_bytes())
    assert "\n" not in str(caught.value)


def write() -> None:
    """Make all of them anew."""
    made = {
        "good": {name: compress(*what, name in WIDE, name not in LEFT_ALONE) for name, what in (GOOD | WIDE).items()},
        "bad": bad_archives(),
        "unsupported": unsupported_archives(),
    }
    made["good"] |= {name: compress(*what, dictionary=DICTIONARY) for name, what in AFTER.items()}
    for folder, archives in made.items():
        (GOLDEN / folder).mkdir(exist_ok=True)
        for old in (GOLDEN / folder).glob("*.arz"):
            old.unlink()
        for name, archive in archives.items():
            (GOLDEN / folder / f"{name}.arz").write_bytes(archive)


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit("usage: python tests/test_golden.py --write")
    write()
