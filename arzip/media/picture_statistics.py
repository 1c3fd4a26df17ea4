"""Finds pictures of 8 bits a channel that have no header: by what bytes share with those a pixel, a row before.

Works on samples; whether what is found is worth a block, a probe says. Must not know how they are coded.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from arzip.media import array_statistics
from arzip.media.array_statistics import MIN_BLOCK, SPOT, WINDOW, Bytes
from arzip.media.picture_payload import MAX_ROW, PictureLayout

CHANNELS = (1, 2, 3, 4)
MIN_GAIN = 0.4  # bits a byte that differences to the pixel before must save
MIN_ROW, LOOK = 32, 1 << 17  # bytes
EDGE = 1.5  # how much larger the steps over the edge of a picture are


def find(raw: bytes) -> list[tuple[int, int, PictureLayout]]:
    """Pictures in a block, in order: where each begins and ends, and how it lies."""
    if len(raw) < MIN_BLOCK:
        return []
    data = np.frombuffer(raw, np.uint8)
    starts = range(0, max(1, len(raw) - WINDOW // 2), WINDOW)
    channels = [_channels(data[at : min(at + WINDOW, len(raw))]) for at in starts]
    found = []
    for first, last in array_statistics.runs([None if each is None else True for each in channels]):
        stop = len(raw) if last == len(starts) - 1 else starts[last] + WINDOW
        known = [each for each in channels[first : last + 1] if each]
        place = _in_rows(data[starts[first] : stop], max(known, key=known.count))
        if place is not None:
            offset, layout = place
            found.append((starts[first] + offset, stop, layout))
    return [(start, start + _whole(layout, stop - start), layout) for start, stop, layout in found]


def rows(data: Bytes) -> tuple[int, int] | None:
    """Channels, and bytes a row, of the rows of a picture, wherever one begins; None if there are none."""
    middle = max(0, (len(data) - WINDOW) // 2)
    channels = _channels(data[middle : middle + WINDOW])
    row = max(array_statistics.periods(data[:LOOK].astype(np.float64))) if channels else 0
    return (channels, row) if channels and row >= MIN_ROW and len(data) >= 3 * row else None


def _whole(layout: PictureLayout, size: int) -> int:
    """So many bytes, less what isn't a whole pixel."""
    used = layout.width * layout.channels
    rest = size % (used + layout.padding)
    return size - (rest - used if rest > used else rest % layout.channels)


def _channels(window: Bytes) -> int | None:
    """Bytes a pixel, None where bytes have little in common with those before."""
    best: list[int] = []
    for share in (1, 2):
        at = max((len(window) - SPOT) * share // 3, 0)
        spot = window[at : at + SPOT]
        bits = [array_statistics.entropy(spot), *(array_statistics.entropy(spot[c:] - spot[:-c]) for c in CHANNELS)]
        if min(bits[1:]) > bits[0] - MIN_GAIN:
            return None
        best.append(int(np.argmin(bits[1:])) + 1)
    return best[0] if best[0] == best[1] else min(best)


def _in_rows(data: Bytes, channels: int) -> tuple[int, PictureLayout] | None:
    """Where the first row begins, and the layout; None if there are no rows."""
    first = max(0, (len(data) - LOOK) // 2)
    sample = data[first : first + LOOK]
    row = max(array_statistics.periods(sample.astype(np.float64)))
    if row < MIN_ROW or len(sample) < 3 * row:
        return None
    table = sample[: len(sample) // row * row].reshape(-1, row)
    padding = row % channels
    if padding:
        zeros: list[bool] = (table.max(0) == 0).tolist()
        ends = [x for x in range(row) if all(zeros[(x - k) % row] for k in range(1, padding + 1))]
        if not ends:
            return None
        begin = ends[-1]
    else:
        begin = _edge(table, channels)
    width = row // channels
    if not 1 <= width * channels <= MAX_ROW:
        return None
    return (first + begin) % row, PictureLayout(0, 0, channels, width, padding)


def _edge(table: NDArray[np.uint8], channels: int) -> int:
    """The column (of bytes) with which rows (H, row) begin: the pixel that differs most from what is before it."""
    flat = table.reshape(-1)
    steps = np.abs((flat[channels:] - flat[:-channels]).astype(np.int8).astype(np.float64))
    rows = len(steps) // table.shape[1]
    columns = steps[: rows * table.shape[1]].reshape(rows, -1).mean(0)
    columns = np.roll(columns, channels)  # of the later one of both pixels
    over = sum(np.roll(columns, -k) for k in range(channels))  # of the pixel that begins here
    begin = int(np.argmax(over))
    return begin if over[begin] > EDGE * float(np.median(over)) else 0
