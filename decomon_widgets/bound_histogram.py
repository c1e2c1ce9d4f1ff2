"""Histogram of the margin bounds of samples."""

import math
import numbers
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import traitlets
from ipywidgets.widgets.trait_types import TypedTuple
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from ._base import FigureWidget, static_file
from ._figures_histogram import draw_histogram
from ._live_samples import LiveSamples
from .arrays import ArrayTrait, IndicesTrait, IntTrait
from .bins import Bound, bin_edges, brushed, count_bins, count_by_verdict, count_left_out
from .verdicts import ROBUST, UNKNOWN, VERDICTS, summary

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


@dataclass(frozen=True)
class _Bounds:
    """Bounds and verdicts of samples at one epsilon, checked."""

    upper: NDArray[np.float64]
    lower: NDArray[np.float64]
    verdicts: tuple[str, ...]
    epsilon: float

    @classmethod
    def check(
        cls, upper: ArrayLike, lower: ArrayLike, verdicts: Sequence[str] | None, epsilon: Any
    ) -> Self:
        above, below = _column("upper", upper), _column("lower", lower)
        if len(above) != len(below):
            raise ValueError(
                "upper and lower must belong to the same samples. "
                f"Received: {len(above)} upper bounds and {len(below)} lower bounds"
            )
        real = isinstance(epsilon, numbers.Real) and not isinstance(epsilon, bool)
        radius = float(epsilon) if real else math.nan
        if not (math.isfinite(radius) and radius >= 0):
            raise ValueError(f"epsilon must be a finite number >= 0. Received: epsilon={epsilon!r}")
        if verdicts is None:
            names = tuple(ROBUST if bound < 0 else UNKNOWN for bound in above)
        else:
            names = tuple(str(name) for name in verdicts)
        if len(names) != len(above) or not set(names) <= set(VERDICTS):
            raise ValueError(
                f"verdicts must hold {len(above)} of {', '.join(VERDICTS)}. "
                f"Received: {len(names)} verdicts, {sorted(set(names))}"
            )
        for position, (name, bound) in enumerate(zip(names, above, strict=True)):
            if name == ROBUST and not bound < 0:
                raise ValueError(
                    "A sample is robust only if its upper bound is < 0. "
                    f"Received: 'robust' with upper bound {bound} at position {position}"
                )
        return cls(above, below, names, radius)


