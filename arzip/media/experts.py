"""Experts: distributions around several predictions of a value, as inputs of a mixer, bit by bit.

Of each expert one row of `spans` (E, 5 or more) says which values are still possible.
"""

from __future__ import annotations

from arzip.context_mixing.logistic import LOGIT_LIMIT
from arzip.jit.compile import inline_njit
from arzip.media import cdf
from arzip.media.numbers import clip

# Columns of spans: edges and middle of the values still possible, in scales (Q12) from the expert's centre; the centre
# in Q8; 2^32 / scale.
LOW, MIDDLE, HIGH, CENTRE, INVERSE, COLUMNS = range(6)


@inline_njit
def add_inputs(spans, table, middle, mixer):
    """The mixer's first E inputs: from each expert the logit of the value being `middle` or above.

    table: cdf.table().
    """
    for e in range(spans.shape[0]):
        at = cdf.distance(middle, spans[e, CENTRE] + 128, spans[e, INVERSE])
        spans[e, MIDDLE] = at
        upper, whole = cdf.split(table, spans[e, LOW], at, spans[e, HIGH])
        if whole > 0:
            mixer.inputs[e] = mixer.stretch[clip((upper << 12) // whole, 0, 4095)]
        else:
            mixer.inputs[e] = -LOGIT_LIMIT if at > 0 else LOGIT_LIMIT


@inline_njit
def narrow(spans, bit):
    """Keep the half of each span that the bit chose."""
    for e in range(spans.shape[0]):
        if bit:
            spans[e, LOW] = spans[e, MIDDLE]
        else:
            spans[e, HIGH] = spans[e, MIDDLE]
