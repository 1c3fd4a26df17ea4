"""What of a job is done, in a folder beside its output, in any file system: an unfinished job can go on by it.

A record is a file, written once: a line of JSON and a body, with a check, so that one which was cut off counts as none.
"""

from __future__ import annotations

import json
import zlib
from typing import Any

from arzip.cluster import locations
from arzip.errors import ArzipError

SUFFIX = ".arzip-journal"
_JOB = "job"


def pack_record(fields: dict[str, Any], body: bytes = b"") -> bytes:
    """A record of fields that JSON knows, and a body."""
    line = json.dumps(fields, separators=(",", ":")).encode()
    return b"%08x %d %s\n" % (zlib.crc32(line + body), len(body), line) + body


def parse_record(data: bytes) -> tuple[dict[str, Any], bytes] | None:
    """Fields and body of a record; None if it isn't whole."""
    head, _, body = data.partition(b"\n")
    try:
        check, size, line = head.split(b" ", 2)
        whole = int(size) == len(body) and int(check, 16) == zlib.crc32(line + body)
        return (json.loads(line), body) if whole else None
    except ValueError:
        return None


class Journal:
    """The records of the job that makes `target`; it is no longer needed when that is complete.

    job: what must be the same when the job goes on. resume: whether it may go on; else a journal that is there is
    refused, or removed if overwrite. Raises ArzipError.
    """

    def __init__(self, target: str, job: dict[str, Any], *, resume: bool, overwrite: bool) -> None:
        self.folder = target.rstrip("/") + SUFFIX
        self._names = set(locations.list_names(self.folder))
        if self._names and not resume:
            if not overwrite:
                raise ArzipError(f"an unfinished job lies in {self.folder}: --resume goes on, -f begins anew")
            self.remove()
        before = self.get(_JOB)
        if before is not None and before[0] != job:
            changed = ", ".join(sorted(key for key in job if before[0].get(key) != job[key]))
            raise ArzipError(f"the unfinished job in {self.folder} is another one ({changed}); -f begins anew")
        if before is None:
            locations.make_folder_of(locations.join(self.folder, _JOB))
            self.put(_JOB, job)

    def put(self, name: str, fields: dict[str, Any], body: bytes = b"") -> None:
        """Add a record."""
        locations.put(locations.join(self.folder, name), pack_record(fields, body))
        self._names.add(name)

    def get(self, name: str) -> tuple[dict[str, Any], bytes] | None:
        """Fields and body of a record; None if there is none that is whole."""
        if name not in self._names:
            return None
        try:
            return parse_record(locations.get(locations.join(self.folder, name)))
        except OSError:
            return None

    def has(self, name: str) -> bool:
        """Whether there is such a record, whole or not."""
        return name in self._names

    def names(self, prefix: str) -> list[str]:
        """Names of the records that begin so, in order."""
        return sorted(name for name in self._names if name.startswith(prefix))

    def remove(self, prefix: str = "") -> None:
        """Remove the records that begin so; or all, and the folder."""
        if not prefix:
            locations.remove_folder(self.folder)
            self._names = set()
            return
        for name in self.names(prefix):
            locations.remove(locations.join(self.folder, name))
            self._names.discard(name)
