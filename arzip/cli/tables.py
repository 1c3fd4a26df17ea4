"""Tables of the commands list, models and eval. A row is a dict: --json prints all of it, a table some columns."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from arzip import memory
from arzip.cli.args import Settings
from arzip.cli.messages import printable, shown
from arzip.format.records import Filter
from arzip.system import files

Row = dict[str, Any]


def filter_name(filter_: int) -> str:
    """The kinds of operands that a filter converts; "" for none."""
    return "+".join(str(kind.name).lower() for kind in Filter if kind & filter_)


def archive_rows(name: str) -> list[Row]:
    """One row for each member of an archive (files may be concatenated), from its frames. Raises ArzipError.

    Decodes nothing and needs no model.
    """
    from arzip.format.stream import list_members

    with files.open_source(name, special=True) as source:
        return [
            {
                "name": name,
                "model": member.header.digest.hex(),
                "dictionary": member.header.dictionary.hex(),
                "raw_bytes": member.raw_bytes,
                "archive_bytes": member.archive_bytes,
                "memory_bytes": memory.member_bytes(member, *_model_bytes(member.header.digest)),
                "blocks": [
                    {
                        "method": frame.method.name.lower(),
                        "lanes": frame.lanes,
                        "wide": frame.wide,
                        "filter": filter_name(frame.filter),
                        "raw_bytes": frame.raw_bytes,
                        "coded_bytes": frame.coded_bytes,
                        "crc32": f"{frame.raw_check:08x}",
                        "opened_streams": head.streams if head else 0,
                        "corrected_streams": head.corrected if head else 0,
                        "opened_bytes": head.contents_bytes if head else 0,
                    }
                    for frame, head in zip(member.frames, member.opened, strict=True)
                ],
            }
            for member in list_members(source.stream)
        ]


def _model_bytes(digest: bytes) -> list[int]:
    """Memory that reading the model takes, if it is known; nothing for an archive without one."""
    from arzip.weights import registry

    if not digest:
        return [0]
    path = registry.hinted(digest)
    return [registry.loading_bytes(path)] if path else []


def print_archives(rows: Sequence[Row], settings: Settings) -> None:
    """`list`: print a line for each archive, with the memory that decoding it takes; -v: and one for each block."""
    if settings.json:
        return print_json(rows)
    lines = [["archive", "raw", "bpb", "MB, -T1", "blocks", "method", "model", "name"]]
    for row in rows:
        blocks = row["blocks"]
        methods = "+".join(sorted({_method(block) for block in blocks})) or "-"
        sizes = [f"{row['archive_bytes']:,}", f"{row['raw_bytes']:,}", _rate(row["archive_bytes"], row["raw_bytes"])]
        sizes.append(f"{row['memory_bytes'] / 1e6:,.0f}")
        lines.append([*sizes, str(len(blocks)), methods, _needs(row), shown(row["name"])])
        for number, block in enumerate(blocks if settings.verbose else [], 1):
            sizes = [f"{block['coded_bytes']:,}", f"{block['raw_bytes']:,}"]
            rate = _rate(block["coded_bytes"], block["raw_bytes"])
            lanes = f"{block['lanes']} lanes, crc32 {block['crc32']}"
            lanes += f", filter {block['filter']}" if block["filter"] else ""
            lanes += f", {_opened(block)}" if block["opened_streams"] else ""
            lines.append([*sizes, rate, "", f"#{number}", _method(block), "", lanes])
    print_table(lines, left=4)


def _needs(row: Row) -> str:
    """The digest of an archive's model, and of its dictionary behind it."""
    return f"{row['model'] or '-'}{'+D ' if row['dictionary'] else ''}{row['dictionary']}"


def _method(block: Row) -> str:
    """A block's method, and whether it is wide."""
    return f"wide {block['method']}" if block["wide"] else str(block["method"])


def _opened(block: Row) -> str:
    """What a block's line says of its opened streams."""
    exact = block["opened_streams"] - block["corrected_streams"]
    return f"{exact:,} streams exact, {block['corrected_streams']:,} corrected, {block['opened_bytes']:,} bytes opened"


def model_row(path: str) -> Row:
    """The row of a weights file, from its header. Raises ModelError if it is none."""
    from arzip.weights.registry import read_info

    model = read_info(Path(path))
    return {
        "name": model.name,
        "digest": model.digest,
        "parameters": model.parameters,
        "file_bytes": model.file_bytes,
        "trained_on": model.metadata.get("trained_on", ""),
        "bits_per_byte": model.metadata.get("bits_per_byte", ""),
        "path": str(model.path),
    }


def print_models(rows: Sequence[Row], settings: Settings) -> None:
    """`models`: print a line for each weights file."""
    if settings.json:
        return print_json(rows)
    lines = [["parameters", "bytes", "digest", "name", "bpb", "trained on"]]
    for row in rows:
        sizes = [f"{row['parameters']:,}", f"{row['file_bytes']:,}"]
        texts = [printable(row[key]) or "-" for key in ("name", "bits_per_byte", "trained_on")]  # they are anyone's
        lines.append([*sizes, row["digest"], *texts])
    print_table(lines, left=3)


def print_evaluations(rows: Sequence[Row], settings: Settings) -> None:
    """`eval`: print a line for each file, and the total if there are several."""
    if settings.json:
        return print_json(rows)
    lines = [["raw", "archive", "bpb", "model bpb", "name"]]
    total = {key: sum(row[key] for row in rows) for key in ("raw_bytes", "archive_bytes", "model_bits")}
    for row in [*rows, {**total, "name": "total"}][: len(rows) + (len(rows) > 1)]:
        raw_bytes, archive_bytes = row["raw_bytes"], row["archive_bytes"]
        rates = [_rate(archive_bytes, raw_bytes), _rate(row["model_bits"] / 8, raw_bytes)]
        lines.append([f"{raw_bytes:,}", f"{archive_bytes:,}", *rates, shown(row["name"])])
    print_table(lines, left=4)


def print_cost_breakdown(rows: Sequence[Row], keys: Sequence[str]) -> None:
    """`eval --by-position`, `--by-byte-class`: print a table for each file and key."""
    for row in rows:
        for key in keys:
            lines = [["bytes", "%", "bpb", "% of bits", "place" if key == "by_position" else "bytes of kind"]]
            for part in row[key]:
                label = part.get("class") or f"{part['first']:,} .. {part['end']:,}"
                shares = [f"{100 * part[share]:.1f}" for share in ("bytes_share", "bits_share")]
                lines.append([f"{part['bytes']:,}", shares[0], f"{part['bits_per_byte']:.3f}", shares[1], label])
            click.echo(f"\n{shown(row['name'])}, in one lane")
            print_table(lines, left=4)


def print_json(rows: Sequence[Row]) -> None:
    """Print the rows as one JSON array."""
    click.echo(json.dumps(rows, indent=1))


def print_table(lines: Sequence[Sequence[str]], left: int) -> None:
    """Print columns two blanks apart: the first `left` right-aligned, the others left-aligned."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (c.rjust(w) if i < left else c.ljust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True)))
        click.echo("  ".join(cells).rstrip())


def _rate(archive_bytes: float, raw_bytes: int) -> str:
    """Bits per byte; "-" for nothing."""
    return f"{8 * archive_bytes / raw_bytes:.3f}" if raw_bytes else "-"
