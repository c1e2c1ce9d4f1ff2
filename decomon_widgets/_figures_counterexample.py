"""Matplotlib picture of a clean input, a perturbation and a misclassified point."""

import textwrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import NDArray

from .figures import Ink

__all__ = ["draw_counterexample", "fitting_factor"]

Floats = NDArray[np.float64]

# Blue for less, orange for more, as in the front end.
_CHANGE = LinearSegmentedColormap.from_list("change", ["#005aa0", "#f4f4f4", "#c85000"])
_MOST_CLASSES = 12
_FACTORS = (1000.0, 500.0, 200.0, 100.0, 50.0, 20.0, 10.0, 5.0, 2.0)


def fitting_factor(change: Floats, width: Floats | float) -> float:
    """Return the largest round factor with which no change exceeds half of its scale.

    Parameters
    ----------
    change
        Changes of the values.
    width
        Lengths of their scales.

    Returns
    -------
    float
        At least 1, at most 1000.
    """
    largest = float(np.max(np.abs(change) / (0.5 * np.asarray(width)), initial=0.0))
    return next((factor for factor in _FACTORS if factor * largest <= 1 + 1e-6), 1.0)


def draw_counterexample(
    clean: Floats,
    adversarial: Floats,
    outputs: tuple[Floats, Floats],
    *,
    kind: str,
    shape: tuple[int, int, int],
    value_range: Floats,
    label: int,
    factor: float | None,
    names: tuple[str, ...],
    meaning: str,
    text: str,
    dark: bool = False,
) -> Figure:
    """Draw both inputs, their difference and the outputs of the model.

    Parameters
    ----------
    clean, adversarial
        Flat inputs; the second one may be empty.
    outputs
        Of the model for both.
    kind, shape, value_range
        How inputs are drawn, as of ``Samples``.
    label
        The true class.
    factor
        How strongly the difference is amplified, None for as much as fits.
    names
        Of the classes; empty for their numbers.
    meaning
        What the outputs are.
    text
        What is said of it, one or more lines.
    dark
        Draw for a dark background.

    Returns
    -------
    matplotlib.figure.Figure
    """
    ink = Ink(dark)
    figure = Figure(
        figsize=(9, 3),
        layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.06),
        facecolor=ink.paper,
    )
    lines = [row for part in text.split("\n") for row in textwrap.wrap(part, 110)]
    figure.suptitle("\n".join(lines), color=ink.text, fontsize=9, parse_math=False)
    if not len(clean):
        return figure
    widths = np.ptp(value_range.reshape(2, -1), axis=0) if len(value_range) else np.ones(1)
    low = value_range.reshape(2, -1)[0]
    widths = np.where(widths > 0, widths, 1.0)
    panels = figure.subplots(1, 4, width_ratios=(1, 1, 1, 1.5))
    _draw_input(panels[0], clean, kind, shape, low, widths, ink)
    panels[0].set_title("clean", fontsize=9, color=ink.text)
    if len(adversarial):
        change = adversarial - clean
        times = fitting_factor(change, widths) if factor is None else factor
        _draw_change(panels[1], np.clip(times * change / (0.5 * widths), -1, 1), kind, shape, ink)
        panels[1].set_title(
            f"perturbation \N{MULTIPLICATION SIGN} {times:g}", fontsize=9, color=ink.text
        )
        _draw_input(panels[2], adversarial, kind, shape, low, widths, ink)
        panels[2].set_title("adversarial", fontsize=9, color=ink.text)
    else:
        panels[1].set_axis_off()
        panels[2].set_axis_off()
    _draw_outputs(panels[3], outputs, label, names, ink)
    panels[3].set_title(meaning, fontsize=8, color=ink.text)
    return figure


def _dress(axes: Axes, ink: Ink) -> None:
    axes.set_facecolor(ink.paper)
    axes.tick_params(colors=ink.text, labelsize=7)
    for spine in axes.spines.values():
        spine.set_edgecolor(ink.text)


def _draw_input(
    axes: Axes,
    values: Floats,
    kind: str,
    shape: tuple[int, int, int],
    low: Floats,
    widths: Floats,
    ink: Ink,
) -> None:
    if kind == "image":
        picture = np.clip((values - low) / widths, 0, 1).reshape(shape)
        axes.imshow(np.broadcast_to(picture, (*shape[:2], 3)), interpolation="nearest")
        axes.set_axis_off()
        return
    _dress(axes, ink)
    if kind == "signal":
        axes.plot(values.reshape(shape[1], shape[2]), linewidth=1)
    else:
        axes.barh(np.arange(len(values)), values, color=ink.text)
        axes.invert_yaxis()


def _draw_change(
    axes: Axes, parts: Floats, kind: str, shape: tuple[int, int, int], ink: Ink
) -> None:
    if kind == "image":
        if shape[2] == 3:
            axes.imshow((0.5 + 0.5 * parts).reshape(shape), interpolation="nearest")
        else:
            picture = parts.reshape(shape[:2])
            axes.imshow(picture, cmap=_CHANGE, vmin=-1, vmax=1, interpolation="nearest")
        axes.set_axis_off()
        return
    _dress(axes, ink)
    if kind == "signal":
        axes.plot(parts.reshape(shape[1], shape[2]), linewidth=1)
        axes.set_ylim(-1.05, 1.05)
    else:
        axes.barh(np.arange(len(parts)), parts, color=np.where(parts < 0, "#56b4e9", "#d56a10"))
        axes.set_xlim(-1.05, 1.05)
        axes.invert_yaxis()


def _draw_outputs(
    axes: Axes, outputs: tuple[Floats, Floats], label: int, names: tuple[str, ...], ink: Ink
) -> None:
    clean, found = outputs
    last = found if len(found) else clean
    order = [label, *(int(k) for k in np.argsort(-last, kind="stable") if k != label)]
    listed = sorted(order[:_MOST_CLASSES])
    _dress(axes, ink)
    places = np.arange(len(listed))
    high = 0.4 if len(found) else 0.8
    axes.barh(places - high / 2, clean[listed], high, color=ink.text, alpha=0.45, label="clean")
    if len(found):
        colour = ink.verdict("non_robust")
        axes.barh(places + high / 2, found[listed], high, color=colour, label="adversarial")
    marks = [
        f"{names[k] if k < len(names) else k}{' (label)' if k == label else ''}" for k in listed
    ]
    axes.set_yticks(places, marks, parse_math=False)
    axes.axvline(0, color=ink.text, linewidth=0.8)
    axes.invert_yaxis()
    axes.legend(fontsize=7, frameon=False, labelcolor=ink.text)
