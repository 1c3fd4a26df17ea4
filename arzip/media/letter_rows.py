"""Finds rows of few letters that have no header: each letter depends on the one before it and the one a row before.

Bit maps of a letter a pixel, cellular automata, shift registers with feedback. Context mixing has no context of two
letters so far apart; the predictor of pictures has. Works on samples; whether what is found is worth a block, a probe
says. Must not know how it is coded.
"""

from __future__ import annotations

import numpy as np

from arzip.media import array_statistics
from arzip.media.array_statistics import MIN_BLOCK, WINDOW, Bytes
from arzip.media.picture_payload import PictureLayout

MAX_LETTERS = 4
MAX_WIDTH = 1 << 10  # letters a row
SPOT = 1 << 12  # letters of a window that are counted
MAX_WINDOWS = 8  # of a block: in a genome each takes 40 ms
MIN_COST = 0.4  # bits a letter behind the four before it: what costs less is left to context mixing
MIN_SHARE = 0.6  # of that, what a letter may cost behind the one before it and the one a row before


def find(raw: bytes) -> list[tuple[int, int, PictureLayout]]:
    """Rows of few letters in a block, in order: where each run of them begins and ends, and how it lies."""
    if len(raw) < MIN_BLOCK:
        return []
    data = np.frombuffer(raw, np.uint8)
    size = max(WINDOW, -(-len(raw) // MAX_WINDOWS))
    starts = range(0, max(1, len(raw) - size // 2), size)
    widths = [_width(data[at : min(at + size, len(raw))]) for at in starts]
    found = []
    for first, last in array_statistics.runs(widths):
        stop = len(raw) if last == len(starts) - 1 else starts[last] + size
        found.append((starts[first], stop, PictureLayout(0, 0, 1, widths[first] or 1, 0)))
    return found


def _width(window: Bytes) -> int | None:
    """Letters a row in a window; None where there are too many letters, or no rows."""
    at = max(0, (len(window) - SPOT - MAX_WIDTH) // 2)
    spot = window[at : at + SPOT + MAX_WIDTH]
    known = np.flatnonzero(np.bincount(spot, minlength=256))
    if not 2 <= len(known) <= MAX_LETTERS:
        return None
    letters = np.searchsorted(known, spot)
    end = len(letters)
    behind = [letters[MAX_WIDTH - back : end - back] for back in range(5)]
    four = np.sum([behind[back] * MAX_LETTERS ** (back - 1) for back in range(1, 5)], 0)
    alone = array_statistics.cost_behind(four, behind[0], MAX_LETTERS)
    if alone < MIN_COST:
        return None
    both = (MAX_LETTERS * behind[1] + letters[MAX_WIDTH - row : end - row] for row in range(2, MAX_WIDTH + 1))
    costs = [array_statistics.cost_behind(contexts, behind[0], MAX_LETTERS) for contexts in both]
    best = int(np.argmin(costs))
    return best + 2 if costs[best] < MIN_SHARE * alone else None
