"""The records of an archive: header, block frame, end record. Normative text: docs/FORMAT.md, 'Container'.

Turns fields into bytes (`pack`) and bytes into fields (`parse`), with all bounds and checks. Standard library only;
must not import model, file or stream code. `arzip.format.stream` puts the records into a stream.
"""

from __future__ import annotations

import binascii
import hashlib
import struct
import zlib
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from itertools import accumulate

from arzip.errors import DamagedError, NotAnArchiveError, TruncatedError, UnsupportedError
from arzip.format.varint import VARINT_MAX_BYTES, pack_varint, parse_varint

MAGIC = b"\x8fAZ\r\n\x1a"
VERSION = 1
DIGEST_BYTES = 4
MAX_BLOCK_BYTES = 64 << 20
MAX_DICTIONARY_BYTES = 1 << 20
MAX_CODED_EXCESS_BYTES = 1024
MAX_LANES, MAX_WIDE_LANES = 64, 256  # a lane's state takes up to a third of a megabyte
SALVAGE_HINT = "get a whole copy, or recover the whole blocks with --salvage"

_TEXT_DAMAGED = (MAGIC.replace(b"\r\n", b"\n"), MAGIC.replace(b"\n", b"\r\n"), b"\x0f" + MAGIC[1:], b"\xc2" + MAGIC)
_FOREIGN_MAGIC = {
    b"\x1f\x8b": "gzip",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"BZh": "bzip2",
    b"PK\x03\x04": "zip",
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"\x04\x22\x4d\x18": "lz4",
    b"Rar!\x1a\x07": "rar",
}


def crc16(data: bytes) -> int:
    """CRC-16 (polynomial 0x1021, start 0xffff, most significant bit first): detects all bursts of up to 16 bits."""
    return binascii.crc_hqx(data, 0xFFFF)


# ---------------------------------------------------------------------------------------------------------- header

_HEADER = struct.Struct("<6sBB")  # magic, version, flags
_HEADER_CHECK = struct.Struct("<H")  # crc16 of all header bytes before it
_WORD_BYTES = 4  # flags bits 0-1 count the words between flags and check, in every version
_FEATURE_SHIFT = 2  # flags bits 2-7: required features
HEADER_MAX_BYTES = _HEADER.size + 3 * _WORD_BYTES + _HEADER_CHECK.size


