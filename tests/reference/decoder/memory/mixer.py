"""docs/FORMAT.md, 'Prediction', 'Weights': two layers of mixing, and how they learn."""

from __future__ import annotations

import math

import numpy as np

from ..numbers import ONE, SQUASH, STRETCH, clip, squash
from ..weights import Array
from . import profiles
from .maps import bucket
from .profiles import Profile

COUNTED_CONTEXTS = 7
MAX_LOGIT = 3200
MAX_WEIGHT = (1 << 24) - 1
FIRST_RATE, PRETRAINED_FIRST_RATE = 84, 240
SQUASHES = np.array(SQUASH, np.int64)
WEIGHT_SHIFT = 9  # of a weights file's weights


def mixer_contexts(s: dict[str, int], expected_bit: int | None, network: int | None) -> tuple[int, ...]:
    """'Weight sets': the row of each kind. s: names of the spec; network: the network's P."""
    j, c1, c2, c3, length = s["j"], s["c1"], s["c2"], s["c3"], s["record_length"]
    return (
        j if expected_bit is None else 8 * (1 + 2 * bucket(s["length"]) + expected_bit) + j,
        s["partial"],
        c1,
        c2,
        8 * s["known"] + j,
        s["classes"] % 512,
        0 if network is None else (STRETCH[network] + 2048) >> 7,
        8 * (s["position"] % length % 256) + j if length else j,
        256 * j + 32 * (c1 >> 5) + 4 * (c2 >> 5) + (c3 >> 6),
        s["expected"],
        c3,
    )


def rate_of(v: int, lanes: int) -> int:
    """R(v)."""
    return 4096 * v // math.isqrt(65536 * max(1, lanes // 4))


class Mixer:
    """The weights of both layers. A lane keeps its x, rows, z and logit from `predict` to `learn`."""

    def __init__(self, profile: Profile, lanes: int, has_network: bool, initial: dict[str, Array] | None) -> None:
        sets, maps = len(profile.mixer_contexts), profile.maps
        inputs = 2 * maps + (3 if has_network else 1)
        sizes = [profiles.WEIGHT_ROWS[kind] for kind in profile.mixer_contexts]
        self.bases = np.cumsum([0, *sizes])[:-1]
        self.rate, self.layer2_rate = rate_of(profile.rate, lanes), rate_of(profile.layer2_rate, lanes)
        self.first_rate, self.lanes = rate_of(FIRST_RATE, lanes), lanes
        self.weights = np.zeros((sum(sizes), inputs), np.int64)
        self.weights[:, 0 : 2 * maps : 2] = 24 * (1 << 20) // (16 * maps)
        self.layer2 = [[(1 << 20) // sets] * sets for _ in range(256)]
        if initial is not None:
            self.first_rate = PRETRAINED_FIRST_RATE * self.first_rate // FIRST_RATE
            self.weights = initial["weights"][:, :inputs] << WEIGHT_SHIFT
            self.layer2 = initial["final"].tolist()

    def predict(self, x: Array, rows: list[int], partial: int) -> Mixed:
        """rows: one in each set."""
        mixed = Mixed(x, self.bases + np.array(rows, np.int64), partial)
        mixed.w = self.weights[mixed.rows]
        sums = (((mixed.w >> 4) * x) >> 10).sum(axis=1)
        mixed.z = np.maximum(np.minimum((32 + sums) >> 6, MAX_LOGIT), -MAX_LOGIT)
        mixed.layer1 = mixed.z.tolist()
        total = sum(f * z for f, z in zip(self.layer2[partial], mixed.layer1, strict=True))
        mixed.logit = clip((total + (1 << 19)) >> 20, -MAX_LOGIT, MAX_LOGIT)
        return mixed

    def learn(self, lanes: list[Mixed], bits: list[int], lr_scales: list[int], t: int) -> None:
        """'Weights', from the bit of each lane."""
        rate = self.rate + 2048 * self.first_rate // (2048 + t * self.lanes)
        for mixed, y, lr_scale in zip(lanes, bits, lr_scales, strict=True):
            e = (((y << 22) - SQUASHES[mixed.z + MAX_LOGIT]) * ((rate * lr_scale) >> 4)) >> 18
            change = (mixed.x * e[:, None] + (1 << 11)) >> 12
            if len(lanes) > 1:  # what lanes add to one weight is added up
                self.weights[mixed.rows] += change
            else:
                mixed.w += change
            error = (((y << 22) - squash(mixed.logit)) * self.layer2_rate) >> 18
            row = self.layer2[mixed.partial]
            for s, z in enumerate(mixed.layer1):
                row[s] += (z * error + (1 << 13)) >> 14
        for mixed in lanes:
            w = self.weights[mixed.rows] if len(lanes) > 1 else mixed.w
            self.weights[mixed.rows] = np.maximum(np.minimum(w, MAX_WEIGHT), -MAX_WEIGHT)


class Mixed:
    """What one lane's prediction leaves for learning."""

    w: Array  # the weights of the rows
    z: Array
    layer1: list[int]
    logit: int

    def __init__(self, x: Array, rows: Array, partial: int) -> None:
        self.x, self.rows, self.partial = x, rows, partial


def refine(logit: int, curves: list[int], p: Array) -> tuple[int, list[int]]:
    """'APM stages': the probability for the range coder, and the entries looked up.

    curves: where the 25 entries of each stage's context begin; the first stage is that of kind 0.
    """
    i, g = divmod(clip(logit + 3072, 0, 6143), 256)
    total, looked_up = 2 * squash(logit), []
    for number, begin in enumerate(curves):
        at = begin + i
        v = (int(p[at]) * (256 - g) + int(p[at + 1]) * g) >> 8
        total += v if number == 0 else 2 * v
        looked_up.append(at + (g >= 128))
    return clip(total // (3 + 2 * (len(curves) - 1)), 12, ONE - 12), looked_up
