"""Compress, decompress, test, evaluate one file: opens input and output, calls the codec, reports.

Imports the codec late, since it imports numpy and numba.
"""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from arzip.cli import verify
from arzip.cli.args import Settings
from arzip.cli.messages import OnProgress, Reporter, confirm_overwrite, shown
from arzip.cli.names import archive_name, original_name
from arzip.errors import ArzipError, OutputError
from arzip.format.records import MAX_DICTIONARY_BYTES
from arzip.system import files, outputs
from arzip.system.outputs import OutputFile

if TYPE_CHECKING:
    from arzip.api.recovery import Recovery
    from arzip.codec import Options, Summary

RANGE_BYTES = 1 << 20  # written at a time
MAX_NAMED_GAPS = 8


def codec_options(settings: Settings, threads: int | None = None) -> Options:
    """The codec's options. threads: other ones than the settings say."""
    from arzip.codec import Options

    opens = not settings.no_open
    number = settings.threads if threads is None else threads
    basic = settings.level, settings.model, settings.device, number, settings.wide, opens
    max_output = -1 if settings.max_output is None else settings.max_output
    limits = settings.block_size or 0, settings.memory or 0, max_output
    return Options(*basic, *limits, dictionary=read_dictionary(settings.dictionary))


def read_dictionary(path: str | None) -> bytes:
    """The bytes of a dictionary's file; none for None. Raises ArzipError."""
    if path is None:
        return b""
    try:
        with open(path, "rb") as file:
            found = file.read(MAX_DICTIONARY_BYTES + 1)
    except OSError as error:
        raise ArzipError(f"{path}: can't read the dictionary: {error.strerror}") from error
    if not 0 < len(found) <= MAX_DICTIONARY_BYTES:
        raise ArzipError(f"{path}: no dictionary, which has 1 to {MAX_DICTIONARY_BYTES:,} bytes")
    return found


def compress(name: str, settings: Settings, reporter: Reporter) -> None:
    """Compress `name`, to its own name with .arz unless the settings say otherwise. Raises ArzipError."""
    _transform(name, settings, reporter, _compress, of_archive=False)


def decompress(name: str, settings: Settings, reporter: Reporter) -> None:
    """Decompress `name`, to its own name without .arz unless the settings say otherwise. Raises ArzipError."""
    if settings.salvage:
        return _salvage(name, settings, reporter)
    work = _decompress if settings.range is None else _decompress_range
    _transform(name, settings, reporter, work, of_archive=True)


def _salvage(name: str, settings: Settings, reporter: Reporter) -> None:
    """Recover what is whole of the archive `name`, and say what is missing. Raises ArzipError."""
    with _opened(name, settings) as source:
        path = _output_path(name, settings, original_name)
        from arzip import codec
        from arzip.api import recovery

        with (
            codec.on_first_compile(reporter.compiling),
            _output(source, path, settings, is_archive=False) as sink,
            reporter.progress(name, source.size_bytes, of_archive=True) as progress,
        ):
            found = recovery.salvage(source.stream, sink, codec_options(settings), progress, settings.zeros)
    if found.models:
        reporter.note(name, f"the header is lost; of the models at hand {' and '.join(found.models)} fits")
    blocks = f"{found.blocks:,} whole block{'s' * (found.blocks != 1)}"
    reporter.warn(name, f"salvaged {found.raw_bytes:,} bytes in {blocks}; {describe_missing(found, settings)}")


class _Work(NamedTuple):
    """What a file is made from, where it goes, and how. checked: what to compare when --rm removes the source."""

    source: files.InputFile
    sink: OutputFile
    settings: Settings
    progress: OnProgress | None
    checked: list[bytes]


def _compress(work: _Work) -> Summary:
    from arzip import codec

    options = codec_options(work.settings)
    if not work.settings.verifies:
        return codec.compress(work.source.stream, work.sink, options, work.progress)
    hashed = verify.HashedSource(work.source.stream)
    summary = codec.compress(hashed, work.sink, options, work.progress)  # type: ignore[arg-type]
    verify.archive(work.sink, hashed.hash.digest(), options)
    work.checked.append(hashed.hash.digest())
    return summary


