"""The one loop that measures, encodes and rebuilds a deflate stream: zlib's choices along the text, and deviations.

Whether its tokens are known (measuring, encoding) or found (decoding), each choice is predicted, the deviation coded,
and the state moved on by the choice that the stream really made. Must not know containers.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from arzip.jit.compile import inline_njit, njit
from arzip.preprocess.recompress import coding, matcher
from arzip.preprocess.recompress.coding import (
    DECODE,
    MEASURE,
    ONES,
    code_bit,
    code_number,
    code_raw,
    with_room,
    without_room,
)
from arzip.preprocess.recompress.headers import code_header
from arzip.preprocess.recompress.inflate import FILLER, FINAL, FIRST_BYTE, FIRST_TOKEN, HEADER, TYPE, grown
from arzip.preprocess.recompress.matcher import (
    AT,
    BEGAN,
    COUNT,
    FIRST,
    GNU_EARLY,
    GREEDY,
    HASH_BITS,
    KIND,
    LATER,
    LATER_DISTANCE,
    LATER_LENGTH,
    LIMIT,
    MATCHES,
    NONE,
    ONLY,
    REACH,
    RULE,
    RULED,
    WORK,
)
from arzip.preprocess.recompress.parts import bare, part
from arzip.preprocess.recompress.tables import (
    DISTANCE_CODE,
    DISTANCE_EXTRA,
    DISTANCES,
    DYNAMIC,
    END_OF_BLOCK,
    FIXED,
    FIXED_DISTANCES,
    FIXED_LITERALS,
    HEADER_SIZE,
    LENGTH_BITS,
    LENGTH_CODE,
    LENGTH_EXTRA,
    LENGTH_MASK,
    LITERALS,
    MAX_MATCH,
    STORED,
)
from arzip.preprocess.recompress.tokens import code_token
from arzip.preprocess.recompress.trees import header_bits, predict_header
from arzip.preprocess.recompress.writer import HEADER_BYTES, put, put_header, put_stored, put_tokens, zero_grown

DONE, TOO_MANY, UNSOUND = 0, 1, 2  # status
HEADER_ROOM, TOKEN_ROOM = 16384, 256  # bits of symbols at most
WORK_PER_BYTE, MIN_WORK = 512, 1 << 22  # steps of searching that a stream may take
NO_END, TEXT_END, RULE_END = 0, 1, 2
INSIDE, AS_RULED, ELSEWHERE = 3, 4, 5  # beside UNSOUND
CHUNK = 64  # tokens between two looks at the room


class Run(NamedTuple):
    """A stream on its way. tokens, blocks, headers: as in Inflated, or empty if they aren't known.

    early (blocks,) uint8: whether a block ends elsewhere than the rule says. found: what `matcher.predict` finds, and
    the predicted token. Counts are the block's; literals, distances, header: its code lengths and its header.
    """

    text: NDArray[np.uint8]
    tokens: NDArray[np.int32]
    blocks: NDArray[np.int64]
    headers: NDArray[np.int16]
    early: NDArray[np.uint8]
    parameters: NDArray[np.int64]
    state: NDArray[np.int64]
    found: NDArray[np.int64]
    head: NDArray[np.int32]
    previous: NDArray[np.int32]
    literal_counts: NDArray[np.int64]
    distance_counts: NDArray[np.int64]
    literals: NDArray[np.int64]
    distances: NDArray[np.int64]
    header: NDArray[np.int16]


@part
def new_run(text, tokens, blocks, headers, early, parameters):
    """A stream before its first token."""
    entries = 256
    while entries < min(parameters[REACH] + 1, text.size):
        entries *= 2
    return Run(
        text,
        tokens,
        blocks,
        headers,
        early,
        parameters,
        np.zeros(matcher.STATE_SIZE, np.int64),
        np.zeros(6, np.int64),
        np.full(1 << parameters[HASH_BITS], NONE, np.int32),
        np.full(entries, NONE, np.int32),
        np.zeros(LITERALS, np.int64),
        np.zeros(DISTANCES, np.int64),
        np.zeros(LITERALS, np.int64),
        np.zeros(DISTANCES, np.int64),
        np.zeros(HEADER_SIZE, np.int16),
    )


@inline_njit
def block_end(run):
    """Whether the block ends before the next token: by the packer's rule or with the text."""
    state, parameters = run.state, run.parameters
    count = state[COUNT]
    if count == parameters[LIMIT]:
        return RULE_END
    if parameters[RULE] == GNU_EARLY and count and count & 0xFFF == 0 and state[MATCHES] < count // 2:
        bits = 8 * count
        for code in range(DISTANCES):
            bits += run.distance_counts[code] * (5 + DISTANCE_EXTRA[code])
        size = state[BEGAN] - state[FIRST] + 1 - parameters[GREEDY]
        if bits >> 3 < size // 2:
            return RULE_END
    return TEXT_END if state[AT] == run.text.size else NO_END


