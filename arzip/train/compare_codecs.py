"""Sizes of held-out records: archives that were decompressed and compared, beside xz and zstd with a dictionary.

Must not import training code.
"""

from __future__ import annotations

import importlib
import importlib.util
import io
import lzma
import shutil
import subprocess
import tempfile
from pathlib import Path

from arzip import codec
from arzip.codec import Options
from arzip.errors import ArzipError

LEVEL = 9
DICTIONARY_BYTES = 112_640  # as zstd --train makes it
DICTIONARY_SAMPLES = 100  # of DICTIONARY_BYTES each: what zstd's authors recommend
ZSTD_LEVEL = 19


def archive_bytes(records: list[bytes], model: str, threads: int) -> int:
    """Total bytes of the records' archives, one archive a record. Raises ArzipError if a round trip fails."""
    options, total = Options(LEVEL, model, threads=threads), 0
    for record in records:
        archive, back = io.BytesIO(), io.BytesIO()
        codec.compress(io.BytesIO(record), archive, options)
        codec.decompress(io.BytesIO(archive.getvalue()), back, options)
        if back.getvalue() != record:
            raise ArzipError("an archive did not come back as it was; please report it")
        total += len(archive.getvalue())
    return total


def xz_bytes(records: list[bytes]) -> int:
    """Total bytes of the records, each compressed alone by xz -9e."""
    preset = 9 | lzma.PRESET_EXTREME
    return sum(len(lzma.compress(record, check=lzma.CHECK_CRC32, preset=preset)) for record in records)


def zstd_bytes(records: list[bytes], samples: list[bytes]) -> int | None:
    """Total bytes by zstd -19, each record alone, with a dictionary trained on the samples; checksums left out.

    None if neither Python's zstandard nor the command zstd is installed, or if the samples are too few.
    """
    kept, size_bytes = [], 0
    for sample in samples:
        if size_bytes < DICTIONARY_SAMPLES * DICTIONARY_BYTES:
            kept.append(sample)
            size_bytes += len(sample)
    if importlib.util.find_spec("zstandard"):
        return _zstd_by_module(records, kept)
    return _zstd_by_command(records, kept) if shutil.which("zstd") else None


def _zstd_by_module(records: list[bytes], samples: list[bytes]) -> int | None:
    zstandard = importlib.import_module("zstandard")  # optional
    try:
        dictionary = zstandard.train_dictionary(DICTIONARY_BYTES, samples, level=ZSTD_LEVEL)
    except zstandard.ZstdError:  # too few samples
        return None
    packer = zstandard.ZstdCompressor(ZSTD_LEVEL, dict_data=dictionary)
    return sum(len(packer.compress(record)) for record in records)


def _zstd_by_command(records: list[bytes], samples: list[bytes]) -> int | None:
    with tempfile.TemporaryDirectory(prefix="arzip-") as name:
        folder = Path(name)
        for part, contents in (("samples", samples), ("records", records)):
            (folder / part).mkdir()
            for k, content in enumerate(contents):
                (folder / part / str(k)).write_bytes(content)
        train = ["--train", "-r", "samples", f"--maxdict={DICTIONARY_BYTES}", "-o", "dictionary"]
        pack = [f"-{ZSTD_LEVEL}", "--no-check", "-D", "dictionary", "-r", "records"]
        for words in (train, pack):
            done = subprocess.run(["zstd", "-q", *words], cwd=folder, capture_output=True)
            if done.returncode:
                return None
        return sum(path.stat().st_size for path in (folder / "records").glob("*.zst"))


def summary_line(sizes: dict[str, int | None], raw_bytes: int, records: int) -> str:
    """One line: the size under the first name, and by how many per cent it is smaller than each of the others."""
    (name, new_bytes), *others = sizes.items()
    assert new_bytes is not None
    parts = []
    for other, size in others:
        gain = f"{size:,} ({100 * (1 - new_bytes / size):+.1f}% saved)" if size else "not at hand"
        parts.append(f"{other} {gain}")
    bits = 8 * new_bytes / raw_bytes
    return f"{records} held-out records, {raw_bytes:,} bytes: {name} {new_bytes:,} ({bits:.3f} bpb); {'; '.join(parts)}"
