"""What would be a counterexample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from decomon.specs import Margins

Array = NDArray[np.floating]
Positions = NDArray[np.intp]


@final
@dataclass(frozen=True)
class Goals:
    """Conditions on the outputs, each of which makes a counterexample.

    A goal belongs to one sample.  Its value at outputs ``y`` is the smallest of
    ``rows[k] . y + offsets[k]`` over its own ``k``: all of them have to be positive together.  The
    margin of a sample is the largest value of its goals: one of them is enough.

    Attributes
    ----------
    rows : ``(goals, parts, n_outputs)``
    offsets : ``(goals, parts)``
    valid : bool ``(goals, parts)``: goals with fewer parts are padded; each has at least one
    samples : ``(goals,)``: the sample that each belongs to, ascending
    """

    rows: NDArray[np.float64]
    offsets: NDArray[np.float64]
    valid: NDArray[np.bool_]
    samples: Positions

    @classmethod
    def from_margins(cls, asked: Margins) -> Goals:
        """Make one goal of each margin ``f_j - f_i``."""
        sample, pair = np.nonzero(asked.valid)
        rows = asked.rows[sample, pair][:, None]
        count = (len(sample), 1)
        return cls(rows, np.zeros(count), np.ones(count, dtype=bool), sample)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, chosen: Any) -> Goals:
        """Select goals."""
        return Goals(
            self.rows[chosen], self.offsets[chosen], self.valid[chosen], self.samples[chosen]
        )

    def least(self, values: Array) -> Array:
        """Return the smallest value over each goal's own parts; values ``(goals, parts, ...)``."""
        valid = self.valid.reshape(self.valid.shape + (1,) * (values.ndim - 2))
        return np.where(valid, values, np.inf).min(axis=1)

    def of(self, outputs: Array) -> Array:
        """Return the value of each goal at its own points, in double precision.

        Parameters
        ----------
        outputs : ``(goals, points, n_outputs)``

        Returns
        -------
        array ``(goals, points)``
        """
        wide = outputs.astype(np.float64)
        parts = np.einsum("gkc,gpc->gkp", self.rows, wide) + self.offsets[:, :, None]
        return self.least(parts)

    def largest(self, values: Array, count: int) -> Array:
        """Return the largest value of each sample's goals; values ``(goals, ...)``."""
        found = np.full((count, *values.shape[1:]), -np.inf, values.dtype)
        np.maximum.at(found, self.samples, values)
        return found
