"""The anatomy of files as a picture. The only module that imports matplotlib, which need not be here."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from arzip.errors import ArzipError, OutputError


def plot_anatomy(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Write a PNG: bits per byte along each file, and shares of bits by kind of byte. Raises ArzipError."""
    try:
        importlib.import_module("matplotlib").use("Agg")
        pyplot = importlib.import_module("matplotlib.pyplot")
    except ImportError as error:
        raise ArzipError("--plot needs matplotlib: pip install matplotlib") from error
    figure, (along, kinds) = pyplot.subplots(1, 2, figsize=(11, 4), layout="constrained")
    for row in rows:
        segments = row["by_position"]
        ends = [segment["end"] / max(segments[-1]["end"], 1) for segment in segments]
        along.step([0, *ends], [s["bits_per_byte"] for s in [*segments[:1], *segments]], label=row["name"])
    along.set(xlabel="place in the file", ylabel="bits per byte", ylim=(0, None), xlim=(0, 1))
    along.legend()
    names = list(dict.fromkeys(entry["class"] for row in rows for entry in row["by_byte_class"]))
    width = 0.8 / max(len(rows), 1)
    for number, row in enumerate(rows):
        shares = {entry["class"]: 100 * entry["bits_share"] for entry in row["by_byte_class"]}
        places = [k + (number + 0.5) * width - 0.4 for k in range(len(names))]
        kinds.bar(places, [shares.get(name, 0) for name in names], width)
    kinds.set(ylabel="share of the bits, %")
    kinds.set_xticks(range(len(names)), names)
    try:
        figure.savefig(path, format="png", dpi=120)
    except OSError as error:
        raise OutputError(f"{path}: {error.strerror}") from error
    finally:
        pyplot.close(figure)