@inline_njit
def count_token(run, token):
    """Count a token at the state's position for the block's codes."""
    length = min(token & LENGTH_MASK, MAX_MATCH)
    run.state[COUNT] += 1
    if length == 1:
        run.literal_counts[run.text[run.state[AT]]] += 1
    else:
        run.state[MATCHES] += 1
        run.literal_counts[END_OF_BLOCK + 1 + LENGTH_CODE[length]] += 1
        run.distance_counts[DISTANCE_CODE[token >> LENGTH_BITS]] += 1


@inline_njit
def code_next(run, coder, stored, given):
    """Predict, code and count the next token and move on behind it; the token, 0 if there is none that fits.

    given: the real token if it is known, else 0. In a stored block the predicted token is taken.
    """
    text, state, found = run.text, run.state, run.found
    found[-1] = matcher.predict(text, state, run.head, run.previous, run.parameters, found)
    token = found[-1] if stored else code_token(run, coder, given > 0, given)
    length, distance = min(token & LENGTH_MASK, MAX_MATCH), token >> LENGTH_BITS
    if length == 0 or state[AT] + length > text.size or distance > state[AT] or (length > 1) != (distance > 0):
        return 0
    count_token(run, token)
    waits = token == found[-1] and found[KIND] == LATER
    pending, far = (found[LATER_LENGTH], found[LATER_DISTANCE]) if waits else (0, 0)
    matcher.advance(text, state, run.head, run.previous, run.parameters, token, pending, far)
    return token


@bare
def follow_block(run, coder, b, stored, size, tokens):
    """Go over the next CHUNK tokens of a block, or what is left of it.

    It is block b if that is known, else `size` tokens (stored: bytes) long, -1: as the rule says. tokens: those of a
    block that isn't known are written there. -> INSIDE, AS_RULED, ELSEWHERE (where it ends) or UNSOUND.
    """
    known, state = coder.mode < DECODE, run.state
    follows, end, total, given = known and not stored, np.int64(run.text.size), size, 0
    if known:
        given, end = run.blocks[b, FIRST_TOKEN], run.blocks[b + 1, FIRST_BYTE]
        total = run.blocks[b + 1, FIRST_TOKEN] - given
    elif stored and size >= 0:
        end = min(state[FIRST] + size, end)
    by_place, by_count = stored and (known or size >= 0), not stored and (known or size >= 0)
    for _ in range(CHUNK):
        here = state[AT] if by_place else state[COUNT]
        if state[RULED] < 0 and block_end(run) != NO_END:
            state[RULED] = here
        if (
            (by_place and here >= end)
            or (by_count and here == total)
            or (not by_place and not by_count and state[RULED] >= 0)
        ):
            state[AT] = end if by_place else state[AT]
            return AS_RULED if state[RULED] == here and (not by_place or here == end) else ELSEWHERE
        if state[AT] == run.text.size:
            return UNSOUND
        token = code_next(run, coder, stored, np.int64(run.tokens[given + state[COUNT]]) if follows else 0)
        if token == 0:
            return UNSOUND
        if not known:
            tokens[state[COUNT] - 1] = token
    return INSIDE


