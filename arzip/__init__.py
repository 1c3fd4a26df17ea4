"""arzip: a lossless compressor whose archives open, byte for byte, on every machine.

The names below are imported when they are first used: `import arzip` loads neither numpy nor numba.
"""

from __future__ import annotations

from arzip.version import __version__ as __version__

TYPE_CHECKING = False  # as typing's, whose import takes half the time
if TYPE_CHECKING:
    from arzip.api.batch import Batch as Batch
    from arzip.api.batch import compress_batch as compress_batch
    from arzip.api.batch import open_batch as open_batch
    from arzip.api.dictionary import train_dictionary as train_dictionary
    from arzip.api.dispatch import open_any as open_any
    from arzip.api.file import ArzipFile as ArzipFile
    from arzip.api.file import open as open
    from arzip.api.fsspec import register_fsspec as register_fsspec
    from arzip.api.incremental import ArzipCompressor as ArzipCompressor
    from arzip.api.incremental import ArzipDecompressor as ArzipDecompressor
    from arzip.api.oneshot import compress as compress
    from arzip.api.oneshot import decompress as decompress
    from arzip.api.records import compress_many as compress_many
    from arzip.api.records import decompress_many as decompress_many
    from arzip.api.tar import register_shutil as register_shutil
    from arzip.api.tar import tar_open as tar_open
    from arzip.errors import ArzipError as ArzipError
    from arzip.errors import DamagedError as DamagedError
    from arzip.errors import DictionaryMissingError as DictionaryMissingError
    from arzip.errors import ModelError as ModelError
    from arzip.errors import ModelMissingError as ModelMissingError
    from arzip.errors import NotAnArchiveError as NotAnArchiveError
    from arzip.errors import TruncatedError as TruncatedError
    from arzip.errors import UnsupportedError as UnsupportedError

_HOMES = {
    "arzip.api.batch": ("Batch", "compress_batch", "open_batch"),
    "arzip.api.dictionary": ("train_dictionary",),
    "arzip.api.dispatch": ("open_any",),
    "arzip.api.file": ("ArzipFile", "open"),
    "arzip.api.fsspec": ("register_fsspec",),
    "arzip.api.incremental": ("ArzipCompressor", "ArzipDecompressor"),
    "arzip.api.oneshot": ("compress", "decompress"),
    "arzip.api.records": ("compress_many", "decompress_many"),
    "arzip.api.tar": ("register_shutil", "tar_open"),
    "arzip.errors": (
        *("ArzipError", "DamagedError", "ModelError", "ModelMissingError", "NotAnArchiveError", "TruncatedError"),
        *("DictionaryMissingError", "UnsupportedError"),
    ),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "ArzipCompressor",
    "ArzipDecompressor",
    "ArzipError",
    "ArzipFile",
    "Batch",
    "DamagedError",
    "DictionaryMissingError",
    "ModelError",
    "ModelMissingError",
    "NotAnArchiveError",
    "TruncatedError",
    "UnsupportedError",
    "compress",
    "compress_batch",
    "compress_many",
    "decompress",
    "decompress_many",
    "open",
    "open_any",
    "open_batch",
    "register_fsspec",
    "register_shutil",
    "tar_open",
    "train_dictionary",
]


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(_HOME_OF[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
