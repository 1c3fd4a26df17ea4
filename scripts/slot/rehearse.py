"""`python -m scripts.slot.rehearse`: a whole slot on this CPU at toy size: pack, run, land. Exit code 1: a step failed.

The mix is the project's own texts, the models are small random networks: what comes out is worth nothing, that it comes
out is the point.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import numpy as np

from scripts.slot import exports
from scripts.slot.plan import ROOT, TOY

SOURCES = {
    "en_text/docs": ("*.md", "docs/*.md", "corpora/*.md"),
    "code/python": ("arzip/*.py", "arzip/context_mixing/*.py"),
    "code/tests": ("tests/**/*.py",),
    "markup/json": ("benchmarks/*.json",),
}
DOCUMENT_BYTES = 2000  # files are cut into documents of so many bytes
EVALUATION = {"calgary": ("scripts/*.py",), "json": ("corpora/manifest.json",)}


def make_mix(folder: Path) -> None:
    """A training mix of the project's own files."""
    for name, patterns in SOURCES.items():
        text = b"".join(path.read_bytes() for pattern in patterns for path in sorted(ROOT.glob(pattern)))
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.bin").write_bytes(text)
        np.arange(0, len(text) - DOCUMENT_BYTES // 2, DOCUMENT_BYTES).astype("<u8").tofile(folder / f"{name}.idx")


def make_models(folder: Path) -> None:
    """A random model for every network of the toy plan; its counted n-grams say nothing."""
    from arzip.train.export import export_tensors
    from arzip.train.qat_network import QatNetwork
    from arzip.weights.file import dump_weights

    folder.mkdir(parents=True)
    for seed, core in enumerate(TOY.cores):
        tensors = export_tensors(QatNetwork(core.config, seed)) | {"memory.ngrams": np.zeros((256, 4), np.uint8)}
        rng = np.random.default_rng(seed)
        tensors["ngram"][:, ::16] = rng.integers(-20, 21, tensors["ngram"][:, ::16].shape, np.int8)  # packs well
        for name in [name for name in tensors if name.endswith("mlp_out")]:
            tensors[name] = rng.integers(-20, 21, tensors[name].shape, np.int8)
        data = dump_weights(core.config, tensors, {"name": core.name, "counted_bytes": "0"})
        (folder / f"{core.name}.safetensors").write_bytes(data)


def make_corpora(folder: Path) -> None:
    """Evaluation files that are not in the mix."""
    for name, patterns in EVALUATION.items():
        (folder / name).mkdir(parents=True)
        for pattern in patterns:
            for path in ROOT.glob(pattern):
                (folder / name / path.name).write_bytes(path.read_bytes()[:4000])


def do(*words: str | Path) -> None:
    """Run a module of this package. Raises CalledProcessError."""
    click.echo(f"== {' '.join(map(str, words))}")
    subprocess.run([sys.executable, "-m", *map(str, words)], cwd=ROOT, check=True)


def failures(results: Path) -> list[str]:
    """What is missing from, or wrong in, the results of a run."""
    found = json.loads((results / "results.json").read_text("utf-8"))
    stages = ["machine", "unpack", "exact", "wide", *(f"train {core.name}" for core in TOY.cores)]
    wrong = [name for name in stages if name not in found or "failed" in found[name]]
    if set(found.get("timings", {})) <= {"failed"}:  # a slow machine may not have the time for all of them
        wrong.append("timings")
    for core in TOY.cores:
        try:
            exports.read(results, f"{core.name}.safetensors")
        except ValueError as error:
            wrong.append(str(error))
    return wrong


def rehearse(folder: Path, seconds: float) -> list[str]:
    """All steps in a folder; what went wrong."""
    make_mix(folder / "mix")
    make_models(folder / "models")
    make_corpora(folder / "corpora")
    do("scripts.slot.pack", folder / "mix", "-o", folder / "slot", "--models", folder / "models", "--toy")
    results = folder / "results"
    do("scripts.slot.run", folder / "slot", "-o", results, "--seconds", str(seconds), "--device", "cpu", "--toy")
    wrong = failures(results)
    if not wrong:
        words: list[str | Path] = [
            "--models",
            folder / "models",
            "--primed-mb",
            "0.03",
            "--toy",
            "-o",
            folder / "landed",
        ]
        words += [word for name in EVALUATION for word in ("--corpus", name)]
        do("scripts.slot.land", results, "--mix", folder / "mix", "--eval", folder / "corpora", *words)
    return wrong


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--seconds", default=240.0, help="Time for the run, of which it takes what it needs.")
@click.option("--keep", type=click.Path(path_type=Path), help="Leave everything in this folder, which must not exist.")
def main(seconds: float, keep: Path | None) -> None:
    """Pack, run and land at toy size."""
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="slot-rehearsal-"))
    try:
        wrong = rehearse(folder, seconds)
    except subprocess.CalledProcessError as error:
        wrong = [f"{error.cmd[2]}: exit code {error.returncode}"]
    finally:
        if keep:
            shutil.copytree(folder, keep)
        shutil.rmtree(folder)
    for line in wrong:
        click.echo(f"FAILED: {line}")
    click.echo(f"rehearsal {'FAILED' if wrong else 'passed'} in {time.monotonic() - began:.0f} s")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
