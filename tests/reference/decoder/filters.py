"""docs/FORMAT.md, 'Filters': addresses become distances again."""

from __future__ import annotations

from .errors import Unsupported

X86_KINDS = 7
ARM64 = 8
MODRM_OPCODES = frozenset(
    [
        *(16 * high + low for high in range(4) for low in (0, 1, 2, 3, 8, 9, 10, 11)),
        0x63,
        *range(0x84, 0x8C),
        0x8D,
        0xFF,
    ]
)


def operand(b: bytearray, i: int) -> tuple[int, int, int] | None:
    """What begins at i: kind, where its operand is, how many bytes follow the operand; None: nothing."""
    first, second, third = b[i], b[i + 1], b[i + 2]

    def is_relative(byte: int) -> bool:
        return byte & 0xC7 == 0x05

    if first == 0xE8:
        return 1, i + 1, 0
    if first == 0xE9:
        return 2, i + 1, 0
    if first == 0x0F:
        if second >> 4 == 8:
            return 2, i + 2, 0
        if second not in (0x38, 0x3A, 0xE8, 0xE9) and is_relative(third):
            return 4, i + 3, 0
        return None
    if first in MODRM_OPCODES and is_relative(second):
        return 4, i + 2, 0
    if first in (0x80, 0x83, 0xC6) and is_relative(second):
        return 4, i + 2, 1
    if first in (0x81, 0xC7) and is_relative(second):
        return 4, i + 2, 4
    return None


def undo_x86(b: bytearray, base: int, kinds: int) -> None:
    """base: position of the segment's first byte in the raw block."""
    n, i, free = len(b), 0, 0
    while i + 5 <= n:
        found = operand(b, i)
        if found is None or not found[0] & kinds or found[1] + 4 > n or found[1] < free:
            i += 1
            continue
        _, a, behind = found
        free = a + 4
        if b[a + 3] not in (0, 255):
            i += 1
            continue
        address = b[a] << 16 | b[a + 1] << 8 | b[a + 2] | (b[a + 3] & 1) << 24
        distance = (address - (base + a + 4 + behind)) % (1 << 25)
        b[a : a + 4] = (distance % (1 << 24) | 255 * (distance >> 24) << 24).to_bytes(4, "little")
        i = free


def undo_arm64(b: bytearray, base: int) -> None:
    for at in range(-base % 4, len(b) - 3, 4):
        i = base + at
        word = int.from_bytes(b[at : at + 4], "little")
        if word >> 26 == 0b100101:
            word = word >> 26 << 26 | ((word % (1 << 26)) - (i >> 2)) % (1 << 26)
        elif word >> 31 and word >> 24 & 31 == 0b10000:
            v = ((word >> 5) % (1 << 19) << 2 | word >> 29 & 3) - (i >> 12)
            v %= 1 << 21
            word = word & ~(0x7FFFF << 5 | 3 << 29) | v >> 2 << 5 | (v & 3) << 29
        b[at : at + 4] = word.to_bytes(4, "little")


def undo(text: bytes, segments: list[tuple[int, int, int]], number: int) -> bytes:
    """The rest of a block, from the text that a filter made of it. segments: (begin, end, place in the raw block)."""
    if number > ARM64:
        raise Unsupported("a filter of later readers")
    if number == 0:
        return text
    out = bytearray()
    for begin, end, base in segments:
        piece = bytearray(text[begin:end])
        if number == ARM64:
            undo_arm64(piece, base)
        else:
            undo_x86(piece, base, number)
        out += piece
    return bytes(out)
