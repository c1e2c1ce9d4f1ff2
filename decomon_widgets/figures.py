"""Matplotlib pictures of the widgets. Without pyplot: nothing global is touched."""

import itertools
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from .samples import Samples
from .verdicts import VERDICTS, count_verdicts

__all__ = ["Ink", "draw_grid", "set_heading"]

_MOST_SAMPLES = 40


@dataclass(frozen=True)
class Ink:
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


def set_heading(
    figure: Figure, epsilon: float, verdicts: tuple[str, ...], error: str, ink: Ink
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
    samples: Samples,
    indices: Sequence[int],
    verdicts: tuple[str, ...],
    labels: NDArray[np.int32],
    predictions: NDArray[np.int32],
    epsilon: float,
    columns: int,
    error: str = "",
    *,
    order: Sequence[int] | None = None,
    class_names: Sequence[str] = (),
    feature_names: Sequence[str] = (),
    dark: bool = False,
) -> Figure:
    """Draw samples with the frame and the title of their verdicts.

    Parameters
    ----------
    samples
        The data.
    indices
        Positions in `samples` of the samples of the grid.
    verdicts, labels, predictions
        Of each sample of the grid; a prediction of -1 is not known yet.
    epsilon
        The epsilon of the verdicts.
    columns
        Number of columns.
    error
        What went wrong, "" if nothing did.
    order
        Positions in the grid of the samples that are drawn, None for all. More than 40 are not
        drawn, and the figure says so; the counts are those of the whole grid.
    class_names, feature_names
        Names in place of the numbers.
    dark
        Draw for a dark background.

    Returns
    -------
    matplotlib.figure.Figure
    """
    ink = Ink(dark)
    wanted = range(len(indices)) if order is None else order
    drawn = wanted[:_MOST_SAMPLES]
    values = samples.pictures(tuple(indices[k] for k in drawn))
    columns = max(1, min(columns, len(drawn)))
    rows = max(1, -(-len(drawn) // columns))
    height, width, _ = samples.image_shape
    aspect = height / width if samples.kind == "image" else 0.75
    figure = Figure(
        figsize=(1.8 * columns + 0.2, (0.7 + 1.5 * min(max(aspect, 0.3), 2)) * rows + 0.6),
        layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.06),
        facecolor=ink.paper,
    )
    set_heading(figure, epsilon, verdicts, error, ink)
    for axes in (grid := figure.subplots(rows, columns, squeeze=False).ravel()):
        axes.set_axis_off()
    for axes, position, value in zip(grid, drawn, values, strict=False):
        _draw_values(axes, samples, value, feature_names, ink)
        _draw_frame(axes, verdicts[position], ink)
        label, predicted = (
            _class_name(int(of[position]), class_names) for of in (labels, predictions)
        )
        axes.text(
            0.5,
            -0.09,
            f"label {label}, predicted {predicted}",
            transform=axes.transAxes,
            ha="center",
            va="top",
            fontsize=8,
            color=ink.text,
            parse_math=False,
        )
    if len(drawn) < len(indices):
        note = f"{len(drawn)} of {len(indices)} samples are drawn"
        figure.supxlabel(note, fontsize=8, color=ink.text)
    return figure


def _class_name(number: int, names: Sequence[str]) -> str:
    if number < 0:
        return "…"
    return names[number] if number < len(names) else str(number)


def _draw_values(
    axes: Axes,
    samples: Samples,
    values: NDArray[np.generic],
    feature_names: Sequence[str],
    ink: Ink,
) -> None:
    if samples.kind == "image":
        image = values if values.shape[2] == 3 else np.repeat(values, 3, axis=2)
        axes.imshow(image, interpolation="nearest")
        return
    axes.set_axis_on()
    axes.set_facecolor(ink.paper)
    axes.tick_params(colors=ink.text, labelsize=6, length=0, pad=6)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if samples.kind == "signal":
        for channel, style in zip(range(values.shape[2]), itertools.cycle(["-", "--", ":", "-."])):
            axes.plot(values[0, :, channel], color=ink.text, linewidth=0.8, linestyle=style)
        low, high = samples.value_range
        room = 0.05 * (high - low) or 1.0
        axes.set_ylim(low - room, high + room)
        axes.set_xticks([])
        axes.yaxis.set_major_locator(MaxNLocator(3))
        return
    n = values.shape[1]
    low, high = samples.value_range.reshape(2, n)
    width = np.where(high > low, high - low, 1.0)
    start = np.clip(0, low, high)
    axes.barh(
        np.arange(n),
        (values[0, :, 0] - start) / width,
        left=(start - low) / width,
        height=0.7,
        color=ink.text,
        alpha=0.7,
    )
    axes.set_xlim(0, 1)
    axes.set_ylim(n - 0.5, -0.5)
    axes.set_xticks([])
    few = n <= 12
    axes.set_yticks(range(n) if few else [])
    if few:
        names = [_class_name(k, feature_names) if feature_names else f"x{k}" for k in range(n)]
        axes.set_yticklabels([textwrap.shorten(name, 14, placeholder="…") for name in names])


def _draw_frame(axes: Axes, verdict: str, ink: Ink) -> None:
    style = VERDICTS[verdict]
    colour = ink.verdict(verdict)
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
