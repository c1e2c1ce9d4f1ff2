"""How methods and models differ in charts: by colour, dash and marker."""

from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from .figures import Ink

__all__ = ["SERIES", "SeriesStyle", "dress", "new_figure", "series_style"]


@dataclass(frozen=True)
class SeriesStyle:
    """How one of several methods or models is drawn.

    Attributes
    ----------
    light, dark
        Its colour in the two themes.
    dash
        Lengths of dashes and gaps in points, empty for a solid line.
    marker
        For matplotlib.
    """

    light: str
    dark: str
    dash: tuple[float, ...]
    marker: str

    def colour(self, *, dark: bool) -> str:
        """Return the colour on a light or a dark ground."""
        return self.dark if dark else self.light


# None of them is taken for the colour of a verdict of the same chart: shape and dash differ too.
SERIES = (
    SeriesStyle("#0b6bb3", "#63b8f0", (), "o"),
    SeriesStyle("#b04a06", "#ff9f52", (7, 3), "s"),
    SeriesStyle("#6d4bb8", "#b99cff", (2, 3), "^"),
    SeriesStyle("#5a6a00", "#c2cc4d", (9, 3, 2, 3), "D"),
    SeriesStyle("#00707a", "#4fd0da", (4, 2), "v"),
    SeriesStyle("#4a4a4a", "#c8c8c8", (12, 4), "P"),
)
"""Styles in the order of use."""


def series_style(k: int) -> SeriesStyle:
    """Return the style of the k-th method or model; they repeat after the last one."""
    return SERIES[k % len(SERIES)]


def new_figure(ink: Ink, width: float, height: float) -> Figure:
    """Make an empty figure of a size in inches."""
    layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.06)
    return Figure(figsize=(width, height), layout=layout, facecolor=ink.paper)


def dress(axes: Axes, ink: Ink) -> None:
    """Give axes the colours of the figure."""
    axes.set_facecolor(ink.paper)
    axes.set_axisbelow(True)
    axes.tick_params(colors=ink.text, labelsize=8)
    for spine in axes.spines.values():
        spine.set_edgecolor(ink.text)
