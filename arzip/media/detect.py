"""Finds sound and pictures by the headers of uncompressed files, anywhere in a stream, and cuts blocks around them.

Must not know how they are coded.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator

import numpy as np

from arzip.media import doubts, ends, headers, picture, picture_payload
from arzip.media.headers import Found
from arzip.media.payload import MAX_CHANNELS, MAX_EDGE, MAX_SAMPLE_BYTES, Layout
from arzip.media.picture_payload import PictureLayout

MIN_BYTES = 4096  # of samples: what is shorter is not worth a block of its own
MIN_REACH = 64  # frames of sound that can be judged
LIKENESS = 0.7  # of what goes on behind the end that a header names
Piece = tuple[bytes, Layout | PictureLayout | None]

_SOUND = rb"RIFF....WAVE|FORM....AIF[FC]|\x93NUMPY[\1\2]\0"
_PICTURES = rb"|BM....\0\0\0\0..\0\0[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0|P[56][\s#]|II\*\0|MM\0\*"
_READERS: dict[bytes, Callable[[bytes, int], Found | None]] = {
    b"RI": headers.wave,
    b"FO": headers.aiff,
    b"\x93N": headers.numpy_array,
    b"BM": headers.bitmap,
    b"P5": headers.pnm,
    b"P6": headers.pnm,
    b"II": headers.tiff,
    b"MM": headers.tiff,
}
_NOT_ONE = (struct.error, IndexError, ValueError, KeyError, SyntaxError, TypeError, MemoryError, RecursionError)


class Splitter:
    """Cuts the blocks of one stream, in order, where samples begin and end. pictures: whether they are looked for;
    light: what their layouts say.
    """

    def __init__(self, pictures: bool = True, light: bool = False) -> None:
        self._pictures, self._light = pictures, light
        self._magic = re.compile(_SOUND + (_PICTURES if pictures else b""), re.DOTALL)
        self._rest: Found | None = None  # what of a file is to come: `start` bytes into the next block

    @property
    def carried(self) -> Found | None:
        """What of the blocks so far decides how the next one is cut; None: nothing. May be another Splitter's."""
        return self._rest

    @carried.setter
    def carried(self, carried: Found | None) -> None:
        self._rest = carried

    def split(self, raw: bytes) -> list[Piece]:
        """`raw`, cut before and after the samples of each file, each piece with the layout of its samples.

        Up to MAX_EDGE bytes beside samples stay with them: a header, or what follows.
        """
        pieces: list[Piece] = []
        done, found = 0, list(self._scan(raw))
        self._rest = None
        for i, file in enumerate(found):
            there = min(file.size, len(raw) - file.start)
            if there < file.size:
                skipped = -there % _frame(file)  # what is left of a frame or a row
                self._rest = file._replace(start=skipped, size=file.size - there - skipped)
            following = found[i + 1].start if i + 1 < len(found) else len(raw)
            if there == file.size:
                there = _reach(raw, file, following)
            head, end = file.start - done, file.start + _whole(file, there)
            if head > MAX_EDGE:
                pieces.append((raw[done : file.start], None))
                head = 0
            tail = following - end if following - end <= MAX_EDGE else 0
            pieces.append((raw[file.start - head : end + tail], _layout(file, head, tail, self._light)))
            done = end + tail
        if done < len(raw) or not pieces:
            pieces.append((raw[done:], None))
        return pieces

    def _scan(self, raw: bytes) -> Iterator[Found]:
        """The files in a block, in order; the last one may be cut off."""
        done = 0
        if self._rest is not None and (rest := _up_to_the_end(raw, self._rest)) is not None:
            yield rest
            done = min(rest.start + rest.size, len(raw))
        elif self._pictures and (found := _read(headers.targa, raw, 0)) is not None:
            yield found
            done = found.start + found.size
        for match in self._magic.finditer(raw):
            at = match.start()
            if at < done:
                continue
            found = _read(_READERS[raw[at : at + 2]], raw, at)
            if found is not None and (self._pictures or not found.width):
                yield found
                done = min(found.start + found.size, len(raw))


