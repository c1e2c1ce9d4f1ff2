"""Matplotlib picture of the histogram. Without pyplot: nothing global is touched."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from .figures import Ink, set_heading
from .verdicts import MISCLASSIFIED, NON_ROBUST, PENDING, UNKNOWN, VERDICTS

__all__ = ["draw_histogram"]

# The same patterns as in the browser, so that the fills differ without any colour.
_HATCHES = {NON_ROBUST: "////", UNKNOWN: "....", MISCLASSIFIED: "++++", PENDING: "----"}


def draw_histogram(
    edges: NDArray[np.float64],
    upper: dict[str, NDArray[np.intp]],
    lower: dict[str, NDArray[np.intp]],
    verdicts: tuple[str, ...],
    epsilon: float,
    n_non_finite: int,
    error: str = "",
    *,
    dark: bool = False,
) -> Figure:
    """Draw the histograms of upper and lower margin bounds above each other.

    Parameters
    ----------
    edges
        Edges of the bins, with zero among them; empty if there is nothing to draw.
    upper, lower
        Number of bounds in each bin, for every verdict.
    verdicts
        Of each sample.
    epsilon
        The epsilon of the bounds.
    n_non_finite
        Number of bounds that are not drawn.
    error
        What went wrong, "" if nothing did.
    dark
        Draw for a dark background.

    Returns
    -------
    matplotlib.figure.Figure
    """
    ink = Ink(dark)
    figure = Figure(
        figsize=(7, 3.8),
        layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.06),
        facecolor=ink.paper,
    )
    set_heading(figure, epsilon, verdicts, error, ink)
    if len(edges) < 2:
        figure.text(0.5, 0.45, "no bounds yet", ha="center", color=ink.text)
        return figure
    top, bottom = figure.subplots(2, 1, sharex=True, sharey=True)
    _draw_panel(top, edges, upper, "upper bound   (below 0: proven robust)", ink)
    _draw_panel(bottom, edges, lower, "lower bound   (above 0: refuted)", ink)
    bottom.set_xlabel("bound of the largest margin", fontsize=9, color=ink.text)
    shown = [name for name in VERDICTS if upper[name].any() or lower[name].any()]
    figure.legend(
        handles=[Patch(**_look(name, ink), label=VERDICTS[name].plural) for name in shown],
        loc="outside lower center",
        ncols=len(VERDICTS),
        fontsize=8,
        frameon=False,
        labelcolor=ink.text,
    )
    if n_non_finite:
        figure.supxlabel(
            f"not drawn, because not finite: {n_non_finite}", fontsize=8, color=ink.text
        )
    return figure


def _look(name: str, ink: Ink) -> dict[str, Any]:
    hatch = _HATCHES.get(name)
    colour = ink.verdict(name)
    return {"facecolor": ink.paper if hatch else colour, "edgecolor": colour, "hatch": hatch}


def _draw_panel(
    axes: Axes,
    edges: NDArray[np.float64],
    counts: dict[str, NDArray[np.intp]],
    title: str,
    ink: Ink,
) -> None:
    left, width = edges[:-1], np.diff(edges)
    bottom = np.zeros(len(left), np.intp)
    for name, each in counts.items():
        filled = each > 0
        axes.bar(
            left[filled],
            each[filled],
            width[filled],
            bottom[filled],
            align="edge",
            **_look(name, ink),
        )
        bottom = bottom + each
    axes.axvline(0, color=ink.text, linewidth=1.5, linestyle="--")
    axes.set_title(title, fontsize=9, loc="left", color=ink.text)
    axes.set_ylabel("samples", fontsize=8, color=ink.text)
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.set_facecolor(ink.paper)
    axes.tick_params(colors=ink.text, labelsize=8)
    for spine in axes.spines.values():
        spine.set_edgecolor(ink.text)
