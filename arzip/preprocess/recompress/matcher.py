"""zlib's match finder (deflate.c, Gailly and Adler) replayed along given tokens: which token would zlib take here?

The state is an int64 array; positions count from the text's first byte. Hash chains hold every string that zlib would
have inserted. Must not know how tokens are coded.
"""

from __future__ import annotations

import numpy as np
from numpy import uint64

from arzip.jit.compile import inline_njit
from arzip.preprocess.recompress.parts import bare
from arzip.preprocess.recompress.tables import LENGTH_BITS, LENGTH_MASK, MAX_MATCH, MIN_MATCH

# Parameters, an int64 array
GOOD, LAZY, NICE, CHAIN, GREEDY, STRATEGY, HASH_BITS, HASH_BYTES, REACH, FROM_START, TOO_FAR, RULE, LIMIT, ONLY = range(
    14
)
PARAMETERS = 14
ZLIB, GNU, GNU_EARLY = range(3)  # rules for the end of a block
DEFAULT, FILTERED, RUNS, HUFFMAN = range(4)  # strategies

# State, an int64 array. WORK: steps of searching so far. Of the block: FIRST byte, COUNT of tokens, MATCHES among them,
# where the newest token BEGAN, where the rule would have it end (RULED). HITS: how the last two tokens were predicted.
AT, INSERTED, PENDING, PENDING_DISTANCE, WORK, FIRST, COUNT, MATCHES, BEGAN, HITS, RULED = range(11)
STATE_SIZE = 11

# What `predict` finds: indices of its result, and kinds
LENGTH, DISTANCE, LATER_LENGTH, LATER_DISTANCE, KIND = range(5)
NO_CANDIDATE, NO_MATCH, LATER, MATCH = 0, 1, 2, 3
KINDS = MATCH + 12
NONE = -1

PRIME = 2654435761  # of multiplicative hashing, where the hash of a packer isn't replayed


@inline_njit
def hash_at(text, at, parameters):
    """The hash of the string at a position that is followed by HASH_BYTES - 1 more bytes."""
    bits = parameters[HASH_BITS]
    if parameters[HASH_BYTES] == 4:
        word = uint64(text[uint64(at)]) | uint64(text[uint64(at + 1)]) << uint64(8)
        word |= uint64(text[uint64(at + 2)]) << uint64(16) | uint64(text[uint64(at + 3)]) << uint64(24)
        return np.int64((word * uint64(PRIME) & uint64(0xFFFFFFFF)) >> uint64(32 - bits))
    shift = (bits + 2) // 3
    mixed = np.int64(text[uint64(at)]) << 2 * shift ^ np.int64(text[uint64(at + 1)]) << shift
    return (mixed ^ np.int64(text[uint64(at + 2)])) & ((1 << bits) - 1)


@inline_njit
def insert(text, at, head, previous, parameters):
    """Put the string at a position in front of its chain."""
    if at + parameters[HASH_BYTES] <= text.size:
        h = hash_at(text, at, parameters)
        previous[at & (previous.size - 1)] = head[h]
        head[h] = at


@inline_njit
def is_reachable(at, candidate, parameters):
    """Whether the head of a chain may be matched. To zlib the text's first byte is the end of every chain."""
    return candidate > (NONE if parameters[FROM_START] else 0) and at - candidate <= parameters[REACH]


@bare
def find_longest(text, at, candidate, shortest, state, previous, parameters):
    """Length and distance of the match in the chain from a reachable candidate on; (shortest, 0): none is longer."""
    longest, distance, limit = shortest, 0, min(MAX_MATCH, text.size - at)
    chain = parameters[CHAIN] >> 2 if shortest >= parameters[GOOD] else parameters[CHAIN]
    nice, mask, steps = min(parameters[NICE], text.size - at), previous.size - 1, 0
    oldest = max(at - parameters[REACH], 0)
    if parameters[FROM_START]:
        oldest = max(at - parameters[REACH] - 1, NONE)
    first = text[at]
    while longest < limit:
        # the last two bytes that a longer match needs rule most candidates out
        last, before = text[uint64(at + longest)], text[uint64(at + longest - 1)]
        while (
            text[uint64(candidate + longest)] != last
            or text[uint64(candidate + longest - 1)] != before
            or text[uint64(candidate)] != first
        ):
            candidate = previous[uint64(candidate & mask)]
            chain -= 1
            steps += 1
            if candidate <= oldest or chain == 0:
                state[WORK] += steps
                return longest, distance
        length = 1
        while length < limit and text[uint64(candidate + length)] == text[uint64(at + length)]:
            length += 1
        steps += length >> 3
        if length > longest:
            longest, distance = length, at - candidate
            if length >= nice:
                break
        candidate = previous[uint64(candidate & mask)]
        chain -= 1
        steps += 1
        if candidate <= oldest or chain == 0:
            break
    state[WORK] += steps
    return longest, distance


