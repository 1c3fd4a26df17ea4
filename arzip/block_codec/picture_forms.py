"""The form in which each picture of an opened block is coded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from arzip.engine.engine import Engine
from arzip.engine.plan import Plan
from arzip.levels import Level
from arzip.media import picture_series
from arzip.media.picture_series import Shape
from arzip.preprocess.recompress.recipe import FILTERED
from arzip.system.workers import Workers

if TYPE_CHECKING:
    from arzip.preprocess.recompress.opening import Picture

PROBE_BYTES, MAX_PROBED = 1 << 17, 1 << 20
BANDS = 4  # of a picture, that are coded to choose its form
LEARNS = 0.85  # of a picture predictor's cost, what is left of it in a whole picture: it begins untrained


class PictureForms:
    """Chooses how the pictures of a block are coded: each of MAX_PROBED bytes in all by what some rows cost, later
    ones as the last one with as many channels.
    """

    def __init__(self, engine: Engine, level: Level, workers: Workers) -> None:
        self._engine, self._level, self._workers = engine, level, workers
        self._left = MAX_PROBED
        self._last: dict[int, int] = {}

    def __call__(self, picture: Picture) -> int:
        if self._left > 0 or picture.channels not in self._last:
            self._left -= min(len(picture.values), PROBE_BYTES)
            self._last[picture.channels] = self._cheapest(picture)
        return self._last[picture.channels]

    def _cheapest(self, picture: Picture) -> int:
        row = picture.width * max(picture.channels, 1)
        height = len(picture.values) // row
        chosen = _bands(height, max(1, min(height, PROBE_BYTES // row)))
        values, text = _rows(picture.values, row, chosen), _rows(picture.text, row + 1, chosen)
        plan, part = Plan(1, False, self._level.cm_only_profile), len(chosen) / height
        texts = {FILTERED: text, 0: values}
        costs = {form: _in_all(self._engine.byte_costs(each, plan), part) for form, each in texts.items()}
        if picture.channels and self._level.pictures and not self._level.light:
            shape, bits = Shape(len(values), picture.channels, picture.width), list[NDArray[np.float64]]()
            picture_series.encode([(values, shape)], lambda _: self._workers.check(), bits.append)
            learns = LEARNS if part < 1 else 1
            costs[picture.channels] = learns * _in_all(np.concatenate(bits), part)
        return min(costs, key=costs.__getitem__)


def _bands(height: int, taken: int) -> list[int]:
    """About so many rows of a picture: all, or BANDS bands from all over it."""
    if taken == height or taken < BANDS:
        return list(range((height - taken) // 2, (height + taken) // 2))
    size = taken // BANDS
    starts = ((2 * band + 1) * height // (2 * BANDS) - size // 2 for band in range(BANDS))
    return [start + y for start in starts for y in range(size)]


def _rows(values: bytes, row_bytes: int, chosen: list[int]) -> bytes:
    """The chosen rows."""
    return np.frombuffer(values, np.uint8).reshape(-1, row_bytes)[chosen].tobytes()


def _in_all(costs: NDArray[np.float64], part: float) -> float:
    """The cost of a picture of which a part's costs are these, in order.

    The rest is taken to cost what the part's second half does, since models learn.
    """
    total, late = float(costs.sum()), float(costs[len(costs) // 2 :].sum())
    return total + 2 * late * (1 - part) / part
