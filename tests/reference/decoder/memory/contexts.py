"""docs/FORMAT.md, 'Contexts': what each kind of context hashes, in the names of the spec."""

from __future__ import annotations

from ..numbers import WRAP, hash_pair
from .history import History, Records

Values = dict[str, int]


def situation(lane: History, records: Records, text: bytearray) -> Values:
    """The names that the table of contexts uses, but for c1, c2, .. and N(k)."""
    position, start, r, r2 = lane.position, lane.start, records.length, records.length2

    def back(d: int) -> int:
        return text[position - d] if d > 0 and position - d >= start else 0

    line_above = lane.line1 + position - lane.line
    offset = position - lane.field_start
    above_begin = lane.fields1[lane.field]
    first, last = (lane.match[0], lane.match[-1]) if lane.match else (None, None)
    return {
        "position": position,
        "r": r,
        "above": back(r),
        "above2": back(2 * r),
        "other": back(r2),
        "above_left": back(r + 1) if r else 0,
        "column": position % r if r else 0,
        "above_next": text[position - r + 1] if r > 1 and position - r >= start else 0,
        "column2": position % r2 if r2 else 0,
        "line_column": min(position - lane.line, 255),
        "byte_above": text[line_above] if line_above < lane.line else 10,
        "w": lane.word or lane.c(1),
        "word": lane.word,
        "word1": lane.word1,
        "word2": lane.word2,
        "offset": offset,
        "field_above": text[above_begin + offset] + 1 if above_begin else 0,
        "f1": lane.indirect1.get(lane.c(1), 0),
        "f2": lane.indirect2.get(lane.N(2), 0),
        "first": lane.first,
        "classes": lane.classes,
        "expected": first.expected if first else 0,
        "length": first.length if first else 0,
        "E": last.expected if last else 0,
        "l": last.length if last else 0,
        "field": lane.field,
        "field_hash": lane.field_hash,
        "key": lane.key,
        "first_field": lane.first_field,
    }


def join(*values: int) -> int:
    """x:y:z."""
    total = 0
    for value in values:
        total = 256 * total + value
    return total


def table(past: bytes, s: Values) -> dict[int, int]:
    """v of every kind. past: the last 16 bytes, the newest last; s: what `situation` gives."""
    c = [0, *reversed(past)]
    number = int.from_bytes(past, "big")
    position, r, above, c1 = s["position"], s["r"], s["above"], c[1]
    w, word, word1, field_hash, field_above = s["w"], s["word"], s["word1"], s["field_hash"], s["field_above"]
    values = {k: number % (1 << 8 * k) for k in range(9)} | {
        9: hash_pair(number % (1 << 64), join(*c[12:8:-1])),
        10: w,
        11: hash_pair(w, word1),
        12: hash_pair(word, s["word2"]),
        13: hash_pair(hash_pair(word, word1), s["word2"]),
        14: hash_pair(word1, join(c1, c[2])),
        20: c[2],
        21: c[3],
        22: join(c[2], c[3]),
        23: join(c1, c[3]),
        24: c[4],
        25: join(c[3], c[4]),
        26: join(c1, c[4]),
        27: number & 0xF0F0F0F0,
        28: number & 0xF0F0F0F0F0F0,
        29: join(c[4], c[3], c[2]),
        30: (1 << 16) * join(r, above) + s["column"],
        31: join(above, c1),
        32: join(above, s["above2"]),
        33: (1 << 16) * join(r, c1) + s["column"],
        34: join(above, s["above_left"], c1),
        35: (above + c1 - s["above_left"]) % 1024,
        36: (1 << 16) * r + s["column"],
        37: (1 << 16) * join(s["other"], c1) + s["column2"],
        38: join(above, s["above_next"], c1),
        39: join(above, c1, c[2]),
        40: join(s["byte_above"], s["line_column"]),
        41: join(s["byte_above"], c1),
        42: join(s["first"], s["line_column"]),
        43: join(s["byte_above"], c1, c[2]),
        44: s["classes"],
        45: hash_pair(s["classes"] % (1 << 12), c1),
        46: join(s["expected"], min(s["length"], 31)),
        47: join(position % 4, c[4]),
        48: join(position % 4, c1, c[2]),
        49: hash_pair(field_hash, s["field"]),
        50: join(field_above, c1, min(s["offset"], 255)),
        51: hash_pair(s["key"], field_hash),
        52: hash_pair(s["key"], join(c1, c[2])),
        53: (1 << 24) * c1 + s["f1"],
        54: (1 << 24) * join(c1, c[2]) + s["f2"],
        55: hash_pair(word, s["first_field"]),
        56: hash_pair(hash_pair(s["first_field"], s["field"]), field_above),
        57: hash_pair(field_hash, field_above),
        58: 32 * ((2 * c[2] - c[4]) % 256) + 2 * (c1 >> 4) + position % 2,
        59: 1024 * ((2 * c[4] - c[8]) % 256) + 4 * c1 + position % 4,
        60: hash_pair(join(c1, c[2]), 512 * s["byte_above"] + field_above),
        61: join(s["f2"] % 256, s["f1"] % 256, c1),
        62: hash_pair(join(s["E"], min(s["l"], 15)), c1),
    }
    return values


def hashes(lane: History, records: Records, text: bytearray, kinds: tuple[int, ...]) -> list[int]:
    """Of the contexts of these kinds."""
    values = table(lane.past, situation(lane, records, text))
    return [hash_pair(values[kind] & WRAP, kind + 1) for kind in kinds]
