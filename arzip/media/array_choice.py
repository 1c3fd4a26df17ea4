"""The writer's choice of how an array is coded: its unit, whether items are predicted, which nibbles are noise.

Decoding reads the choice from the block. All of it goes by samples; floats may be used.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from arzip.media.array_layout import ArrayLayout
from arzip.media.array_values import INTEGER_BITS, MANTISSA, SIGNED, UNSIGNED

SAMPLES, SAMPLE_ITEMS = 8, 4096
NUMBER_BITS, INPUT_BITS, UNIT_BITS = 43, 18, 53  # of most numbers in fixed point, of most inputs
SMOOTH_SHARE = 0.92  # of the mean size that the error of a simple prediction may have at most
NOISE_GAIN = 1.04  # how much likelier than chance equal nibbles may be
NOISE_BITS = 6  # nibbles so far below the error of simple predictions are noise for better ones, too
Numbers = NDArray[np.float64]


def choose(items: NDArray[np.int64], layout: ArrayLayout) -> ArrayLayout:
    """The layout with its unit, drop, smooth and plain, by pieces of items (n,) from all over."""
    size = min(len(items), SAMPLE_ITEMS)
    count = min(SAMPLES, len(items) // size)  # so many don't overlap: what is in two of them would seem to repeat
    starts = [int(at) for at in np.linspace(0, len(items) - size, count)]
    pieces = [items[at : at + size] for at in starts]
    row = max(layout.parts)[1]
    unit = _unit(np.concatenate(pieces), layout)
    numbers = [_numbers(piece, layout, unit) for piece in pieces]
    centre = float(np.median(np.concatenate(numbers)))
    spread = _mean([abs(piece - (0.0 if layout.kind > UNSIGNED else centre)) for piece in numbers])
    errors = [_mean(each) for each in _errors(numbers, row)]
    best, steps = min(errors), np.concatenate(_errors(numbers, row)[0])
    smooth = best < SMOOTH_SHARE * spread
    top = float(np.quantile(abs(steps), 0.99)) if steps.size else 0.0
    drop = max(0, min(28, int(np.ceil(np.log2(top + 1))) - INPUT_BITS))
    plain = _plain(pieces, layout, unit, best if smooth else 0.0)
    return layout._replace(unit=unit, smooth=smooth, drop=drop if smooth else 0, plain=plain)


def _mean(pieces: list[Numbers]) -> float:
    joined = np.concatenate(pieces)
    return float(joined.mean()) if joined.size else 0.0


def _errors(numbers: list[Numbers], row: int) -> list[list[Numbers]]:
    """Absolute errors of three simple predictions in each piece."""
    above = row if 1 < row < min(map(len, numbers)) else 1
    left = [abs(np.diff(piece)) for piece in numbers]
    if above == 1:
        return [left, [abs(np.diff(piece, 2)) for piece in numbers]]
    up = [abs(piece[above:] - piece[:-above]) for piece in numbers]
    slope = [abs(np.diff(piece[above:] - piece[:-above])) for piece in numbers]
    return [left, up, slope]


def _unit(items: NDArray[np.int64], layout: ArrayLayout) -> int:
    """The unit of fixed point, so that nearly all numbers have up to NUMBER_BITS."""
    if layout.kind in (SIGNED, UNSIGNED):
        shifted = items.astype(np.float64) + (2.0 ** (8 * layout.size - 1) if layout.kind == UNSIGNED else 0.0)
        bits = int(np.ceil(np.log2(np.quantile(abs(shifted), 0.999) + 1)))
        return max(0, bits + INTEGER_BITS - NUMBER_BITS)
    mantissa = MANTISSA[layout.kind, layout.size]
    exponents = np.where(items < 0, ~items, items) >> mantissa
    finite = exponents[exponents < exponents.max(initial=0) + (exponents.max(initial=0) < _infinite(layout))]
    top = int(np.quantile(finite, 0.999)) if finite.size else 1
    return top + mantissa - NUMBER_BITS


def _infinite(layout: ArrayLayout) -> int:
    """The exponent of infinity."""
    return (1 << (8 * layout.size - 1 - MANTISSA[layout.kind, layout.size])) - 1


def _numbers(items: NDArray[np.int64], layout: ArrayLayout, unit: int) -> Numbers:
    """Items (n,) in fixed point, as floats."""
    if layout.kind in (SIGNED, UNSIGNED):
        shifted = items.astype(np.float64) + (2.0 ** (8 * layout.size - 1) if layout.kind == UNSIGNED else 0.0)
        return shifted * 2.0 ** (INTEGER_BITS - unit)
    mantissa = MANTISSA[layout.kind, layout.size]
    sizes = np.where(items < 0, ~items, items)
    exponents, fraction = sizes >> mantissa, (sizes & ((1 << mantissa) - 1)).astype(np.float64)
    fraction += np.where(exponents > 0, 2.0**mantissa, 0.0)
    numbers = np.ldexp(fraction, np.maximum(exponents - 1, 0) - unit)
    signed: Numbers = np.where(items < 0, -1.0, 1.0) * np.minimum(numbers, 2.0**44)
    return signed


def _plain(pieces: list[NDArray[np.int64]], layout: ArrayLayout, unit: int, error: float) -> int:
    """How many of the lowest nibbles are noise. error: of a simple prediction, 0: there is none."""
    joined, plain = np.concatenate(pieces), 0
    for nibble in range(2 * layout.size - 1):
        if error and _weight(joined, layout, unit, nibble) * 2.0**NOISE_BITS > error:
            return plain
        values = joined >> (4 * nibble)
        order = np.argsort(values >> 4, kind="stable")
        pairs = [(values[order][1:], values[order][:-1])]
        pairs += [(piece[1:] >> (4 * nibble), piece[:-1] >> (4 * nibble)) for piece in pieces]
        for number, both in enumerate(pairs):
            if _is_alike(*both, same_prefix=number == 0):
                return plain
        if _is_skewed(values & 15):
            return plain
        plain += 1
    return plain


def _weight(items: NDArray[np.int64], layout: ArrayLayout, unit: int, nibble: int) -> float:
    """What the highest bit of a nibble is worth in fixed point, in most items."""
    if layout.kind in (SIGNED, UNSIGNED):
        return float(2.0 ** (4 * nibble + 3 + INTEGER_BITS - unit))
    exponents = np.where(items < 0, ~items, items) >> MANTISSA[layout.kind, layout.size]
    return float(2.0 ** (4 * nibble + 3 + float(np.median(exponents)) - 1 - unit))


def _is_alike(one: NDArray[np.int64], other: NDArray[np.int64], same_prefix: bool) -> bool:
    """Whether nibbles of pairs are equal more often than by chance; of the pairs with equal bits above, or of all."""
    equal = (one & 15) == (other & 15)
    if same_prefix:
        equal = equal[one >> 4 == other >> 4]
    count = max(equal.size, 1)
    share = 1 / 16
    return bool(equal.sum() / count > NOISE_GAIN * share + 2 * (share / count) ** 0.5)


def _is_skewed(nibbles: NDArray[np.int64]) -> bool:
    """Whether some nibbles are more frequent than others."""
    shares = np.bincount(nibbles, minlength=16) / nibbles.size
    return bool(16 * (shares**2).sum() > NOISE_GAIN - 0.035 + 15 / nibbles.size + 3 * (30 / nibbles.size**2) ** 0.5)
