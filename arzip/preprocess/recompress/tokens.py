"""One token coded against its prediction."""

from __future__ import annotations

import numpy as np

from arzip.jit.compile import inline_njit
from arzip.preprocess.recompress.coding import (
    FAR,
    HIT,
    HOPS,
    MISS,
    OTHER_LENGTH,
    SPELLING,
    code_bit,
    code_number,
    code_raw,
    code_tree,
)
from arzip.preprocess.recompress.matcher import (
    AT,
    HITS,
    INSERTED,
    KIND,
    LENGTH,
    WORK,
)
from arzip.preprocess.recompress.parts import bare
from arzip.preprocess.recompress.tables import IRREGULAR, LENGTH_BITS, LENGTH_MASK, MAX_MATCH, MIN_MATCH, WINDOW

MAX_HOPS = 1024  # entries of a chain that are looked at for a distance


@inline_njit
def code_token(run, coder, known, token):
    """Code a token, whose prediction is in run.found; the token.

    known: whether it is given. A decoder may return one that doesn't fit: the caller checks.
    """
    predicted, state = run.found[-1], run.state
    plain = token - 1 if token & LENGTH_MASK == IRREGULAR else token
    at = HIT + 4 * run.found[KIND] + state[HITS]
    miss = code_bit(coder, at, np.int64(known and plain != predicted))
    state[HITS] = (state[HITS] << 1 | miss) & 3
    if miss == 0:
        plain = predicted
    elif predicted > 1:
        if code_bit(coder, MISS + 4 * run.found[KIND], np.int64(plain == 1)):
            plain = 1
        else:
            plain = code_match(run, coder, known, plain)
    else:
        plain = code_match(run, coder, known, plain)
    if plain & LENGTH_MASK == MAX_MATCH:
        plain += code_bit(coder, SPELLING, np.int64(token & LENGTH_MASK == IRREGULAR))
    return plain


@bare
def code_match(run, coder, known, token):
    """Code a match, given that the prediction is wrong."""
    found, kind = run.found, run.found[KIND]
    length, distance = token & LENGTH_MASK, token >> LENGTH_BITS
    other = 1
    if found[LENGTH]:
        other = code_bit(coder, MISS + 4 * kind + 1, np.int64(length != found[LENGTH]))
    if other:
        tree = OTHER_LENGTH + 256 * np.int64(found[LENGTH] > 0)
        length = code_tree(coder, tree, 8, length - MIN_MATCH) + MIN_MATCH
    else:
        length = found[LENGTH]
    nearest = find_hops(run, length, distance, MAX_HOPS) if known else 0
    if code_bit(coder, FAR + kind, np.int64(nearest < 0)):
        distance = code_raw(coder, 15, distance - 1) + 1
    else:
        hops = code_number(coder, HOPS + 32 * other, nearest)
        distance = distance if known else find_distance(run, length, hops)
    return length | distance << LENGTH_BITS


@bare
def first_candidate(run):
    """The newest string in the chain of the one at the state's position; negative: none."""
    at = run.state[AT]
    return np.int64(run.previous[at & (run.previous.size - 1)]) if at < run.state[INSERTED] else -1


@bare
def matches(run, candidate, length):
    """Whether the string at a candidate equals the one at the state's position over so many bytes."""
    at = run.state[AT]
    left = length
    while left > 0 and run.text[candidate + left - 1] == run.text[at + left - 1]:
        left -= 1
    return left == 0


@bare
def find_hops(run, length, distance, limit):
    """How many nearer strings in the chain match as far; -1 if the distance isn't found there."""
    at, hops, candidate = run.state[AT], 0, first_candidate(run)
    for _ in range(limit):
        run.state[WORK] += 1
        if candidate < 0 or at - candidate > min(distance, run.previous.size):
            return -1
        if at - candidate == distance:
            return hops
        hops += matches(run, candidate, length)
        following = np.int64(run.previous[candidate & (run.previous.size - 1)])
        candidate = following if following < candidate else -1
    return -1


@bare
def find_distance(run, length, hops):
    """The distance that `find_hops` counts so many for; 0: there is none."""
    at, candidate = run.state[AT], first_candidate(run)
    if at + length > run.text.size:
        return 0
    for _ in range(MAX_HOPS):
        run.state[WORK] += 1
        if candidate < 0 or at - candidate > min(WINDOW, run.previous.size):
            return 0
        if matches(run, candidate, length):
            if hops == 0:
                return at - candidate
            hops -= 1
        following = np.int64(run.previous[candidate & (run.previous.size - 1)])
        candidate = following if following < candidate else -1
    return 0
