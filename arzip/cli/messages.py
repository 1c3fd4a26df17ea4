"""Messages on stderr (errors, warnings, progress) and the exit code. Must not write to stdout."""

from __future__ import annotations

import re
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import click

from arzip.cli.args import Settings
from arzip.errors import ArzipError
from arzip.system.files import SkippedError, reason

OK, ERROR, WARNING = 0, 1, 2
OnProgress = Callable[[int, int], None]


def shown(name: str) -> str:
    """A file's name as one printable line; "-" becomes "(stdin)"."""
    return "(stdin)" if name == "-" else printable(name)


def printable(text: str) -> str:
    """A text that may come from anyone's file, with escapes in the place of what would reach into the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


# What Python, the dynamic linker and safetensors (whose panic is no Exception) say where memory can't be had.
_OUT_OF_MEMORY = re.compile(
    "can't start new thread|failed to map segment|annot allocate memory|PyObject pointer is null|bad_alloc"
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there is no memory left, or none for a thread or a library."""
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)  # without a file's name
    return isinstance(error, MemoryError) or _OUT_OF_MEMORY.search(said) is not None


class Reporter:
    """Prints messages to stderr at the chosen verbosity and keeps the exit code; an error outranks a warning."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.exit_code = OK

    def each(self, names: Sequence[str], job: Callable[[str], None]) -> int:
        """Call `job` with every name, also after one has failed; returns the exit code."""
        for name in names:
            try:
                job(name)
            except BrokenPipeError:
                raise
            except SkippedError as error:
                self.warn(name, str(error))
            except ArzipError as error:
                self.fail(name, str(error))
            except BaseException as error:
                if is_out_of_memory(error):
                    self.fail(name, "not enough memory")
                elif isinstance(error, OSError):
                    self.fail(name, f"{error.filename}: {reason(error)}" if error.filename else reason(error))
                elif not isinstance(error, Exception):
                    raise
                else:
                    self.fail(name, f"internal error, please report it ({type(error).__name__}: {error})")
                    if self._settings.verbose > 1:
                        traceback.print_exc()
        return self.exit_code

    def fail(self, name: str, message: str) -> None:
        self.exit_code = ERROR
        self._say(name, message, self._settings.quiet < 2)

    def warn(self, name: str, message: str) -> None:
        self.exit_code = self.exit_code or WARNING
        self._say(name, message, self._settings.quiet < 1)

    def note(self, name: str, message: str) -> None:
        """A warning of what did no harm: the exit code stays."""
        self._say(name, message, self._settings.quiet < 1)

    def log(self, name: str, message: str) -> None:
        self._say(name, message, self._settings.verbose > 0)

    def compiling(self) -> None:
        """Report that kernels are being compiled, which takes up to a minute."""
        if sys.stderr is not None and sys.stderr.isatty() and not self._settings.quiet:
            click.echo("arzip: compiling its loops, once after an installation: some 40 seconds", err=True)

    def report(self, line: str) -> None:
        """Print a line of progress of a long job, unless -q is given."""
        if not self._settings.quiet:
            click.echo(line, err=True)

    def _say(self, name: str, message: str, wanted: bool) -> None:
        if wanted:
            message = message.removeprefix(f"{name}: ")  # errors of a file that is named twice, as in `x -o x`
            click.echo(f"arzip: {shown(name)}: {printable(' '.join(message.split()))}", err=True)

    @contextmanager
    def progress(self, name: str, total_bytes: int, *, of_archive: bool) -> Iterator[OnProgress | None]:
        """A progress bar for one file: yields a function of (raw bytes, archive bytes) so far, or None without a bar.

        total_bytes: size of the input; 0 if unknown.
        """
        wanted = self._settings.progress
        if wanted is None:
            wanted = sys.stderr is not None and sys.stderr.isatty() and not self._settings.quiet
        if not wanted:
            yield None
            return
        from rich.console import Console
        from rich.markup import escape
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

        columns = "{task.description}", BarColumn(), DownloadColumn(), TextColumn("{task.fields[rate]}")
        with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(escape(shown(name)), total=total_bytes or None, rate="")
            start = time.monotonic()

            def show(raw_bytes: int, archive_bytes: int) -> None:
                rate = raw_bytes / 1000 / max(time.monotonic() - start, 1e-3)
                bar.update(task, completed=archive_bytes if of_archive else raw_bytes, rate=f"{rate:.0f} KB/s")

            yield show


def confirm_overwrite(path: str, reads_stdin: bool) -> bool:
    """Ask on the terminal, if there is one; without one, and on end of input, the answer is no."""
    if reads_stdin or sys.stdin is None or sys.stderr is None or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    try:
        return click.confirm(f"arzip: {shown(path)} exists already; overwrite it?", err=True)
    except click.Abort:
        return False
