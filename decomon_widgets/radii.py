"""Bisection of epsilons between which the answer of a verifier changes."""

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from .verdicts import MISCLASSIFIED, NON_ROBUST, ROBUST

__all__ = ["Brackets"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Brackets:
    """What a verifier said about some samples, arrays over the samples.

    Between `certified` and `falsified` it may be unable to decide, from `low` to `high` as far as
    was tried. Both ends of that are searched for: where proofs end, and where attacks begin.

    Attributes
    ----------
    certified
        Largest epsilon that was proven, 0 for none.
    falsified
        Smallest epsilon that was refuted, infinite for none.
    low, high
        Smallest and largest epsilon between them that stayed undecided, infinite and -infinite for
        none.
    largest
        No epsilon above is tried.
    tolerance
        How near is near enough.
    given_up
        Whether nothing more is to be tried.
    """

    certified: Array
    falsified: Array
    low: Array
    high: Array
    largest: float
    tolerance: float
    given_up: NDArray[np.bool_]

    @classmethod
    def known(cls, certified: Array, falsified: Array, largest: float, tolerance: float) -> Self:
        """Begin with what is known."""
        n = len(certified)
        return cls(
            np.maximum(certified, 0),
            falsified.copy(),
            np.full(n, np.inf),
            np.full(n, -np.inf),
            largest,
            tolerance,
            np.zeros(n, np.bool_),
        )

    def add(self, epsilon: Any, verdicts: tuple[str, ...]) -> Self:
        """Add verdicts at one epsilon for all, or at one for each."""
        tried = np.broadcast_to(np.asarray(epsilon, np.float64), len(verdicts))
        names = np.array(verdicts)
        robust, refuted = names == ROBUST, names == NON_ROBUST
        wrong = names == MISCLASSIFIED
        certified = np.where(robust, np.maximum(self.certified, tried), self.certified)
        falsified = np.where(refuted, np.minimum(self.falsified, tried), self.falsified)
        # Of epsilons that are decided already, this verifier says nothing new.
        undecided = ~(robust | refuted | wrong) & (tried > certified) & (tried < falsified)
        low = np.where(undecided, np.minimum(self.low, tried), self.low)
        high = np.where(undecided, np.maximum(self.high, tried), self.high)
        return replace(
            self,
            certified=certified,
            falsified=falsified,
            # Proofs of larger domains and counterexamples in smaller ones say more.
            low=np.where(low > certified, low, np.inf),
            high=np.where(high < falsified, high, -np.inf),
            given_up=self.given_up | wrong | (certified >= falsified),
        )

    def next(self) -> Array | None:
        """Return an epsilon to try for each sample; None if all radii are near enough."""
        unproven = np.minimum(np.minimum(self.low, self.falsified), self.largest)
        unrefuted = np.maximum(self.high, self.certified)
        refuted = np.minimum(self.falsified, self.largest)
        open_below = unproven - self.certified > self.tolerance
        open_above = refuted - unrefuted > self.tolerance
        open_below &= ~self.given_up
        open_above &= ~self.given_up
        if not (open_below.any() or open_above.any()):
            return None
        middle = 0.5 * (self.certified + unproven)
        other = 0.5 * (unrefuted + refuted)
        wanted = np.where(open_below, middle, np.where(open_above, other, self.certified))
        return np.minimum(wanted, self.largest)
