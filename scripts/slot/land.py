"""`python -m scripts.slot.land RESULTS --mix MIX --eval CORPORA`: what a slot brought -> models, and how they compare.

A network trained elsewhere gets the n-grams of the shipped model and initial states trained on the mix. Its integer
and float versions are compared, and old and new model compress the evaluation files. Files that grow are listed.
"""

from __future__ import annotations

import datetime
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from arzip.context_mixing import pretrained
from arzip.errors import ArzipError
from arzip.network.config import Weights
from arzip.system.files import write_whole
from arzip.train.data import Source, held_out_rows, load_mix
from arzip.train.evaluation import evaluate, exact_bits
from arzip.train.export import import_weights
from arzip.train.prime import pretrain_cm
from arzip.weights import registry as models
from arzip.weights.file import dump_weights, load_weights, pack, parse_weights
from scripts.slot import compare, exports
from scripts.slot.plan import PLAN, ROOT, TOY, Core, Plan

PRETRAINING_BYTES, PRETRAINING_SEED = 6_000_000, 5  # as arzip.train.prime does
GAP_PER_CENT = 1.0  # between integers and floats: more than that is no rounding
Bits = dict[str, float]


@dataclass(frozen=True)
class Landed:
    """A network's new model beside the shipped one; held-out bits per byte by kind: float, exact; of old, of new."""

    core: Core
    old: Path
    new: Path
    seen_bytes: int
    held_out: tuple[tuple[Bits, Bits], tuple[Bits, Bits]]


def take_over(export: Weights, old: Weights) -> Weights:
    """The network of an export with the n-grams of an old model, which don't depend on a network."""
    tensors = {name: tensor for name, tensor in export.tensors.items() if not name.startswith(pretrained.PREFIX)}
    if pretrained.NGRAMS in old.tensors:
        tensors[pretrained.NGRAMS] = old.tensors[pretrained.NGRAMS]
    counted = {key: old.metadata[key] for key in ("counted_bytes",) if key in old.metadata}
    return parse_weights(dump_weights(export.config, tensors, export.metadata | counted), "export")


def bits_of(weights: Weights, rows: dict[str, NDArray[np.uint8]]) -> tuple[Bits, Bits]:
    """Held-out bits per byte by kind, and their mean: by the float network, by the integer network."""
    both = evaluate(import_weights(weights), rows, "cpu"), exact_bits(weights, rows)
    for bits in both:
        bits["mean"] = float(np.mean(list(bits.values())))
    return both


def land_one(
    core: Core, results: Path, folder: Path, output: Path, sources: list[Source], plan: Plan, size_bytes: int
) -> Landed:
    """Make the model of one network in `output`, with the file name of the model it would replace.

    size_bytes: of text that the initial states are trained on.
    """
    name = f"{core.name}{models.SUFFIX}"
    [old_path] = [path for path in (folder / name, folder / f"{core.name}{models.PACKED}") if path.exists()]
    old = load_weights(old_path)
    weights = take_over(parse_weights(exports.read(results, name), name), old)
    rows = held_out_rows(sources, plan.held_out_bytes, plan.held_out_rows)
    held_out = bits_of(old, rows), bits_of(weights, rows)
    began = time.monotonic()
    tensors = weights.tensors | pretrain_cm(weights, sources, size_bytes, PRETRAINING_SEED)
    click.echo(f"{core.name}: initial states trained in {time.monotonic() - began:.0f} s", err=True)
    means = ", ".join(f"{kind} {bits:.3f}" for kind, bits in held_out[1][0].items())
    about = {"name": core.name, "primed_on_bytes": str(size_bytes), "bits_per_byte": means}
    whole = dump_weights(weights.config, tensors, weights.metadata | about)
    new = output / old_path.name
    write_whole(new, pack(whole) if new.suffix == ".gz" else whole)
    click.echo(f"{new}: {new.stat().st_size:,} bytes; it was {old_path.stat().st_size:,}")
    return Landed(core, old_path, new, int(exports.read_index(results)[name].get("seen_bytes", 0)), held_out)


def held_out_table(landed: Landed) -> list[str]:
    """Markdown: held-out bits per byte by kind."""
    (_, old_exact), (new, new_exact) = landed.held_out
    lines = [
        f"| {landed.core.name}, held out | old, exact | new, float | new, exact | change |",
        "|---|---|---|---|---|",
    ]
    for kind in new:
        change = 100 * (new_exact[kind] / old_exact[kind] - 1)
        lines.append(f"| {kind} | {old_exact[kind]:.4f} | {new[kind]:.4f} | {new_exact[kind]:.4f} | {change:+.2f}% |")
    return lines


