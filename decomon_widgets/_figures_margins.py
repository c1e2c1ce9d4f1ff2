"""Matplotlib picture of the margins of the classes of one sample. Without pyplot."""

import math
import textwrap
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from ._series import dress, new_figure, series_style
from .figures import Ink
from .margin_view import axis_range, best_margins, order_classes
from .verdicts import NON_ROBUST, ROBUST, UNKNOWN, VERDICTS

__all__ = ["draw_margins"]

# What is said of a class, as the verdict with the same sign and colour.
_SIGNS = {"excluded": ROBUST, "wins": NON_ROBUST, "open": UNKNOWN, "unbounded": UNKNOWN}


def draw_margins(
    lower: NDArray[np.float64],
    upper: NDArray[np.float64],
    methods: tuple[str, ...],
    label: int,
    names: list[str],
    order: str,
    heading: str,
    error: str = "",
    *,
    dark: bool = False,
) -> Figure:
    """Draw one row per class with the interval of each method.

    Parameters
    ----------
    lower, upper
        Bounds, of shape `(methods, classes)`; NaN where nothing is known.
    methods
        Their names.
    label
        The class whose margin with itself is zero.
    names
        Of the classes.
    order
        As for :func:`~decomon_widgets.margin_view.order_classes`.
    heading
        What is shown.
    error
        What went wrong, "" if nothing did.
    dark
        Draw for a dark background.

    Returns
    -------
    matplotlib.figure.Figure
    """
    ink = Ink(dark)
    classes = lower.shape[1]
    lane = 0.14 * len(methods)
    figure = new_figure(ink, 7, 1.5 + max(1.0, classes * (0.14 + lane)))
    lines = [heading or "no sample selected"]
    if error:
        lines += textwrap.wrap(f"Error: {error}", 84, max_lines=6, placeholder=" …")
    # A dollar sign of an error would begin a formula.
    figure.suptitle("\n".join(lines), color=ink.text, fontsize=10, parse_math=False)
    if not classes:
        figure.text(0.5, 0.4, "no bounds yet", ha="center", color=ink.text)
        return figure
    axes = figure.subplots()
    low, high = axis_range(lower, upper, label)
    axes.set_xlim(low, high)
    axes.set_ylim(classes - 0.5, -0.5)
    axes.axvline(0, color=ink.text, linewidth=1.5, linestyle=(0, (5, 3)), zorder=1)
    rows = order_classes(best_margins(lower, upper, label), order)
    for row, margin in enumerate(rows):
        if margin.standing == "label":
            axes.plot([0], [row], marker="D", markersize=7, color=ink.text, zorder=3)
            continue
        for k in range(len(methods)):
            y = row + (k - (len(methods) - 1) / 2) * 0.56 / len(methods)
            ends = float(lower[k, margin.index]), float(upper[k, margin.index])
            _draw_interval(axes, y, ends, (low, high), k, dark=dark)
        verdict = VERDICTS[_SIGNS[margin.standing]]
        axes.annotate(
            verdict.glyph,
            (1.012, row),
            xycoords=("axes fraction", "data"),
            va="center",
            color=verdict.dark if dark else verdict.light,
            fontweight="bold",
            annotation_clip=False,
        )
    axes.set_yticks(
        range(classes),
        [names[m.index] + (" (label)" if m.standing == "label" else "") for m in rows],
        parse_math=False,
    )
    who = names[label]
    axes.set_xlabel(f"logit of the class minus logit of {who}", fontsize=9, color=ink.text)
    axes.xaxis.label.set_parse_math(False)
    axes.grid(axis="x", alpha=0.25, color=ink.text)
    dress(axes, ink)
    handles = [_key(k, method, dark=dark) for k, method in enumerate(methods)]
    meanings = {"excluded": "never wins", "wins": "always wins", "open": "may win"}
    for standing, words in meanings.items():
        verdict = VERDICTS[_SIGNS[standing]]
        handles.append(Line2D([], [], linestyle="none", label=f"{verdict.glyph} {words}"))
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=min(len(handles), 5),
        fontsize=8,
        frameon=False,
        labelcolor=ink.text,
        handletextpad=0.4,
    )
    return figure


def _draw_interval(
    axes: Axes,
    y: float,
    ends: tuple[float, float],
    limits: tuple[float, float],
    k: int,
    *,
    dark: bool,
) -> None:
    """Draw what is known of one margin; an end that is outside becomes an arrow."""
    style = series_style(k)
    colour = style.colour(dark=dark)
    if all(math.isnan(end) for end in ends):
        axes.text(0, y, " not known", fontsize=7, va="center", color=Ink(dark).text, style="italic")
        return
    # What is not known reaches beyond every limit.
    low = -math.inf if math.isnan(ends[0]) else ends[0]
    high = math.inf if math.isnan(ends[1]) else ends[1]
    left, right = (float(np.clip(end, *limits)) for end in (low, high))
    axes.plot([left, right], [y, y], color=colour, linewidth=2, linestyle=_dash(k), zorder=2)
    for end, shown, arrow in ((low, left, "<"), (high, right, ">")):
        inside = limits[0] <= end <= limits[1]
        axes.plot(
            [shown],
            [y],
            marker=style.marker if inside else arrow,
            markersize=5,
            color=colour,
            markerfacecolor=colour if k % 2 == 0 else Ink(dark).paper,
            clip_on=False,
            zorder=3,
        )


def _dash(k: int) -> tuple[float, tuple[float, ...]] | Literal["-"]:
    dash = series_style(k).dash
    return (0, tuple(length / 2 for length in dash)) if dash else "-"


def _key(k: int, name: str, *, dark: bool) -> Line2D:
    style = series_style(k)
    colour = style.colour(dark=dark)
    return Line2D(
        [],
        [],
        color=colour,
        linewidth=2,
        linestyle=_dash(k),
        marker=style.marker,
        markersize=5,
        markerfacecolor=colour if k % 2 == 0 else Ink(dark).paper,
        label=name,
    )
