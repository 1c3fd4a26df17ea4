"""The kernels rebuild what the plain-Python reading of the spec rebuilds."""

from __future__ import annotations

import random
import zlib
from pathlib import Path

import pytest
from reference.rebuilding import rebuild

import arzip
from arzip.preprocess.recompress import coding, streams
from arzip.preprocess.recompress.inflate import inflate, pad

CODE = b"".join(path.read_bytes() for path in sorted(Path(arzip.__file__).parent.glob("*.py")))
assert len(CODE) > 7000, "the texts below are parts of it"
TEXTS = {
    "code": CODE[:6000],
    "noise": random.Random(1).randbytes(700),
    "runs": b"".join(bytes([i % 7]) * (i * i % 300) for i in range(60)),
    "mixed": CODE[:1500] + random.Random(2).randbytes(200) + CODE[200:2500],
}


def deflate(text: bytes, level: int, memory: int = 8, strategy: int = 0, flush: int | None = None) -> bytes:
    packer = zlib.compressobj(level, zlib.DEFLATED, -15, memory, strategy)
    middle = len(text) // 3
    first = packer.compress(text[:middle]) + (packer.flush(flush) if flush is not None else b"")
    return first + packer.compress(text[middle:]) + packer.flush()


def check(stream_list: list[bytes]) -> int:
    """Open streams with shared models, have both sides rebuild them; how many had deviations."""
    models, own, shared = coding.new_models(), coding.new_models(), {}
    deviating = 0
    for stream in stream_list:
        inflated = inflate(pad(stream), 0, 1 << 20)
        stream = stream[: (inflated.end_bit + 7) // 8]
        kept = streams.open_stream(stream, inflated, 15, (), models)
        assert kept is not None
        text = bytes(inflated.text)
        assert streams.close(text, kept, own, len(stream)) == stream
        assert rebuild(text, tuple(kept.packer), kept.is_cut, kept.deviations, shared) == stream
        deviating += bool(kept.deviations)
    return deviating


@pytest.mark.parametrize("name", TEXTS)
def test_streams_of_zlib_are_rebuilt_alike(name: str) -> None:
    text = TEXTS[name]
    check([deflate(text, level) for level in (1, 3, 4, 6, 9)] + [deflate(text, 6, 1), deflate(text, 2, 3)])
    check([deflate(text, 6, 8, strategy) for strategy in range(1, 5)])


def test_streams_with_deviations_are_rebuilt_alike() -> None:
    flushed = [
        deflate(TEXTS[name], level, 8, 0, flush)
        for name in ("code", "mixed")
        for level in (1, 6)
        for flush in (zlib.Z_SYNC_FLUSH, zlib.Z_FULL_FLUSH, zlib.Z_PARTIAL_FLUSH)
    ]
    cut = [deflate(TEXTS["code"], 6)[:1200], deflate(TEXTS["mixed"], 1)[:700]]
    halves = [deflate(TEXTS["code"], 1, 8, 0, zlib.Z_FULL_FLUSH)[:-2]]
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    halves.append(packer.compress(CODE[:3000]) + packer.flush(zlib.Z_FULL_FLUSH) + deflate(CODE[3000:7000], 9))
    assert check(flushed + cut + halves + [deflate(TEXTS["noise"], 0)]) > 8
