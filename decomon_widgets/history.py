"""Proven bounds of every sample at the epsilons that were tried."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["History"]

_MOST_VALUES = 40_000
_MOST_ROWS = 64


@dataclass(frozen=True)
class History:
    """Bounds of the largest margin of all samples, one row for each epsilon.

    The domains are nested, so a bound from above holds for every smaller epsilon and one from below
    for every larger one. From a few rows, proven bounds follow for every epsilon, without the
    verifier; the front end applies the same rule (``js/src/lib/history.js``).

    Attributes
    ----------
    epsilons
        Increasing, of shape `(k,)`.
    upper, lower
        Of shape `(k, n)`; infinite where nothing is known.
    """

    epsilons: NDArray[np.float64]
    upper: NDArray[np.float64]
    lower: NDArray[np.float64]

    @classmethod
    def nothing(cls, n: int) -> Self:
        """Know nothing about `n` samples."""
        return cls(np.empty(0), np.empty((0, n)), np.empty((0, n)))

    def at(self, epsilon: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Bounds of every sample at one epsilon, infinite where nothing is known."""
        n = self.upper.shape[1]
        above, below = self.epsilons >= epsilon, self.epsilons <= epsilon
        upper = np.vstack([self.upper[above], np.full((1, n), np.inf)]).min(axis=0)
        lower = np.vstack([self.lower[below], np.full((1, n), -np.inf)]).max(axis=0)
        return upper, lower

    def add(
        self,
        epsilon: float,
        upper: NDArray[np.float64],
        lower: NDArray[np.float64],
    ) -> Self:
        """Add bounds found at one epsilon.

        Parameters
        ----------
        epsilon
            Where they hold.
        upper, lower
            Of shape `(n,)`. What is not a number says nothing.

        Returns
        -------
        History
            At most as many rows as the front end can be sent at once: the rows whose neighbours
            are nearest are dropped first.
        """
        upper = np.where(np.isnan(upper), np.inf, upper)
        lower = np.where(np.isnan(lower), -np.inf, lower)
        place = int(np.searchsorted(self.epsilons, epsilon))
        if place < len(self.epsilons) and self.epsilons[place] == epsilon:
            uppers, lowers = self.upper.copy(), self.lower.copy()
            uppers[place] = np.minimum(uppers[place], upper)
            lowers[place] = np.maximum(lowers[place], lower)
            return type(self)(self.epsilons, uppers, lowers)
        grown = type(self)(
            np.insert(self.epsilons, place, epsilon),
            np.insert(self.upper, place, upper, axis=0),
            np.insert(self.lower, place, lower, axis=0),
        )
        return grown._thinned(max(2, min(_MOST_ROWS, _MOST_VALUES // max(len(upper), 1))))

    def _thinned(self, most: int) -> Self:
        if len(self.epsilons) <= most:
            return self
        # Never the first or the last one, which say most about all others.
        distance = self.epsilons[2:] - self.epsilons[:-2]
        keep = np.arange(len(self.epsilons)) != 1 + int(distance.argmin())
        return type(self)(self.epsilons[keep], self.upper[keep], self.lower[keep])
