"""Results as text: cells of tables, Markdown, CSV. Must not import terminal or HTML code."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence

from arzip.bench.results import Result, Row, Speed, Total

NOTHING = "-"
FAILED = "FAILED"
MAX_FILES = 6  # columns of the summary that show one file each
ROW_HEADINGS = (
    *("file", "codec", "bytes", "ratio", "bpb", "compress KB/s", "decompress KB/s"),
    *("peak MB", "model bytes", "measured", "device", "verified"),
)
TOTAL_HEADINGS = (
    *("codec", "files", "raw bytes", "bytes", "bpb", "mean bpb", "compress KB/s", "decompress KB/s"),
    *("peak MB", "model bytes", "measured", "device"),
)
WORDS = frozenset({"file", "codec", "measured", "device", "verified"})  # headings of columns that hold no numbers


def size(value: float | None) -> str:
    """An integer with commas, "-" for None."""
    return NOTHING if value is None else f"{value:,.0f}"


def rate(value: float | None) -> str:
    """Bits per byte, or a ratio, with three decimals; "-" for None."""
    return NOTHING if value is None else f"{value:,.3f}"


def kbps(value: float | None) -> str:
    """KB/s to three significant digits."""
    if value is None:
        return NOTHING
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def speed(value: Speed | None) -> str:
    """ "1,350 ±3%"."""
    if value is None:
        return NOTHING
    return kbps(value.kbps) + (f" ±{value.spread:.0%}" if value.spread is not None else "")


def megabytes(value: int) -> str:
    """Bytes as MB of 1,000,000."""
    return f"{value / 1e6:,.1f}" if value else NOTHING


def model(value: int) -> str:
    return f"{value:,}" if value else NOTHING


def row_cells(row: Row) -> list[str]:
    """Cells under ROW_HEADINGS. A codec that failed has no figures."""
    peak = max(row.compress_memory_bytes, row.decompress_memory_bytes)
    return [
        f"{row.corpus}/{row.file}",
        row.label,
        size(row.packed_bytes) if row.verified else FAILED,
        rate(row.ratio if row.verified else None),
        rate(row.bits_per_byte if row.verified else None),
        speed(row.compress_speed),
        speed(row.decompress_speed),
        megabytes(peak if row.verified else 0),
        model(row.model_bytes),
        row.how,
        row.device,
        "yes" if row.verified else "no",
    ]


def total_cells(total: Total) -> list[str]:
    """Cells under TOTAL_HEADINGS."""
    return [
        total.label,
        str(total.files),
        size(total.raw_bytes),
        size(total.packed_bytes) if not total.failed else f"{FAILED} on {total.failed}",
        rate(total.bits_per_byte),
        rate(total.mean_bits_per_byte),
        kbps(total.compress_kbps),
        kbps(total.decompress_kbps),
        megabytes(0 if total.failed else total.memory_bytes),
        model(total.model_bytes),
        total.how,
        total.device,
    ]


def notes(result: Result) -> list[str]:
    """Notes on how to read the figures, a sentence or two each."""
    found = [
        "bpb: bits per byte of the archive as a file; mean bpb gives every file the same weight. A size is that of an "
        "archive that came back byte for byte in every run. KB/s: of raw data, 1 KB = 1000 bytes; median of the runs, "
        "± the median distance from it.",
        "process: a whole process is timed, from start to end, with reading and writing files; its peak memory is that "
        "of the process. in-process: the call alone, on bytes in memory; its memory is what the call added.",
    ]
    if any(row.model_bytes for row in result.rows):
        found.append(
            "model bytes: the weights that arzip's archives need and don't hold; they come with the program, once for "
            "all archives, and are not in the sizes."
        )
    if any(row.threads == 0 for row in result.rows):
        found.append("arzip, zpaq and commands use as many threads as they like; the others use one.")
    if any(row.codec == "ppmd" for row in result.rows):
        found.append(
            "ppmd: -hN is PPMd variant H (7z's), -oN variant I, of order N with 192 MB; a bare stream, without the "
            "header that an archive has."
        )
    return found


def failures(result: Result) -> list[str]:
    """Failed rows, a line each."""
    return [f"{row.label} FAILED on {row.corpus}/{row.file}: {row.error}" for row in result.rows if not row.verified]


def machine_line(result: Result) -> str:
    """Date, CPU and versions, in one line."""
    names = ("date", "cpu", "cores", "memory", "system", "python", "arzip", "versions")
    m = {name: result.machine.get(name, "?") for name in names}
    cores = f"{m['cores']} core{'s' * (m['cores'] != '1')} of {m['cpu']}"
    words = [m["date"], f"{cores}, {m['memory']}", m["system"], f"Python {m['python']}", f"arzip {m['arzip']}"]
    return "; ".join([*words, m["versions"]] if m["versions"] else words)


def summary(result: Result) -> str:
    """Markdown: a line for each codec: bits per byte of each of up to MAX_FILES files, and totals of all files."""
    files = result.files() if len(result.files()) <= MAX_FILES else []
    rates = {(r.corpus, r.file, r.label): rate(r.bits_per_byte) if r.verified else FAILED for r in result.rows}
    count = f"{len(result.files())} files" if len(result.files()) > 1 else "1 file"
    headings = ["", *(name for _, name in files), f"{count}, bytes", "mean bpb", "compress, KB/s", "decompress, KB/s"]
    lines = []
    for total in result.totals():
        cells = total_cells(total)
        own = [rates.get((corpus, name, total.label), NOTHING) for corpus, name in files]
        lines.append([total.label, *own, cells[3], *cells[5:11]])
    return markdown_table([*headings, "peak MB", "model bytes", "measured"], lines, {"", "measured"})


def markdown(result: Result, plot: str | None = None) -> str:
    """A page: the machine, the plot (a file beside it), the totals of each corpus, every row, the notes."""
    parts = ["# Benchmark", machine_line(result)]
    if plot:
        parts.append(f"![bits per byte against KB/s]({plot})")
    parts += ["## Summary", summary(result)]
    for corpus in result.corpora():
        lines = [total_cells(total) for total in result.totals(corpus)]
        parts += [f"## {corpus}: all files", markdown_table(TOTAL_HEADINGS, lines, WORDS)]
    parts += ["## Every file", markdown_table(ROW_HEADINGS, [row_cells(row) for row in result.rows], WORDS)]
    parts += ["## Notes", "\n".join(f"- {note}" for note in [*failures(result), *notes(result)])]
    return "\n\n".join(parts) + "\n"


def markdown_table(headings: Sequence[str], lines: Iterable[Sequence[str]], words: Iterable[str]) -> str:
    """Columns whose heading is among `words` are flush left, the others right."""
    left = frozenset(words)
    rules = [":--" if heading in left else "--:" for heading in headings]

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    return "\n".join(["| " + " | ".join(headings) + " |", "|" + "|".join(rules) + "|", *map(line, lines)])


_FIELDS: dict[str, Callable[[Row], object]] = {
    "corpus": lambda row: row.corpus,
    "file": lambda row: row.file,
    "raw_bytes": lambda row: row.raw_bytes,
    "codec": lambda row: row.codec,
    "level": lambda row: row.level,
    "packed_bytes": lambda row: row.packed_bytes,
    "ratio": lambda row: row.ratio,
    "bits_per_byte": lambda row: row.bits_per_byte,
    "compress_kbps": lambda row: row.compress_speed and row.compress_speed.kbps,
    "compress_spread": lambda row: row.compress_speed and row.compress_speed.spread,
    "decompress_kbps": lambda row: row.decompress_speed and row.decompress_speed.kbps,
    "decompress_spread": lambda row: row.decompress_speed and row.decompress_speed.spread,
    "compress_runs": lambda row: len(row.compress_seconds),
    "decompress_runs": lambda row: len(row.decompress_seconds),
    "compress_memory_bytes": lambda row: row.compress_memory_bytes,
    "decompress_memory_bytes": lambda row: row.decompress_memory_bytes,
    "model_bytes": lambda row: row.model_bytes,
    "how": lambda row: row.how,
    "device": lambda row: row.device,
    "threads": lambda row: row.threads,
    "verified": lambda row: row.verified,
    "error": lambda row: row.error,
}


def csv_text(result: Result) -> str:
    """CSV: a line for each row, in full precision; missing figures are empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_FIELDS)
    writer.writerows([value(row) for value in _FIELDS.values()] for row in result.rows)
    return text.getvalue()
