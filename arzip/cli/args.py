"""Arguments of the command line: levels as gzip writes them, and the settings of one call. Must not open files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import click

from arzip import levels
from arzip.cli.sizes import ByteRange

# Options that take a value: in "-mT9" the 9 belongs to T.
_SHORT_WITH_VALUE = "omTbMD"
_LONG_WITH_VALUE = {
    *("--output", "--model", "--device", "--threads", "--level", "--prompt", "--filelist", "--filelist0"),
    *("--block-size", "--memory", "--max-output", "--range", "--dictionary", "--cluster"),
}
_CLUSTER = re.compile(rf"-([^-{_SHORT_WITH_VALUE}][^{_SHORT_WITH_VALUE}]*)?([{_SHORT_WITH_VALUE}].*)?", re.DOTALL)


@dataclass(frozen=True)
class Settings:
    """The options of one call, as given. `threads` 0: all cores; `progress` None: if stderr is a terminal.

    block_size: in bytes; None: the level's. memory, max_output: limits in bytes; None: none. range: what to
    restore; None: all. verify: None: with --rm.
    """

    level: int = levels.DEFAULT
    wide: bool = False
    model: str | None = None
    device: str = "auto"
    threads: int = 0
    no_open: bool = False
    block_size: int | None = None
    memory: int | None = None
    max_output: int | None = None
    sparse: bool = True
    range: ByteRange | None = None
    verify: bool | None = None
    stdout: bool = False
    output: str | None = None
    rm: bool = False
    force: bool = False
    salvage: bool = False
    zeros: bool = False
    json: bool = False
    quiet: int = 0
    verbose: int = 0
    progress: bool | None = None
    recursive: bool = False
    filelist: str | None = None
    filelist0: str | None = None
    exclude_compressed: bool = False
    dictionary: str | None = None
    cluster: str | None = None
    resume: bool = False

    def check(self, files: Sequence[str], *, compressing: bool) -> None:
        """Raises click.UsageError on options that contradict each other, the files, or what is done to them."""
        if self.stdout and self.output is not None:
            raise click.UsageError("-c and -o: one output is enough")
        if self.resume and self.cluster is None:
            raise click.UsageError("--resume goes with --cluster")
        if self.output == "":
            raise click.UsageError("-o names no file")
        many = self.recursive or self.filelist is not None or self.filelist0 is not None
        if self.output not in (None, "-") and (len(files) > 1 or many):
            raise click.UsageError("-o names one output, but there are several files")
        if self.rm and self.to_stdout:
            raise click.UsageError("--rm needs an output file, not the standard output")
        if self.rm and self.range is not None:
            raise click.UsageError("--rm would remove what --range leaves out")
        if self.rm and self.salvage:
            raise click.UsageError("--rm would remove what --salvage could not read")
        if self.verifies and (self.to_stdout or self.salvage or self.range is not None):
            raise click.UsageError("--verify reads a whole output file back: not with -c, --salvage, --range")
        if self.range is not None and (self.salvage or self.max_output is not None):
            raise click.UsageError("--range goes neither with --salvage nor with --max-output")
        if self.zeros and not self.salvage:
            raise click.UsageError("--zeros goes with --salvage")
        if self.recursive and not files and self.filelist is None and self.filelist0 is None:
            raise click.UsageError("-r names no folder")
        if self.dictionary is not None and self.wide:
            raise click.UsageError("-D goes with no wide blocks: these start from nothing")
        if self.exclude_compressed and not compressing:
            raise click.UsageError("--exclude-compressed goes with compressing")

    @property
    def verifies(self) -> bool:
        """Whether outputs are read back and compared."""
        return self.rm if self.verify is None else self.verify

    @property
    def to_stdout(self) -> bool:
        return self.stdout or self.output == "-"


def expand_levels(args: Sequence[str]) -> list[str]:
    """Rewrite -1 .. -9, alone or in a cluster (-k9), as --level=N. Raises click.UsageError on -19 and on -0.

    To click, -19 would be -1 and -9.
    """
    expanded: list[str] = []
    rest = iter(args)
    for arg in rest:
        cluster = _CLUSTER.fullmatch(arg)
        if arg == "--":
            return [*expanded, arg, *rest]
        if arg in _LONG_WITH_VALUE:
            expanded += [arg, *islice(rest, 1)]
        elif arg == "-" or cluster is None:
            expanded.append(arg)
        else:
            flags, valued = cluster[1] or "", cluster[2] or ""
            for number in re.findall(r"[0-9]+", flags):
                if number not in "123456789":
                    raise click.UsageError(f"no level -{number}; the levels are -1 to -9")
                expanded.append(f"--level={number}")
            letters = re.sub("[0-9]", "", flags) + valued
            expanded += [f"-{letters}"] * bool(letters)
            if len(valued) == 1:
                expanded += islice(rest, 1)
    return expanded
