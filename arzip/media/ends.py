"""Where samples end, whatever size a header names: where bytes begin that are nothing like a picture or sound.

Works by statistics of chunks. Must not know headers, nor how samples are coded.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from arzip.media import array_statistics, samples
from arzip.media.array_statistics import Bytes
from arzip.media.headers import Found

CHUNK = 1 << 11  # bytes that are judged as one, less what isn't a whole sample
MIN_CHUNK = 1 << 10  # of the last one
AT_A_TIME = 64  # chunks
MARGIN, TEXT_MARGIN = 0.7, 0.25  # bits a byte by which steps to neighbours must cost more than bytes alone
MIN_STEPS, TEXT_MIN_STEPS = 4.5, 2.5  # bits a byte of steps, below which samples go on: screenshots
TEXT_SHARE = 0.6  # of bytes that are of ASCII; a text has no control characters
EVEN = 0.5  # bits a byte below which a chunk says nothing
MAX_STRANGE = 0.25  # of the chunks before the end
BEFORE, BEHIND = 3, 3  # chunks that the exact place is judged by
LAPLACE = 2 * np.e  # log2 of so many mean sizes: bits of a step


def end(raw: bytes, found: Found) -> int:
    """How many bytes of samples there are: all that the header names and the block has, or fewer."""
    size = min(found.size, len(raw) - found.start)
    strange: list[bool] = []
    likely = -1  # the chunk that the last run of strange ones began with
    chunks = size // _chunk(found) + (size % _chunk(found) >= MIN_CHUNK)
    for first in range(0, chunks, AT_A_TIME):
        for is_strange in _strangeness(raw, found, size, first, min(first + AT_A_TIME, chunks)):
            number = len(strange)
            if is_strange is None:
                strange.append(likely >= 0)
                continue
            strange.append(is_strange)
            if not is_strange:
                likely = -1
            elif likely < 0:
                likely = number
            elif sum(strange[:likely]) < MAX_STRANGE * likely:
                return _exactly(raw, found, size, likely)
    if likely > 0 and sum(strange[:likely]) < MAX_STRANGE * likely:
        return _exactly(raw, found, size, likely)
    return size


def _chunk(found: Found) -> int:
    return CHUNK - CHUNK % found.sample_bytes


def _strangeness(raw: bytes, found: Found, size: int, first: int, last: int) -> list[bool | None]:
    """Whether each of some chunks is unlike samples; None: it says nothing."""
    judged: list[bool | None] = []
    step = _chunk(found)
    begin = first * step
    data = np.frombuffer(raw, np.uint8, min(last * step, size) - begin, found.start + begin)
    steps = _steps(raw, found, begin, len(data))
    for at in range(0, len(data), step):
        chunk = data[at : at + step]
        alone = _alone(chunk, found.sample_bytes)
        if alone < EVEN:
            judged.append(None)
            continue
        part = slice(at // found.sample_bytes, (at + step) // found.sample_bytes)
        cost = min(_bits(each[part], found) for each in steps)
        margin, minimum = (TEXT_MARGIN, TEXT_MIN_STEPS) if _is_text(chunk) else (MARGIN, MIN_STEPS)
        judged.append(cost > alone + margin and cost > minimum)
    return judged


def _is_text(chunk: Bytes) -> bool:
    """Whether bytes may be text, of an encoding that ASCII is a part of."""
    counts = np.bincount(chunk, minlength=256)
    spaces = int(counts[[9, 10, 13]].sum())
    return int(counts[:32].sum()) == spaces and spaces + int(counts[32:127].sum()) >= TEXT_SHARE * len(chunk)


def _alone(chunk: Bytes, sample_bytes: int) -> float:
    """Bits a byte, by how often each one occurs at each place of a sample."""
    return float(np.mean([array_statistics.entropy(chunk[place::sample_bytes]) for place in range(sample_bytes)]))


def _steps(raw: bytes, found: Found, begin: int, size: int) -> list[NDArray[np.int32]]:
    """Differences to the sample before in the channel, and to the row above or of second order, of bytes from `begin`
    of the samples on; what would come before them is 0.
    """
    pixel = found.channels * found.sample_bytes
    far = found.width * pixel + found.padding if found.width else 2 * pixel
    back = min(begin, -(-max(far, pixel) // _chunk(found)) * _chunk(found))
    taken = (size + back) // found.sample_bytes * found.sample_bytes
    data = raw[found.start + begin - back : found.start + begin - back + taken]
    values = samples.unpack(data, 1, found.sample_bytes, found.big_endian, found.signed)[:, 0]
    kept, channels = back // found.sample_bytes, found.channels
    near = _difference(values, channels)
    other = _difference(values, far // found.sample_bytes) if found.width else _difference(near, channels)
    return [near[kept:], other[kept:]]


def _difference(values: NDArray[np.int32], distance: int) -> NDArray[np.int32]:
    """Values less those so far before; 0 for the first ones' own."""
    difference = values.copy()
    difference[distance:] -= values[:-distance]
    return difference


def _bits(steps: NDArray[np.int32], found: Found) -> float:
    """Bits a byte of steps: by how often each one occurs, or by their mean size."""
    if found.sample_bytes == 1:
        return array_statistics.entropy(steps.astype(np.uint8))
    return float(np.log2(LAPLACE * np.abs(steps).mean() + 1)) / found.sample_bytes


def _exactly(raw: bytes, found: Found, size: int, chunk: int) -> int:
    """Where samples end, near the beginning of the first chunk that is unlike them: what is before costs least by
    the sizes of steps, and what is behind by how often bytes occur.
    """
    step = _chunk(found)
    first, stop = max(0, chunk - 1) * step, min((chunk + 1) * step, size)
    model = max(0, first - BEFORE * step)
    near = np.abs(_steps(raw, found, model, stop - model)[0])
    known = max((first - model) // found.sample_bytes, 1)
    scale = float(near[:known].mean()) + 0.5
    spent = np.repeat(near[known:] / (scale * np.log(2)) + np.log2(2 * scale), found.sample_bytes) / found.sample_bytes
    behind = raw[found.start + stop - step // 2 : found.start + min(stop + BEHIND * step, size)]
    counts = np.bincount(np.frombuffer(behind, np.uint8), minlength=256) + 1.0
    other = -np.log2(counts / counts.sum())[np.frombuffer(raw, np.uint8, len(spent), found.start + first)]
    saved = np.concatenate([[0.0], np.cumsum(spent - other)])
    return first + int(saved.argmin())
