"""The plot: bits per byte against KB/s, one mark a codec and level, over all files; the front of the best is drawn.

arzip.system.figures imports matplotlib.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from arzip.bench.results import Result, Total, unique
from arzip.errors import ArzipError
from arzip.system import figures

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INCHES, DOTS_PER_INCH = (10.5, 5.4), 150
# Okabe and Ito's colours, in an order that keeps neighbours apart; arzip comes first
COLOURS = ("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#8a6fd1", "#7a7a7a", "#b5a400", "#5b8f22")
MARKS = "osD^vP<>Xp"

Point = tuple[float, float]  # KB/s, bits per byte
Box = tuple[float, float, float, float]  # left, bottom, right, top in points of 1/72 inch


@dataclass(frozen=True)
class Theme:
    """Colours of paper, text and grid."""

    paper: str
    ink: str
    faint: str


LIGHT = Theme("#ffffff", "#1d2530", "#c9d0d9")
DARK = Theme("#0d1117", "#e6edf3", "#3a434e")
# placeholders that `svg` replaces by CSS variables of the page
_PAGE = Theme("#fefdfc", "#010203", "#a1b2c3")


def front(points: Sequence[Point]) -> list[Point]:
    """The Pareto front of points (KB/s, bits per byte), from the fastest on."""
    best: list[Point] = []
    for kbps, bpb in sorted(set(points), key=lambda point: (-point[0], point[1])):
        if not best or bpb < best[-1][1]:
            best.append((kbps, bpb))
    return best


def png(result: Result, theme: Theme = LIGHT) -> bytes:
    """The plot as a PNG. Raises ArzipError if matplotlib is missing or there is nothing to draw."""
    return figures.png(_figure(result, theme), DOTS_PER_INCH)


def svg(result: Result) -> str:
    """The plot as an <svg> element in the colours of the page: --paper, --ink, --faint. Raises ArzipError."""
    text = figures.svg(_figure(result, _PAGE))
    for name in ("paper", "ink", "faint"):
        text = text.replace(getattr(_PAGE, name), f"var(--{name})")
    return text


def _figure(result: Result, theme: Theme) -> Figure:
    totals = [total for total in result.totals() if total.bits_per_byte is not None]
    if not totals:
        raise ArzipError("nothing to draw: no codec came through all files")
    figure = figures.new_figure(INCHES, theme.paper)
    left, right = figure.subplots(1, 2, sharey=True)
    marks = [_panel(left, totals, "compress", theme), _panel(right, totals, "decompress", theme)]
    left.set_ylabel("bits per byte, all files as one (less is better)", color=theme.ink)
    handles, names = left.get_legend_handles_labels()
    legend = figure.legend(handles, names, loc="outside right center", frameon=False, labelcolor=theme.ink)
    legend.set_in_layout(True)
    count, raw_bytes = totals[0].files, totals[0].raw_bytes
    where = ", ".join(result.corpora())
    title = f"{where}: {count} file{'s' * (count > 1)}, {raw_bytes:,} bytes. Grey: nobody is faster and smaller"
    figure.suptitle(title, color=theme.ink, fontsize=11)
    figure.draw_without_rendering()
    for axes, (points, levels) in zip((left, right), marks, strict=True):
        _annotate(axes, points, levels, theme.ink)
    return figure


def _panel(axes: Axes, totals: Sequence[Total], what: str, theme: Theme) -> tuple[list[Point], list[str]]:
    """Draw all of a panel but the levels beside the marks; returns the marks and their levels."""
    points, levels = list[Point](), list[str]()
    for number, codec in enumerate(unique(total.codec for total in totals)):
        own = [total for total in totals if total.codec == codec]
        x = [getattr(total, f"{what}_kbps") for total in own]
        y = [total.bits_per_byte or 0.0 for total in own]
        points += zip(x, y, strict=True)
        levels += [total.level for total in own]
        style: dict[str, Any] = {"color": COLOURS[number % len(COLOURS)], "marker": MARKS[number % len(MARKS)]}
        axes.plot(x, y, linewidth=0.8, markersize=6, label=codec, zorder=3, **style)
    if best := front(points):
        axes.plot(*zip(*best, strict=True), color=theme.faint, linewidth=5, solid_capstyle="round", zorder=1)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}" if value >= 1 else f"{value:g}")
    axes.xaxis.set_minor_formatter(lambda value, _: "")
    axes.margins(x=0.12, y=0.1)
    axes.set_xlabel(f"{what}, KB/s (more is better)", color=theme.ink)
    axes.set_facecolor(theme.paper)
    axes.grid(True, which="major", color=theme.faint, linewidth=0.4, alpha=0.6)
    axes.tick_params(which="both", colors=theme.ink, labelsize=9)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(theme.faint)
    return points, levels


def _annotate(axes: Axes, points: Sequence[Point], levels: Sequence[str], ink: str) -> None:
    """Write each level beside its mark, clear of other marks and levels. The limits of the axes must be final."""
    scale = 72 / axes.figure.dpi
    centres = [axes.transData.transform(point) * scale for point in points]
    taken = [(x - 4, y - 4, x + 4, y + 4) for x, y in centres]
    for (x, y), point, text in zip(centres, points, levels, strict=True):
        width, height = 4.6 * len(text), 7.0
        right, left, above, below = 5.0, -5.0 - width, 4.0, -11.0
        positions = [(right, above), (left, above), (right, below), (left, below), (-width / 2, 7), (-width / 2, -14)]
        boxes = [(x + dx, y + dy, x + dx + width, y + dy + height) for dx, dy in positions]
        best = min(range(len(boxes)), key=lambda n: (sum(_overlap(boxes[n], box) for box in taken), n))
        taken.append(boxes[best])
        axes.annotate(text, point, positions[best], textcoords="offset points", fontsize=7.5, color=ink, zorder=4)


def _overlap(one: Box, two: Box) -> float:
    """Area of the intersection of two boxes."""
    width, height = min(one[2], two[2]) - max(one[0], two[0]), min(one[3], two[3]) - max(one[1], two[1])
    return max(width, 0.0) * max(height, 0.0)
