"""Branch conversion (BCJ): machine code with absolute addresses instead of distances, so that they repeat.

Normative text: docs/FORMAT.md, 'Filters'. A function is called from many places, each at another distance. After the
call filters of LZX, of PAQ8 (the address's high byte first) and of 7-Zip and xz (ARM64; only operands whose last byte
is 0 or 255). A filter is a sum of kinds of operands; the encoder decides on each by counting its operands. Must not
import models or coders.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from arzip.format.records import MAX_BLOCK_BYTES, Filter
from arzip.jit.compile import njit

CALLS, JUMPS, OPERANDS, ARM64 = (int(kind) for kind in Filter)  # kernels take plain numbers
KNOWN = range(ARM64 + 1)  # ARM64 stands alone, the x86 ones in any sum
SPAN = 1 << 25  # addresses of x86 count modulo this
Segment = tuple[int, int, int]  # first byte and end in what is filtered, address of the first in the block
Segments = Sequence[Segment]
WHOLE_BLOCK = ((0, MAX_BLOCK_BYTES, 0),)

MIN_FOUND = 32  # operands of a kind; fewer are not significant
MAX_COST = 0.75  # of addresses, relative to the bits of the distances
MIN_GAIN = 0.005  # bits saved for each byte of the block
MIN_JUMP_BITS = 15  # shorter distances of jumps repeat better than addresses, as in copies of a template


def _count_behind() -> NDArray[np.int64]:
    """(256,) by first byte of an instruction: number of bytes after its operand; -1: no operand to convert."""
    behind = np.full(256, -1, np.int64)
    behind[[8 * high + low for high in range(8) for low in range(4)]] = 0
    behind[[0x0F, 0x63, *range(0x84, 0x8C), 0x8D, 0xE8, 0xE9, 0xFF]] = 0
    behind[[0x80, 0x83, 0xC6]] = 1
    behind[[0x81, 0xC7]] = 4
    return behind


_BEHIND = _count_behind()


@njit(inline="always")
def operand(text, i, kinds):
    """Operand of the x86 instruction at text[i]: its kind (0: none), its index, number of bytes after it.

    Reads no byte that could belong to a converted operand, so encoder and decoder read the same.
    """
    behind = _BEHIND[text[i]]
    kind, at = 0, i + 1
    if behind < 0:
        return kind, at, behind
    opcode, second = text[i], text[i + 1]
    if opcode == 0xE8:
        kind = CALLS
    elif opcode == 0xE9:
        kind = JUMPS
    elif opcode == 0x0F and second >> 4 == 8:
        kind, at = JUMPS, i + 2
    elif opcode == 0x0F:  # after E8 or E9 the third byte is an operand's
        at = i + 3
        if text[i + 2] & 0xC7 == 5 and second & 0xFE != 0xE8 and second != 0x38 and second != 0x3A:
            kind = OPERANDS
    elif second & 0xC7 == 5:
        kind, at = OPERANDS, i + 2
    if kind & kinds == 0 or at + 4 > text.size:
        kind = 0
    return kind, at, behind


@njit()
def convert_x86(text, base, kinds, undo, found):
    """Turn distances into addresses, or back, in text (n,) uint8, in place; returns how many. base: address of text[0].

    The first ones' kind, distance and address -> found (N, 3).
    """
    i = free = count = 0  # free: operands before it decided that they stay, by a byte that must stay too
    while i + 5 <= text.size:
        kind, at, behind = operand(text, i, kinds)
        i += 1
        if kind == 0 or at < free:
            continue
        free = at + 4
        top = int(text[at + 3])
        if top != 0 and top != 255:
            continue
        first, middle, third = int(text[at]), int(text[at + 1]), int(text[at + 2])
        low, high = (third, first) if undo else (first, third)
        value = low | middle << 8 | high << 16 | (top & 1) << 24
        end = base + at + 4 + behind
        if count < len(found):
            distance = value - SPAN if top else value
            found[count, 0], found[count, 1], found[count, 2] = kind, distance, distance + end
        value = (value - end if undo else value + end) & (SPAN - 1)
        low, high = value & 255, value >> 16 & 255
        text[at], text[at + 2] = (low, high) if undo else (high, low)
        text[at + 1], text[at + 3] = value >> 8 & 255, 255 * (value >> 24)
        count += 1
        i = free
    return count


@njit()
def convert_arm64(text, base, undo, found):
    """As `convert_x86`, for the words of BL and ADRP. Counts, and puts into found (N, 3), those of BL only."""
    sign, count = -1 if undo else 1, 0
    for at in range(-base & 3, text.size - 3, 4):
        here = base + at
        top = int(text[at + 3])
        word = int(text[at]) | int(text[at + 1]) << 8 | int(text[at + 2]) << 16 | top << 24
        if top >> 2 == 0x25:
            distance = word & 0x3FFFFFF
            address = (distance + sign * (here >> 2)) & 0x3FFFFFF
            if count < len(found):
                signed = distance - (distance >> 25 << 26)
                found[count, 0], found[count, 1], found[count, 2] = ARM64, signed, signed + (here >> 2)
            count += 1
            word = 0x25 << 26 | address
        elif top & 0x9F == 0x90:
            pages = (word >> 29 & 3) | (word >> 3 & 0x1FFFFC)
            pages = (pages + sign * (here >> 12)) & 0x1FFFFF
            word = (word & 0x9F00001F) | (pages & 3) << 29 | pages >> 2 << 5
        else:
            continue
        for k in range(4):
            text[at + k] = word >> 8 * k & 255
    return count


_NOTHING: NDArray[np.int32] = np.zeros((0, 3), np.int32)


def apply(raw: bytes, kinds: int, segments: Segments = WHOLE_BLOCK) -> bytes:
    """Convert each segment; the result has the size of `raw`. kinds: one of KNOWN; 0 returns `raw` itself."""
    return _convert(raw, kinds, segments, False, _NOTHING)[0] if kinds else raw


def undo(filtered: bytes, kinds: int, segments: Iterable[Segment] = WHOLE_BLOCK) -> bytes:
    """The inverse of `apply`."""
    return _convert(filtered, kinds, segments, True, _NOTHING)[0] if kinds else filtered


def choose(raw: bytes, segments: Segments = WHOLE_BLOCK) -> int:
    """The filter to apply to a block; 0 unless it holds code whose addresses repeat far more than distances."""
    gains = _gains(raw, CALLS | JUMPS | OPERANDS, segments) | _gains(raw, ARM64, segments)
    x86 = gains.get(CALLS, 0.0) + gains.get(OPERANDS, 0.0)
    if gains.get(ARM64, 0.0) > x86:
        return ARM64
    return sum(kind for kind in gains if kind != ARM64) if x86 else 0


def _convert(
    raw: bytes, kinds: int, segments: Iterable[Segment], back: bool, found: NDArray[np.int32]
) -> tuple[bytes, int]:
    text, count = np.frombuffer(bytearray(raw), np.uint8), 0
    for first, end, address in segments:
        segment, rest = text[first:end], found[count:]
        if kinds == ARM64:
            count += convert_arm64(segment, address, back, rest)
        else:
            count += convert_x86(segment, address, kinds, back, rest)
    return text.tobytes(), count


def _gains(raw: bytes, kinds: int, segments: Segments) -> dict[int, float]:
    """Bits that addresses save against distances, by kind, where they are worth it. Jumps: only beside calls."""
    found, gains = _NOTHING, {}
    count = _convert(raw, kinds, segments, False, found)[1]
    if count >= MIN_FOUND:
        found = np.zeros((count, 3), np.int32)
        _convert(raw, kinds, segments, False, found)
    for kind in (CALLS, OPERANDS, ARM64, JUMPS):
        distances, addresses = found[found[:, 0] == kind, 1:].T
        if len(distances) < MIN_FOUND:
            continue
        before, after = _bits(distances, len(raw)), _bits(addresses, len(raw))
        if kind == JUMPS:
            if CALLS in gains and before > MIN_JUMP_BITS * len(distances):
                gains[kind] = 0.0
        elif after < MAX_COST * before and before - after > MIN_GAIN * len(raw):
            gains[kind] = before - after
    return gains


def _bits(values: NDArray[np.int32], size_bytes: int) -> float:
    """Estimated bits of a list of numbers: each new one in full, others by their frequency."""
    known, counts = np.unique(values, return_counts=True)
    fresh = np.log2(np.minimum(np.abs(known.astype(np.float64)), size_bytes) + 1) + 1
    return float((counts * np.log2(len(values) / counts)).sum() + fresh.sum())
