"""Block headers: coded against a prediction, and expanded to code lengths.

A header may be any that inflate accepts. What it says is coded in the order lengths, operations, code-length code,
each against what zlib would write for what is known by then.
"""

from __future__ import annotations

import numpy as np

from arzip.preprocess.recompress import trees
from arzip.preprocess.recompress.coding import (
    CODE_TREE,
    DISTANCE_LENGTHS,
    HEADER_FIELDS,
    LITERAL_LENGTHS,
    OTHER_HEADER,
    RUN,
    RUN_SIZE,
    code_bit,
    code_number,
    code_raw,
    code_tree,
)
from arzip.preprocess.recompress.inflate import expand
from arzip.preprocess.recompress.parts import bare, part
from arzip.preprocess.recompress.tables import (
    CODE_LENGTH_ORDER,
    CODE_LENGTHS,
    CODES,
    COUNT,
    DISTANCES,
    HCLEN,
    HDIST,
    HEADER_SIZE,
    HLIT,
    LITERALS,
    MANY_ZEROS,
    OPERATIONS,
    REPEAT,
    ZEROS,
)


@bare
def same_headers(one, other):
    """Whether two headers are equal."""
    size, i = OPERATIONS + one[COUNT], 0
    while i < size and one[i] == other[i]:
        i += 1
    return i == size


@part
def code_header(coder, known, real, predicted, literals, distances):
    """Code a header; predicted, literals (286,), distances (30,): the prediction, and then the header itself.

    known: whether `real` is given (coding or measuring). Returns whether the header is sound.
    """
    other = code_bit(coder, OTHER_HEADER, np.int64(known and not same_headers(real, predicted)))
    if other == 0:
        return True
    lengths = np.zeros(LITERALS + DISTANCES, np.int64)
    if known:
        expand_all(real, lengths)
    header = real.copy() if known else np.zeros(HEADER_SIZE, np.int16)
    if not code_lengths(coder, known, header, lengths, literals, distances):
        return False
    predicted[:] = 0
    trees.spell_lengths(literals, distances, predicted)
    same = known and header[HLIT] == predicted[HLIT] and header[HDIST] == predicted[HDIST]
    same = same and header[COUNT] == predicted[COUNT]
    if known:
        for i in range(OPERATIONS, OPERATIONS + predicted[COUNT]):
            same = same and header[i] == predicted[i]
    if code_bit(coder, HEADER_FIELDS, np.int64(known and not same)):
        if not code_operations(coder, known, header, lengths):
            return False
        predicted[:] = header
    trees.choose_codes(predicted)
    return code_codes(coder, known, header, predicted)


@bare
def expand_all(header, lengths):
    """All lengths that a sound header stands for, the distances' behind the literals'."""
    done, total = 0, np.int64(header[HLIT]) + np.int64(header[HDIST])
    for operation in header[OPERATIONS : OPERATIONS + header[COUNT]]:
        done = expand(lengths, done, total, operation & 255, operation >> 8)


@part
def code_lengths(coder, known, header, lengths, literals, distances):
    """Code HLIT and HDIST and each length, by the predicted one; they replace the prediction. lengths: as `expand_all`.

    Returns whether HLIT and HDIST are sound.
    """
    split = np.int64(header[HLIT]) if known else 0
    header[HLIT] = code_raw(coder, 5, header[HLIT] - 257) + 257
    header[HDIST] = code_raw(coder, 5, header[HDIST] - 1) + 1
    if header[HLIT] > LITERALS or header[HDIST] > DISTANCES:
        return False
    used = np.int64(header[HLIT])
    for symbol in range(used):
        at = LITERAL_LENGTHS + 16 * literals[symbol]
        literals[symbol] = code_tree(coder, at, 4, lengths[symbol])
    literals[used:] = 0
    used = np.int64(header[HDIST])
    for symbol in range(used):
        at = DISTANCE_LENGTHS + 16 * distances[symbol]
        distances[symbol] = code_tree(coder, at, 4, lengths[split + symbol] if known else 0)
    distances[used:] = 0
    if not known:
        lengths[: header[HLIT]] = literals[: header[HLIT]]
        lengths[header[HLIT] : header[HLIT] + used] = distances[:used]
    return True


@bare
def code_operations(coder, known, header, lengths):
    """Code how the lengths are spelt, operation by operation; whether that is sound."""
    total, done, count = np.int64(header[HLIT]) + np.int64(header[HDIST]), 0, 0
    while done < total:
        run = 1
        while done + run < total and lengths[done + run] == lengths[done]:
            run += 1
        repeats = lengths[done] > 0 and done > 0 and lengths[done - 1] == lengths[done]
        kind = 0 if lengths[done] == 0 else 1 + np.int64(repeats)
        symbol, extra = header[OPERATIONS + count] & 255, header[OPERATIONS + count] >> 8
        is_run = 0
        if run >= 3 and kind != 1:
            is_run = code_bit(coder, RUN + 16 * kind + min(run, 15), np.int64(symbol >= REPEAT))
        if is_run == 0:
            header[OPERATIONS + count] = np.int16(lengths[done])
            done, count = done + 1, count + 1
            continue
        limit = min(run, 6 if kind else 138)
        size = extra + (11 if symbol == MANY_ZEROS else 3)
        size = limit - code_number(coder, RUN_SIZE + 32 * np.int64(kind > 0), limit - size)
        if size < 3:
            return False
        repeated = np.int64(kind > 0)
        if kind == 0 and size <= 6 and done > 0 and lengths[done - 1] == 0:
            repeated = code_bit(coder, RUN, np.int64(symbol == REPEAT))
        symbol = REPEAT if repeated else (ZEROS if size < 11 else MANY_ZEROS)
        header[OPERATIONS + count] = symbol | (size - (11 if symbol == MANY_ZEROS else 3)) << 8
        done, count = done + size, count + 1
    header[COUNT] = count
    return True


@bare
def code_codes(coder, known, header, predicted):
    """Code the code-length code and HCLEN, by the predicted ones, which they replace; whether they are sound."""
    same, hclen = True, np.int64(header[HCLEN])
    for symbol in range(CODE_LENGTHS):
        same = same and header[CODES + symbol] == predicted[CODES + symbol]
    if code_bit(coder, HEADER_FIELDS + 1, np.int64(known and not same)):
        for symbol in range(CODE_LENGTHS):
            at = CODES + symbol
            predicted[at] = code_tree(coder, CODE_TREE + 8 * np.int64(predicted[at]), 3, np.int64(header[at]))
        predicted[HCLEN] = trees.used_codes(predicted)
    if code_bit(coder, HEADER_FIELDS + 2, np.int64(known and hclen != predicted[HCLEN])):
        predicted[HCLEN] = code_raw(coder, 4, hclen - 4) + 4
        for i in range(predicted[HCLEN], CODE_LENGTHS):
            if predicted[CODES + CODE_LENGTH_ORDER[i]]:
                return False
    return True
