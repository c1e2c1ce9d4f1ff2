"""Matplotlib pictures of the widgets. Without pyplot: nothing global is touched."""

import textwrap
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from .verdicts import NON_ROBUST, ROBUST, UNKNOWN, VERDICTS, count_verdicts

__all__ = ["draw_grid", "draw_histogram"]


@dataclass(frozen=True)
class _Ink:
    """Colours of a figure."""

    dark: bool

    @property
    def paper(self) -> str:
        return "#161616" if self.dark else "#ffffff"

    @property
    def text(self) -> str:
        return "#ececec" if self.dark else "#1f1f1f"

    def verdict(self, name: str) -> str:
        style = VERDICTS[name]
        return style.dark if self.dark else style.light


def _counts_text(verdicts: tuple[str, ...]) -> str:
    counts = count_verdicts(verdicts)
    return "   ".join(
        f"{VERDICTS[name].glyph} {n} {VERDICTS[name].plural}" for name, n in counts.items() if n
    )


def _set_heading(
    figure: Figure, epsilon: float, verdicts: tuple[str, ...], error: str, ink: _Ink
) -> None:
    """Epsilon, the counts and, if there is one, the error, as wide as the figure."""
    lines = [f"ε = {epsilon:.4f}", _counts_text(verdicts)]
    if error:
        width = round(12 * figure.get_figwidth())
        # An error can be long; the widget itself shows all of it.
        lines += textwrap.wrap(f"Error: {error}", max(width, 20), max_lines=6, placeholder=" …")
        figure.set_figheight(figure.get_figheight() + 0.17 * (len(lines) - 2))
    # A dollar sign of an error would begin a formula.
    figure.suptitle("\n".join(lines), color=ink.text, fontsize=10, parse_math=False)


def draw_grid(
    pixels: NDArray[np.uint8],
    verdicts: tuple[str, ...],
    labels: NDArray[np.int32],
    predictions: NDArray[np.int32],
    epsilon: float,
    columns: int,
    error: str = "",
    *,
    dark: bool = False,
) -> Figure:
    """Draw images with the frame and the title of their verdicts.

    Parameters
    ----------
    pixels
        Images of shape `(n, height, width, channels)`, with 1 or 3 channels.
    verdicts, labels, predictions
        Of each image; a prediction of -1 is not known yet.
    epsilon
        The epsilon of the verdicts.
    columns
        Number of columns.
    error
        What went wrong, "" if nothing did.
    dark
        Draw for a dark background.

    Returns
    -------
    matplotlib.figure.Figure
    """
    ink = _Ink(dark)
    n = len(pixels)
    columns = min(columns, n)
    rows = -(-n // columns)
    figure = Figure(
        figsize=(1.8 * columns + 0.2, 2.2 * rows + 0.6),
        layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.06),
        facecolor=ink.paper,
    )
    _set_heading(figure, epsilon, verdicts, error, ink)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for position, axes in enumerate(grid):
        axes.set_axis_off()
        if position < n:
            _draw_sample(axes, pixels[position], verdicts[position], ink)
            predicted = "…" if predictions[position] < 0 else str(predictions[position])
            axes.text(
                0.5,
                -0.09,
                f"label {labels[position]}, predicted {predicted}",
                transform=axes.transAxes,
                ha="center",
                va="top",
                fontsize=8,
                color=ink.text,
            )
    return figure


def _draw_sample(axes: Axes, pixels: NDArray[np.uint8], verdict: str, ink: _Ink) -> None:
    style = VERDICTS[verdict]
    colour = ink.verdict(verdict)
    image = pixels if pixels.shape[2] == 3 else np.repeat(pixels, 3, axis=2)
    axes.imshow(image, interpolation="nearest")
    axes.set_title(
        f"{style.glyph} {style.title}", fontsize=8, color=ink.text, fontweight="bold", pad=8
    )
    lines = {
        "solid": "-",
        "double": "-",
        "dashed": (0, (3, 1.5)),
        "dotted": (0, (1, 1)),
        "none": "-",
    }
    width = {"double": 1.6, "none": 0.8}.get(style.frame, 3.5)
    for margin in (0.02, 0.06) if style.frame == "double" else (0.03,):
        axes.add_patch(
            Rectangle(
                (-margin, -margin),
                1 + 2 * margin,
                1 + 2 * margin,
                transform=axes.transAxes,
                fill=False,
                clip_on=False,
                edgecolor=colour,
                linewidth=width,
                linestyle=lines[style.frame],
            )
        )


def draw_histogram(
    edges: NDArray[np.float64],
    upper_counts: NDArray[np.int32],
    lower_counts: NDArray[np.int32],
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
    upper_counts, lower_counts
        Number of bounds in each bin.
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
    ink = _Ink(dark)
    figure = Figure(
        figsize=(7, 3.6),
        layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.06),
        facecolor=ink.paper,
    )
    _set_heading(figure, epsilon, verdicts, error, ink)
    if len(edges) < 2:
        figure.text(0.5, 0.45, "no bounds yet", ha="center", color=ink.text)
        return figure
    panels = figure.subplots(2, 1, sharex=True, sharey=True)
    left, width = edges[:-1], np.diff(edges)
    for axes, counts, proven, verdict, title in (
        (panels[0], upper_counts, edges[1:] <= 0, ROBUST, "upper bound"),
        (panels[1], lower_counts, left >= 0, NON_ROBUST, "lower bound"),
    ):
        hatch = "////" if verdict == NON_ROBUST else None
        colour, open_colour = ink.verdict(verdict), ink.verdict(UNKNOWN)
        axes.bar(
            left[proven],
            counts[proven],
            width[proven],
            align="edge",
            facecolor=ink.paper if hatch else colour,
            edgecolor=colour if hatch else ink.paper,
            hatch=hatch,
        )
        axes.bar(
            left[~proven],
            counts[~proven],
            width[~proven],
            align="edge",
            facecolor=(open_colour, 0.25),
            edgecolor=open_colour,
        )
        axes.axvline(0, color=ink.text, linewidth=1.5, linestyle="--")
        axes.set_title(title, fontsize=9, loc="left", color=ink.text)
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.set_facecolor(ink.paper)
        axes.tick_params(colors=ink.text, labelsize=8)
        for spine in axes.spines.values():
            spine.set_edgecolor(ink.text)
    panels[1].set_xlabel("bound of the largest margin", fontsize=9, color=ink.text)
    figure.legend(
        handles=[
            Patch(color=ink.verdict(ROBUST), label="upper bound < 0: robust"),
            Patch(
                facecolor=ink.paper,
                edgecolor=ink.verdict(NON_ROBUST),
                hatch="////",
                label="lower bound > 0: wrong class found",
            ),
            Patch(
                facecolor=(ink.verdict(UNKNOWN), 0.25),
                edgecolor=ink.verdict(UNKNOWN),
                label="undecided by this bound",
            ),
        ],
        loc="outside lower center",
        ncols=3,
        fontsize=8,
        frameon=False,
        labelcolor=ink.text,
    )
    if n_non_finite:
        figure.supxlabel(
            f"not drawn, because not finite: {n_non_finite}", fontsize=8, color=ink.text
        )
    return figure