@bare
def rule_type(run):
    """zlib's choice among the three types of a block, for the counts and the predicted codes."""
    if run.parameters[ONLY]:
        return run.parameters[ONLY] - 1
    dynamic, fixed = header_bits(run.header), 0
    for symbol in range(LITERALS):
        count = run.literal_counts[symbol]
        extra = LENGTH_EXTRA[symbol - END_OF_BLOCK - 1] if symbol > END_OF_BLOCK else 0
        dynamic += count * (run.literals[symbol] + extra)
        fixed += count * (FIXED_LITERALS[symbol] + extra)
    for symbol in range(DISTANCES):
        count = run.distance_counts[symbol]
        dynamic += count * (run.distances[symbol] + DISTANCE_EXTRA[symbol])
        fixed += count * (5 + DISTANCE_EXTRA[symbol])
    best = min(dynamic + 10, fixed + 10) >> 3
    if run.state[AT] - run.state[FIRST] + 4 <= best:
        return STORED
    return FIXED if (fixed + 10) >> 3 <= best else DYNAMIC


@part
def code_type(run, coder, b, stored):
    """Code the block's type and header -> whether they are sound, the type. The codes are then those of the block."""
    known = coder.mode < DECODE
    real = run.blocks[b, TYPE] if known else 0
    if stored and coder.mode != MEASURE:
        return True, STORED
    predict_header(run.literal_counts, run.distance_counts, run.literals, run.distances, run.header)
    kind = rule_type(run)
    if coder.mode == MEASURE:
        code_bit(coder, coding.IS_FIXED, np.int64(kind != real))
        kind = real
    elif coder.mode != coding.EXACT:
        kind = DYNAMIC if kind == STORED else kind
        other = code_bit(coder, coding.IS_FIXED + np.int64(kind == FIXED), np.int64(known and kind != real))
        kind = FIXED + DYNAMIC - kind if other else kind
    if kind != DYNAMIC:
        return True, kind
    header = run.header
    if known:
        header = run.headers[run.blocks[b, HEADER] : run.blocks[b, HEADER] + HEADER_SIZE]
    return code_header(coder, known, header, run.header, run.literals, run.distances), kind


@bare
def code_filler(coder, bits, value):
    """Code the bits, mostly zero, that fill a byte up."""
    if code_bit(coder, coding.FILLED, np.int64(value != 0)):
        return code_raw(coder, bits, value)
    return 0


@part
def put_block(run, out, at, final, kind, filler, tokens, is_open):
    """Write a block -> whether it can be written, out, the bit behind."""
    first, end = run.state[FIRST], run.state[AT]
    out = zero_grown(out, (at >> 3) + 1, (at >> 3) + HEADER_BYTES)
    at = put(out, at, final | kind << 1, 3)
    if kind == STORED:
        if end - first > 0xFFFF:
            return False, out, at
        out, at = put_stored(out, at, run.text, first, end, filler)
        return True, out, at
    tokens = tokens[: run.state[COUNT]]
    if kind == FIXED:
        out, at = put_tokens(out, at, run.text, first, tokens, FIXED_LITERALS, FIXED_DISTANCES, is_open)
    else:
        at = put_header(out, at, run.header)
        out, at = put_tokens(out, at, run.text, first, tokens, run.literals, run.distances, is_open)
    return True, out, at


@bare
def code_size(run, coder, b, stored):
    """Code the size of a block that doesn't end where the rule says: in tokens, stored: bytes; -1 if it does."""
    known, size = coder.mode < DECODE, 0
    if code_bit(coder, coding.END + stored, np.int64(known and run.early[b])) == 0:
        return -1
    if known:
        field = FIRST_BYTE if stored else FIRST_TOKEN
        size = run.blocks[b + 1, field] - run.blocks[b, field]
    return code_number(coder, coding.SIZE + 32 * stored, size)