def _decompress(work: _Work) -> Summary:
    from arzip import codec

    options = codec_options(work.settings)
    if not work.settings.verifies:
        return codec.decompress(work.source.stream, work.sink, options, work.progress)
    hashed = verify.HashedSink(work.sink)
    summary = codec.decompress(work.source.stream, hashed, options, work.progress)
    verify.content(work.sink, hashed.hash.digest())
    return summary


def _decompress_range(work: _Work) -> Summary:
    """Some bytes of what an archive holds, by the blocks that hold them. Raises ArzipError if it ends before."""
    from arzip.api.options import Arguments
    from arzip.api.reader import BlockReader
    from arzip.codec import Summary

    settings, written = work.settings, 0
    assert settings.range is not None
    start, length = settings.range
    given = Arguments(settings.level, settings.model, settings.threads, False, True, memory_bytes=settings.memory or 0)
    with BlockReader(work.source.stream, given) as reader:
        if reader.seekable():
            reader.seek(start)
        while reader.tell() < start and reader.read(min(start - reader.tell(), RANGE_BYTES)):
            pass
        if reader.tell() < start:
            raise ArzipError(f"holds {reader.tell():,} bytes: a range from {start:,} on isn't in it")
        while length is None or written < length:
            piece = reader.read(RANGE_BYTES if length is None else min(RANGE_BYTES, length - written))
            if not piece:
                break
            work.sink.write(piece)
            written += len(piece)
        return Summary(written, work.source.size_bytes, reader.decoded_blocks)


def _transform(
    name: str, settings: Settings, reporter: Reporter, work: Callable[[_Work], Summary], *, of_archive: bool
) -> Summary:
    """Make the output of file `name`. Raises ArzipError."""
    checked: list[bytes] = []
    with _opened(name, settings) as source:
        path = _output_path(name, settings, original_name if of_archive else archive_name)
        from arzip import codec  # after the input is open, so that a missing file is reported fast

        start = time.monotonic()
        with (
            codec.on_first_compile(reporter.compiling),
            _output(source, path, settings, is_archive=not of_archive) as sink,
            reporter.progress(name, source.size_bytes, of_archive=of_archive) as progress,
        ):
            summary = work(_Work(source, sink, settings, progress, checked))
        if checked and settings.rm and source.is_regular and name != "-":
            verify.source(source, checked[0])
        _finish(source, path, summary, time.monotonic() - start, settings, reporter)
    return summary


def test(name: str, settings: Settings, reporter: Reporter) -> dict[str, Any]:
    """Decompress `name`, discard the bytes, return the row that --json prints. Raises ArzipError if it is damaged."""
    with files.open_source(name, special=True) as source, open(os.devnull, "wb") as null:
        _refuse_terminal(source, settings)
        from arzip import codec

        with reporter.progress(name, source.size_bytes, of_archive=True) as progress:
            summary = codec.decompress(source.stream, null, codec_options(settings), progress)
    reporter.log(name, f"sound, {summary.raw_bytes:,} bytes in {summary.blocks} blocks")
    _tell_of_devices(name, summary, reporter)
    return {
        "name": name,
        "sound": True,
        "raw_bytes": summary.raw_bytes,
        "archive_bytes": summary.archive_bytes,
        "blocks": summary.blocks,
    }


def evaluate(name: str, settings: Settings, reporter: Reporter, broken_down: bool = False) -> dict[str, Any]:
    """The row that --json prints: bytes as an archive, bits of the model alone. Raises ArzipError.

    broken_down: add the tables by position and by byte class.
    """
    with files.open_source(name, special=True) as source:
        _refuse_terminal(source, settings)
        from arzip import codec

        raw = source.stream.read() if broken_down else b""
        stream = io.BytesIO(raw) if broken_down else source.stream
        with reporter.progress(name, source.size_bytes, of_archive=False) as progress:
            result = codec.evaluate(stream, codec_options(settings), progress)
    row: dict[str, Any] = {
        "name": name,
        "raw_bytes": result.raw_bytes,
        "archive_bytes": result.archive_bytes,
        "model_bits": result.model_bits,
    }
    if broken_down:
        from arzip.cli import cost_breakdown

        parts = cost_breakdown.break_down(raw, cost_breakdown.byte_costs(raw, settings.level, settings.model))
        row |= {"by_position": parts.by_position, "by_byte_class": parts.by_byte_class}
    return row


