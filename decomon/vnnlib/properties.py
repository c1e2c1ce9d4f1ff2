"""Properties of a network: boxes of inputs, and what outputs must not do there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from decomon.complete.goals import Goals

Floats = NDArray[np.float64]


class VnnlibError(ValueError):
    """The file is no property with boxes of inputs and linear conditions on the outputs."""


@final
@dataclass(frozen=True, eq=False)
class Conditions:
    """Outputs are unsafe where all of ``rows @ y <= limits`` hold; without rows, everywhere.

    Attributes
    ----------
    rows : ``(conditions, n_outputs)``
    limits : ``(conditions,)``
    """

    rows: Floats
    limits: Floats


@final
@dataclass(frozen=True, eq=False)
class Case:
    """A box of inputs, and its unsafe outputs: one of several sets of conditions is enough.

    Attributes
    ----------
    x_min, x_max : ``(n_inputs,)``
    unsafe : at least one
    """

    x_min: Floats
    x_max: Floats
    unsafe: tuple[Conditions, ...]


@final
@dataclass(frozen=True, eq=False)
class VnnlibProperty:
    """What must not happen: an input of one of the cases whose outputs are unsafe there.

    Attributes
    ----------
    name : of the file
    n_inputs, n_outputs : how many variables there are of each
    cases : at least one
    """

    name: str
    n_inputs: int
    n_outputs: int
    cases: tuple[Case, ...]

    @property
    def x_min(self) -> Floats:
        """Lower corners, ``(cases, n_inputs)``."""
        return np.stack([case.x_min for case in self.cases])

    @property
    def x_max(self) -> Floats:
        """Upper corners, ``(cases, n_inputs)``."""
        return np.stack([case.x_max for case in self.cases])

    def goals(self) -> Goals:
        """Return what would be a counterexample; one sample per case.

        Conditions ``A y <= b`` are a goal with the value ``min (b - A y)``: at least 0 is unsafe.
        """
        each = [(i, unsafe) for i, case in enumerate(self.cases) for unsafe in case.unsafe]
        parts = max(1, *(len(unsafe.limits) for _, unsafe in each))
        rows = np.zeros((len(each), parts, self.n_outputs))
        offsets = np.zeros((len(each), parts))
        valid = np.zeros((len(each), parts), dtype=bool)
        for goal, (_, unsafe) in enumerate(each):
            count = len(unsafe.limits)
            rows[goal, :count], offsets[goal, :count] = -unsafe.rows, unsafe.limits
            # Without conditions, the value is 0 wherever it is asked for.
            valid[goal, : max(count, 1)] = True
        return Goals(rows, offsets, valid, np.array([i for i, _ in each], np.intp))

    def is_violated(self, x: Any, y: Any) -> NDArray[np.bool_]:
        """Say which inputs ``(batch, n_inputs)`` with outputs ``(batch, n_outputs)`` are unsafe.

        Computed in double precision.
        """
        inputs = np.asarray(x, np.float64).reshape(-1, self.n_inputs)
        outputs = np.asarray(y, np.float64).reshape(-1, self.n_outputs)
        found = np.zeros(len(inputs), dtype=bool)
        for case in self.cases:
            inside = ((inputs >= case.x_min) & (inputs <= case.x_max)).all(axis=1)
            for unsafe in case.unsafe:
                found |= inside & (outputs @ unsafe.rows.T <= unsafe.limits).all(axis=1)
        return found