def doubts(landed: Landed) -> list[str]:
    """Reasons not to ship a network, a line each: larger on held-out text, or exact too far from float."""
    (_, old_exact), (new, new_exact) = landed.held_out
    name, found = landed.core.name, []
    for kind in new:
        if abs(new_exact[kind] / new[kind] - 1) > GAP_PER_CENT / 100:
            found.append(f"{name}, {kind}: exact {new_exact[kind]:.4f}, float {new[kind]:.4f}: more than rounding")
        if new_exact[kind] > old_exact[kind]:
            found.append(f"{name}, {kind}, held out: {old_exact[kind]:.4f} -> {new_exact[kind]:.4f}")
    return found


def log_entry(landed: list[Landed], found: list[compare.Pair]) -> str:
    """An entry for docs/LOG.md."""
    names = " and ".join(model.core.name for model in landed)
    seen = ", ".join(f"{model.core.name} {model.seen_bytes / 1e6:,.0f} MB" for model in landed)
    lines = [f"## {datetime.date.today()} {names} trained on a GPU", ""]
    lines += [
        f"Text seen: {seen}. n-grams as before, memory primed anew. Archives restored and compared; one thread a file.",
        "",
    ]
    for model in landed:
        lines += [*held_out_table(model), ""]
    lines += [*compare.table(found), ""]
    bad = [line for model in landed for line in doubts(model)] + compare.worse(found)
    lines += ["Worse: " + "; ".join(bad) + "." if bad else f"None of the {len(found)} archives is larger.", ""]
    return "\n".join(lines)


def compare_all(landed: list[Landed], folder: Path, corpora: list[str], store: Path) -> list[compare.Pair]:
    """Old beside new for every evaluation file at the level of each network."""
    files = compare.evaluation_files(folder, corpora)
    sides = [(model.core.level, path) for model in landed for path in (model.old, model.new)]
    jobs = [compare.Job(corpus, path, level, side) for level, side in sides for corpus, path in files]
    results = compare.measure_all(jobs, store, lambda line: click.echo(line, err=True))
    return [pair for m in landed for pair in compare.pairs(files, m.core.level, m.old, m.new, results)]


def install(landed: list[Landed]) -> None:
    """Put the new models in place of the old ones and make the golden archives anew with them."""
    for model in landed:
        shutil.copy(model.new, model.old)
    subprocess.run(
        [sys.executable, "tests/test_golden.py", "--write"],
        cwd=ROOT,
        check=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.argument("results", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--mix", required=True, type=click.Path(exists=True, path_type=Path), help="The training mix.")
@click.option(
    "--eval", "evaluation", required=True, type=click.Path(exists=True, path_type=Path), help="Folder of corpora."
)
@click.option("-o", "--output", default=Path("landed"), type=click.Path(path_type=Path), help="Folder for the models.")
@click.option("--models", "folder", default=Path("models"), type=click.Path(exists=True, path_type=Path))
@click.option("--core", "names", multiple=True, help="Only this network; else all that came back.")
@click.option("--corpus", "corpora", multiple=True, default=compare.CORPORA, help="Folders of --eval to measure.")
@click.option("--primed-mb", default=PRETRAINING_BYTES / 1e6, help="Text to prime the memory on, in 10**6 bytes.")
@click.option("--more", multiple=True, metavar="NAME=FACTOR", help="Draw so much more of a source when priming.")
@click.option("--toy", is_flag=True, help="The plan of a rehearsal.")
@click.option("--golden", is_flag=True, help="Put the models into --models and make the golden archives anew.")
def main(results: Path, evaluation: Path, output: Path, folder: Path, **options: Any) -> None:
    """Make models of the networks in RESULTS, compare them with those that ship, and write entry.md for the log."""
    plan = TOY if options["toy"] else PLAN
    try:
        wanted = options["names"] or [Path(name).stem for name in exports.read_index(results)]
        sources = load_mix([options["mix"]], options["more"])
        output.mkdir(parents=True, exist_ok=True)
        size = int(options["primed_mb"] * 1e6)
        landed = [land_one(plan.core(name), results, folder, output, sources, plan, size) for name in wanted]
        found = compare_all(landed, evaluation, list(options["corpora"]), output / compare.SIZES)
    except (ArzipError, ValueError, OSError) as error:
        raise click.ClickException(str(error)) from error
    entry = log_entry(landed, found)
    (output / "entry.md").write_text(entry, "utf-8")
    click.echo(entry)
    if options["golden"]:
        install(landed)


if __name__ == "__main__":
    main()
