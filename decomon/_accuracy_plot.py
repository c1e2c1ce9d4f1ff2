"""The picture of an accuracy under perturbations, in matplotlib without pyplot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from decomon.accuracy import CertifiedAccuracy

# Blue and vermilion of Okabe and Ito differ for all kinds of colour vision, on white and on black.
_COLOURS = {False: ("#0072b2", "#d55e00"), True: ("#56b4e9", "#ff8f3d")}
_UNKNOWN = (0.6, 0.6, 0.6, 0.35)
_PAPER, _INK = {False: "#ffffff", True: "#161616"}, {False: "#1f1f1f", True: "#ececec"}


def draw(found: CertifiedAccuracy, norm: str, ax: Any, dark: bool) -> Any:
    """Draw on axes, or on those of a new figure; return them.

    Parameters
    ----------
    found : what to draw
    norm : its name
    ax : matplotlib.axes.Axes, or None
    dark : whether a new figure is for a dark background
    """
    # Only pictures need it, so it is imported here.
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

    figure: Any = None
    if ax is None:
        figure = Figure(figsize=(6.4, 4.6), layout="constrained", facecolor=_PAPER[dark])
        ax = figure.add_subplot()
        _paint(ax, dark)
    colours = _COLOURS[dark and figure is not None]
    handles = _draw_curves(found, ax, *colours)
    ax.set_xlabel(f"radius ε (norm {norm})")
    ax.set_ylabel("accuracy")
    ax.set_ylim(-0.03, 1.03)
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    ax.set_xlim(*_limits(found))
    ax.grid(alpha=0.25)
    samples = "1 sample" if len(found) == 1 else f"{len(found)} samples"
    ax.set_title(f"Worst case within ε, {samples}", fontsize="medium")
    if figure is None:
        # There is less room than below a figure, and curves are not to be hidden.
        names = [str(handle.get_label()).partition(":")[0] for handle in handles]
        ax.legend(handles, names, loc="best", fontsize="small")
        return ax
    ax.title.set_color(_INK[dark])
    figure.legend(
        handles=handles,
        loc="outside lower center",
        fontsize="small",
        frameon=False,
        labelcolor=_INK[dark],
    )
    return ax


def _draw_curves(found: CertifiedAccuracy, ax: Any, certified: str, attacked: str) -> list[Any]:
    """Draw steps, because between radii of the grid only these are known; return the legend."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    twice = np.repeat(found.eps, 2)
    low, high = np.repeat(found.certified, 2)[1:], np.repeat(found.attacked, 2)[:-1]
    ax.fill(
        np.concatenate([twice[1:], twice[:-1][::-1]]),
        np.concatenate([high, low[::-1]]),
        facecolor=_UNKNOWN,
        linewidth=0,
    )
    upper: dict[str, Any] = {"color": attacked, "linestyle": (0, (4, 1.5)), "linewidth": 2}
    lower: dict[str, Any] = {"color": certified, "linestyle": "-", "linewidth": 2}
    ax.plot(twice[1:], high, **upper)
    ax.plot(twice[:-1], low, **lower)
    square: dict[str, Any] = {"marker": "s", "markersize": 5}
    disc: dict[str, Any] = {"marker": "o", "markersize": 6}
    ax.plot(found.eps, found.attacked, color=attacked, linestyle="none", **square)
    ax.plot(found.eps, found.certified, color=certified, linestyle="none", **disc)
    return [
        Line2D([], [], label="attacked: no counterexample known", **upper, **square),
        Patch(facecolor=_UNKNOWN, label="unknown"),
        Line2D([], [], label="certified: proven", **lower, **disc),
    ]


def _limits(found: CertifiedAccuracy) -> tuple[float, float]:
    first, last = float(found.eps[0]), float(found.eps[-1])
    room = 0.03 * (last - first) or 0.05 * last or 0.01
    return first - room, last + room


def _paint(ax: Any, dark: bool) -> None:
    ax.set_facecolor(_PAPER[dark])
    ax.tick_params(colors=_INK[dark])
    for label in (ax.xaxis.label, ax.yaxis.label):
        label.set_color(_INK[dark])
    for spine in ax.spines.values():
        spine.set_edgecolor(_INK[dark])