def _column(name: str, values: ArrayLike) -> NDArray[np.float64]:
    try:
        array = np.array(values, np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must hold numbers. Received: {name}={values!r}") from None
    if array.ndim != 1:
        raise ValueError(f"{name} must have shape (samples,). Received: shape {array.shape}")
    return array


class BoundHistogram(FigureWidget):
    """Upper and lower margin bounds of samples, stacked by verdict.

    An upper bound below zero proves a sample robust; a lower bound above zero proves that some
    input of the domain is misclassified. Zero is always the edge of a bin, so no bar mixes the two
    sides. Brushing an interval of one of the bounds (drag, tap a bar, or arrow keys with Shift)
    selects its samples, here and in the source; Escape selects none.

    Parameters
    ----------
    source
        A grid or an explorer: its bounds are shown, and its `brushed` samples are linked. For
        arrays alone, see :meth:`of_bounds`.
    bins
        Number of bins aimed at; their width is rounded to a nice number.
    **kwargs
        The arguments of every Jupyter widget: `layout`, `tooltip`, `tabbable`.

    Attributes
    ----------
    brushed : tuple of int
        Positions of the selected samples, increasing; empty for none. May be assigned.
    verdicts, upper, lower
        Of each sample. A bound that is infinite or NaN is not drawn.
    epsilon, evaluated_epsilon : float
        The epsilon of the verdicts, and of the bounds; they differ while the source computes, and
        there is none of bounds before its first result.
    n_bounds : int
        Number of samples with finite upper and lower bounds drawn.
    n_non_finite : int
        Number of bounds left out because they are infinite or NaN.

    Raises
    ------
    TypeError
        If the source has no live samples.
    traitlets.TraitError
        If `bins` is not positive.

    Examples
    --------
    >>> histogram = BoundHistogram(grid)
    >>> histogram.brush(high=0)
    >>> histogram.records()
    """

    _esm = static_file("bound_histogram.js")
    _css = static_file("bound_histogram.css")

    bins = IntTrait(20).tag(sync=True)
    brushed = IndicesTrait()
    verdicts = TypedTuple(trait=traitlets.Unicode(), read_only=True).tag(sync=True)
    upper = ArrayTrait(np.float64)
    lower = ArrayTrait(np.float64)
    epsilon = traitlets.Float(0.0, read_only=True).tag(sync=True)
    evaluated_epsilon = traitlets.Float(None, allow_none=True, read_only=True).tag(sync=True)
    busy = traitlets.Bool(False, read_only=True).tag(sync=True)
    error = traitlets.Unicode("", read_only=True).tag(sync=True)
    n_bounds = traitlets.Int(0, read_only=True)
    n_non_finite = traitlets.Int(0, read_only=True)

    _source: LiveSamples | None = None
    _link: traitlets.link | None = None

    def __init__(self, source: LiveSamples, bins: int = 20, **kwargs: Any) -> None:
        self.check_arguments(kwargs)
        self.bins = bins
        # Arrays take this way from `of_bounds`, so that nobody can make a widget without bounds.
        if isinstance(source, _Bounds):
            self._show(source)
            super().__init__(**kwargs)
            return
        if not isinstance(source, LiveSamples):
            raise TypeError(
                "source must be a SampleGrid or a RobustnessExplorer; for arrays, use "
                f"BoundHistogram.of_bounds. Received: source={source!r}"
            )
        self._source = source
        self._update()
        super().__init__(**kwargs)
        source.observe(self._update, _SOURCE_TRAITS)
        self._link = traitlets.link((source, "brushed"), (self, "brushed"))

    @classmethod
    def of_bounds(
        cls,
        upper: ArrayLike,
        lower: ArrayLike,
        verdicts: Sequence[str] | None = None,
        *,
        epsilon: float,
        bins: int = 20,
        **kwargs: Any,
    ) -> Self:
        """Show bounds that were computed elsewhere.

        Parameters
        ----------
        upper, lower
            Bounds of the largest margin ``f_j - f_label`` of each sample, of shape `(n,)`.
        verdicts
            Of each sample. None calls robust those whose upper bound is below zero, and the others
            maybe robust.
        epsilon
            Radius of the domains of these bounds.
        bins, **kwargs
            As in the constructor.

        Returns
        -------
        BoundHistogram

        Raises
        ------
        ValueError
            If the arrays do not fit, or a verdict is unknown or contradicts its bound.
        """
        bounds: Any = _Bounds.check(upper, lower, verdicts, epsilon)
        return cls(bounds, bins, **kwargs)

    @property
    def source(self) -> LiveSamples | None:
        """The samples whose bounds are shown; None if the bounds were given as arrays."""
        return self._source

    def set_bounds(
        self,
        upper: ArrayLike,
        lower: ArrayLike,
        verdicts: Sequence[str] | None = None,
        *,
        epsilon: float,
    ) -> None:
        """Show other bounds in a histogram made by :meth:`of_bounds`; parameters as there.

        Raises
        ------
        ValueError
            If the arrays do not fit.
        RuntimeError
            If the histogram follows a source.
        """
        if self._source is not None:
            raise RuntimeError(
                "This histogram follows its source: change that one, or make another histogram "
                "with BoundHistogram.of_bounds."
            )
        self._show(_Bounds.check(upper, lower, verdicts, epsilon))

    def brush(
        self, low: float = -math.inf, high: float = math.inf, bound: Bound = "upper"
    ) -> tuple[int, ...]:
        """Select the samples one of whose bounds lies in an interval.

        Zero proves nothing, so the interval is ``[low, high)`` for upper bounds and
        ``(low, high]`` for lower ones: ``brush(high=0)`` selects what is proven, and
        ``brush(0, bound="lower")`` what is refuted.

        Parameters
        ----------
        low, high
            Ends of the interval.
        bound
            "upper" or "lower".

        Returns
        -------
        tuple of int
            The positions, which are now those of `brushed`.

        Raises
        ------
        ValueError
            If the interval is no interval, or there is no such bound.
        """
        if bound not in ("upper", "lower"):
            raise ValueError(f"bound must be 'upper' or 'lower'. Received: bound={bound!r}")
        if not low <= high:
            raise ValueError(f"low must be <= high. Received: low={low!r}, high={high!r}")
        self.brushed = brushed(self.upper if bound == "upper" else self.lower, low, high, bound)
        return self.brushed

    def close(self) -> None:
        """Leave the source and remove the views."""
        if self._source is not None and self._link is not None:
            self._source.unobserve(self._update, _SOURCE_TRAITS)
            self._link.unlink()
            self._link = None
        super().close()

    def records(self) -> list[dict[str, Any]]:
        """Return what is known of each sample, as one dict of plain Python values each.

        Returns
        -------
        list of dict
            With position, verdict, lower, upper, epsilon (of the bounds; None before the first
            result) and brushed. A bound that is not known is NaN.
        """
        chosen = set(self.brushed)
        return [
            {
                "position": position,
                "verdict": verdict,
                "lower": float(self.lower[position]),
                "upper": float(self.upper[position]),
                "epsilon": self.evaluated_epsilon,
                "brushed": position in chosen,
            }
            for position, verdict in enumerate(self.verdicts)
        ]

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
        edges = self._edges
        return draw_histogram(
            edges,
            count_by_verdict(self.upper, self.verdicts, edges, "upper"),
            count_by_verdict(self.lower, self.verdicts, edges, "lower"),
            self.verdicts,
            self.epsilon if self.evaluated_epsilon is None else self.evaluated_epsilon,
            self.n_non_finite,
            self.error,
            dark=dark,
        )

    def _summary(self) -> str:
        return summary("BoundHistogram", self.epsilon, self.verdicts, self.error)

    @property
    def _edges(self) -> NDArray[np.float64]:
        if self.evaluated_epsilon is None:
            return np.empty(0)
        return bin_edges(np.concatenate([self.upper, self.lower]), self.bins)

    @property
    def _upper_counts(self) -> NDArray[np.intp]:
        return count_bins(self.upper, self._edges, "upper")

    @property
    def _lower_counts(self) -> NDArray[np.intp]:
        return count_bins(self.lower, self._edges, "lower")

    @traitlets.validate("bins")
    def _check_bins(self, proposal: Any) -> int:
        if proposal["value"] < 1:
            raise traitlets.TraitError(f"bins must be >= 1. Received: bins={proposal['value']}")
        return proposal["value"]

    @traitlets.validate("brushed")
    def _check_brushed(self, proposal: Any) -> tuple[int, ...]:
        # The source may already have samples whose bounds are on their way.
        n = len(self.verdicts) if self._source is None else len(self._source.indices)
        positions = tuple(sorted(set(proposal["value"])))
        if not all(0 <= position < n for position in positions):
            raise traitlets.TraitError(
                f"brushed must hold positions of samples, from 0 to {n - 1}. "
                f"Received: brushed={positions}"
            )
        return positions

    def _update(self, _change: Any = None) -> None:
        source = self._source
        if source is None:
            return
        self._take(
            _Bounds(source.upper, source.lower, source.verdicts, source.epsilon),
            evaluated_epsilon=source.evaluated_epsilon,
            busy=source.busy,
            error=source.error,
        )

    def _show(self, bounds: _Bounds) -> None:
        """Show bounds without a source; a selection of other samples is none any more."""
        if len(bounds.verdicts) != len(self.verdicts):
            self.brushed = ()
        self._take(bounds, evaluated_epsilon=bounds.epsilon)

    def _take(self, bounds: _Bounds, **others: Any) -> None:
        upper, lower, verdicts = bounds.upper, bounds.lower, bounds.verdicts
        known = others["evaluated_epsilon"] is not None
        left_out = count_left_out(upper, verdicts) + count_left_out(lower, verdicts)
        values = {
            "upper": upper,
            "lower": lower,
            "verdicts": verdicts,
            "epsilon": bounds.epsilon,
            "n_bounds": int((np.isfinite(upper) & np.isfinite(lower)).sum()),
            "n_non_finite": left_out if known else 0,
            **others,
        }
        with self.hold_sync(), self.hold_trait_notifications():
            for name, value in values.items():
                self.set_trait(name, value)
