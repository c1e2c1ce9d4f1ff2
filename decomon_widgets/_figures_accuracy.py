"""Matplotlib picture of certified and attacked accuracy. Without pyplot."""

from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from ._series import dress, new_figure, series_style
from .curve import Steps, count_at, step_curves
from .figures import Ink

__all__ = ["draw_curves"]


def draw_curves(
    names: tuple[str, ...],
    radii: list[tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.uint8]]],
    epsilon: float,
    end: float,
    axis_title: str,
    *,
    dark: bool = False,
) -> Figure:
    """Draw both step functions of each model or method and what is undecided between them.

    Parameters
    ----------
    names
        Of the models or methods.
    radii
        Of each of them: certified and falsified radii and what is misclassified, of shape
        `(samples,)`.
    epsilon
        Where the cursor is.
    end
        Right end of the axis.
    axis_title
        What the radius is.
    dark
        Draw for a dark background.

    Returns
    -------
    matplotlib.figure.Figure
    """
    ink = Ink(dark)
    figure = new_figure(ink, 7, 4.2)
    if not any(len(arrays[0]) for arrays in radii):
        figure.text(0.5, 0.5, "no samples yet", ha="center", color=ink.text)
        return figure
    lines = [f"ε = {epsilon:.4f}"]
    axes = figure.subplots()
    end = max(end, epsilon)
    handles: list[Line2D | Patch] = []
    for k, (name, arrays) in enumerate(zip(names, radii, strict=True)):
        samples = len(arrays[0])
        if not samples:
            continue
        proven, alive = (count / samples for count in count_at(*arrays, epsilon))
        lines.append(f"{name}: certified {proven:.1%}, attacked {alive:.1%} of {samples} samples")
        handles += _draw_series(axes, k, name, step_curves(*arrays, end), samples, end, dark=dark)
        colour = series_style(k).colour(dark=dark)
        axes.plot(
            [epsilon],
            [alive],
            "s",
            markersize=7,
            color=colour,
            markerfacecolor=Ink(dark).paper,
            zorder=5,
            clip_on=False,
        )
        axes.plot([epsilon], [proven], "o", markersize=6, color=colour, zorder=6, clip_on=False)
    axes.axvline(epsilon, color=ink.text, linewidth=1.2, zorder=4)
    figure.suptitle("\n".join(lines), color=ink.text, fontsize=10, parse_math=False)
    axes.set_xlim(0, end)
    axes.set_ylim(-0.02, 1.02)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_xlabel(axis_title, fontsize=9, color=ink.text)
    axes.set_ylabel("accuracy", fontsize=9, color=ink.text)
    axes.grid(alpha=0.25, color=ink.text)
    dress(axes, ink)
    legend = figure.legend(
        handles=handles,
        loc="outside lower center",
        # Columns are filled from top to bottom: one for each name, or one line for one name.
        ncols=3 if len(names) == 1 else min(len(names), 3),
        fontsize=8,
        frameon=False,
        labelcolor=ink.text,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
    return figure


def _draw_series(
    axes: Axes,
    k: int,
    name: str,
    steps: tuple[Steps, Steps],
    samples: int,
    end: float,
    *,
    dark: bool,
) -> list[Line2D | Patch]:
    style = series_style(k)
    colour = style.colour(dark=dark)
    dash: tuple[float, tuple[float, ...]] | Literal["-"] = (0, style.dash) if style.dash else "-"
    (low_x, low), (high_x, high) = (_corners(one, samples, end) for one in steps)
    hatch = ("////", "\\\\\\\\", "||||", "----", "....", "xxxx")[k % 6]
    axes.fill(
        np.concatenate([high_x, low_x[::-1]]),
        np.concatenate([high, low[::-1]]),
        facecolor=(colour, 0.13),
        edgecolor=(colour, 0.35),
        hatch=hatch,
        linewidth=0,
        zorder=1,
    )
    axes.plot(low_x, low, color=colour, linewidth=2.6, linestyle=dash, zorder=3)
    axes.plot(high_x, high, color=colour, linewidth=1.2, linestyle=dash, zorder=3)
    square: dict[str, Any] = {"marker": "s", "markerfacecolor": Ink(dark).paper}
    return [
        Line2D(
            [], [], color=colour, lw=2.6, linestyle=dash, marker="o", label=f"{name}: certified"
        ),
        Line2D([], [], color=colour, lw=1.2, linestyle=dash, label=f"{name}: attacked", **square),
        Patch(
            facecolor=(colour, 0.13),
            edgecolor=(colour, 0.35),
            hatch=hatch,
            label=f"{name}: undecided",
        ),
    ]


def _corners(
    steps: Steps, samples: int, end: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the corners of a step function, from left to right."""
    at = np.repeat(steps.at, 2)
    heights = np.repeat(steps.counts, 2) / samples
    return np.concatenate([[0.0], at, [end]]), heights