@part
def follow(text, tokens, blocks, headers, early, parameters, coder, is_cut, filler, limit):
    """As `replay`, with the parameters of one packer (PARAMETERS,)."""
    run, known = new_run(text, tokens, blocks, headers, early, parameters), coder.mode < DECODE
    state, work = run.state, MIN_WORK + WORK_PER_BYTE * np.int64(text.size)
    made, out, at, b, last = np.empty(256, np.int32), np.zeros(1024, np.uint8), 0, 0, DYNAMIC
    while True:
        coder = with_room(coder, HEADER_ROOM)
        run.literal_counts[:], run.distance_counts[:], run.literal_counts[END_OF_BLOCK] = 0, 0, 1
        state[FIRST], state[COUNT], state[MATCHES] = state[AT], 0, 0
        stored, size = np.int64(known and run.blocks[b, TYPE] == STORED), -1
        if coder.mode != MEASURE:
            stored = code_bit(coder, coding.IS_STORED + last, stored)
            size = code_size(run, coder, b, stored)
        state[RULED], status = NONE, INSIDE
        while status == INSIDE and state[WORK] <= work:
            coder = with_room(coder, CHUNK * TOKEN_ROOM)
            made = grown(made, state[COUNT], state[COUNT] + CHUNK)
            status = follow_block(run, coder, b, stored == 1, size, made)
        if status != AS_RULED and status != ELSEWHERE:
            return UNSOUND, coder, out, at
        if coder.mode == MEASURE:
            early[b] = code_bit(coder, 0, np.int64(status == ELSEWHERE))
        coder = with_room(coder, HEADER_ROOM)
        ends = state[AT] == text.size
        predicted = np.int64(ends and block_end(run) != RULE_END and not is_cut)
        final = run.blocks[b, FINAL] if known else 0
        final = predicted ^ code_bit(coder, coding.IS_FINAL + predicted, np.int64(known and final != predicted))
        sound, kind = code_type(run, coder, b, stored == 1)
        if not sound:
            return UNSOUND, coder, out, at
        gap = code_filler(coder, 7, run.blocks[b, FILLER] if known else 0) if kind == STORED else 0
        if not known:
            sound, out, at = put_block(run, out, at, final, kind, gap, made, is_cut and ends)
            if not sound or at > 8 * limit:
                return UNSOUND, coder, out, at
        elif coder.mode == MEASURE and coder.registers[ONES] > limit:
            return TOO_MANY, coder, out, at
        b, last = b + 1, kind
        if final or (is_cut and ends):
            break
    filler = code_filler(coder, 7, filler)
    if not known:
        out = zero_grown(out, (at >> 3) + 1, (at >> 3) + 4)
        put(out, at, filler, -at & 7)
    return DONE, coder, out, at


@njit()
def replay(text, tokens, blocks, headers, early, packers, counts, coder, is_cut, filler, limit):
    """Follow a stream from its first block to its end with the parameters of a packer: packers (1, PARAMETERS).

    ENCODE: the stream is given as the fields of Inflated and the filler in its last byte, and in `early` which blocks
    don't end where the rule says. DECODE, EXACT: the stream is rebuilt, up to about `limit` bytes. is_cut: its last
    block has no end. -> status, coder, out, bits of out.

    MEASURE: the stream is given, and many packers, one after another until one has no deviations. Deviations ->
    counts (packers,) int64, which stay as they are for those that the stream can't come from and those behind. They
    are counted as far as the fewest before, at first `limit`. early: which blocks end elsewhere, of the fewest.
    """
    marks, best = early.copy(), limit + 1
    status, out, at = UNSOUND, np.zeros(0, np.uint8), 0
    for i in range(packers.shape[0]):
        if coder.mode == MEASURE:
            coder.registers[ONES] = 0
        status, coder, out, at = follow(text, tokens, blocks, headers, marks, packers[i], coder, is_cut, filler, limit)
        if coder.mode != MEASURE or status == UNSOUND:
            continue
        counts[i] = np.int64(coder.registers[ONES])
        if counts[i] < best:
            best = limit = counts[i]
            early[:] = marks
        if counts[i] == 0:
            break
    return status, without_room(coder), out, at
