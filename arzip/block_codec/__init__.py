"""One block: raw bytes -> payload and what its frame says of it, and back. Opens streams, takes repeats out, filters,
plans, asks the engine.

`encode` and `decode` are the two ways; `samples` has the blocks of sound, pictures and arrays. Must not know streams of
blocks, nor how probabilities are computed.
"""

from arzip.block_codec.coded import Coded
from arzip.block_codec.decoding import decode
from arzip.block_codec.encoding import encode, encode_records
from arzip.block_codec.samples import AnyLayout, encode_media, guessed, is_worthwhile
from arzip.block_codec.text import repeated_share

__all__ = [
    "AnyLayout",
    "Coded",
    "decode",
    "encode",
    "encode_media",
    "encode_records",
    "guessed",
    "is_worthwhile",
    "repeated_share",
]
