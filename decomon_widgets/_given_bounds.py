"""Bounds of margins that a user gives, checked."""

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .samples import check_names
from .verdicts import VERDICTS

__all__ = ["GivenBounds"]


@dataclass(frozen=True)
class GivenBounds:
    """What :meth:`MarginChart.of_bounds` shows; bounds have the shape `(methods, classes)`."""

    methods: tuple[str, ...]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    label: int
    epsilon: float | None
    sample: int
    verdict: str
    class_names: tuple[str, ...]

    @classmethod
    def of(
        cls,
        lower: ArrayLike,
        upper: ArrayLike,
        methods: Sequence[str],
        label: SupportsIndex,
        *,
        epsilon: float | None,
        sample: int,
        verdict: str,
        class_names: Sequence[str],
    ) -> Self:
        """Check what was given.

        Raises
        ------
        ValueError
            If it does not fit together.
        """
        names = (methods,) if isinstance(methods, str) else tuple(methods)
        low, high = (np.atleast_2d(np.asarray(side, np.float64)) for side in (lower, upper))
        if low.shape != high.shape or low.ndim != 2 or len(low) != len(names) or not low.size:
            raise ValueError(
                "lower and upper must have the shape (methods, classes), one row for each of the "
                f"{len(names)} methods. Received: lower of shape {np.shape(lower)}, upper of "
                f"shape {np.shape(upper)}, methods={methods!r}"
            )
        crossed = np.argwhere(low > high)
        if len(crossed):
            method, index = crossed[0]
            raise ValueError(
                "lower must not exceed upper. Received: "
                f"lower={low[method, index]} > upper={high[method, index]} for method "
                f"{names[method]!r} and class {index}"
            )
        classes = low.shape[1]
        index = _index_of(label)
        if not 0 <= index < classes:
            raise ValueError(
                f"label must be a class from 0 to {classes - 1}. Received: label={label!r}"
            )
        if verdict and verdict not in VERDICTS:
            raise ValueError(
                f"verdict must be one of {', '.join(VERDICTS)}, or ''. Received: {verdict!r}"
            )
        if epsilon is not None and not (math.isfinite(epsilon) and epsilon >= 0):
            raise ValueError(f"epsilon must be a finite number >= 0. Received: epsilon={epsilon!r}")
        return cls(
            names,
            low,
            high,
            index,
            None if epsilon is None else float(epsilon),
            int(sample),
            str(verdict),
            check_names(class_names, classes, "class_names"),
        )


def _index_of(label: object) -> int:
    """Return an integer, -1 for what is none."""
    if isinstance(label, bool | np.bool_) or not isinstance(label, SupportsIndex):
        return -1
    return operator.index(label)
