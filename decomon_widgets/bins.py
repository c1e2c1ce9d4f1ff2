"""Bins of margin bounds. The front end counts by the same rule (``js/src/lib/bins.js``).

An upper bound proves below zero, a lower one above it, and zero itself proves nothing. So zero is
always an edge, and intervals of upper bounds are ``[low, high)``, those of lower bounds
``(low, high]``.
"""

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .verdicts import PENDING, VERDICTS

__all__ = ["Bound", "bin_edges", "brushed", "count_bins", "count_by_verdict", "count_left_out"]

Bound = Literal["upper", "lower"]

LARGEST = 1e300
"""Larger numbers are left out, like those that are not finite: bins around them would overflow."""


def drawable(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which numbers can be drawn: those that are finite and no larger than `LARGEST`."""
    return np.abs(values) <= LARGEST


def bin_edges(values: NDArray[np.float64], bins: int) -> NDArray[np.float64]:
    """Edges of equal bins that hold all values; zero is one of the inner edges.

    Parameters
    ----------
    values
        Numbers; those that cannot be drawn are left out.
    bins
        Number of bins aimed at; there are at most two more.

    Returns
    -------
    numpy.ndarray
        Increasing edges, at least three; none if there is nothing to draw.
    """
    shown = values[drawable(values)]
    if len(shown) == 0:
        return np.empty(0)
    low, high = min(float(shown.min()), 0.0), max(float(shown.max()), 0.0)
    rough = high / bins - low / bins
    # Numbers this small would make bins whose width is no number any more.
    if rough < 1 / LARGEST:
        return np.array([-1.0, 0.0, 1.0])
    step = _bin_width(rough)
    first = min(math.floor(low / step), -1)
    last = max(math.ceil(high / step), 1)
    return step * np.arange(first, last + 1, dtype=np.float64)


def _bin_width(rough: float) -> float:
    """Smallest of 1, 2, 2.5, 5, 10 times a power of ten that is not below `rough`.

    Through decimals, which Python and JavaScript read and write alike; their powers of ten differ.
    """
    exponent = int(f"{rough:.15e}".split("e")[1])
    widths = [float(f"{factor}e{exponent}") for factor in ("1", "2", "2.5", "5", "10")]
    # A range that is a round number up to rounding gets the round bins.
    return next((width for width in widths if width >= rough * (1 - 1e-9)), widths[-1])


def count_bins(
    values: NDArray[np.float64], edges: NDArray[np.float64], bound: Bound = "upper"
) -> NDArray[np.intp]:
    """Count the bounds in each bin.

    Parameters
    ----------
    values
        Bounds; those that cannot be drawn are left out.
    edges
        From :func:`bin_edges`, may be empty.
    bound
        "upper" or "lower": to which bin an edge belongs. A value on the outermost edge belongs to
        the outermost bin.

    Returns
    -------
    numpy.ndarray
        One count per bin.
    """
    if len(edges) < 2:
        return np.zeros(0, np.intp)
    side = "right" if bound == "upper" else "left"
    bins = np.searchsorted(edges[1:-1], values[drawable(values)], side=side)
    return np.bincount(bins, minlength=len(edges) - 1)


def count_by_verdict(
    values: NDArray[np.float64],
    verdicts: tuple[str, ...],
    edges: NDArray[np.float64],
    bound: Bound,
) -> dict[str, NDArray[np.intp]]:
    """Count the bounds of the samples of each verdict in each bin.

    Parameters
    ----------
    values
        Bounds of shape `(n,)`.
    verdicts
        Of the same `n` samples.
    edges, bound
        As for :func:`count_bins`.

    Returns
    -------
    dict of str to numpy.ndarray
        One count per bin, for every verdict in the order of display.
    """
    names = np.array(verdicts, np.str_)
    return {name: count_bins(values[names == name], edges, bound) for name in VERDICTS}


def brushed(values: NDArray[np.float64], low: float, high: float, bound: Bound) -> tuple[int, ...]:
    """Positions of the samples whose bound lies in an interval.

    Parameters
    ----------
    values
        Bounds of the samples.
    low, high
        Ends of the interval, may be infinite.
    bound
        "upper" for ``[low, high)``, "lower" for ``(low, high]``.

    Returns
    -------
    tuple of int
        Increasing.
    """
    if bound == "upper":
        inside = (low <= values) & (values < high)
    else:
        inside = (low < values) & (values <= high)
    return tuple(np.flatnonzero(inside & drawable(values)).tolist())


def count_left_out(values: NDArray[np.float64], verdicts: tuple[str, ...]) -> int:
    """Count the bounds that are no finite numbers; those of pending samples are still to come.

    Parameters
    ----------
    values
        Bounds of shape `(n,)`.
    verdicts
        Of the same `n` samples.

    Returns
    -------
    int
    """
    tried = np.array(verdicts, np.str_) != PENDING
    return int((~drawable(values) & tried).sum())