@dataclass(frozen=True)
class Header:
    """`digest`: the first DIGEST_BYTES of the SHA-256 of the weights file, or b'' if the archive needs no model.

    dictionary: the digest of the dictionary, or b'' if there is none; only beside that of a model.
    """

    digest: bytes = b""
    dictionary: bytes = b""

    @property
    def fields(self) -> bytes:
        """All that decoding needs beside the archive, as `split_fields` takes it."""
        return self.digest + self.dictionary

    def pack(self) -> bytes:
        assert (len(self.digest), len(self.dictionary)) in ((0, 0), (DIGEST_BYTES, 0), (DIGEST_BYTES, DIGEST_BYTES))
        start = _HEADER.pack(MAGIC, VERSION, len(self.fields) // _WORD_BYTES) + self.fields
        return start + _HEADER_CHECK.pack(crc16(start))

    @classmethod
    def parse(cls, data: bytes) -> tuple[Header, int]:
        """The header that `data` begins with (HEADER_MAX_BYTES of it suffice), and its size.

        Raises NotAnArchiveError, TruncatedError, DamagedError, and UnsupportedError only if the check is right.
        """
        if not data.startswith(MAGIC):
            _refuse(data)
        if len(data) < _HEADER.size:
            raise TruncatedError("truncated: the archive ends inside its header; get a whole copy")
        _, version, flags = _HEADER.unpack_from(data)
        end = _HEADER.size + _WORD_BYTES * (flags & 3)
        if len(data) < end + _HEADER_CHECK.size:
            raise TruncatedError("truncated: the archive ends inside its header; get a whole copy")
        if _HEADER_CHECK.unpack_from(data, end)[0] != crc16(data[:end]):
            raise DamagedError(f"the header is damaged: it doesn't match its check; {SALVAGE_HINT}")
        if version < VERSION:
            raise UnsupportedError(
                f"made by an arzip before format {VERSION}, while the format could still change: "
                "decompress it with the arzip that made it"
            )
        if version > VERSION:
            raise UnsupportedError(f"made by a newer arzip: format version {version}; this one reads up to {VERSION}")
        for bit in range(_FEATURE_SHIFT, 8):
            if flags >> bit & 1:
                raise UnsupportedError(f"made by a newer arzip: needs feature bit {bit}, which this one doesn't have")
        if flags > 2:
            raise UnsupportedError(f"made by a newer arzip: {flags} words of header fields, this one knows 2")
        return cls(*split_fields(data[_HEADER.size : end])), end + _HEADER_CHECK.size


def split_fields(fields: bytes) -> tuple[bytes, bytes]:
    """The digests of model and dictionary, b'' for each that there is none of."""
    return fields[:DIGEST_BYTES], fields[DIGEST_BYTES:]


def dictionary_digest(dictionary: bytes) -> bytes:
    """What a header says of a dictionary: the first DIGEST_BYTES of its SHA-256; b'' for b''."""
    return hashlib.sha256(dictionary).digest()[:DIGEST_BYTES] if dictionary else b""


def _refuse(data: bytes) -> None:
    """Raises the ArzipError that fits data which doesn't begin with MAGIC."""
    if not data:
        raise NotAnArchiveError("not an arzip archive: it is empty, and even the archive of nothing has a header")
    if MAGIC.startswith(data):
        raise TruncatedError("truncated: the archive ends inside its header; get a whole copy")
    if data.startswith(_TEXT_DAMAGED):
        raise DamagedError("the archive was damaged by a transfer as text; transfer it again, as binary")
    for magic, name in _FOREIGN_MAGIC.items():
        if data.startswith(magic):
            raise NotAnArchiveError(f"not an arzip archive (it begins with {magic.hex(' ')}: {name})")
    raise NotAnArchiveError(f"not an arzip archive (it begins with {data[: len(MAGIC)].hex(' ')})")


# ----------------------------------------------------------------------------------------------------------- frame

_FRAME_CHECKS = struct.Struct("<IH")  # crc32 of the raw bytes, crc16 of all frame bytes before it
_METHOD_BITS = 3
_LANES_SHIFT = 4
# The profile byte: the profile of the context mixing, whether the block is wide, the filter.
_PROFILE_BITS, _WIDE_SHIFT, _FILTER_SHIFT = 3, 3, 4
FRAME_MAX_BYTES = 3 * VARINT_MAX_BYTES + 1 + _FRAME_CHECKS.size


class Method(IntEnum):
    """How the payload of a block is coded. 0 is no method: it begins an end record."""

    STORED = 1
    NETWORK = 2
    MEMORY = 3
    MIXED = 4
    REPEATS = 5
    OPENED = 6
    MEMORY_REPEATS = 7


class Filter(IntFlag):
    """Kinds of machine code operands that were converted to addresses: ARM64 alone, or any sum of the others."""

    CALLS = 1
    JUMPS = 2
    OPERANDS = 4
    ARM64 = 8


def join_profile(cm_profile: int, filter_: int, wide: bool = False) -> int:
    """The profile byte of a frame: cm_profile 0..7, filter_ 0..15."""
    return filter_ << _FILTER_SHIFT | wide << _WIDE_SHIFT | cm_profile


@dataclass(frozen=True)
class Frame:
    """The record before a payload. A stored block has 0 lanes, profile byte 0, and as many coded bytes as raw ones.

    lanes: 1..MAX_LANES, of a wide block 1..MAX_WIDE_LANES; profile_byte: 0..255, see `join_profile`; raw_bytes:
    1..MAX_BLOCK_BYTES; coded_bytes: 0..raw_bytes + MAX_CODED_EXCESS_BYTES; raw_check: CRC-32 of the raw bytes;
    single_block: the member has no other block, and no end record follows.
    """

    method: Method
    lanes: int
    profile_byte: int
    raw_bytes: int
    coded_bytes: int
    raw_check: int
    single_block: bool = False

    def within_bounds(self) -> bool:
        if not 1 <= self.raw_bytes <= MAX_BLOCK_BYTES:
            return False
        if self.method is Method.STORED:
            return self.lanes == 0 and self.profile_byte == 0 and self.coded_bytes == self.raw_bytes
        max_lanes = MAX_WIDE_LANES if self.wide else MAX_LANES
        return 1 <= self.lanes <= max_lanes and 0 <= self.coded_bytes <= self.raw_bytes + MAX_CODED_EXCESS_BYTES

    @property
    def cm_profile(self) -> int:
        """Index of the profile of context mixing, 0..7."""
        return self.profile_byte & (1 << _PROFILE_BITS) - 1

    @property
    def wide(self) -> bool:
        """Whether each lane has a stream of its own."""
        return bool(self.profile_byte >> _WIDE_SHIFT & 1)

    @property
    def filter(self) -> int:
        """The branch filter, 0..15: a sum of Filter's kinds, or a value this version doesn't support; 0: none."""
        return self.profile_byte >> _FILTER_SHIFT

    def pack(self) -> bytes:
        assert self.within_bounds(), self
        fields = pack_varint(self.lanes << _LANES_SHIFT | self.single_block << _METHOD_BITS | self.method)
        if self.method is Method.STORED:
            fields += pack_varint(self.raw_bytes)
        else:
            fields += bytes([self.profile_byte]) + pack_varint(self.raw_bytes) + pack_varint(self.coded_bytes)
        check = crc16(fields + self.raw_check.to_bytes(4, "little"))
        return fields + _FRAME_CHECKS.pack(self.raw_check, check)

    @classmethod
    def parse(cls, data: bytes, block: int = 0) -> tuple[Frame, int]:
        """The frame that `data` begins with (FRAME_MAX_BYTES of it suffice), and its size. `block`: for the messages.

        Raises TruncatedError, DamagedError, and UnsupportedError (an unknown method) only if the check is right.
        """
        profile_byte = 0
        try:
            head, at = parse_varint(data, 0)
            method = head & (1 << _METHOD_BITS) - 1
            if method != Method.STORED:
                profile_byte, at = data[at], at + 1
            raw_bytes, at = parse_varint(data, at)
            coded_bytes = raw_bytes
            if method != Method.STORED:
                coded_bytes, at = parse_varint(data, at)
            raw_check, check = _FRAME_CHECKS.unpack_from(data, at)
        except (IndexError, struct.error):
            raise TruncatedError(f"truncated: the archive ends inside block {block}; {SALVAGE_HINT}", block) from None
        except ValueError:
            raise DamagedError(f"block {block} is damaged: its frame is malformed; {SALVAGE_HINT}", block) from None
        size = at + _FRAME_CHECKS.size
        if check != crc16(data[: size - 2]) or method == 0:
            raise DamagedError(f"block {block} is damaged: its frame doesn't match its check; {SALVAGE_HINT}", block)
        if method > max(Method):
            raise UnsupportedError(
                f"block {block} needs method {method}, which this arzip doesn't have; get a newer one"
            )
        lanes, single_block = head >> _LANES_SHIFT, bool(head >> _METHOD_BITS & 1)
        frame = cls(Method(method), lanes, profile_byte, raw_bytes, coded_bytes, raw_check, single_block)
        if not frame.within_bounds():
            raise DamagedError(f"block {block} is damaged: its frame is out of bounds; {SALVAGE_HINT}", block)
        return frame, size


# ------------------------------------------------------------------------------------------------------ end record

_END_TRAILER = struct.Struct("<8sII4s")  # content check, size of the record, crc32 of all before it, mark
_END_CHECKED_BYTES = 12  # of the trailer, those before its crc32
END_HEAD = 0
END_MARK = MAGIC[2::-1] + b"\x1a"
END_TRAILER_BYTES = _END_TRAILER.size
CONTENT_CHECK_BYTES = 8
MIN_INDEXED = 2  # blocks of a member with an end record: a single one says so itself, and none has a record of its own
EMPTY_END_HEAD = 1 << _METHOD_BITS
EMPTY_END = bytes([EMPTY_END_HEAD]) + crc16(bytes([EMPTY_END_HEAD])).to_bytes(2, "little")


@dataclass(frozen=True)
class End:
    """Index and check of a member.

    sizes: per block (bytes of frame + payload, raw bytes). content_check: BLAKE2b-64 of all raw bytes.
    """

    sizes: tuple[tuple[int, int], ...]
    content_check: bytes

    def pack(self) -> bytes:
        index = b"".join(pack_varint(span) + pack_varint(raw) for span, raw in self.sizes)
        lead = bytes([END_HEAD]) + pack_varint(len(self.sizes)) + index
        size = len(lead) + _END_TRAILER.size
        checked = lead + _END_TRAILER.pack(self.content_check, size, 0, END_MARK)[:_END_CHECKED_BYTES]
        return lead + _END_TRAILER.pack(self.content_check, size, zlib.crc32(checked), END_MARK)

    @classmethod
    def parse(cls, data: bytes) -> End:
        """The end record, which must be all of `data`. Raises DamagedError."""
        lead = len(data) - _END_TRAILER.size
        try:
            content_check, size, check, mark = _END_TRAILER.unpack_from(data, max(lead, 0))
            if (size, mark) != (len(data), END_MARK) or check != zlib.crc32(data[: lead + _END_CHECKED_BYTES]):
                raise ValueError("check")
            count, at = parse_varint(data, 1)
            numbers = []
            while at < lead:
                number, at = parse_varint(data, at)
                numbers.append(number)
            if data[0] != END_HEAD or at != lead or len(numbers) != 2 * count or count < MIN_INDEXED:
                raise ValueError("count")
        except (IndexError, ValueError, struct.error):
            raise DamagedError(f"the end record is damaged; {SALVAGE_HINT}") from None
        return cls(tuple(zip(numbers[::2], numbers[1::2], strict=True)), content_check)

    def block_offsets(self, end_offset: int) -> list[int]:
        """Offsets of the frames; end_offset: offset of this record."""
        spans = [span for span, _ in self.sizes]
        return list(accumulate(spans[:-1], initial=end_offset - sum(spans))) if spans else []
