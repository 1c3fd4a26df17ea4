"""The logistic function and its inverse as tables, computed from integers alone (no libm).

Probabilities are P(bit = 1) in Q22 (k / 2**22). Logits ("stretch domain") are in Q8: ln(p / (1 - p)) * 256.
Must not import contexts, the mixer or lanes.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from arzip.probability import P_BITS, P_ONE

LOGIT_LIMIT = 2047  # inputs of the mixer: |logit| < 8
OUTPUT_LIMIT = 3200  # final logits: |logit| <= 12.5, so P(the likelier bit) can come within 2**-18 of 1


@lru_cache(maxsize=1)
def squash_table() -> NDArray[np.int32]:
    """Entry OUTPUT_LIMIT + x, for a logit x in Q8: the probability 1 / (1 + exp(-x)) in Q22, rounded."""
    one = 1 << 160
    step, term, k = one, one, 1
    while term:  # exp(1 / 256) by its series
        term //= 256 * k
        step += term
        k += 1
    table = np.empty(2 * OUTPUT_LIMIT + 1, np.int32)
    exponential = one
    for x in range(OUTPUT_LIMIT + 1):
        positive = (2 * P_ONE * exponential + exponential + one) // (2 * (exponential + one))
        table[OUTPUT_LIMIT + x] = positive
        table[OUTPUT_LIMIT - x] = P_ONE - positive
        exponential = exponential * step // one
    return table


@lru_cache(maxsize=1)
def stretch_table() -> NDArray[np.int32]:
    """Entry p, for a probability p in Q12: the logit in Q8 at the middle of the step, within LOGIT_LIMIT."""
    squash = squash_table()
    middle = (2 * np.arange(1 << 11, 1 << 12, dtype=np.int64) + 1) << (P_BITS - 13)
    x = np.searchsorted(squash, middle).astype(np.int64)  # squash[x - 1] < middle <= squash[x]
    x -= middle - squash[x - 1] < squash[x] - middle
    upper = np.clip(x - OUTPUT_LIMIT, 0, LOGIT_LIMIT).astype(np.int32)
    return np.concatenate([-upper[::-1], upper])
