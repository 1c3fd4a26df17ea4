"""Download a corpus: fetch, unpack and check each file before it gets its name.

Standard library only.
"""

from __future__ import annotations

import hashlib
import http.client
import io
import os
import secrets
import tarfile
import tempfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, BinaryIO
from urllib.parse import urlsplit

from arzip.bench.corpora.catalog import Corpus, Download, File
from arzip.errors import ArzipError

PIECE_BYTES = 1 << 16
TIMEOUT_SECONDS = 60
SCHEMES = ("https", "file")
LIMIT_BYTES = 1 << 30  # of a download: more than any corpus here
Log = Callable[[str], None]


def fetch(corpus: Corpus, lacking: list[File], target: Path, log: Log) -> None:
    """Put the missing files of a corpus into `target`. Raises ArzipError if one isn't as it was published."""
    for download in corpus.downloads:
        wanted = [file for file in download.files if file in lacking]
        if wanted:
            log(f"fetching {download.url}")
            with _explained(download.url), _download(download.url) as packed:
                _unpack(download, packed, wanted, target)


def _unpack(download: Download, packed: IO[bytes], wanted: list[File], target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    with _members(urlsplit(download.url).path, packed) as open_member:
        for file in wanted:
            with open_member(file.member) as stream:
                _place(file, stream, target / file.name)


def _place(file: File, stream: IO[bytes], path: Path) -> None:
    """Write a temporary file, and rename it if size and SHA-256 are the manifest's."""
    part = path.with_name(f".{path.name}-{secrets.token_hex(4)}.part")
    digest, missing = hashlib.sha256(), file.size_bytes
    try:
        with open(part, "xb") as sink:
            while missing and (piece := stream.read(min(PIECE_BYTES, missing))):
                sink.write(piece)
                digest.update(piece)
                missing -= len(piece)
            sink.flush()
            os.fsync(sink.fileno())
        if missing or digest.hexdigest() != file.sha256 or (not file.prefix and stream.read(1)):
            raise ArzipError(f"{file.name}: what came is not what the manifest describes; nothing was kept of it")
        os.replace(part, path)
    finally:
        with suppress(OSError):
            part.unlink()


@contextmanager
def _members(path: str, packed: IO[bytes]) -> Iterator[Callable[[str], IO[bytes]]]:
    """A function that opens a member of an archive by its base name; a plain file has one member."""
    if path.endswith((".tar.gz", ".tgz", ".tar")):
        with tarfile.open(fileobj=packed, mode="r:*") as tar:
            regular = {Path(entry.name).name: entry for entry in tar.getmembers() if entry.isfile()}
            yield lambda name: tar.extractfile(regular[name]) or io.BytesIO()
    elif path.endswith(".zip"):
        with zipfile.ZipFile(packed) as archive:
            by_name = {Path(name).name: name for name in archive.namelist() if not name.endswith("/")}
            yield lambda name: archive.open(by_name[name])
    else:
        yield lambda name: packed


@contextmanager
def _download(url: str) -> Iterator[BinaryIO]:
    """Download a URL to a temporary file."""
    if urlsplit(url).scheme not in SCHEMES:
        raise ArzipError(f"{url}: only https is fetched")
    request = urllib.request.Request(url, headers={"User-Agent": "arzip"})
    with tempfile.TemporaryFile() as packed:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:
            while piece := answer.read(PIECE_BYTES):
                packed.write(piece)
                if packed.tell() > LIMIT_BYTES:
                    raise ArzipError(f"{url}: gives more than {LIMIT_BYTES:,} bytes")
        packed.seek(0)
        yield packed


@contextmanager
def _explained(url: str) -> Iterator[None]:
    try:
        yield
    except urllib.error.URLError as error:
        raise ArzipError(f"{url}: can't be fetched: {error.reason}") from error
    except (http.client.HTTPException, TimeoutError) as error:
        raise ArzipError(f"{url}: the download broke off ({type(error).__name__}); try again") from error
    except KeyError as error:
        raise ArzipError(f"{url}: holds no {error.args[0]}") from error
    except (tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
        raise ArzipError(f"{url}: what came is no archive, or a damaged one ({error})") from error
