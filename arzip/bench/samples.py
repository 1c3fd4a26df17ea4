"""A small set of generated files, equal on every machine: for a benchmark without downloads.

Generated data is easier to compress than real data: use it to compare runs and machines, not codecs.
"""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate

KIB = 1024
_SOUNDS = "a be ci da el fo gra hi in jo ka lo mi na or pe qui ra se ti un ve wa xi yo sta tion ing er ment"
_FREQUENT = "the of and to a in that was he it his her with as had for she not at but on be they is by"
_SYLLABLES, _SMALL_WORDS = _SOUNDS.split(), _FREQUENT.split()


def samples() -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of each file: some 0.5 MB in all."""
    for name, make, size_bytes in _FILES:
        yield name, make(_Source(name), size_bytes)


class _Source(random.Random):
    """Random draws from random() only, which gives the same numbers in every Python version."""

    def below(self, limit: int) -> int:
        return int(self.random() * limit)

    def pick(self, items: Sequence[str], weights: Sequence[float] | None = None) -> str:
        if weights is None:
            return items[self.below(len(items))]
        point = self.random() * weights[-1]  # of sums that rise
        low, high = 0, len(weights) - 1
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if point < weights[middle] else (middle + 1, high)
        return items[low]


def _vocabulary(source: _Source, count: int) -> tuple[list[str], list[float]]:
    """Words, the frequent ones short, and the running sums of their Zipf weights."""
    words = list(_SMALL_WORDS)
    while len(words) < count:
        words.append("".join(source.pick(_SYLLABLES) for _ in range(2 + source.below(3))))
    return words, list(accumulate(1 / (rank + 2) for rank in range(count)))


def _prose(source: _Source, size_bytes: int) -> bytes:
    words, weights = _vocabulary(source, 3000)
    text, length, line = [], 0, 0
    while length < size_bytes:
        sentence = [source.pick(words, weights) for _ in range(4 + source.below(18))]
        sentence[0] = sentence[0].capitalize()
        if len(sentence) > 9:
            sentence[len(sentence) // 2] += ","
        for word in [*sentence[:-1], sentence[-1] + source.pick([".", ".", ".", "?", ";"])]:
            line = 0 if line > 70 else line + len(word) + 1
            text.append(word + (" " if line else "\n"))
            length += len(word) + 1
    return "".join(text).encode()[:size_bytes]


def _log(source: _Source, size_bytes: int) -> bytes:
    levels = ["INFO"] * 8 + ["WARN", "ERROR"]
    paths = [f"/api/v1/{source.pick(_SYLLABLES)}{source.pick(_SYLLABLES)}" for _ in range(40)]
    lines, seconds, length = [], 0, 0
    while length < size_bytes:
        seconds += source.below(4)
        clock = f"{8 + seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{source.below(1000):03}"
        request = f"{source.pick(['GET', 'GET', 'POST'])} {source.pick(paths)} user={source.below(500)}"
        ending = f"status={source.pick(['200', '200', '200', '404', '500'])} bytes={source.below(20000)}"
        lines.append(f"2026-01-05T{clock}Z {source.pick(levels)} worker-{source.below(8)} {request} {ending}\n")
        length += len(lines[-1])
    return "".join(lines).encode()[:size_bytes]


def _csv(source: _Source, size_bytes: int) -> bytes:
    lines, length, price = ["id,date,city,quantity,price,paid\n"], 0, 100.0
    cities = [source.pick(_SYLLABLES).capitalize() + source.pick(_SYLLABLES) for _ in range(30)]
    while length < size_bytes:
        number = len(lines)
        price = max(1.0, price + source.random() * 4 - 2)
        date = f"2026-{1 + number // 200 % 12:02}-{1 + number // 8 % 25:02}"
        paid = "yes" if source.below(9) else "no"
        lines.append(f"{number},{date},{source.pick(cities)},{1 + source.below(20)},{price:.2f},{paid}\n")
        length += len(lines[-1])
    return "".join(lines).encode()[:size_bytes]


def _json(source: _Source, size_bytes: int) -> bytes:
    words, weights = _vocabulary(source, 500)
    records, length = [], 0
    while length < size_bytes:
        record = {
            "id": f"{source.below(1 << 32):08x}",
            "name": f"{source.pick(words, weights)} {source.pick(words, weights)}",
            "active": source.below(3) > 0,
            "tags": [source.pick(words, weights) for _ in range(source.below(4))],
            "position": {"x": source.below(10000) / 100, "y": source.below(10000) / 100},
        }
        records.append(json.dumps(record, indent=2))
        length += len(records[-1]) + 2
    return ("[" + ",\n".join(records) + "]\n").encode()[:size_bytes]


def _records(source: _Source, size_bytes: int) -> bytes:
    """Records of 16 bytes, little-endian: a counter, a time, a value that drifts, flags."""
    record, packed, value, clock = struct.Struct("<IIfHH"), [], 20.0, 1_700_000_000
    for number in range(-(-size_bytes // record.size)):
        clock += 1 + source.below(3)
        value += source.random() - 0.5
        packed.append(record.pack(number, clock, round(value, 2), source.below(4), 0xFFFF if source.below(20) else 0))
    return b"".join(packed)[:size_bytes]


def _noise(source: _Source, size_bytes: int) -> bytes:
    return bytes(source.below(256) for _ in range(size_bytes))


def _zeros(source: _Source, size_bytes: int) -> bytes:
    return bytes(size_bytes)


_FILES: list[tuple[str, Callable[[_Source, int], bytes], int]] = [
    ("prose.txt", _prose, 112 * KIB),
    ("server.log", _log, 96 * KIB),
    ("orders.csv", _csv, 64 * KIB),
    ("users.json", _json, 64 * KIB),
    ("records.bin", _records, 64 * KIB),
    ("random.bin", _noise, 64 * KIB),
    ("zeros.bin", _zeros, 64 * KIB),
]
