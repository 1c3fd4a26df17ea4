"""`python -m arzip.train.contamination MIX EVAL`: the share of the evaluation files that stands verbatim in the mix.

A shingle is 32 consecutive bytes, identified by a rolling hash of 64 bits. One in eight, selected by the hash itself,
is looked up; shingles with few distinct values (runs of blanks or zeros) are counted separately. Must not import model
code.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
from numba import uint64
from numpy.typing import NDArray

from arzip.errors import ArzipError
from arzip.jit.compile import njit

SHINGLE_BYTES = 32
SAMPLE_BITS = 3  # one shingle in 2**SAMPLE_BITS is sampled
TELLING_VALUES = 8  # shingles of fewer distinct values occur in unrelated files, so they prove nothing
FILTER_BITS = 27
MULTIPLIER = 0x9E3779B97F4A7C15
OLDEST = pow(MULTIPLIER, SHINGLE_BYTES, 1 << 64)


class Overlap(NamedTuple):
    """Of a file: number of sampled shingles; shares in the mix of all of them, and of the telling ones."""

    sampled: int
    all: float
    telling: float


@njit()
def sample_shingles(text, hashes, telling):  # type: ignore[no-untyped-def]
    """Hashes (n,) uint64 of the sampled shingles of text, and whether each is telling; returns their number."""
    rolling, n = uint64(0), 0
    for i in range(text.size):
        rolling = rolling * uint64(MULTIPLIER) + uint64(text[i]) + uint64(1)
        if i >= SHINGLE_BYTES:
            rolling -= (uint64(text[i - SHINGLE_BYTES]) + uint64(1)) * uint64(OLDEST)
        mixed = (rolling ^ (rolling >> uint64(29))) * uint64(MULTIPLIER)
        if i >= SHINGLE_BYTES - 1 and mixed >> uint64(64 - SAMPLE_BITS) == 0:
            hashes[n] = mixed
            values = 0
            for j in range(i - SHINGLE_BYTES + 1, i + 1):
                is_new = True
                for k in range(i - SHINGLE_BYTES + 1, j):
                    if text[k] == text[j]:
                        is_new = False
                        break
                values += is_new
            telling[n] = values >= TELLING_VALUES
            n += 1
    return n


@njit()
def mark_shingles(text, wanted, filter_bits, found):  # type: ignore[no-untyped-def]
    """Set found (n,) bool where a shingle of text hashes to wanted (n,) uint64, sorted; filter_bits: make_filter's."""
    rolling = uint64(0)
    for i in range(text.size):
        rolling = rolling * uint64(MULTIPLIER) + uint64(text[i]) + uint64(1)
        if i >= SHINGLE_BYTES:
            rolling -= (uint64(text[i - SHINGLE_BYTES]) + uint64(1)) * uint64(OLDEST)
        mixed = (rolling ^ (rolling >> uint64(29))) * uint64(MULTIPLIER)
        if i < SHINGLE_BYTES - 1 or mixed >> uint64(64 - SAMPLE_BITS):
            continue
        index = mixed >> uint64(64 - SAMPLE_BITS - FILTER_BITS)
        if filter_bits[index >> uint64(3)] >> (index & uint64(7)) & uint64(1):
            at = np.searchsorted(wanted, mixed)
            if at < wanted.size and wanted[at] == mixed:
                found[at] = True


def shingles(text: NDArray[np.uint8]) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """The sampled shingles of a text: hashes (n,), and whether each is telling (n,)."""
    hashes, telling = np.empty(text.size, np.uint64), np.empty(text.size, np.bool_)
    n = sample_shingles(text, hashes, telling)
    return hashes[:n].copy(), telling[:n].copy()


def make_filter(wanted: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """Bit set (2**FILTER_BITS / 8,) uint8 over the FILTER_BITS highest sampled bits of a hash: set if one is wanted."""
    indices = wanted >> np.uint64(64 - SAMPLE_BITS - FILTER_BITS)
    bits = np.zeros(1 << FILTER_BITS, np.bool_)
    bits[indices] = True
    return np.packbits(bits, bitorder="little")


def measure(mix: list[Path], evaluation: list[Path]) -> dict[str, Overlap]:
    """File name -> overlap of each evaluation file with all files of the mix."""
    samples = {str(path): shingles(np.fromfile(path, np.uint8)) for path in evaluation}
    wanted = np.unique(np.concatenate([hashes for hashes, _ in samples.values()]))
    filter_bits, found = make_filter(wanted), np.zeros(wanted.size, np.bool_)
    for path in mix:
        mark_shingles(np.fromfile(path, np.uint8), wanted, filter_bits, found)
    result = {}
    for name, (hashes, telling) in samples.items():
        hits = found[np.searchsorted(wanted, hashes)]
        shares = [float(part.mean()) if part.size else 0.0 for part in (hits, hits[telling])]
        result[name] = Overlap(hashes.size, *shares)
    return result


def find_files(folder: Path, suffix: str = "") -> list[Path]:
    """Files below a folder, or the file itself. Raises ArzipError where there is none."""
    found = sorted(p for p in folder.rglob("*") if p.is_file()) if folder.is_dir() else [folder]
    found = [p for p in found if p.suffix == suffix] or found if suffix else found
    if not found:
        raise ArzipError(f"{folder}: no files in it")
    return found


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("mix", type=click.Path(exists=True, path_type=Path))
@click.argument("evaluation", type=click.Path(exists=True, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def main(mix: Path, evaluation: Path, as_json: bool) -> None:
    """Report how much of each file of EVALUATION stands in MIX (a folder of .bin files, or of any), in per cent."""
    try:
        report = measure(find_files(mix, ".bin"), find_files(evaluation))
    except (ArzipError, OSError) as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        click.echo(json.dumps({name: overlap._asdict() for name, overlap in report.items()}, indent=1))
        return
    click.echo("      all  telling  file")
    for name, overlap in report.items():
        click.echo(f"{100 * overlap.all:8.3f}%{100 * overlap.telling:8.3f}%  {name}")


if __name__ == "__main__":
    main()
