"""Leaves on which the network is affine: a linear program decides them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
import scipy.optimize as _optimize  # pyright: ignore[reportMissingTypeStubs]
from numpy.typing import NDArray

from decomon._backend import tf
from decomon.bounds import AffineBound
from decomon.complete.leaf_planes import LeafPlanes
from decomon.complete.neuron_bounds import Problem
from decomon.domains import Domain

Array = NDArray[np.floating]

linprog: Any = _optimize.linprog  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]

_ROUNDS = 60
_COLUMNS = 200
_PENALTY = 1e4
_TOLERANCE = 1e-9
_ROOM = 2.0**-21


@final
class Leaf:
    """One leaf without gaps: where all neurons lie in their intervals, the network is affine.

    The largest value is that of a linear function over the part of the input set where neurons
    lie in their intervals.  Only those intervals are taken into account that the maximum
    would violate without them (cutting planes).  A violation has a high price, instead of
    being impossible, so that a leaf without any point is recognised too.

    Whatever the solver returns, its multipliers are put into the dual function, which is an upper
    bound for any of them, so that the bound rests on no tolerance of the solver.

    Parameters
    ----------
    bounds : in double precision
    domain : the input set of the leaf
    problem : the leaf
    """

    def __init__(self, bounds: LeafPlanes, domain: Domain, problem: Problem) -> None:
        self._bounds = bounds
        self._domain = domain
        self._problem = problem
        self._shape = bounds.graph.input_shape
        low: Array = problem.lower.numpy()[0]
        high: Array = problem.upper.numpy()[0]
        # Intervals were found in single precision, and multipliers may be large.
        room = _ROOM * (np.abs(low) + np.abs(high))
        self._low, self._high = low - room, high + room

    def solve(self) -> tuple[float, Array]:
        """Maximise the smallest part of the goal on the leaf.

        Returns
        -------
        an upper bound, and the point ``(*input shape)`` where it is attained, if it is tight
        """
        weights, offsets = self._bounds.parts(self._problem)
        cuts = self._problem.cuts.numpy()[0]
        sides = np.concatenate([np.flatnonzero(cuts % 2), np.flatnonzero(cuts >= 2)])
        signs = np.repeat([1.0, -1.0], [int((cuts % 2).sum()), int((cuts >= 2).sum())])
        best, point = np.inf, self._center()
        for _ in range(_ROUNDS):
            planes, ends = self._constraints(sides, signs)
            program = _Program(weights, offsets, planes, ends)
            shares, times, point = self._maximum(program)
            best = min(best, self._dual(program, shares, times))
            values = self._bounds.values(tf.constant(point[None])).numpy()[0]
            room = _TOLERANCE * (1 + np.abs(values))
            known = {(int(n), float(sign)) for n, sign in zip(sides, signs, strict=True)}
            low = [(int(n), 1.0) for n in np.flatnonzero(values < self._low - room)]
            high = [(int(n), -1.0) for n in np.flatnonzero(values > self._high + room)]
            new = [side for side in (*low, *high) if side not in known]
            if not new:
                break
            sides = np.append(sides, [n for n, _ in new]).astype(np.intp)
            signs = np.append(signs, [sign for _, sign in new])
        return best, point

    def _center(self) -> Array:
        return self._domain.center().numpy()[0]

    def _constraints(self, sides: NDArray[np.intp], signs: Array) -> tuple[Array, Array]:
        """Return rows of ``planes . x >= ends``, which hold on the leaf.

        With an upper bound ``planes . x + offset`` of a neuron times its sign, that is so even if
        some relaxation has a gap.
        """
        weights, offsets = self._bounds.planes(self._problem, sides, signs)
        ends = np.where(signs > 0, self._low[sides], self._high[sides])
        planes = weights.reshape(len(sides), int(np.prod(self._shape)))
        return planes, signs * ends - offsets

    def _dual(self, program: _Program, shares: Array, times: Array) -> float:
        """Bound the smallest part where the constraints hold, by any multipliers >= 0."""
        rows, constant = program.tilted(shares, times)
        bound = AffineBound(
            tf.constant(rows.reshape(1, 1, *self._shape)), tf.constant([[constant]], tf.float64)
        )
        return float(self._domain.concretize(bound).numpy()[0, 0])

    def _maximum(self, program: _Program) -> tuple[Array, Array, Array]:
        """Return the multipliers of parts and constraints, and a point that attains the maximum."""
        if self._domain.separable:
            hull = self._domain.interval()
            box = np.stack([end.numpy()[0].reshape(-1) for end in (hull.lower, hull.upper)], axis=1)
            shares, times, point = program.solve(np.eye(len(box)), box, None)
        else:
            shares, times, point = self._generated(program)
        return shares, times, point.reshape(self._shape)

    def _generated(self, program: _Program) -> tuple[Array, Array, Array]:
        """Solve over the hull of points of the set, to which better ones are added.

        The point that is best at the present multipliers is added as long as it promises more
        (Dantzig and Wolfe 1960).
        """
        columns = self._farthest(program.weights[0])[None]
        while True:
            shares = np.tile([0.0, np.inf], (len(columns), 1))
            found = program.solve(columns, shares, 1.0)
            rows, _ = program.tilted(*found[:2])
            new = self._farthest(rows)
            reached = float((columns @ rows).max())
            promise = float(new @ rows) - reached
            if promise <= 1e-10 * (1 + abs(reached)) or len(columns) == _COLUMNS:
                return found
            columns = np.concatenate([columns, new[None]])

    def _farthest(self, weights: Array) -> Array:
        """Return the point of the set where a linear function is largest."""
        rows = tf.constant(weights.reshape(1, 1, *self._shape))
        return self._domain.maximizer(rows).numpy().reshape(-1)


@final
@dataclass(frozen=True)
class _Program:
    """Maximise the smallest of ``weights . x + offsets`` where ``planes . x >= ends``."""

    weights: Array
    offsets: Array
    planes: Array
    ends: Array

    def tilted(self, shares: Array, times: Array) -> tuple[Array, float]:
        """Return the row and the constant of the dual function.

        The smallest part is at most any mean of the parts, and multiples of what is at least zero
        may be added.
        """
        shares = np.maximum(shares, 0)
        shares = shares / shares.sum() if shares.sum() > 0 else np.eye(len(shares))[0]
        times = np.maximum(times, 0)
        rows = shares @ self.weights + times @ self.planes
        return rows, float(shares @ self.offsets - times @ self.ends)

    def solve(
        self, columns: Array, limits: Array, total: float | None
    ) -> tuple[Array, Array, Array]:
        """Solve for points ``share @ columns``, with a high price on violations of constraints.

        Parameters
        ----------
        columns : ``(n, inputs)``
        limits : ``(n, 2)``: of each share
        total : what all shares add up to; None if they need not

        Returns
        -------
        multipliers of parts and constraints, and the point ``(inputs,)``
        """
        count, parts = len(columns), len(self.weights)
        # Variables: the shares, the violation, and the value, which is at most each part.
        penalty = _PENALTY * max(1.0, float(np.abs(self.weights).max(initial=0.0)))
        above = np.concatenate(
            [-self.weights @ columns.T, np.zeros((parts, 1)), np.ones((parts, 1))], axis=1
        )
        constraints = len(self.planes)
        inside = np.concatenate(
            [-self.planes @ columns.T, -np.ones((constraints, 1)), np.zeros((constraints, 1))],
            axis=1,
        )
        middle = np.where(np.isfinite(limits[:, 1]), limits.mean(axis=1), 1.0 / count)
        nothing = np.ones(parts), np.zeros(constraints), middle @ columns
        given = (above, inside, self.offsets, self.ends, limits[:, 0])
        if not all(np.isfinite(values).all() for values in given):
            return nothing
        equal: dict[str, Any] = {}
        if total is not None:
            equal = {"A_eq": np.append(np.ones(count), [0.0, 0.0])[None], "b_eq": [total]}
        found: Any = linprog(
            np.append(np.zeros(count), [penalty, -1.0]),
            A_ub=np.concatenate([above, inside]),
            b_ub=np.concatenate([self.offsets, -self.ends]),
            bounds=np.concatenate([limits, [[0.0, np.inf], [-np.inf, np.inf]]]),
            method="highs",
            **equal,
        )
        if found.x is None:  # any multipliers give a bound, and any point may be tried
            return nothing
        multipliers = -np.asarray(found.ineqlin.marginals)
        return multipliers[:parts], multipliers[parts:], np.asarray(found.x)[:count] @ columns
