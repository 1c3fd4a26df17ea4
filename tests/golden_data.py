"""What the golden archives hold, and how each is made (test_golden.py)."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import NamedTuple

from arzip.engine.plan import Plan

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


# Bytes of packers, kept since other versions of them would make others: golden/README.md says what they are.
PACKED, EXCEL, STREAMS = ((GOLDEN / f"{name}.bin").read_bytes() for name in ("packed", "excel", "streams"))


def sound(frames: int) -> bytes:
    """A WAV file of two channels: two triangles and noise."""
    out, state = bytearray(), 11
    for k in range(frames):
        state = state * 1103515245 + 12345 & 0x7FFFFFFF
        left = abs(k % 200 - 100) * 90 + abs(k % 37 - 18) * 60 + (state >> 20 & 127) - 6000
        out += left.to_bytes(2, "little", signed=True)
        out += (left // 2 + (state >> 9 & 31)).to_bytes(2, "little", signed=True)
    return wave(bytes(out), 2, 16)


def wave(samples: bytes, channels: int, bits: int) -> bytes:
    """A WAV file of samples."""
    frame = channels * bits // 8
    fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, channels, 44100, 44100 * frame, frame, bits)
    return (
        struct.pack("<4sI4s", b"RIFF", 36 + len(samples), b"WAVE")
        + fmt
        + struct.pack("<4sI", b"data", len(samples))
        + samples
    )


def speech(frames: int) -> bytes:
    """A WAV file of one channel of 8 bits, without a sign."""
    out, state = bytearray(), 23
    for k in range(frames):
        state = state * 1103515245 + 12345 & 0x7FFFFFFF
        out.append(128 + abs(k % 90 - 45) - 22 + abs(k % 23 - 11) + (state >> 20 & 7))
    return wave(bytes(out), 1, 8)


def wide_sound(frames: int) -> bytes:
    """An AIFF file of two channels of 24 bits, most significant byte first."""
    out, state = bytearray(), 29
    for k in range(frames):
        state = state * 1103515245 + 12345 & 0x7FFFFFFF
        left = abs(k % 300 - 150) * 20000 + (state >> 12 & 0x7FFF) - 1500000
        out += left.to_bytes(3, "big", signed=True) + (left // 3 + (state >> 8 & 0xFFF)).to_bytes(3, "big", signed=True)
    common = struct.pack(">4sIHIH10s", b"COMM", 18, 2, frames, 24, bytes.fromhex("400eac44000000000000"))
    body = b"AIFF" + common + struct.pack(">4sIII", b"SSND", 8 + len(out), 0, 0) + bytes(out)
    return b"FORM" + struct.pack(">I", len(body)) + body


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


def grey(width: int, height: int) -> bytes:
    """A PGM file: discs on a slope, and noise."""
    out, state = bytearray(), 31
    for y in range(height):
        for x in range(width):
            state = state * 1103515245 + 12345 & 0x7FFFFFFF
            is_inside = (x % 20 - 10) ** 2 + (y % 20 - 10) ** 2 < 50
            out.append(60 + x + y // 2 + (state >> 20 & 3) + 40 * is_inside)
    return b"P5\n%d %d\n255\n" % (width, height) + bytes(out)


def bitmap(width: int, height: int, bits: int) -> bytes:
    """A BMP file, from the last row to the first: of 8 bits, five colours of a palette, or 32 with alpha."""
    out, state = bytearray(), 37
    for y in range(height):
        for x in range(width):
            state = state * 1103515245 + 12345 & 0x7FFFFFFF
            shape = (x // 7 + y // 5) % 4 + (state >> 26 == 5)
            out += bytes([shape]) if bits == 8 else bytes([40 * shape, 3 * x & 255, 200 - y, 255 - 80 * (shape == 2)])
        out += bytes(-len(out) % 4)
    palette = bytes(k * 5 & 255 for k in range(64)) if bits == 8 else b""
    start = 54 + len(palette)
    about = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, 0, len(out), 2835, 2835, len(palette) // 4, 0)
    return struct.pack("<2sIHHI", b"BM", start + len(out), 0, 0, start) + about + palette + bytes(out)


def doubles(rows: int, row: int) -> bytes:
    """An .npy file of float64, most significant byte first: a curve and noise in 256ths."""
    out, state = bytearray(), 41
    for k in range(rows * row):
        state = state * 1103515245 + 12345 & 0x7FFFFFFF
        out += struct.pack(">d", (k % row) ** 2 / 16 + k // row + (state >> 20 & 255) / 256)
    return npy(">f8", f"{rows}, {row}", bytes(out))


def integers(items: int) -> bytes:
    """An .npy file of int32 with one axis: a walk."""
    out, state, at = bytearray(), 43, 100000
    for _ in range(items):
        state = state * 1103515245 + 12345 & 0x7FFFFFFF
        at += (state >> 18 & 1023) - 500
        out += at.to_bytes(4, "little", signed=True)
    return npy("<i4", f"{items},", bytes(out))


def npy(kind: str, shape: str, items: bytes) -> bytes:
    """An .npy file of these items."""
    about = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': ({shape}), }}"
    return b"\x93NUMPY\1\0\x76\0" + about.encode().ljust(117) + b"\n" + items


def array(rows: int, row: int) -> bytes:
    """An .npy file of float32: slopes, a step, noise in 64ths."""
    out, state = bytearray(), 17
    for y in range(rows):
        for x in range(row):
            state = state * 1103515245 + 12345 & 0x7FFFFFFF
            value = 64 * (y * y - 3 * x) + (state >> 20 & 63) + (5000 if 2 * x > row else 0)
            out += struct.pack("<f", value / 64)
    return npy("<f4", f"{rows}, {row}", bytes(out))


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


class Recipe(NamedTuple):
    """How an archive is made. level, wide, dictionary, model, block_bytes: as of codec.Options.

    keeps_repeats: no repeats are taken out of blocks of one lane. as_samples: sound, pictures and arrays get their
    predictors whatever the probe says. plan: of each block, in the place of the one that the probe chooses.
    """

    raw: bytes
    level: int
    wide: bool = False
    keeps_repeats: bool = False
    dictionary: bytes = b""
    model: str | None = None
    block_bytes: int = 0
    as_samples: bool = False
    plan: Plan | None = None


DICTIONARY = log(5000)
RECIPES = {
    "empty": Recipe(b"", 6),
    "one-byte": Recipe(b"a", 6),
    "stored": Recipe(bytes((k * k * 31 + (k * 73 >> 3)) & 255 for k in range(300)), 1),
    **{f"text-{n}": Recipe(text(9000), n) for n in range(1, 10)},
    **{f"{model}-6": Recipe(text(3000), 6, model=model) for model in ("nano", "base")},
    **{f"records-{n}": Recipe(records(5000), n) for n in (1, 3, 6, 9)},
    **{f"long-text-{n}": Recipe(text(20000), n) for n in (6, 7, 8)},
    "blocks-1": Recipe(text(2000), 1, block_bytes=700),
    "blocks-6": Recipe(text(20000), 6, block_bytes=9000),
    "repeats-6": Recipe(2 * text(20000), 6, keeps_repeats=True),
    "copies-1": Recipe(3 * text(3000), 1),
    "copies-6": Recipe(2 * text(20000), 6),
    "log-8": Recipe(log(12000), 8),
    "log-9": Recipe(log(12000), 9),
    **{f"code-{n}": Recipe(code(20000), n) for n in (3, 6, 9)},
    "arm64-3": Recipe(arm64(20000), 3),
    "sound-6": Recipe(sound(3000), 6),
    "sound8-9": Recipe(speech(9000), 9, as_samples=True),
    "sound24-6": Recipe(wide_sound(1500), 6),
    **{f"picture-{n}": Recipe(picture(50, 40), n) for n in (6, 9)},
    **{f"picture16-{n}": Recipe(picture(50, 40, True), n) for n in (6, 9)},
    "picture-grey-9": Recipe(grey(90, 70), 9, as_samples=True),
    "picture-palette-9": Recipe(bitmap(91, 70, 8), 9, as_samples=True),
    "picture-alpha-6": Recipe(bitmap(45, 40, 32), 6, as_samples=True),
    "array-6": Recipe(array(60, 40), 6),
    "array-doubles-9": Recipe(doubles(30, 40), 9, as_samples=True),
    "array-integers-6": Recipe(integers(2000), 6),
    "tensors-9": Recipe(tensors(9600), 9),
    **{f"packed-{n}": Recipe(PACKED, n, keeps_repeats=n == 1) for n in (1, 4, 6, 9)},
    "packed-excel-1": Recipe(EXCEL, 1),
    "packed-streams-1": Recipe(STREAMS, 1),
    **{f"wide-text-{n}": Recipe(text(36000), n, True) for n in (1, 2, 5, 6, 8)},
    "wide-records-3": Recipe(records(36000), 3, True),
    "wide-log-9": Recipe(log(36000), 9, True),
    "wide-code-6": Recipe(code(36000), 6, True),
    "wide-repeats-6": Recipe(2 * text(36000), 6, True),
    # Plans that short and regular texts like these never get by themselves.
    "network-1-lane": Recipe(text(2000), 6, plan=Plan(1, True, None)),
    "network-5-lanes": Recipe(text(5000), 6, plan=Plan(5, True, None)),
    **{f"mixed-24-lanes-{profile}": Recipe(log(9000), 6, plan=Plan(24, True, profile)) for profile in range(4)},
    **{f"memory-7-lanes-{profile}": Recipe(log(5000), 6, plan=Plan(7, False, profile)) for profile in range(4)},
    "mixed-64-lanes": Recipe(records(9000), 9, plan=Plan(64, True, 0)),
    "mixed-repeats": Recipe(log(9000) + text(24000) + log(9000), 6, plan=Plan(24, True, 2)),
    "mixed-code": Recipe(code(9000), 6, plan=Plan(6, True, 2)),
    "wide-mixed": Recipe(log(9000), 6, True, plan=Plan(40, True, 2, True)),
    "wide-network": Recipe(text(3000), 6, True, plan=Plan(7, True, None, True)),
    "wide-1-lane": Recipe(text(1000), 6, True, plan=Plan(1, True, 0, True)),
    "dictionary-6": Recipe(log(6400)[5000:], 6, dictionary=DICTIONARY),
}
# Archives one after the other.
MEMBERS = {"members": (Recipe(text(600), 1), Recipe(b"", 6), Recipe(b"a", 6))}
RAWS = {name: recipe.raw for name, recipe in RECIPES.items()}
RAWS |= {name: b"".join(recipe.raw for recipe in recipes) for name, recipes in MEMBERS.items()}
