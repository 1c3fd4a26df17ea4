"""Figures drawn by matplotlib, which is optional and imported here only."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from arzip.system import extras
from arzip.system.files import write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def check() -> None:
    """Raises ArzipError if matplotlib is not installed."""
    extras.require("matplotlib", "plot", "a picture")


def new_figure(inches: tuple[float, float], paper: str = "white") -> Figure:
    """An empty figure with constrained layout. Raises ArzipError if matplotlib is not installed."""
    check()
    from matplotlib.figure import Figure

    return Figure(figsize=inches, layout="constrained", facecolor=paper)


def png(figure: Figure, dots_per_inch: int) -> bytes:
    """The figure as a PNG without metadata."""
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=dots_per_inch, metadata={"Software": None})
    return data.getvalue()


def svg(figure: Figure) -> str:
    """The figure as an <svg> element; the same figure gives the same text."""
    import matplotlib

    data = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "arzip"}):
        figure.savefig(data, format="svg", metadata={"Date": None, "Creator": None})
    text = data.getvalue()
    return text[text.index("<svg") :]


def plot_cost_breakdown(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Write a PNG: bits per byte along each file, and shares of bits by kind of byte. Raises ArzipError."""
    figure = new_figure((11, 4))
    along, kinds = figure.subplots(1, 2)
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
        positions = [k + (number + 0.5) * width - 0.4 for k in range(len(names))]
        kinds.bar(positions, [shares.get(name, 0) for name in names], width)
    kinds.set(ylabel="share of the bits, %")
    kinds.set_xticks(range(len(names)), names)
    write_whole(path, png(figure, 120))


def plot_cores(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Write a PNG: bits per byte of networks, alone and with context mixing, against multiplications a byte."""
    figure = new_figure((11, 4.5))
    for axes, key, title in zip(
        figure.subplots(1, 2), ("alone_bpb", "mixed_bpb"), ("network alone", "mixed with the memory"), strict=True
    ):
        axes.plot([row["products"] / 1e6 for row in rows], [row[key] for row in rows], "o")
        for row in rows:
            point = (row["products"] / 1e6, row[key])
            axes.annotate(row["core"], point, xytext=(4, 4), textcoords="offset points", fontsize=7)
        widest = max(row["products"] for row in rows) / 1e6
        axes.set(
            xlabel="products a byte, millions",
            ylabel="held-out bits per byte",
            title=title,
            xlim=(0, 1.4 * widest),
        )
    write_whole(path, png(figure, 120))
