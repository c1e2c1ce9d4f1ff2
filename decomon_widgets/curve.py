"""Certified and attacked accuracy as step functions of epsilon, from the two radii of each sample.

The front end follows the same rule (``js/src/lib/curve.js``).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Steps", "count_at", "step_curves"]


@dataclass(frozen=True)
class Steps:
    """A step function from 0 to some end.

    Attributes
    ----------
    at
        Where it falls, ascending.
    counts
        On the pieces between, one more than `at`.
    """

    at: NDArray[np.float64]
    counts: NDArray[np.intp]


def count_at(
    certified: NDArray[np.float64],
    falsified: NDArray[np.float64],
    misclassified: NDArray[np.uint8],
    epsilon: float,
) -> tuple[int, int]:
    """Count the samples that are proven to keep their class, and those that may keep it.

    Parameters
    ----------
    certified, falsified
        Radii of each sample: proven up to the first, refuted from the second on. NaN proves
        nothing.
    misclassified
        Whether the unperturbed sample is already wrong.
    epsilon
        Radius of the perturbation.

    Returns
    -------
    certified, attacked : int
        The truth is between the two.
    """
    right = misclassified == 0
    proven = right & (epsilon <= certified)
    alive = right & ~(epsilon >= falsified)
    return int(proven.sum()), int(alive.sum())


def step_curves(
    certified: NDArray[np.float64],
    falsified: NDArray[np.float64],
    misclassified: NDArray[np.uint8],
    end: float,
) -> tuple[Steps, Steps]:
    """Return both curves up to an end.

    The certified one falls behind a radius, the attacked one at a radius.

    Parameters
    ----------
    certified, falsified, misclassified
        As for :func:`count_at`.
    end
        Largest epsilon.

    Returns
    -------
    certified, attacked : Steps
    """
    right = misclassified == 0
    proven, alive = count_at(certified, falsified, misclassified, 0.0)
    return (
        _fall(proven, certified[right & (certified >= 0)], end),
        _fall(alive, falsified[right & (falsified > 0)], end),
    )


def _fall(count: int, radii: NDArray[np.float64], end: float) -> Steps:
    at, falls = np.unique(radii[radii < end], return_counts=True)
    return Steps(at, np.concatenate([[count], count - np.cumsum(falls)]).astype(np.intp))
