"""`python -m arzip.train.overlap MIX EVAL`: how much of the evaluation files stands in the training mix, word for word.

A shingle is 32 consecutive bytes, known by a rolling hash of 64 bits. One in eight, chosen by the hash itself, is
looked for; those with hardly any different bytes (runs of blanks or zeros) are counted apart. Must not know models.
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
SAMPLE_BITS = 3  # one shingle in 2**SAMPLE_BITS is looked at
TELLING_VALUES = 8  # a shingle of fewer different bytes tells nothing of where it comes from
FILTER_BITS = 27
MULTIPLIER = 0x9E3779B97F4A7C15
OLDEST = pow(MULTIPLIER, SHINGLE_BYTES, 1 << 64)


class Overlap(NamedTuple):
    """Shares of a file's sampled shingles that stand in the mix: of all, and of the telling ones. sampled: how many."""

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
    """Set found (n,) where a shingle of text hashes to wanted (n,), sorted; filter_bits rules most out at once."""
    rolling = uint64(0)
    for i in range(text.size):
        rolling = rolling * uint64(MULTIPLIER) + uint64(text[i]) + uint64(1)
        if i >= SHINGLE_BYTES:
            rolling -= (uint64(text[i - SHINGLE_BYTES]) + uint64(1)) * uint64(OLDEST)
        mixed = (rolling ^ (rolling >> uint64(29))) * uint64(MULTIPLIER)
        if i < SHINGLE_BYTES - 1 or mixed >> uint64(64 - SAMPLE_BITS):
            continue
        place = mixed >> uint64(64 - SAMPLE_BITS - FILTER_BITS)
        if filter_bits[place >> uint64(3)] >> (place & uint64(7)) & uint64(1):
            at = np.searchsorted(wanted, mixed)
            if at < wanted.size and wanted[at] == mixed:
                found[at] = True


def shingles(text: NDArray[np.uint8]) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """The sampled shingles of a text: hashes (n,), and whether each is telling (n,)."""
    hashes, telling = np.empty(text.size, np.uint64), np.empty(text.size, np.bool_)
    n = sample_shingles(text, hashes, telling)
    return hashes[:n].copy(), telling[:n].copy()


def make_filter(wanted: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """A bit for each value of a hash's highest bits that aren't zero by choice, set where one is wanted."""
    places = wanted >> np.uint64(64 - SAMPLE_BITS - FILTER_BITS)
    bits = np.zeros(1 << FILTER_BITS, np.bool_)
    bits[places] = True
    return np.packbits(bits, bitorder="little")


def measure(mix: list[Path], evaluation: list[Path]) -> dict[str, Overlap]:
    """The overlap of each evaluation file with all of the mix."""
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
