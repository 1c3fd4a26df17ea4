"""How to work, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from arzip import levels

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Options:
    """How to work. `level`, `model`, `wide`, `opens`, `block_bytes` and `dictionary` change the archive; decoding needs
    the last alone.

    wide: blocks of many lanes with a stream each, made for GPUs, which every device codes alike. opens: whether deflate
    streams (in zip, docx, png, pdf, gz ..) are opened. threads: 0 for as many as there are cores. device: what codes
    wide blocks: "auto" (the GPUs that are at hand, else the CPU), "cpu" or "cuda". Other blocks are the CPU's.
    block_bytes: the maximum size of a block; 0 for the level's. memory_bytes: what the process may take: fewer blocks
    are worked on at a time, and one that takes more is refused; 0 for no limit. max_output: bytes that decoding may
    make; negative: any number. dictionary: what each block of one lane starts after, up to MAX_DICTIONARY_BYTES; b"":
    nothing.
    """

    level: int = levels.DEFAULT
    model: str | None = None
    device: str = "auto"
    threads: int = 0
    wide: bool = False
    opens: bool = True
    block_bytes: int = 0
    memory_bytes: int = 0
    max_output: int = -1
    dictionary: bytes = b""


@dataclass(frozen=True)
class Summary:
    """What was read and written, in bytes, and in how many blocks.

    Of compressing: how many deflate streams were opened, how many bytes their blocks then had, and how many of the
    streams needed corrections, and how many streams of these blocks were too long for the level. device: what was there
    for wide blocks, "" if there were none; device_blocks: how many of them a GPU coded. faults: of GPUs that failed, a
    line each; the CPU took over.
    """

    raw_bytes: int
    archive_bytes: int
    blocks: int
    opened_streams: int = 0
    opened_bytes: int = 0
    corrected_streams: int = 0
    refused_streams: int = 0
    device: str = ""
    device_blocks: int = 0
    faults: tuple[str, ...] = ()


@dataclass(frozen=True)
class Evaluation:
    """The size of a real archive, and the sum of -log2 p over its coded bits."""

    raw_bytes: int
    archive_bytes: int
    model_bits: float
