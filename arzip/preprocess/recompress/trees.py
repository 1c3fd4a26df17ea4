"""zlib's Huffman trees: counts of symbols -> code lengths -> block header, to the bit (trees.c, Gailly and Adler).

The choices among equals (which of two nodes is joined first) decide the lengths; they are zlib's here. Must not know
where a block begins or ends.
"""

from __future__ import annotations

import numpy as np

from arzip.preprocess.recompress.parts import bare, part
from arzip.preprocess.recompress.tables import (
    CODE_LENGTH_EXTRA,
    CODE_LENGTH_ORDER,
    CODE_LENGTHS,
    CODES,
    COUNT,
    DISTANCES,
    HCLEN,
    HDIST,
    HLIT,
    LITERALS,
    MANY_ZEROS,
    OPERATIONS,
    REPEAT,
    ZEROS,
)

LONGEST, LONGEST_CODE_LENGTH = 15, 7  # bits of a code


@bare
def is_before(counts, depths, n, m):
    """Whether node n leaves the heap before node m."""
    return counts[n] < counts[m] or (counts[n] == counts[m] and depths[n] <= depths[m])


@bare
def sift_down(heap, size, counts, depths, k):
    """Restore the order of heap[1 .. size] below place k."""
    node, child = heap[k], 2 * k
    while child <= size:
        if child < size and is_before(counts, depths, heap[child + 1], heap[child]):
            child += 1
        if is_before(counts, depths, node, heap[child]):
            break
        heap[k], k, child = heap[child], child, 2 * child
    heap[k] = node


@part
def fill_heap(heap, counts):
    """Put the symbols that occur on the heap, and others with a count of 1 where they are fewer than two; its size."""
    size, last = 0, -1
    for symbol in range(counts.size // 2):
        if counts[symbol]:
            size, last = size + 1, symbol
            heap[size] = symbol
    while size < 2:
        last, symbol = (last + 1, last + 1) if last < 2 else (last, 0)
        size += 1
        heap[size] = symbol
        counts[symbol] = 1
    return size


@part
def code_lengths(symbol_counts, longest, lengths):
    """Counts (n,) -> code lengths (n,) of at most `longest` bits, written to lengths."""
    n = symbol_counts.size
    counts, depths, parents = np.zeros(2 * n, np.int64), np.zeros(2 * n, np.int64), np.zeros(2 * n, np.int64)
    counts[:n] = symbol_counts
    heap, order = np.zeros(2 * n + 2, np.int64), np.zeros(2 * n + 2, np.int64)
    size, node, sorted_ = fill_heap(heap, counts), n, 0
    for k in range(size // 2, 0, -1):
        sift_down(heap, size, counts, depths, k)
    while size > 1:
        first = heap[1]
        heap[1] = heap[size]
        size -= 1
        sift_down(heap, size, counts, depths, 1)
        second = heap[1]
        order[sorted_], order[sorted_ + 1] = first, second
        sorted_ += 2
        counts[node] = counts[first] + counts[second]
        depths[node] = max(depths[first], depths[second]) + 1
        parents[first] = parents[second] = node
        heap[1] = node
        node += 1
        sift_down(heap, size, counts, depths, 1)
    limit_lengths(order, sorted_, parents, heap[1], n, longest, lengths)


@part
def limit_lengths(order, sorted_, parents, root, n, longest, lengths):
    """Lengths of the leaves below `root`. order: nodes from the rarest on. Those too long are shortened zlib's way."""
    below, per_length, overflow = np.zeros(2 * n, np.int64), np.zeros(LONGEST + 2, np.int64), 0
    lengths[:] = 0
    below[root] = 0
    for i in range(sorted_ - 1, -1, -1):
        node = order[i]
        bits = below[parents[node]] + 1
        if bits > longest:
            bits = longest
            overflow += 1
        below[node] = bits
        if node < n:
            per_length[bits] += 1
            lengths[node] = bits
    if overflow == 0:
        return
    while overflow > 0:
        bits = longest - 1
        while per_length[bits] == 0:
            bits -= 1
        per_length[bits] -= 1
        per_length[bits + 1] += 2
        per_length[longest] -= 1
        overflow -= 2
    i = 0
    for bits in range(longest, 0, -1):
        for _ in range(per_length[bits]):
            while order[i] >= n:
                i += 1
            lengths[order[i]] = bits
            i += 1


@bare
def scan_lengths(lengths, used, operations, count):
    """Spell the first `used` lengths as operations behind the first `count`; how many there are then."""
    previous, i = -1, 0
    while i < used:
        value, run = lengths[i], 1
        limit = 138 if value == 0 else (7 if value != previous else 6)
        while run < limit and i + run < used and lengths[i + run] == value:
            run += 1
        i += run
        if value == 0 and run >= 3:
            operations[count] = ZEROS | (run - 3) << 8 if run <= 10 else MANY_ZEROS | (run - 11) << 8
            count += 1
        elif value and run >= (4 if value != previous else 3):
            if value != previous:
                operations[count] = value
                count, run = count + 1, run - 1
            operations[count] = REPEAT | (run - 3) << 8
            count += 1
        else:
            operations[count : count + run] = value
            count += run
        previous = value
    return count


@bare
def used_symbols(lengths, minimum):
    """How many lengths there are without the zeros at the end, `minimum` at least."""
    used = lengths.size
    while used > minimum and lengths[used - 1] == 0:
        used -= 1
    return used


@bare
def spell_lengths(literals, distances, header):
    """HLIT, HDIST and the operations for these lengths, as zlib chooses them -> header."""
    header[HLIT], header[HDIST] = used_symbols(literals, 257), used_symbols(distances, 1)
    count = scan_lengths(literals, header[HLIT], header[OPERATIONS:], 0)
    header[COUNT] = scan_lengths(distances, header[HDIST], header[OPERATIONS:], count)


@part
def choose_codes(header):
    """The code-length code for the header's operations, and HCLEN, as zlib chooses them -> header."""
    counts, lengths = np.zeros(CODE_LENGTHS, np.int64), np.zeros(CODE_LENGTHS, np.int64)
    for operation in header[OPERATIONS : OPERATIONS + header[COUNT]]:
        counts[operation & 255] += 1
    code_lengths(counts, LONGEST_CODE_LENGTH, lengths)
    header[CODES : CODES + CODE_LENGTHS] = lengths
    header[HCLEN] = used_codes(header)


@bare
def used_codes(header):
    """The least HCLEN for the header's code-length code."""
    used = CODE_LENGTHS
    while used > 4 and header[CODES + CODE_LENGTH_ORDER[used - 1]] == 0:
        used -= 1
    return used


@bare
def header_bits(header):
    """How many bits the header takes."""
    bits = 14 + 3 * np.int64(header[HCLEN])
    for operation in header[OPERATIONS : OPERATIONS + header[COUNT]]:
        symbol = operation & 255
        bits += header[CODES + symbol] + CODE_LENGTH_EXTRA[symbol]
    return bits


@part
def predict_header(literal_counts, distance_counts, literals, distances, header):
    """Counts of a block's symbols -> the lengths (286,), (30,) and the header that zlib gives it."""
    code_lengths(literal_counts[:LITERALS], LONGEST, literals)
    code_lengths(distance_counts[:DISTANCES], LONGEST, distances)
    spell_lengths(literals, distances, header)
    choose_codes(header)