def _output_path(name: str, settings: Settings, derive: Callable[[str, bool], str]) -> str | None:
    """Path of the output; None: the standard output."""
    if settings.to_stdout:
        return None
    if settings.output is not None:
        return settings.output
    return None if name == "-" else derive(name, settings.force)


@contextmanager
def _opened(name: str, settings: Settings) -> Iterator[files.InputFile]:
    # links and devices are refused only where the name of the output is derived from theirs
    special = settings.force or settings.to_stdout or settings.output is not None
    with files.open_source(name, special=special) as source:
        _refuse_terminal(source, settings)
        yield source


def _refuse_terminal(source: files.InputFile, settings: Settings) -> None:
    if source.name == "-" and source.stream.isatty() and not settings.force:
        raise ArzipError("nothing to read but the keyboard; name a FILE, or pipe data in, -f insists (help: arzip -h)")


@contextmanager
def _output(source: files.InputFile, path: str | None, settings: Settings, *, is_archive: bool) -> Iterator[OutputFile]:
    if path is None:
        with outputs.open_stdout(source, allow_terminal=settings.force or not is_archive) as sink:
            yield sink
        return
    overwrite = settings.force or (files.is_present(path) and confirm_overwrite(path, source.name == "-"))
    sparse = settings.sparse and not is_archive
    with outputs.open_output(path, source, overwrite=overwrite, sparse=sparse) as sink:
        if not sink.is_new and (settings.rm or settings.verifies):
            raise OutputError(f"{path}: is a device or a pipe, which --rm and --verify can't read back")
        yield sink


def _finish(
    source: files.InputFile, path: str | None, summary: Summary, seconds: float, settings: Settings, reporter: Reporter
) -> None:
    """After a complete output: report it, and remove the source if --rm is given."""
    reporter.log(source.name, f"{describe(summary, seconds)} -> {shown(path) if path else 'standard output'}")
    _tell_of_devices(source.name, summary, reporter)
    if settings.rm and source.name != "-":
        files.remove_source(source)


def _tell_of_devices(name: str, summary: Summary, reporter: Reporter) -> None:
    """What coded wide blocks, and what went wrong with GPUs: the output is whole all the same."""
    if summary.device:
        reporter.log(name, f"wide blocks on {summary.device}; by a GPU: {summary.device_blocks} of {summary.blocks}")
    for fault in summary.faults:
        reporter.note(name, fault)


def describe(summary: Summary, seconds: float) -> str:
    """E.g. "152,089 raw bytes, 31,068 archived, 1.634 bits per byte, 88 KB/s", and what was opened."""
    rate = 8 * summary.archive_bytes / summary.raw_bytes if summary.raw_bytes else 0.0
    speed = summary.raw_bytes / 1000 / max(seconds, 1e-6)
    return (
        f"{summary.raw_bytes:,} raw bytes, {summary.archive_bytes:,} archived, {rate:.3f} bits per byte, "
        f"{speed:,.0f} KB/s" + describe_opened(summary)
    )


def describe_missing(found: Recovery, settings: Settings) -> str:
    """Which bytes of the original are missing: "nothing is missing", or e.g. "missing: bytes 4,096 to 8,191"."""
    parts = [
        f"perhaps more behind byte {gap.start:,}" if gap.size is None else _range(gap.start, gap.size)
        for gap in found.missing
    ]
    if not parts:
        return "nothing is missing"
    more = len(parts) - MAX_NAMED_GAPS
    if more > 0 and not settings.verbose:
        parts[MAX_NAMED_GAPS:] = [f"{more:,} more: -v names all"]
    return f"missing: {', '.join(parts)}" + (" (zeros in their place)" if settings.zeros else "")


def _range(start: int, size: int) -> str:
    return f"bytes {start:,} to {start + size - 1:,}" if size > 1 else f"byte {start:,}"


def describe_opened(summary: Summary) -> str:
    """E.g. "; opened 12 deflate streams (11 exact, 1 corrected), 1,034,567 bytes"."""
    if not summary.opened_streams:
        return ""
    exact, corrected = summary.opened_streams - summary.corrected_streams, summary.corrected_streams
    counts = f"{summary.opened_streams:,} deflate streams ({exact:,} exact, {corrected:,} corrected)"
    refused = f", {summary.refused_streams:,} left closed: too long for this level" if summary.refused_streams else ""
    return f"; opened {counts}, {summary.opened_bytes:,} bytes{refused}"
