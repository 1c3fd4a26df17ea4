"""The form in which each picture of an opened block is coded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from arzip.engine.engine import Engine
from arzip.engine.plan import Plan
from arzip.levels import Level
from arzip.media import picture_series
from arzip.media.picture_series import Shape
from arzip.preprocess.recompress.recipe import FILTERED
from arzip.system.workers import Workers

if TYPE_CHECKING:
    from arzip.preprocess.recompress.opening import Picture

PROBE_BYTES, MAX_PROBED = 1 << 16, 1 << 20
SHARED_BITS = 64  # of a picture's stream that the pictures of a block have together


class PictureForms:
    """Chooses how the pictures of a block are coded: each of MAX_PROBED bytes in all by what its middle costs, later
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
        taken = max(1, min(height, PROBE_BYTES // row))
        first = (height - taken) // 2
        values = picture.values[first * row : (first + taken) * row]
        plan = Plan(1, False, self._level.cm_only_profile)
        filtered = self._engine.cost_bits(picture.text[first * (row + 1) : (first + taken) * (row + 1)], plan)
        costs = {FILTERED: filtered, 0: self._engine.cost_bits(values, plan)}
        if picture.channels and self._level.pictures and not self._level.light:
            shape = Shape(len(values), picture.channels, picture.width)
            stream = picture_series.encode([(values, shape)], lambda _: self._workers.check())
            costs[picture.channels] = 8 * len(stream) - SHARED_BITS
        return min(costs, key=costs.__getitem__)
