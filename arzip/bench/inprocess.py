"""Codecs called in process: for each name and level, functions to compress and decompress. For the worker only.

Standard library: gzip, bzip2, xz. The others come with arzip[bench]; each is imported on demand.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable
from typing import Any

Compress = Callable[[bytes], bytes]
Decompress = Callable[[bytes, int], bytes]  # arguments: packed bytes; size of the raw data, which some codecs need
PPMD_MEMORY_BYTES = 192 << 20  # as 7z -mx=9
PPMD_PIECE_BYTES = 1 << 12


def functions(name: str, level: str) -> tuple[Compress, Decompress]:
    """The functions to compress and to decompress. Raises ImportError, and KeyError for an unknown name."""
    return _PAIRS[name](level)


def _gzip(level: str) -> tuple[Compress, Decompress]:
    return lambda raw: gzip.compress(raw, int(level), mtime=0), lambda packed, _: gzip.decompress(packed)


def _bzip2(level: str) -> tuple[Compress, Decompress]:
    return lambda raw: bz2.compress(raw, int(level)), lambda packed, _: bz2.decompress(packed)


def _xz(level: str) -> tuple[Compress, Decompress]:
    preset = int(level.rstrip("e")) | (lzma.PRESET_EXTREME if level.endswith("e") else 0)
    return lambda raw: lzma.compress(raw, preset=preset), lambda packed, _: lzma.decompress(packed)


def _zstd(level: str) -> tuple[Compress, Decompress]:
    import zstandard

    return (
        lambda raw: zstandard.ZstdCompressor(level=int(level)).compress(raw),
        lambda packed, _: zstandard.ZstdDecompressor().decompress(packed),
    )


def _brotli(level: str) -> tuple[Compress, Decompress]:
    brotli = _module("brotli")
    return lambda raw: brotli.compress(raw, quality=int(level)), lambda packed, _: brotli.decompress(packed)


def _lz4(level: str) -> tuple[Compress, Decompress]:
    frame = _module("lz4.frame")
    return (
        lambda raw: frame.compress(raw, compression_level=int(level)),
        lambda packed, _: frame.decompress(packed),
    )


def _ppmd(level: str) -> tuple[Compress, Decompress]:
    """PPMd as a bare stream: order, memory and size must be known to the reader. h16: variant H (7z's), o16: variant I.

    In pieces, since pyppmd 1.3.1 loses bytes if the output of a call outgrows its first buffer: streams made in one
    call, as of plrabn12.txt of the Canterbury corpus, can't be decompressed.
    """
    pyppmd, order = _module("pyppmd"), int(level[1:])
    encoder, decoder = {
        "h": (pyppmd.Ppmd7Encoder, pyppmd.Ppmd7Decoder),
        "o": (pyppmd.Ppmd8Encoder, pyppmd.Ppmd8Decoder),
    }[level[0]]

    def compress(raw: bytes) -> bytes:
        coding = encoder(order, PPMD_MEMORY_BYTES)
        pieces = [coding.encode(raw[at : at + PPMD_PIECE_BYTES]) for at in range(0, len(raw), PPMD_PIECE_BYTES)]
        return b"".join([*pieces, coding.flush()])

    def decompress(packed: bytes, size: int) -> bytes:
        return bytes(decoder(order, PPMD_MEMORY_BYTES).decode(packed, size)) if size else b""

    return compress, decompress


def _kanzi(level: str) -> tuple[Compress, Decompress]:
    kanzi = _module("kanzi")
    return lambda raw: kanzi.compress(raw, int(level)), lambda packed, _: kanzi.decompress(packed)


def _module(name: str) -> Any:
    import importlib

    return importlib.import_module(name)


_PAIRS: dict[str, Callable[[str], tuple[Compress, Decompress]]] = {
    "gzip": _gzip,
    "bzip2": _bzip2,
    "xz": _xz,
    "zstd": _zstd,
    "brotli": _brotli,
    "lz4": _lz4,
    "ppmd": _ppmd,
    "kanzi": _kanzi,
}
