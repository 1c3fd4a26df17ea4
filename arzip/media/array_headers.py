"""Headers of files with arrays of numbers: NumPy's .npy, safetensors.

Each reader takes a block and where the file begins in it; it returns the arrays, or none, or raises what `struct`,
indices and parsers raise. Must not know how they are coded.
"""

from __future__ import annotations

import ast
import json
import re
import struct
from math import prod
from typing import Any, NamedTuple

from arzip.media.array_layout import Part
from arzip.media.array_values import BFLOAT, FLOAT, SIGNED, UNSIGNED

MIN_ITEMS = 1024  # of a part with rows of its own: smaller tensors are joined with what is before them
MAX_HEADER = 1 << 24


class FoundArray(NamedTuple):
    """Items in a block: where their first byte is, and the other fields as of ArrayLayout."""

    start: int
    kind: int
    size: int
    big_endian: bool
    parts: tuple[Part, ...]

    @property
    def stop(self) -> int:
        """Where the first byte behind them is."""
        return self.start + self.size * sum(part[0] for part in self.parts)


# What files have at their beginning or 3 bytes behind it: literals, so that the search is a fast one.
_MAGICS = ((re.compile(rb"\x93NUMPY"), 0), (re.compile(rb"\0\0\0\0\0\{\""), 3))
_KINDS = {"i": SIGNED, "u": UNSIGNED, "f": FLOAT, "c": FLOAT}
_DTYPES = {
    **{f"F{8 * n}": (FLOAT, n) for n in (2, 4, 8)},
    **{f"I{8 * n}": (SIGNED, n) for n in (2, 4, 8)},
    **{f"U{8 * n}": (UNSIGNED, n) for n in (2, 4)},
    "U64": (SIGNED, 8),
    "BF16": (BFLOAT, 2),
}


def positions(raw: bytes) -> list[int]:
    """Where files may begin in a block, in order."""
    return sorted(match.start() - behind for magic, behind in _MAGICS for match in magic.finditer(raw))


def read(raw: bytes, at: int) -> list[FoundArray]:
    """The arrays of the file that begins at `at` of a block, in order."""
    if at < 0:
        return []
    return npy(raw, at) if raw[at] == 0x93 and raw[at + 1 : at + 6] == b"NUMPY" else safetensors(raw, at)


def part_of(shape: tuple[int, ...]) -> Part:
    """The part that an array of this shape is: rows along its last axis, planes along the last two."""
    items = prod(shape)
    longer = [size for size in shape if size > 1]
    row = longer[-1] if len(longer) > 1 else 1
    return items, row, row * longer[-2] if len(longer) > 2 else 0


def npy(raw: bytes, at: int) -> list[FoundArray]:
    """The array of an .npy file."""
    fields = "<I" if raw[at + 6] == 2 else "<H"
    text = at + 8 + struct.calcsize(fields)
    start = text + struct.unpack_from(fields, raw, at + 8)[0]
    about = ast.literal_eval(raw[text : min(start, text + 1000)].decode("latin-1"))
    match = re.fullmatch(r"([<>])([iufc])(\d+)", about["descr"])
    if match is None:
        return []
    shape = tuple(int(size) for size in about["shape"])
    shape = shape[::-1] if about["fortran_order"] else shape
    size, kind = int(match[3]), _KINDS[match[2]]
    if match[2] == "c":
        shape, size = (*shape, 2), size // 2
    kind = SIGNED if size == 8 and kind == UNSIGNED else kind
    return [FoundArray(start, kind, size, match[1] == ">", (part_of(shape),))] if min(shape, default=0) > 0 else []


def safetensors(raw: bytes, at: int) -> list[FoundArray]:
    """The tensors of a safetensors file, those of one type that follow one another as one."""
    size = struct.unpack_from("<Q", raw, at)[0]
    if size > min(MAX_HEADER, len(raw) - at - 8):
        return []
    about: dict[str, Any] = json.loads(raw[at + 8 : at + 8 + size])
    tensors = [(*map(int, entry["data_offsets"]), entry) for name, entry in about.items() if name != "__metadata__"]
    found: list[FoundArray] = []
    for first, end, entry in sorted(tensors, key=lambda tensor: tensor[:2]):
        kind = _DTYPES.get(entry["dtype"])
        part, start = part_of(tuple(map(int, entry["shape"]))), at + 8 + size + first
        if kind is None or part[0] < 1:
            continue
        if part[0] * kind[1] != end - first or first < 0:
            return []
        if found and found[-1][1:3] == kind and found[-1].stop == start:
            found[-1] = found[-1]._replace(parts=joined(found[-1].parts, part))
        else:
            found.append(FoundArray(start, *kind, False, (part,)))
    return found


def joined(parts: tuple[Part, ...], part: Part) -> tuple[Part, ...]:
    """Parts and one more; small ones that follow one another become one without rows."""
    last = parts[-1]
    if part[0] < MIN_ITEMS and last[0] < MIN_ITEMS:
        return (*parts[:-1], (last[0] + part[0], 1, 0))
    return (*parts, part)


def cut(found: FoundArray, first: int, end: int) -> FoundArray:
    """The whole items of an array between two places in a block."""
    begin = max(0, -(-(first - found.start) // found.size))
    stop = min(found.stop, end)
    last = (stop - found.start) // found.size
    parts, at = [], 0
    for items, row, plane in found.parts:
        inside = min(at + items, last) - max(at, begin)
        if inside > 0:
            parts.append((inside, min(row, inside), plane if plane <= inside else 0))
        at += items
    return found._replace(start=found.start + begin * found.size, parts=tuple(parts))
