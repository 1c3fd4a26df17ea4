"""Dictionaries: what data of one kind has in common, chosen from samples. Standard library only."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from arzip.api.options import as_bytes
from arzip.api.records import several
from arzip.format.records import MAX_DICTIONARY_BYTES

if TYPE_CHECKING:
    from typing_extensions import Buffer

GRAM = 6  # bytes: shorter ones are soon learnt, longer ones rarely recur
DEFAULT_BYTES = 112640  # zstd's default, so that sizes compare


def train_dictionary(samples: Iterable[Buffer], size: int = DEFAULT_BYTES) -> bytes:
    """A dictionary for `compress` of data like these samples: some of them, of `size` bytes in all at most.

    Takes the sample whose strings of 6 bytes, new to the dictionary, occur most often in all samples, for its length,
    then the next one; what is taken first stands last, where it is remembered best. Samples that fit are all taken. The
    same samples give the same dictionary. Raises ValueError if size is not 1 .. 1 MiB, or if there is no sample that
    has a byte.

    >>> train_dictionary([b"id: 1; name: ada", b"id: 2; name: bob", b"x"], size=32)
    b'id: 2; name: bobid: 1; name: ada'
    """
    if not 1 <= size <= MAX_DICTIONARY_BYTES:
        raise ValueError(f"size {size}: a dictionary has 1 .. {MAX_DICTIONARY_BYTES} bytes")
    texts = [text for text in map(as_bytes, several(samples)) if text]
    if not texts:
        raise ValueError("there are no samples, or they are empty")
    counts = Counter(gram for text in texts for gram in _grams(text))
    queue = [(-_value(text, counts, set()), number) for number, text in enumerate(texts)]
    heapq.heapify(queue)
    known, chosen, left = set[bytes](), list[bytes](), size
    while queue and left:
        _, number = heapq.heappop(queue)
        text = texts[number]
        value = _value(text, counts, known)
        if queue and -value > queue[0][0]:  # it was worth more before others were taken
            heapq.heappush(queue, (-value, number))
            continue
        if len(text) > left:
            if not chosen:
                chosen.append(text[-left:])
                break
            continue
        chosen.append(text)
        known |= _grams(text)
        left -= len(text)
    return b"".join(reversed(chosen))


def _grams(text: bytes) -> set[bytes]:
    return {text[at : at + GRAM] for at in range(len(text) - GRAM + 1)}


def _value(text: bytes, counts: Counter[bytes], known: set[bytes]) -> float:
    """How often the strings of a text that aren't known occur, beyond the text itself, for each of its bytes."""
    return sum(counts[gram] - 1 for gram in _grams(text) - known) / len(text)
