"""Drawings as SVG that stands within a page: text stays text, nothing is fetched, no id meets another's."""

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

import matplotlib
import numpy as np
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

INK, MUTED, RULE = "#1b1f24", "#5f6874", "#d5d8dc"
ACCENT, PAPER = "#1f4e79", "#b3541e"
# Told apart without colour too: each with its own dashes (colours after Okabe & Ito, darkened for print).
COLOURS = ("#0064a4", "#b3541e", "#0b7a5c", "#7b3f98", "#8a6d00")
MARKERS = "os^Dv"
DASHES: tuple[str | tuple[int, tuple[float, ...]], ...] = (
    "-",
    (0, (5, 1.6)),
    (0, (1.2, 1.2)),
    "-.",
    (0, (8, 2, 1, 2)),
)

_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "hnp",
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "text.color": INK,
    "text.parse_math": False,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.7,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.4,
}


@contextmanager
def style() -> Iterator[None]:
    """Figures made and written within look alike."""
    with matplotlib.rc_context(_STYLE):
        yield


def panels(rows: int, columns: int, size: float = 2.5) -> tuple[Figure, list[Axes]]:
    """A figure of square panels, `size` inches each, and the panels row by row."""
    figure = Figure(
        figsize=(columns * size, rows * (size + 0.25)), layout=ConstrainedLayoutEngine(w_pad=0.09, h_pad=0.06)
    )
    grid = figure.subplots(rows, columns, squeeze=False)
    return figure, list(grid.ravel())


def unit_square(axes: Axes, title: str, x: str, y: str) -> None:
    """Both axes from 0 to 1, named."""
    axes.set(title=title, xlabel=x, ylabel=y, xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    axes.set_xticks((0, 0.5, 1), ("0", "0.5", "1"))
    axes.set_yticks((0, 0.5, 1), ("0", "0.5", "1"))


def diagonal(axes: Axes) -> None:
    """The line of chance, or of perfect calibration."""
    axes.plot((0, 1), (0, 1), color=MUTED, linewidth=0.8, linestyle=(0, (2, 3)))


def absent(axes: Axes, reason: str) -> None:
    """Say in the panel why it is empty."""
    axes.text(0.5, 0.5, reason, ha="center", va="center", color=MUTED, fontsize=8, transform=axes.transAxes)


def legend(axes: Axes, place: Literal["lower right", "upper right", "upper left"] = "lower right") -> None:
    """A legend, where there is anything to name."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc=place, handlelength=2.2, borderaxespad=0.2, labelspacing=0.35)


class Series(NamedTuple):
    """Estimates of one thing on the rows of a forest plot: (row, value, low, high, reliable)."""

    title: str
    points: Sequence[tuple[int, float, float | None, float | None, bool]]


def forest(axes: Axes, rows: Sequence[str], series: Sequence[Series], none: float, label: str) -> None:
    """Estimates with their intervals, row by row, beside the line of no effect; hollow where unreliable."""
    for i, one in enumerate(series):
        offset = (i - (len(series) - 1) / 2) * min(0.22, 0.66 / len(series))
        colour = COLOURS[i % len(COLOURS)]
        for row, value, low, high, reliable in one.points:
            if low is not None and high is not None:
                axes.plot((low, high), (row + offset,) * 2, color=colour, linewidth=1.6)
            axes.plot(value, row + offset, MARKERS[i % len(MARKERS)], color=colour, markersize=5,
                      markerfacecolor=colour if reliable else "white")  # fmt: skip
        if one.points and one.title:
            axes.plot([], [], MARKERS[i % len(MARKERS)], color=colour, markersize=5, label=one.title)
    axes.axvline(none, color=MUTED, linewidth=0.8, linestyle=(0, (2, 3)))
    axes.set_yticks(range(len(rows)), rows)
    axes.set_ylim(len(rows) - 0.45, -0.55)
    axes.set_xlabel(label)
    axes.grid(axis="x", color=RULE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)


def inline(figure: Figure, name: str, words: str) -> Markup:
    """The figure as an SVG element for a page.

    Args:
        figure: made within `style`.
        name: unlike every other figure's on the page; begins its ids.
        words: what it shows, for those who cannot see it.
    """
    if engine := figure.get_layout_engine():  # once, here: savefig would draw the figure twice for it
        engine.execute(figure)
        figure.set_layout_engine("none")
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(
        r"<defs>\s*<style.*?</style>\s*</defs>", "", svg, flags=re.DOTALL
    )  # would style the whole page
    svg = re.sub(r' xmlns(:\w+)?="[^"]*"| version="[^"]*"', "", svg).replace("xlink:href", "href")
    svg = re.sub(r"'DejaVu Sans'[^;\"]*", "Helvetica, Arial, sans-serif", svg)
    used = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', svg))
    svg = re.sub(r' id="([^"]+)"', lambda m: f' id="{name}-{m[1]}"' if m[1] in used else "", svg)
    svg = re.sub(r'(url\(#|href="#)', rf"\g<1>{name}-", svg)
    svg = re.sub(r' width="[^"]*pt"| height="[^"]*pt"', "", svg, count=2)
    wide = round(figure.get_figwidth() * 96)
    head = f'<svg role="img" aria-label="{escape(words)}" style="max-width:{wide}px;stroke-linejoin:round"'
    return Markup(head + svg[len("<svg") :].rstrip())


def kept(x: np.ndarray, y: np.ndarray, most: int = 240) -> list[int]:
    """Which points of a curve to draw: at most about `most`, evenly spaced along it, both ends among them."""
    way = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))])
    step = np.floor(way / max(way[-1], 1e-12) * most)
    first = np.flatnonzero(np.diff(step, prepend=-1))
    return sorted({0, *first.tolist(), len(way) - 1})
