"""How margins of classes are shown: what they say, their order, and the range of the axis.

The front end follows the same rules (``js/src/lib/margins.js``).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["ClassMargin", "axis_range", "best_margins", "order_classes"]

# How far beyond the tightest intervals the axis reaches before looser ones are cut.
_REACH = 3.0

# Differences of what is larger could overflow.
_LARGEST = 1e300

# What part of the range the axis shows beyond its ends.
_ROOM = 0.06


@dataclass(frozen=True)
class ClassMargin:
    """The best interval of the margin ``f_j - f_label`` of one class.

    Attributes
    ----------
    index
        The class j.
    standing
        "label"; "excluded": never above the label; "wins": always above it; "open": neither is
        proven; "unbounded": nothing is known.
    lower, upper
        The best of all methods, infinite for none.
    """

    index: int
    standing: str
    lower: float
    upper: float


def best_margins(
    lower: NDArray[np.float64], upper: NDArray[np.float64], label: int
) -> list[ClassMargin]:
    """Intersect the intervals of all methods.

    Parameters
    ----------
    lower, upper
        Bounds, of shape `(methods, classes)`; NaN where nothing is known.
    label
        Class whose margin with itself is zero.

    Returns
    -------
    list of ClassMargin
        One per class.
    """
    low = np.where(np.isnan(lower), -np.inf, lower).max(axis=0, initial=-np.inf)
    high = np.where(np.isnan(upper), np.inf, upper).min(axis=0, initial=np.inf)
    pairs = zip(low.tolist(), high.tolist(), strict=True)
    return [
        ClassMargin(k, "label" if k == label else _standing(*pair), *pair)
        for k, pair in enumerate(pairs)
    ]


def _standing(lower: float, upper: float) -> str:
    if lower > upper:
        return "open"  # they contradict one another: nothing is concluded
    if upper < 0:
        return "excluded"
    if lower > 0:
        return "wins"
    return "unbounded" if lower == -math.inf and upper == math.inf else "open"


def order_classes(margins: list[ClassMargin], order: str) -> list[ClassMargin]:
    """Put classes into the order of display.

    Parameters
    ----------
    margins
        By class.
    order
        "index", or "upper": the label, then the class that comes nearest to it or beats it by most,
        and so on.

    Returns
    -------
    list of ClassMargin
    """
    if order != "upper":
        return list(margins)
    return sorted(margins, key=lambda one: (one.standing != "label", -one.upper, one.index))


def axis_range(
    lower: NDArray[np.float64], upper: NDArray[np.float64], label: int
) -> tuple[float, float]:
    """Choose the range of the axis.

    Zero and the best intervals are inside, and the looser ones as far as they are not so much wider
    that nothing could be told of the best.

    Parameters
    ----------
    lower, upper, label
        As for :func:`best_margins`.

    Returns
    -------
    low, high : float
        Finite, ``low < high``.
    """
    best = [m for m in best_margins(lower, upper, label) if m.standing != "label"]
    low, high = _extent([end for m in best for end in (m.lower, m.upper)])
    far, wide = _extent([*lower.ravel().tolist(), *upper.ravel().tolist()])
    reach, beside = _REACH * (high - low), (high - low) / 2
    if reach > 0 and (far < low - reach or wide > high + reach):
        # A cut is made close to the best: only if all fits, all is shown.
        far, wide = max(far, low - beside), min(wide, high + beside)
    if far == wide:
        return -1.0, 1.0
    room = _ROOM * (wide - far)
    return far - room, wide + room


def _extent(values: list[float]) -> tuple[float, float]:
    """Return the smallest and the largest of zero and the finite values."""
    numbers = (value for value in values if math.isfinite(value))
    finite = [0.0, *(max(-_LARGEST, min(value, _LARGEST)) for value in numbers)]
    return min(finite), max(finite)
