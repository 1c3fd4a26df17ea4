"""Bytes -> blocks -> archive, and back: `compress`, `decompress`, `evaluate`; api/recovery.py has `salvage`.

Blocks are coded side by side on several threads. Must not know the file system, nor how one block is coded.
"""

from arzip.codec.decoder import Decoder, check_output, decode_events
from arzip.codec.encoder import Carried, Encoder, packed, write_block
from arzip.codec.engines import BATCH_BLOCKS, WAITING_BYTES, cached_engine, open_devices
from arzip.codec.options import Evaluation, Options, Progress, Summary
from arzip.codec.streams import compress, decompress, evaluate
from arzip.jit.compile_events import on_first_compile

__all__ = [
    "BATCH_BLOCKS",
    "WAITING_BYTES",
    "Carried",
    "Decoder",
    "Encoder",
    "Evaluation",
    "Options",
    "Progress",
    "Summary",
    "cached_engine",
    "check_output",
    "compress",
    "decode_events",
    "decompress",
    "evaluate",
    "on_first_compile",
    "open_devices",
    "packed",
    "write_block",
]
