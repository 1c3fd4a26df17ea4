"""docs/RECOMPRESSION_FORMAT.md, 'Rows', word for word in plain Python. The names are those of the spec."""

from __future__ import annotations

from .errors import require


def taken_off(kind: int, a: int, b: int, c: int) -> int:
    """p."""
    q = a + b - c
    nearest = min((abs(q - a), 0, a), (abs(q - b), 1, b), (abs(q - c), 2, c))[2]
    return (0, a, b, (a + b) // 2, nearest)[kind]


def filtered(values: list[bytes], y: int, pixel: int, kind: int) -> bytes:
    """Row y with a filter."""
    row, above = values[y], values[y - 1] if y else bytes(len(values[y]))
    out = bytearray()
    for i, v in enumerate(row):
        a, c = (row[i - pixel], above[i - pixel]) if i >= pixel else (0, 0)
        out.append((v - taken_off(kind, a, above[i], c)) % 256)
    return bytes(out)


def text_of(filters: bytes, values: bytes, row: int, pixel: int, guessed: bool) -> bytes:
    """The rows of a picture with their filters."""
    rows = [values[at : at + row - 1] for at in range(0, len(values), row - 1)]
    out = b""
    for y, f in enumerate(filters):
        require(f <= 4, "a filter that there isn't")
        if guessed:
            sums = [sum(min(d, 256 - d) for d in filtered(rows, y, pixel, kind)) for kind in range(5)]
            f = (f + sums.index(min(sums))) % 5
        out += bytes([f]) + filtered(rows, y, pixel, f)
    return out
