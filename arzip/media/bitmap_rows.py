"""Finds pictures of a bit a pixel that have no header: bytes of eight pixels, most of them background, in rows.

Faxes, scanned pages, masks. What a byte shares with the one a row above says more than those before it do, and the
predictor of pictures has contexts of both. Works on samples; whether what is found is worth a block, a probe says. Must
not know how it is coded.
"""

from __future__ import annotations

import numpy as np

from arzip.media import array_statistics
from arzip.media.array_statistics import MIN_BLOCK, WINDOW, Bytes
from arzip.media.picture_payload import MAX_ROW, PictureLayout

MIN_ROW = 16  # bytes
MIN_BACKGROUND, MAX_BACKGROUND = 0.5, 0.9  # share of the bytes: of a window with more, nothing can be said
SAMPLES = 6  # windows of a block
MAX_SHARE = 0.9  # of what a byte costs behind the one before it, what it may cost under the one above
ROWS = 4  # at least


def find(raw: bytes) -> list[tuple[int, int, PictureLayout]]:
    """The block, if most of its windows are rows of the same length, and how these lie."""
    if len(raw) < MIN_BLOCK:
        return []
    data = np.frombuffer(raw, np.uint8)
    last = max(0, len(raw) - WINDOW)
    starts = sorted({last * k // (SAMPLES - 1) for k in range(SAMPLES)})
    widths = [width for at in starts if (width := _row(data[at : at + WINDOW])) is not None]
    if not widths or (row := max(widths, key=widths.count)) < MIN_ROW or 2 * widths.count(row) <= len(widths):
        return []
    return [(0, len(raw), PictureLayout(0, 0, 1, row, 0))]


def _row(window: Bytes) -> int | None:
    """Bytes a row; 0 where there are none; None of a window that is background but for little."""
    share = float(np.bincount(window).max()) / len(window)
    if share > MAX_BACKGROUND:
        return None
    if share < MIN_BACKGROUND:
        return 0
    row = max(array_statistics.periods(window.astype(np.float64)))
    if not MIN_ROW <= row <= min(MAX_ROW, len(window) // ROWS):
        return 0
    values = window.astype(np.int64)
    above, before = (
        array_statistics.cost_behind(each, values[row:], 256) for each in (values[:-row], values[row - 1 : -1])
    )
    return row if above < MAX_SHARE * before else 0
