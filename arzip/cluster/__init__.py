"""Archives made and opened by a Ray cluster, byte for byte as on one machine: `compress`, `decompress`, `test`.

Sources and targets are paths, which must mean the same on all machines, or URLs of fsspec. Needs `arzip[ray]`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from arzip.levels import DEFAULT

if TYPE_CHECKING:
    from arzip.cluster.jobs import Report

Progress = Callable[[int, int], None]
__all__ = ["compress", "decompress", "test"]


def compress(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str] | None = None,
    level: int = DEFAULT,
    *,
    cluster: str = "auto",
    workers: int = 0,
    model: str | None = None,
    device: str = "auto",
    wide: bool = False,
    opens: bool = True,
    block_size: int = 0,
    recursive: bool = False,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Compress a file to one archive, or with `recursive` each file in a folder to an archive in the folder `target`.

    target: None for the source's name and .arz. level, model, wide, opens, block_size: as of `arzip.compress`. cluster:
    address of a Ray cluster; "auto": the one that this machine belongs to; "local": one of this machine, for this call.
    workers: at most so many, 0 for as many as there are CPUs. device: "auto" takes GPUs for wide blocks. resume: go on
    with what an earlier call has left in its journal beside the target. overwrite: replace what is there. progress:
    gets raw and archive bytes so far.

    Returns what was done. Faults of single files of a folder are in its `failed`. Raises ArzipError on other faults; a
    block that fails three times is one, and what is done stays in the journal.
    """
    options = _options(level, model, device, wide, opens, block_size)
    return _do("compress", source, target, options, cluster, workers, recursive, resume, overwrite, progress)


def decompress(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str] | None = None,
    *,
    cluster: str = "auto",
    workers: int = 0,
    model: str | None = None,
    device: str = "auto",
    recursive: bool = False,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Restore the file of an archive, or with `recursive` those of all archives in a folder. Else as `compress`.

    device: "cuda" has GPUs decode wide blocks.
    """
    options = _options(DEFAULT, model, device)
    return _do("decompress", source, target, options, cluster, workers, recursive, resume, overwrite, progress)


def test(
    source: str | os.PathLike[str],
    *,
    cluster: str = "auto",
    workers: int = 0,
    model: str | None = None,
    device: str = "auto",
    recursive: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Decode an archive, or with `recursive` all in a folder, to nowhere. Raises as `decompress` if it isn't sound."""
    options = _options(DEFAULT, model, device)
    return _do("test", source, None, options, cluster, workers, recursive, False, False, progress)


def _options(
    level: int, model: str | None, device: str, wide: bool = False, opens: bool = True, block_size: int = 0
) -> Any:
    from arzip.api.options import check

    given = check(level, model=model, threads=1, wide=wide, opens=opens, block_size=block_size)
    return replace(given.options(), device=device)


def _do(verb: str, source: Any, target: Any, options: Any, *rest: Any) -> Report:
    from arzip.cluster import verbs

    cluster, workers, recursive, resume, overwrite, progress = rest
    names = os.fspath(source), None if target is None else os.fspath(target)
    request = verbs.Request(verb, *names, options, cluster, workers, recursive, resume, overwrite)
    return verbs.do(request, progress)