def _read(reader: Callable[[bytes, int], Found | None], raw: bytes, at: int) -> Found | None:
    """What a reader finds, if it is worth a block."""
    try:
        found = reader(raw, at)
    except _NOT_ONE:
        return None
    if found is None or not _is_known(found, raw):
        return None
    return _up_to_the_end(raw, doubts.corrected(raw, found))


def _up_to_the_end(raw: bytes, found: Found) -> Found | None:
    """What of the samples that a header names is there: all, or as far as something else follows."""
    if not _is_known(found, raw):
        return None
    there = min(found.size, len(raw) - found.start)
    padded = _padded_bytes(raw, found, there)
    end = ends.end(raw, found._replace(size=padded)) if padded >= MIN_BYTES else padded
    found = found if end == there else found._replace(size=end)
    return found if _is_known(found, raw) else None


def _frame(found: Found) -> int:
    """Bytes of a frame of sound, of a row of a picture."""
    return (found.width or 1) * found.channels * found.sample_bytes + found.padding


def _whole(found: Found, size: int) -> int:
    """So many bytes of samples, less what isn't a whole frame or pixel."""
    if not found.width:
        return size - size % _frame(found)
    pixel = found.channels * found.sample_bytes
    used = found.width * pixel
    rest = size % _frame(found)
    return size - (rest - used if rest > used else rest % pixel)


def _reach(raw: bytes, found: Found, limit: int) -> int:
    """How many bytes of samples there are up to `limit`: more than the header says where what follows goes on alike."""
    frame, end = _frame(found), found.start + found.size
    end -= found.size % frame
    minimum = frame if found.width else MIN_REACH * frame
    while True:
        step = min(frame * -(-MIN_BYTES // frame), (limit - end) // frame * frame)
        if step < minimum or not _goes_on(raw, found, end, step):
            break
        end += step
    return max(_padded_bytes(raw, found, end - found.start), found.size)


def _goes_on(raw: bytes, found: Found, at: int, size: int) -> bool:
    """Whether whole frames or rows are like those before them by far more than by an odd distance."""
    frame = _frame(found)
    if found.width:
        values = np.frombuffer(raw, np.uint8, size + frame, at - frame).astype(np.int32)
        if found.sample_bytes > 1:
            values = values[0 if found.big_endian else 1 :: 2]
        row, pixel = frame // found.sample_bytes, found.channels
        odd = (found.width // 2 + 1) * pixel
        right, wrong = np.abs(values[row:] - values[:-row]), np.abs(values[odd:] - values[:-odd])
    elif found.sample_bytes == 2:
        kind = ">i2" if found.big_endian else "<i2"
        samples = np.frombuffer(raw, kind, size // 2, at).astype(np.int32)
        moved = np.frombuffer(raw, kind, size // 2 - 1, at + 1).astype(np.int32)
        step = found.channels
        right, wrong = np.abs(samples[step:] - samples[:-step]), np.abs(moved[step:] - moved[:-step])
    else:
        return False
    return bool(right.mean() <= LIKENESS * wrong.mean())


def _layout(found: Found, head: int, tail: int, light: bool) -> Layout | PictureLayout:
    if found.width:
        values = found.sample_bytes, found.big_endian, found.signed
        return PictureLayout(head, tail, found.channels, found.width, found.padding, *values, light)
    return Layout(head, tail, found.channels, found.sample_bytes, found.big_endian, found.signed)


def _is_known(found: Found, raw: bytes) -> bool:
    """Whether samples are of a known kind, and enough of them are there."""
    if min(found.size, len(raw) - found.start) < MIN_BYTES or found.start < 0 or found.padding < 0:
        return False
    if not found.width:
        return 1 <= found.channels <= MAX_CHANNELS and 1 <= found.sample_bytes <= MAX_SAMPLE_BYTES
    values = found.width * found.channels
    return found.channels in picture.ORDERS and found.sample_bytes <= 2 and 1 <= values <= picture_payload.MAX_ROW


def _padded_bytes(raw: bytes, found: Found, size: int) -> int:
    """How many of so many bytes are rows behind which there are zeros."""
    stride = _frame(found)
    if not found.padding:
        return size
    rows = np.frombuffer(raw, np.uint8, size // stride * stride, found.start).reshape(-1, stride)
    wrong = rows[:, stride - found.padding :].any(1)
    return stride * int(wrong.argmax()) if wrong.any() else size
