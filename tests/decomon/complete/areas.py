"""Input sets cut by half-spaces, and the exact maxima of linear functions over them.

Every maximum comes with a point that attains it and with multipliers that prove it: by weak
duality, *any* nonnegative multipliers give an upper bound, which is evaluated here.  The solvers
are therefore not trusted with more than finding good ones.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import final

import numpy as np
from scipy.optimize import brentq, linprog

from tests.decomon.complete.pieces import Array

_FEASIBILITY = 1e-10  # the least that HiGHS takes
_VIOLATION = 1e-13
_LARGEST_STEP = 1e6
_CLOSED = 1e-11


@final
@dataclass(frozen=True)
class Optimum:
    """A point of the set, up to rounding, and a proven upper bound of the linear function."""

    point: Array
    upper: float


class Area(abc.ABC):
    """A set of points ``(n,)`` within the box ``low``, ``high``."""

    low: Array
    high: Array

    @abc.abstractmethod
    def most(self, rows: Array) -> Array:
        """Bound linear functions ``(count, n)`` over the whole set from above, quickly."""

    @abc.abstractmethod
    def maximum(self, row: Array, sides: Array, limits: Array) -> Optimum | None:
        """Maximise ``row @ x`` over the part where ``sides @ x <= limits``; None if it is empty."""

    @abc.abstractmethod
    def feasible(self, sides: Array, limits: Array) -> bool:
        """Whether that part has a point."""

    @abc.abstractmethod
    def inside(self, points: Array) -> Array:
        """Move points that are not in the set onto it."""

    def sample(self, count: int, rng: np.random.Generator) -> Array:
        """Points of the set, a half of them extreme ones."""
        ratio = rng.uniform(size=(count, len(self.low)))
        ratio[::2] = rng.integers(0, 2, ratio[::2].shape)
        return self.inside(self.low + ratio * (self.high - self.low))


def program(row: Array, sides: Array, limits: Array, low: Array, high: Array) -> Optimum | None:
    """Maximise ``row @ x`` where ``sides @ x <= limits`` and ``low <= x <= high``.

    The bound for multipliers m is ``m @ limits`` plus the maximum of the rest over the box.
    """
    options = dict.fromkeys(
        ("primal_feasibility_tolerance", "dual_feasibility_tolerance"), _FEASIBILITY
    )
    bounds = np.stack([low, high], axis=1)
    found = linprog(-row, sides, limits, bounds=bounds, method="highs", options=options)
    if found.status == 2:
        return None
    if found.status != 0:
        raise RuntimeError(f"linear program not solved: {found.message}")
    multipliers = np.maximum(-found.ineqlin.marginals, 0)
    rest = row - multipliers @ sides
    upper = multipliers @ limits + np.maximum(rest * low, rest * high).sum()
    return Optimum(found.x, float(upper))


def polyhedron(sides: Array, limits: Array, low: Array, high: Array) -> tuple[Array, Array]:
    """Return all constraints, scaled to rows of length 1, or 0."""
    eye = np.eye(len(low))
    rows, room = np.concatenate([sides, eye, -eye]), np.concatenate([limits, high, -low])
    length = np.linalg.norm(rows, axis=1)
    length[length == 0] = 1
    return rows / length[:, None], room / length


def has_point(sides: Array, limits: Array, low: Array, high: Array) -> bool:
    """Whether some point has ``sides @ x <= limits`` and ``low <= x <= high``."""
    return nearest(*polyhedron(sides, limits, low, high), (low + high) / 2) is not None


@final
@dataclass(frozen=True)
class Box(Area):
    """All points between two corners."""

    low: Array
    high: Array

    def most(self, rows: Array) -> Array:
        return np.maximum(rows * self.low, rows * self.high).sum(axis=1)

    def maximum(self, row: Array, sides: Array, limits: Array) -> Optimum | None:
        return program(row, sides, limits, self.low, self.high)

    def feasible(self, sides: Array, limits: Array) -> bool:
        return has_point(sides, limits, self.low, self.high)

    def inside(self, points: Array) -> Array:
        return np.clip(points, self.low, self.high)


class _Ball(Area):
    """A ball around a point of the box; ``low`` and ``high`` are those of both together."""

    def __init__(self, x: Array, eps: float, low: Array, high: Array) -> None:
        self.x, self.eps = x, eps
        self.low, self.high = np.maximum(low, x - eps), np.minimum(high, x + eps)

    norm: int

    def most(self, rows: Array) -> Array:
        box = np.maximum(rows * self.low, rows * self.high).sum(axis=1)
        dual = 2 if self.norm == 2 else np.inf
        return np.minimum(box, rows @ self.x + self.eps * np.linalg.norm(rows, dual, axis=1))

    def inside(self, points: Array) -> Array:
        """Points of the box move towards the centre, which is in it."""
        moves = np.clip(points, self.low, self.high) - self.x
        length = np.linalg.norm(moves, self.norm, axis=1, keepdims=True) / self.eps
        return self.x + moves / np.maximum(length, 1)


@final
class Diamond(_Ball):
    """A ball of the norm 1 cut by a box: a linear program in the moves up and down."""

    norm = 1

    def maximum(self, row: Array, sides: Array, limits: Array) -> Optimum | None:
        found = program(np.concatenate([row, -row]), *self._lifted(sides, limits))
        if found is None:
            return None
        up, down = np.split(found.point, 2)
        return Optimum(self.x + up - down, found.upper + float(row @ self.x))

    def feasible(self, sides: Array, limits: Array) -> bool:
        return has_point(*self._lifted(sides, limits))

    def _lifted(self, sides: Array, limits: Array) -> tuple[Array, Array, Array, Array]:
        """Return what holds for the moves up and down."""
        both = np.concatenate([sides, -sides], axis=1)
        most = np.concatenate([self.high - self.x, self.x - self.low])
        return (
            np.concatenate([both, np.ones((1, len(most)))], axis=0),
            np.append(limits - sides @ self.x, self.eps),
            np.zeros(len(most)),
            most,
        )


@final
class Disc(_Ball):
    """A ball of the norm 2 cut by a box.

    In units of the radius, with centre 0: the point of a polyhedron nearest to ``t row`` maximises
    ``row @ w - |w|^2 / (2 t)``, and moves away from the centre as t grows.  Where it leaves the
    ball, or where it stays, if it never does, it is the maximum over both.
    """

    norm = 2

    def _polyhedron(self, sides: Array, limits: Array) -> tuple[Array, Array]:
        low, high = (self.low - self.x) / self.eps, (self.high - self.x) / self.eps
        return polyhedron(self.eps * sides, limits - sides @ self.x, low, high)

    def maximum(self, row: Array, sides: Array, limits: Array) -> Optimum | None:
        rows, room = self._polyhedron(sides, limits)
        start = nearest(rows, room, np.zeros(len(row)))
        if start is None or np.linalg.norm(start[0]) > 1 + _FEASIBILITY:
            return None
        constant, size = float(row @ self.x), float(self.eps * np.linalg.norm(row))
        if size == 0:
            return Optimum(self.x + self.eps * start[0], constant)
        goal = self.eps * row / size

        def excess(length: float) -> float:
            return float(np.linalg.norm(_reached(rows, room, length * goal)[0])) - 1

        t = 1.0
        point, bound = self._solved(rows, room, goal, t)
        while np.linalg.norm(point) < 1 and bound - goal @ point > _CLOSED and t < _LARGEST_STEP:
            t *= 4
            point, bound = self._solved(rows, room, goal, t)
        if np.linalg.norm(point) > 1 > np.linalg.norm(start[0]):
            t = float(brentq(excess, 0, t, xtol=1e-15, rtol=1e-14))
            point, bound = self._solved(rows, room, goal, t)
        return Optimum(self.x + self.eps * point, constant + size * bound)

    @staticmethod
    def _solved(rows: Array, room: Array, goal: Array, t: float) -> tuple[Array, float]:
        """Return the nearest point to ``t goal`` and what its multipliers prove of ``goal``.

        At a corner, multipliers of the linear program prove more; they are tried as well.
        """
        point, multipliers = _reached(rows, room, t * goal)
        fair = multipliers / t
        corner, held = fair.copy(), fair > 0
        corner[held] += np.linalg.lstsq(rows[held].T, goal - fair @ rows, rcond=None)[0]
        corner = np.maximum(corner, 0)
        bounds = [m @ room + np.linalg.norm(goal - m @ rows) for m in (fair, corner)]
        return point, float(min(bounds))

    def feasible(self, sides: Array, limits: Array) -> bool:
        found = nearest(*self._polyhedron(sides, limits), np.zeros(len(self.x)))
        return found is not None and bool(np.linalg.norm(found[0]) <= 1 + _FEASIBILITY)


def _reached(rows: Array, room: Array, target: Array) -> tuple[Array, Array]:
    found = nearest(rows, room, target)
    if found is None:
        raise RuntimeError("a polyhedron that had a point has none")
    return found


def nearest(rows: Array, room: Array, target: Array) -> tuple[Array, Array] | None:
    """Return the point with ``rows @ w <= room`` that is nearest to a target, and its multipliers.

    The dual method (Goldfarb and Idnani 1983, with the identity as the matrix): the nearest point
    for some of the constraints is kept, and the most violated one is added, while others leave
    whose multipliers would become negative.  None if there is no point.

    Parameters
    ----------
    rows : ``(constraints, n)``, of length 1 or 0
    """
    point = target.copy()
    active: list[int] = []
    held = np.zeros(0)
    for _ in range(50 * (len(room) + 1)):
        violations = rows @ point - room
        violations[active] = 0
        added = int(violations.argmax())
        if violations[added] <= _VIOLATION * (1 + np.linalg.norm(target)):
            multipliers = np.zeros(len(room))
            multipliers[active] = held
            return point, multipliers
        normal, price = -rows[added], 0.0
        while True:
            normals = -rows[active].T
            along = np.linalg.lstsq(normals, normal, rcond=None)[0] if active else np.zeros(0)
            across = normal - normals @ along
            square = float(across @ across)
            full = (room[added] - rows[added] @ point) / -square if square > 1e-18 else np.inf
            ratios = np.where(along > 1e-12, held / np.where(along > 1e-12, along, 1), np.inf)
            leaves = int(ratios.argmin()) if active else -1
            length = min(full, ratios[leaves] if active else np.inf)
            if length == np.inf:
                return None
            point = point + length * across if np.isfinite(full) else point
            held, price = held - length * along, price + length
            if length == full:
                active, held = [*active, added], np.append(held, price)
                break
            del active[leaves]
            held = np.delete(held, leaves)
    raise RuntimeError("the nearest point of a polyhedron was not found")


def area(x: Array, eps: float, p: float, clip: tuple[float, float]) -> Area:
    """The ball around a flat sample, cut by the valid range."""
    x = x.astype(np.float64)
    low, high = (np.full(len(x), end) for end in clip)
    if p == np.inf:
        return Box(np.maximum(x - eps, low), np.minimum(x + eps, high))
    return (Diamond if p == 1 else Disc)(x, eps, low, high)
