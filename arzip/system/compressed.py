"""Which files are compressed already, by the ends of their names and by their first bytes."""

from __future__ import annotations

import os
import stat

# What deflate has packed: arzip opens it, so that it is worth compressing.
_DEFLATE_SUFFIXES = frozenset(
    {
        *(".apk", ".docx", ".ear", ".epub", ".gz", ".jar", ".odp", ".ods", ".odt", ".pdf", ".png", ".pptx", ".svgz"),
        *(".tgz", ".war", ".whl", ".xlsx", ".xpi", ".zip"),
    }
)
_DEFLATE_MAGIC = (b"\x1f\x8b", b"PK\x03\x04", b"\x89PNG\r\n\x1a\n", b"%PDF-")
_SUFFIXES = frozenset(
    {
        *(".7z", ".arj", ".arz", ".br", ".bz", ".bz2", ".cab", ".lz", ".lz4", ".lzh", ".lzma", ".lzo", ".rar", ".sz"),
        *(".tarz", ".tbz2", ".txz", ".tzst", ".xz", ".z", ".zpaq", ".zst"),
        *(".avif", ".gif", ".heic", ".heif", ".jp2", ".jpeg", ".jpg", ".jxl", ".webp"),
        *(".aac", ".ape", ".flac", ".m4a", ".mp3", ".ogg", ".opus", ".wma", ".wv"),
        *(".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ogv", ".webm", ".wmv"),
        *(".deb", ".rpm", ".woff2"),
    }
)
_MAGIC = (
    *(b"\x8fAZ\r\n\x1a", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd", b"BZh", b"7z\xbc\xaf\x27\x1c", b"\x04\x22\x4d\x18"),
    *(b"Rar!\x1a\x07", b"\x1f\x9d", b"LZIP", b"7kSt", b"MSCF"),
    *(b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"\x00\x00\x00\x0cJXL \r\n\x87\n", b"\x00\x00\x00\x0cjP  \r\n\x87\n"),
    *(b"fLaC", b"OggS", b"ID3", b"MAC ", b"wvpk", b"\x1a\x45\xdf\xa3", b"\xed\xab\xee\xdb", b"wOF2"),
)
_BOX = b"ftyp"  # mp4, mov, heic and avif have a length before it
_MAGIC_BYTES = 16


def is_compressed(path: str, *, deflate_too: bool) -> bool:
    """Whether the file's name or its first bytes are those of compressed data; deflate_too: also of deflate's.

    False for what is no regular file, or can't be read.
    """
    suffix = os.path.splitext(path)[1].lower()
    if suffix in _SUFFIXES or (suffix in _DEFLATE_SUFFIXES and deflate_too):
        return True
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return False
        with open(path, "rb") as file:
            start = file.read(_MAGIC_BYTES)
    except OSError:
        return False
    if start.startswith(_MAGIC) or start[4:8] == _BOX or (start[:4] == b"RIFF" and start[8:12] == b"WEBP"):
        return True
    return deflate_too and start.startswith(_DEFLATE_MAGIC)
