"""Predictions of the items of an array of numbers, in fixed point: from items before and in the row, the plane above.

Normative text: docs/FORMAT.md, 'Arrays'. Must not know the bits: array_bits.py codes them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from arzip.jit.compile import inline_njit
from arzip.media import normal_equations
from arzip.media.array_values import FIXED_LIMIT, fixed
from arzip.media.numbers import clip, shift

MAX_ORDER = 16
OWN_COLUMNS = 16  # rows of up to so many items have a least-squares predictor for each column
INPUT_LIMIT = (1 << 20) - 1
SUM_LIMIT = 1 << 43
CENTRE_LIMIT = 1 << 45
FORGETTING, GAIN, RIDGE, SOLVE_EVERY = 10, 10, 24, 4
# Means of errors: of the predictor's, slow, fast and of the whole block; of the three simple predictions.
SLOW, FAST, WHOLE, PLANE, LEFT, ABOVE, MEANS = range(7)
SHIFTS = (7, 4, 11, 6, 6, 6)
COLUMN_SHIFT = 5
MOMENTS = (MAX_ORDER + 1) * (MAX_ORDER + 2) // 2
# Centres: the predictor's, 0, and the simple ones
BEST, ZERO, SLOPE, WEST, NORTH, CENTRES = range(6)
# Fields of `about`
ROW_LENGTH, START, COLUMN, ORDER, ERROR, FIELDS = range(6)
# Fields of `form`
MANTISSA, OFFSET, UNIT, DROP, SMOOTH, WIDTH, FORMS = range(7)


class Model(NamedTuple):
    """What is known of the items so far. form: of the numbers; about: of the current part and place."""

    form: NDArray[np.int64]
    about: NDArray[np.int64]
    distances: NDArray[np.int64]  # (MAX_ORDER,) of the inputs
    moments: NDArray[np.int64]  # (OWN_COLUMNS, MOMENTS)
    weights: NDArray[np.int64]  # (OWN_COLUMNS, MAX_ORDER)
    inputs: NDArray[np.int64]  # (MAX_ORDER + 1,)
    factor: NDArray[np.int32]
    scratch: NDArray[np.int64]
    centres: NDArray[np.int64]  # (CENTRES,)
    means: NDArray[np.int64]  # (MEANS,) of absolute errors, four bits of fraction
    shifts: NDArray[np.int64]
    columns: NDArray[np.int64]  # (2, longest row): mean and last error of each column
    scales: NDArray[np.int64]  # (EXPERTS,) mean errors that experts go by


EXPERTS, FLAT_EXPERTS = 8, 5  # with and without predictions
EXPERT_CENTRES = (BEST, BEST, BEST, BEST, ZERO, SLOPE, WEST, NORTH)


def create(form: tuple[int, ...], longest_row: int) -> Model:
    """The state before the first item; form: see the fields."""
    factor, scratch = normal_equations.scratch_arrays(MAX_ORDER)
    return Model(
        np.array(form, np.int64),
        np.zeros(FIELDS, np.int64),
        np.zeros(MAX_ORDER, np.int64),
        np.zeros((OWN_COLUMNS, MOMENTS), np.int64),
        np.zeros((OWN_COLUMNS, MAX_ORDER), np.int64),
        np.zeros(MAX_ORDER + 1, np.int64),
        factor,
        scratch,
        np.zeros(CENTRES, np.int64),
        np.full(MEANS, 1 << 30, np.int64),
        np.array(SHIFTS, np.int64),
        np.zeros((2, longest_row), np.int64),
        np.zeros(EXPERTS, np.int64),
    )


@inline_njit
def add_distance(model, distance):
    """One more input, if it is a new one and there is room."""
    about = model.about
    if distance < 1 or about[ORDER] == MAX_ORDER:
        return
    for i in range(about[ORDER]):
        if model.distances[i] == distance:
            return
    model.distances[about[ORDER]] = distance
    about[ORDER] += 1


@inline_njit
def begin_part(model, t, row, plane):
    """The items from t on lie in rows of so many items, and planes of so many (0: no planes; row 1: no rows)."""
    about = model.about
    about[ROW_LENGTH], about[START], about[COLUMN], about[ORDER], about[ERROR] = row, t, 0, 0, 0
    if row > 1:
        for distance in (1, row, row + 1, row - 1, 2, 2 * row, row - 2, row + 2, 3, 2 * row + 1):
            add_distance(model, distance)
        if plane > 0:
            for distance in (plane, plane + 1, plane - 1, plane + row, plane - row):
                add_distance(model, distance)
    else:
        for distance in range(1, 13):
            add_distance(model, distance)
    for x in range(row):
        model.columns[0, x] = 0
        model.columns[1, x] = 0
    for k in range(OWN_COLUMNS):
        for i in range(MOMENTS):
            model.moments[k, i] = 0
        for i in range(MAX_ORDER):
            model.weights[k, i] = 0


@inline_njit
def number_at(model, items, t, distance):
    """The number `distance` items before t in fixed point; 0 where its part had not begun."""
    at = t - distance
    if at < model.about[START]:
        return np.int64(0)
    form = model.form
    return fixed(items[at], form[MANTISSA], form[OFFSET], form[UNIT])


@inline_njit
def predict(model, items, t):
    """Fill the centres for item t, and the scales of the experts."""
    about, centres, means, row = model.about, model.centres, model.means, model.about[ROW_LENGTH]
    x = about[COLUMN]
    for k in range(CENTRES):
        centres[k] = 0
    if model.form[SMOOTH]:
        w, n = number_at(model, items, t, 1), number_at(model, items, t, row if row > 1 else 2)
        centres[WEST], centres[NORTH] = w, n
        if row > 1:
            centres[SLOPE] = w + n - number_at(model, items, t, row + 1)
            base = (w + n) >> 1
        else:
            centres[SLOPE] = 2 * w - n
            base = w
        k, drop, order = (x if row <= OWN_COLUMNS else 0), model.form[DROP], about[ORDER]
        inputs, weights = model.inputs, model.weights[k]
        for i in range(order):
            there = number_at(model, items, t, model.distances[i])
            inputs[i] = clip((there - base) >> drop, -INPUT_LIMIT, INPUT_LIMIT)
        count = t - about[START]
        if (count // row if row <= OWN_COLUMNS else count) % SOLVE_EVERY == 0:
            normal_equations.solve(model.moments[k], order, RIDGE, model.factor, model.scratch, weights)
        total = clip(normal_equations.dot(weights, inputs, order), -SUM_LIMIT, SUM_LIMIT)
        centres[BEST] = clip(base + shift(total, drop - 20), -CENTRE_LIMIT, CENTRE_LIMIT)
        inputs[order] = base  # until `learn`
    scales, column = model.scales, model.columns[0, x]
    scales[0], scales[1] = means[SLOW], means[FAST]
    scales[2] = (2 * about[ERROR] + model.columns[1, x] + model.columns[1, min(x + 1, row - 1)]) >> 2
    ratio = clip(column // ((means[WHOLE] >> 8) + 1), 16, 4096) if column > 0 else 256
    scales[3] = (means[SLOW] * ratio) >> 8
    scales[4] = means[WHOLE]
    scales[5], scales[6], scales[7] = means[PLANE], means[LEFT], means[ABOVE]


@inline_njit
def learn(model, item, t):
    """Take in the item that was predicted."""
    about, form, centres, means = model.about, model.form, model.centres, model.means
    number, x, row = fixed(item, form[MANTISSA], form[OFFSET], form[UNIT]), about[COLUMN], about[ROW_LENGTH]
    if form[SMOOTH]:
        order = about[ORDER]
        inputs = model.inputs
        inputs[order] = clip((number - inputs[order]) >> form[DROP], -INPUT_LIMIT, INPUT_LIMIT)
        moments = model.moments[x if row <= OWN_COLUMNS else 0]
        normal_equations.decay_and_add(moments, inputs, order, FORGETTING, GAIN)
    error = abs(number - centres[BEST]) << 4
    for k in range(3):
        means[k] += (error - means[k]) >> model.shifts[k]
    for k in range(3):
        means[PLANE + k] += ((abs(number - centres[SLOPE + k]) << 4) - means[PLANE + k]) >> model.shifts[PLANE + k]
    column = model.columns[0, x]
    model.columns[0, x] = column + ((error - column) >> COLUMN_SHIFT) if column > 0 else max(error, 1)
    model.columns[1, x] = about[ERROR] = error
    about[COLUMN] = x + 1 if x + 1 < row else 0


assert FIXED_LIMIT * 2 == CENTRE_LIMIT
