"""Matplotlib pictures of functions of one variable and of their bounds."""

import textwrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import NDArray

from ._one_input import Pieces
from .figures import Ink

__all__ = ["draw_curve", "line_text"]

Floats = NDArray[np.float64]


# What lies above and below the function, on a light and on a dark background: told apart by every
# kind of colour vision (Okabe & Ito 2008).
_ABOVE = {False: "#0072b2", True: "#56b4e9"}
_BELOW = {False: "#b84e00", True: "#f5a25d"}

_MINUS = "\N{MINUS SIGN}"


def line_text(slope: float, offset: float, variable: str = "z") -> str:
    """Write a line for people, such as "0.5 z + 1" or "z"; as the front end does."""
    times, plus = _show(slope), _show(offset)
    if times == "0":
        return plus
    product = {"1": variable, f"{_MINUS}1": _MINUS + variable}.get(times, f"{times} {variable}")
    if plus == "0":
        return product
    if plus.startswith(_MINUS):
        return f"{product} {_MINUS} {plus[1:]}"
    return f"{product} + {plus}"


def _show(value: float) -> str:
    text = "0" if abs(value) < 1e-9 else f"{value:.4g}"
    return text.replace("-", _MINUS)


def draw_curve(
    x: Floats,
    y: Floats,
    pieces: Pieces,
    labels: tuple[str, str, str],
    *,
    lines: bool,
    title: str,
    variable: str,
    interval: tuple[float, float],
    error: str = "",
    dark: bool = False,
) -> Figure:
    """Draw a function with its bounds on pieces of an interval.

    Parameters
    ----------
    x, y
        Points of the function, NaN where it is not defined.
    pieces
        The bounds.
    labels
        Of the function, of the upper and of the lower bounds.
    lines
        Draw the two lines on each piece and not the two numbers.
    title, variable
        What stands above, and below the horizontal axis.
    interval
        Its ends are marked.
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
    heading = [title]
    if error:
        heading += textwrap.wrap(f"Error: {error}", 90, max_lines=6, placeholder=" …")
    # A dollar sign of a name would begin a formula.
    figure.suptitle("\n".join(heading), color=ink.text, fontsize=10, parse_math=False)
    axes = figure.subplots()
    axes.set_facecolor(ink.paper)
    axes.tick_params(colors=ink.text, labelsize=8)
    for spine in axes.spines.values():
        spine.set_edgecolor(ink.text)
    axes.set_xlabel(variable, color=ink.text)
    if len(x):
        axes.plot(x, y, color=ink.text, linewidth=1.6, label=labels[0], zorder=3)
        axes.set_xlim(x[0], x[-1])
    for end in interval:
        axes.axvline(end, color=ink.text, linewidth=1, linestyle=":")
    if len(pieces.lower):
        _draw_bounds(axes, pieces, labels, lines and len(pieces.lower_slope) > 0, dark)
    if axes.get_legend_handles_labels()[0]:
        figure.legend(
            loc="outside lower center", ncols=3, fontsize=8, frameon=False, labelcolor=ink.text
        )
    return figure


def _draw_bounds(
    axes: Axes, pieces: Pieces, labels: tuple[str, str, str], lines: bool, dark: bool
) -> None:
    ends = np.column_stack([pieces.edges[:-1], pieces.edges[1:]])
    lower, upper = (np.repeat(side[:, None], 2, axis=1) for side in (pieces.lower, pieces.upper))
    if lines:
        lower = pieces.lower_slope[:, None] * ends + pieces.lower_offset[:, None]
        upper = pieces.upper_slope[:, None] * ends + pieces.upper_offset[:, None]
    for k in range(len(ends)):
        axes.fill_between(ends[k], lower[k], upper[k], color=_ABOVE[dark], alpha=0.18, linewidth=0)
    # NaN between the pieces: their lines are not joined.
    gaps = np.full((len(ends), 1), np.nan)
    places = np.hstack([ends, gaps]).ravel()
    for side, colour, style, label in (
        (upper, _ABOVE[dark], "-", labels[1]),
        (lower, _BELOW[dark], (0, (5, 2)), labels[2]),
    ):
        heights = np.hstack([side, gaps]).ravel()
        axes.plot(places, heights, color=colour, linestyle=style, linewidth=1.6, label=label)
