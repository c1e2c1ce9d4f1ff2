"""Histogram of the margin bounds of a grid of samples."""

import math
from typing import Any

import numpy as np
import traitlets
from ipywidgets.widgets.trait_types import TypedTuple
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ._base import FigureWidget, static_file
from .arrays import ArrayTrait, IntTrait
from .figures import draw_histogram
from .sample_grid import SampleGrid
from .verdicts import summary

__all__ = ["BoundHistogram"]

_SOURCE_TRAITS = (
    "verdicts",
    "upper",
    "lower",
    "epsilon",
    "evaluated_epsilon",
    "busy",
    "error",
)


class BoundHistogram(FigureWidget):
    """Upper and lower margin bounds of the samples of a grid, with the number of each verdict.

    An upper bound below zero proves a sample robust, a lower bound above zero proves it non robust.
    Zero is always the edge of a bin, so no bar mixes the two sides. It follows its source.

    Parameters
    ----------
    source
        The grid whose bounds are shown.
    bins
        Number of bins aimed at; their width is rounded to a nice number.
    **kwargs
        The arguments of every Jupyter widget: `layout`, `tooltip`, `tabbable`.

    Attributes
    ----------
    n_bounds : int
        Number of samples with finite upper and lower bounds drawn.
    n_non_finite : int
        Number of bounds left out because they are infinite or NaN.

    Raises
    ------
    TypeError
        If the source is not a :class:`SampleGrid`.
    traitlets.TraitError
        If `bins` is not positive.

    Examples
    --------
    >>> histogram = BoundHistogram(grid)
    """

    _esm = static_file("bound_histogram.js")
    _css = static_file("bound_histogram.css")

    bins = IntTrait(20)
    verdicts = TypedTuple(trait=traitlets.Unicode(), read_only=True).tag(sync=True)
    epsilon = traitlets.Float(0.0, read_only=True).tag(sync=True)
    evaluated_epsilon = traitlets.Float(None, allow_none=True, read_only=True).tag(sync=True)
    busy = traitlets.Bool(False, read_only=True).tag(sync=True)
    error = traitlets.Unicode("", read_only=True).tag(sync=True)
    n_bounds = traitlets.Int(0, read_only=True).tag(sync=True)
    n_non_finite = traitlets.Int(0, read_only=True).tag(sync=True)
    _edges = ArrayTrait(np.float64)
    _upper_counts = ArrayTrait(np.int32)
    _lower_counts = ArrayTrait(np.int32)

    _source: SampleGrid | None = None

    def __init__(self, source: SampleGrid, bins: int = 20, **kwargs: Any) -> None:
        self.check_arguments(kwargs)
        if not isinstance(source, SampleGrid):
            raise TypeError(f"source must be a SampleGrid. Received: source={source!r}")
        self._source = source
        self.bins = bins
        self._update()
        super().__init__(**kwargs)
        source.observe(self._update, _SOURCE_TRAITS)
        self.observe(self._update, "bins")

    @property
    def source(self) -> SampleGrid:
        """The grid whose bounds are shown."""
        if self._source is None:
            raise RuntimeError("This histogram is closed and has no source any more.")
        return self._source

    def close(self) -> None:
        """Leave the source and remove the views."""
        if self._source is not None and self.comm is not None:
            self._source.unobserve(self._update, _SOURCE_TRAITS)
        super().close()

    def to_figure(self, *, dark: bool = False) -> Figure:
        """Draw the histogram with matplotlib, without pyplot.

        Parameters
        ----------
        dark
            Draw for a dark background.

        Returns
        -------
        matplotlib.figure.Figure
        """
        return draw_histogram(
            self._edges,
            self._upper_counts,
            self._lower_counts,
            self.verdicts,
            self.epsilon if self.evaluated_epsilon is None else self.evaluated_epsilon,
            self.n_non_finite,
            self.error,
            dark=dark,
        )

    def _summary(self) -> str:
        return summary("BoundHistogram", self.epsilon, self.verdicts, self.error)

    @traitlets.validate("bins")
    def _check_bins(self, proposal: Any) -> int:
        if proposal["value"] < 1:
            raise traitlets.TraitError(f"bins must be >= 1. Received: bins={proposal['value']}")
        return proposal["value"]

    def _update(self, _change: Any = None) -> None:
        source = self.source
        upper, lower = source.upper, source.lower
        known = source.evaluated_epsilon is not None
        both = np.concatenate([upper, lower])
        finite = both[np.isfinite(both)]
        edges = bin_edges(finite, self.bins) if known and len(finite) else np.empty(0)
        values = {
            "verdicts": source.verdicts,
            "epsilon": source.epsilon,
            "evaluated_epsilon": source.evaluated_epsilon,
            "busy": source.busy,
            "error": source.error,
            "n_bounds": int((np.isfinite(upper) & np.isfinite(lower)).sum()),
            "n_non_finite": len(both) - len(finite) if known else 0,
            "_edges": edges,
            "_upper_counts": count_bins(upper, edges),
            # A lower bound of exactly zero proves nothing: it counts on the negative side.
            "_lower_counts": count_bins(-lower, -edges[::-1])[::-1],
        }
        with self.hold_sync(), self.hold_trait_notifications():
            for name, value in values.items():
                self.set_trait(name, value)


def bin_edges(values: NDArray[np.float64], bins: int) -> NDArray[np.float64]:
    """Edges of equal bins that hold all values; zero is one of the inner edges.

    Parameters
    ----------
    values
        Finite numbers, one or more.
    bins
        Number of bins aimed at.

    Returns
    -------
    numpy.ndarray
        Increasing edges, at least three.
    """
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    if low == high:
        return np.array([-1.0, 0.0, 1.0])
    rough = high / bins - low / bins
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * next((f for f in (1, 2, 2.5, 5) if f * power >= rough * (1 - 1e-9)), 10)
    first = min(math.floor(low / step), -1)
    last = max(math.ceil(high / step), 1)
    return step * np.arange(first, last + 1, dtype=np.float64)


def count_bins(values: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.intp]:
    """Count the finite values in each bin ``[edge, next edge)``, the last one closed.

    Parameters
    ----------
    values
        Numbers; those that are not finite are left out.
    edges
        Increasing edges that enclose the finite values, or none.

    Returns
    -------
    numpy.ndarray
        One count per bin.
    """
    if len(edges) < 2:
        return np.zeros(0, np.intp)
    inside = np.clip(values[np.isfinite(values)], edges[0], edges[-1])
    return np.histogram(inside, edges)[0]
