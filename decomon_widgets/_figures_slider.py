"""Matplotlib picture of the slider. Without pyplot: nothing global is touched."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import NDArray

from .figures import Ink
from .verdicts import NON_ROBUST, ROBUST

__all__ = ["draw_slider"]


def draw_slider(
    value: float,
    limits: tuple[float, float],
    certified: NDArray[np.float64],
    falsified: NDArray[np.float64],
    heading: str,
    *,
    unit: str,
    floor: float | None,
    dark: bool = False,
) -> Figure:
    """Draw a slider: its track, its handle and the marks of the samples.

    Parameters
    ----------
    value
        Where the handle is.
    limits
        Both ends of the track.
    certified, falsified
        Marks above and below of the track; those outside of it are left out.
    heading
        Description and value.
    unit
        "value", or "255" for an axis in units of 1/255.
    floor
        Smallest value above zero of a logarithmic scale; None for a linear one.
    dark
        Draw for a dark background.

    Returns
    -------
    matplotlib.figure.Figure
    """
    ink = Ink(dark)
    scale = 255.0 if unit == "255" else 1.0
    (low, high), at = np.multiply(limits, scale).tolist(), value * scale
    marks = [
        (name, bottom, top, label, each[(each >= low) & (each <= high)])
        for name, bottom, top, label, each in (
            (ROBUST, 0.2, 0.8, "certified up to here", certified * scale),
            (NON_ROBUST, -0.8, -0.2, "falsified from here", falsified * scale),
        )
    ]
    marked = any(len(shown) for *_, shown in marks)
    figure = Figure(
        figsize=(6, 1.5 if marked else 1.1),
        layout=ConstrainedLayoutEngine(w_pad=0.12),
        facecolor=ink.paper,
    )
    figure.suptitle(heading, color=ink.text, fontsize=10, parse_math=False)
    axes = figure.subplots()
    if floor is not None:
        if low < floor * scale:  # between zero and the smallest position it is linear
            axes.set_xscale("symlog", linthresh=floor * scale)
        else:
            axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.set_ylim(-1, 1)
    axes.hlines(0, low, high, color=ink.text, linewidth=1)
    for name, bottom, top, label, shown in marks:
        if len(shown):
            axes.vlines(shown, bottom, top, color=ink.verdict(name), linewidth=1.5, label=label)
    axes.plot([at], [0], "o", color=ink.text, markersize=9, clip_on=False)
    axes.set_facecolor(ink.paper)
    axes.set_yticks([])
    axes.tick_params(colors=ink.text, labelsize=8)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_edgecolor(ink.text)
    if unit == "255":
        axes.set_xlabel("in units of 1/255", fontsize=8, color=ink.text)
    if marked:
        figure.legend(
            loc="outside lower center", ncols=2, fontsize=8, frameon=False, labelcolor=ink.text
        )
    return figure
