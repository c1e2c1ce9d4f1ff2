"""Draws the curves of ``growth.py``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

_TITLES = {
    "batch": "images at once",
    "depth": "hidden layers",
    "width": "neurons in a layer",
    "side": "side of the images",
}
# Axis, factor, and the labelled numbers of every decade.
_UNITS: dict[str, tuple[str, float, tuple[float, ...]]] = {
    "seconds": ("time (s)", 1.0, (1.0,)),
    "peak bytes": ("peak memory (MB)", 1e-6, (1.0, 2.0, 5.0)),
}
_STYLES = {"crown": ("#0969da", "o"), "crown-ibp": ("#bc4c00", "s")}
# A panel of its own colour can be read on light and on dark pages.
_PAPER, _INK, _GRID = "#ffffff", "#1f2328", "#d1d9e0"


def draw(results: Mapping[str, Any], path: Path) -> None:
    """Draw time and memory over every size, with the fitted slopes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from tests.benchmarks.growth import curve

    points = [point for point in results["points"] if "error" not in point]
    names = [name for name in _TITLES if any(point["series"] == name for point in points)]
    figure = Figure(figsize=(2.9 * len(names), 5.4), facecolor=_PAPER, layout="constrained")
    FigureCanvasAgg(figure)
    panels: Any = figure.subplots(len(_UNITS), len(names), squeeze=False, sharey="row")
    for row, (quantity, (unit, factor, marks)) in enumerate(_UNITS.items()):
        for column, name in enumerate(names):
            panel = panels[row, column]
            measured: set[float] = set()
            for method, (colour, marker) in _STYLES.items():
                sizes, values = curve(points, name, method, quantity)
                if not sizes:
                    continue
                measured.update(sizes)
                exponent = results["slopes"].get(f"{name}|{method}|{quantity}")
                label = method if exponent is None else f"{method}, slope {exponent:.1f}"
                scaled = [value * factor for value in values]
                panel.plot(sizes, scaled, color=colour, marker=marker, ms=5, lw=1.8, label=label)
            _finish(panel, sorted(measured), marks)
            if column == 0:
                panel.set_ylabel(unit, color=_INK)
            if row == len(_UNITS) - 1:
                panel.set_xlabel(_TITLES[name], color=_INK)
    figure.savefig(path, dpi=150)


def _finish(panel: Any, sizes: list[float], marks: tuple[float, ...]) -> None:
    """Use logarithms on both axes, name the measured sizes, and leave room for the legend."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    panel.set_xscale("log")
    panel.set_yscale("log")
    panel.set_xticks(sizes, [f"{size:g}" for size in sizes])
    panel.xaxis.set_minor_locator(NullLocator())
    panel.yaxis.set_major_locator(LogLocator(10, marks))
    panel.yaxis.set_minor_locator(NullLocator())
    panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panel.tick_params(colors=_INK, labelsize=9)
    panel.grid(which="major", color=_GRID, lw=0.6)
    panel.set_axisbelow(True)
    for side, spine in panel.spines.items():
        spine.set_visible(side in {"left", "bottom"})
        spine.set_color(_GRID)
    panel.legend(loc="upper left", fontsize=9, frameon=False, labelcolor=_INK)
    panel.margins(y=0.3)