@inline_njit
def search(text, state, head, previous, parameters, found):
    """The match at the state's position, without regard to the next one -> found; inserts the string there."""
    at = state[AT]
    found[LENGTH] = found[DISTANCE] = 0
    if at + parameters[HASH_BYTES] > text.size:
        return
    h = hash_at(text, at, parameters)
    candidate = head[h]
    if at < state[INSERTED]:
        candidate = previous[at & (previous.size - 1)]
    else:
        previous[at & (previous.size - 1)] = head[h]
        head[h] = at
        state[INSERTED] = at + 1
    if state[PENDING]:
        found[LENGTH], found[DISTANCE] = state[PENDING], state[PENDING_DISTANCE]
    elif is_reachable(at, candidate, parameters):
        found[KIND] = NO_MATCH
        length, distance = find_longest(text, at, candidate, MIN_MATCH - 1, state, previous, parameters)
        if length >= MIN_MATCH and not is_refused(length, distance, parameters):
            found[LENGTH], found[DISTANCE] = length, distance


@inline_njit
def is_refused(length, distance, parameters):
    """Whether zlib's lazy levels take this match for none: too short for its distance or for filtered data."""
    if parameters[GREEDY]:
        return False
    filtered = parameters[STRATEGY] == FILTERED and length <= 5
    return filtered or (length == MIN_MATCH and distance > parameters[TOO_FAR])


@inline_njit
def search_later(text, state, head, previous, parameters, found):
    """The match at the next position, if it is longer than the one found here -> found."""
    at, length = state[AT] + 1, found[LENGTH]
    if parameters[GREEDY] or length >= parameters[LAZY] or at + parameters[HASH_BYTES] > text.size:
        return
    candidate = head[hash_at(text, at, parameters)]
    if is_reachable(at, candidate, parameters) and candidate < at:
        later, distance = find_longest(text, at, candidate, length, state, previous, parameters)
        if later > length and not (parameters[STRATEGY] == FILTERED and later <= 5):
            found[LATER_LENGTH], found[LATER_DISTANCE], found[KIND] = later, distance, LATER


@bare
def find_run(text, at):
    """How long the byte before a position goes on there; 0 if less than a match."""
    length, limit = 0, min(MAX_MATCH, text.size - at)
    if at > 0:
        while length < limit and text[at + length] == text[at - 1]:
            length += 1
    return length if length >= MIN_MATCH else 0


@inline_njit
def predict(text, state, head, previous, parameters, found):
    """The token that zlib would take at the state's position -> found (5,); returns it."""
    found[LATER_LENGTH], found[KIND] = 0, NO_CANDIDATE
    if parameters[STRATEGY] == HUFFMAN:
        return 1
    if parameters[STRATEGY] == RUNS:
        found[LENGTH], found[DISTANCE] = find_run(text, state[AT]), 1
    else:
        search(text, state, head, previous, parameters, found)
        if found[LENGTH]:
            search_later(text, state, head, previous, parameters, found)
    length = found[LENGTH]
    if length == 0 or found[LATER_LENGTH]:
        return 1
    if length < 10:
        found[KIND] = MATCH + length - MIN_MATCH
    else:
        found[KIND] = MATCH + 7 + (length >= 18) + (length >= 34) + (length >= 66) + (length == MAX_MATCH)
    return length | found[DISTANCE] << LENGTH_BITS


@inline_njit
def advance(text, state, head, previous, parameters, token, pending, pending_distance):
    """Go over a token. pending: the match that zlib then has in hand for the next position, 0: none."""
    at, length = state[AT], min(token & LENGTH_MASK, MAX_MATCH)
    end = stop = at + length
    if parameters[GREEDY] and length > parameters[LAZY]:
        stop = at + 1
    if parameters[STRATEGY] < RUNS:
        for i in range(max(state[INSERTED], at), stop):
            insert(text, i, head, previous, parameters)
    state[INSERTED], state[AT], state[BEGAN] = max(end, state[INSERTED]), end, at
    state[PENDING], state[PENDING_DISTANCE] = pending, pending_distance
