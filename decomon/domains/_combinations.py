"""Nearest bounded combinations of given points: what vertex and affine sets have in common.

Both are sets of sums ``y = sum_i c_i a_i`` whose coefficients ``c`` lie in a box, or, for convex
hulls, in the simplex, so that the nearest point is a small convex quadratic program.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from decomon._backend import Shape, Tensor, tf
from decomon.domains._checks import as_floats, check_finite

_GRADIENT_STEPS = 40
_REFINING_STEPS = 8
_PATIENCE = 5
_FAR = 1e6
"""A nearest sum so far away, where 1 is allowed, is not far away by rounding."""
_POLISHING_STEPS = 2


@final
@dataclass(frozen=True)
class Combinations:
    """All sums ``sum_i c_i atoms_i``, in double precision.

    Parameters
    ----------
    atoms : ``(batch, k, n)``
    low, high : ``(batch, k)``, bounds of the coefficients; None for the simplex, ``c >= 0`` and
        ``sum_i c_i = 1``
    """

    atoms: Tensor
    low: Tensor | None
    high: Tensor | None

    def values(self, coefficients: Tensor) -> Tensor:
        """Return the points ``(batch, count, n)`` of coefficients ``(batch, count, k)``."""
        return tf.matmul(coefficients, self.atoms)

    def scaled(self, factors: Tensor) -> Combinations:
        """Multiply all features with positive factors, ``(batch, n)``."""
        return Combinations(self.atoms * factors[:, None], self.low, self.high)

    def nearest(self, points: Tensor) -> Tensor:
        """Return coefficients ``(batch, count, k)`` of the nearest sums to ``(batch, count, n)``.

        Notes
        -----
        Some steps of the accelerated gradient method guess which coefficients lie on a bound; an
        active-set method then frees and fixes coefficients, one at a time, until none would
        decrease the distance (Nocedal and Wright 2006, algorithm 16.3).  Its steps solve for the
        *change* of the coefficients, with a regularisation of the size of rounding errors, from
        residuals that are computed anew: this is iterative refinement, so the residual becomes
        accurate to rounding also where the atoms are linearly dependent.  The coefficients are
        feasible and their distance does not grow after any number of steps, of which there are at
        most ``2 k + 20``: in that many nearly every problem is solved to rounding, and what is
        left has a distance larger than the smallest one.
        """

        def residual(coefficients: Tensor) -> Tensor:
            return points - self.values(coefficients)

        directions, gram = self._directions()
        start = self._descend(residual, self._middle(points), directions, gram)
        longest = tf.reduce_max(tf.norm(self.atoms, axis=2), axis=1)[:, None, None]
        finished = tf.zeros_like(start[..., 0], dtype=tf.bool)
        return self._active_set(residual, start, directions, gram, longest, finished)

    def within(self, points: Tensor) -> Tensor:
        """Return coefficients whose sums, if any do, are within 1 of the points in every feature.

        Starts at the nearest sum, and minimises the distance beyond 1/2, then beyond 1: this finds
        sums also where the nearest one is closer in some features at the expense of others, and as
        rounding errors of the residual are smaller, they no longer hide how to go on.  The limit
        is approached from outside; that of 1/2 is why 1 is reached after finitely many steps.
        """
        directions, gram = self._directions()
        found = self.nearest(points)

        def beyond(room: float) -> Callable[[Tensor], Tensor]:
            def residual(coefficients: Tensor) -> Tensor:
                rest = points - self.values(coefficients)
                return rest - tf.clip_by_value(rest, -room, room)

            return residual

        for room in (0.5, 1.0):
            rest = beyond(1.0)(found)
            finished = tf.reduce_all(rest == 0, axis=2) | (tf.norm(rest, axis=2) > _FAR)
            nothing = tf.zeros_like(gram[:, :1, :1])
            found = self._active_set(
                beyond(room), found, directions, gram, nothing, finished, _PATIENCE
            )
        return found

    def _directions(self) -> tuple[Tensor, Tensor]:
        """Return what changes of coefficients add up, and the products of all pairs."""
        directions = self.atoms
        if self.low is None:
            # Coefficients keep their sum, so that the mean cancels; without it, less is rounded.
            directions = directions - tf.reduce_mean(directions, axis=1, keepdims=True)
        return directions, tf.matmul(directions, directions, transpose_b=True)

    def _middle(self, points: Tensor) -> Tensor:
        outer = tf.stack([tf.shape(points)[0], tf.shape(points)[1], tf.shape(self.atoms)[1]])
        if self.low is None or self.high is None:
            return tf.fill(outer, 1 / tf.cast(outer[2], points.dtype))
        return tf.broadcast_to((0.5 * self.low + 0.5 * self.high)[:, None], outer)

    def _project(self, coefficients: Tensor) -> Tensor:
        if self.low is None or self.high is None:
            return _onto_simplex(coefficients)
        return tf.clip_by_value(coefficients, self.low[:, None], self.high[:, None])

    def _descend(
        self,
        residual: Callable[[Tensor], Tensor],
        start: Tensor,
        directions: Tensor,
        gram: Tensor,
    ) -> Tensor:
        """Accelerated projected gradient with restarts (O'Donoghue and Candes 2015)."""
        # The largest row sum bounds the largest eigenvalue.
        largest = tf.reduce_max(tf.reduce_sum(tf.abs(gram), axis=2), axis=1)[:, None, None]
        rate = tf.math.divide_no_nan(tf.ones_like(largest), largest)

        def more(step: Tensor, *_: Tensor) -> Tensor:
            return step < _GRADIENT_STEPS

        def advance(
            step: Tensor, at: Tensor, ahead: Tensor, momentum: Tensor
        ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
            climb = tf.matmul(residual(ahead), directions, transpose_b=True)
            moved = self._project(ahead + rate * climb)
            uphill = tf.reduce_sum((ahead - moved) * (moved - at), axis=2, keepdims=True) > 0
            momentum = tf.where(uphill, tf.ones_like(momentum), momentum)
            following = 0.5 * (1 + tf.sqrt(1 + 4 * tf.square(momentum)))
            ahead = moved + (momentum - 1) / following * (moved - at)
            return step + 1, moved, ahead, following

        momentum = tf.ones_like(start[..., :1])
        return tf.while_loop(more, advance, (tf.constant(0), start, start, momentum))[1]

    def _active_set(
        self,
        residual: Callable[[Tensor], Tensor],
        start: Tensor,
        directions: Tensor,
        gram: Tensor,
        magnitude: Tensor,
        finished: Tensor,
        patience: int = 1,
    ) -> Tensor:
        """Move from feasible coefficients to the best ones; see :meth:`nearest`.

        ``magnitude``: size of the numbers that the residual is a difference of, ``(batch, 1, 1)``;
        ``finished``: which of the points, ``(batch, count)``, stay as they are; ``patience``: how
        many times as many steps to take at most.
        """
        simplex = self.low is None
        low = tf.zeros_like(start) if self.low is None else self.low[:, None] + 0 * start
        high = tf.ones_like(start) if self.high is None else self.high[:, None] + 0 * start
        # A coefficient of a convex combination is at most 1 if all are nonnegative.
        ceiling = high + 1 if simplex else high
        diagonal = tf.linalg.diag_part(gram)
        trace = tf.reduce_sum(diagonal, axis=1)[:, None, None, None]
        trace = tf.where(trace > 0, trace, tf.ones_like(trace))
        # As large as the errors of the Gram matrix and of its Cholesky factor, which then exists.
        many = tf.cast(16 * (tf.shape(gram)[1] + 1) + tf.shape(self.atoms)[2], start.dtype)
        ridge = many * 2.0**-53 * trace
        lengths = tf.sqrt(diagonal)[:, None]
        identity = tf.eye(tf.shape(gram)[1], dtype=start.dtype)
        limit = patience * (2 * tf.shape(gram)[1] + 20)

        def free_step(at: Tensor, slope: Tensor, free: Tensor) -> tuple[Tensor, Tensor]:
            """Return the change that minimises the distance over the free coefficients."""
            mask = tf.cast(free, at.dtype)
            both = mask[..., :, None] * mask[..., None, :]
            fixed = (1 - mask) * trace[..., 0]
            system = both * gram[:, None] + ridge * identity + tf.linalg.diag(fixed)
            sides = tf.stack([-slope * mask, mask], axis=-1)
            solved = tf.linalg.cholesky_solve(tf.linalg.cholesky(system), sides)
            change, ones = solved[..., 0], solved[..., 1]
            if simplex:
                # The sum becomes 1 again, which it is only up to rounding.
                total = tf.reduce_sum(at + change, axis=2, keepdims=True) - 1
                change = change - ones * tf.math.divide_no_nan(
                    total, tf.reduce_sum(ones, axis=2, keepdims=True)
                )
            change = change * mask
            zero = tf.zeros_like(change)
            bound = tf.where(change < 0, low - at, ceiling - at)
            ratio = tf.where(change != 0, bound / tf.where(change != 0, change, zero + 1), zero + 2)
            length = tf.clip_by_value(tf.reduce_min(ratio, axis=2, keepdims=True), 0.0, 1.0)
            blocked = (ratio <= length) & (length < 1)
            moved = tf.clip_by_value(at + length * change, low, ceiling)
            moved = tf.where(blocked, tf.where(change < 0, low, ceiling), moved)
            return moved, blocked

        def unfinished(step: Tensor, *state: Tensor) -> Tensor:
            return (step < limit) & ~tf.reduce_all(state[-1])

        def advance(
            step: Tensor, at: Tensor, free: Tensor, taken: Tensor, done: Tensor
        ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
            rest = residual(at)
            slope = -tf.matmul(rest, directions, transpose_b=True)
            # What a gradient can be by rounding alone, of the residual and of the product.
            size = tf.norm(rest, axis=2, keepdims=True)
            noise = 2.0**-51 * lengths * (size + magnitude)
            done = done | (size[..., 0] == 0)
            mask = tf.cast(free, at.dtype)
            level = tf.zeros_like(slope[..., :1])
            if simplex:
                level = tf.math.divide_no_nan(
                    tf.reduce_sum(mask * slope, axis=2, keepdims=True),
                    tf.reduce_sum(mask, axis=2, keepdims=True),
                )
            # What a fixed coefficient gains when it may move off its bound.
            gain = tf.where(at <= low, level - slope, slope - level)
            gain = tf.where(free | (low >= high), tf.zeros_like(gain), gain - noise)
            best = tf.reduce_max(gain, axis=2, keepdims=True)
            uneven = tf.reduce_max(mask * tf.abs(slope - level) - noise, axis=2)
            settled = (taken > 0) & (~(uneven > 0) | (taken >= _REFINING_STEPS))
            done = done | (settled & ~(best[..., 0] > 0))
            release = settled[..., None] & (best > 0) & (gain >= best)
            moved, blocked = free_step(at, slope, free | release)
            hold = done[..., None]
            return (
                step + 1,
                tf.where(hold, at, moved),
                tf.where(hold, free, (free | release) & ~blocked),
                tf.where(settled | tf.reduce_any(blocked, axis=2), 0 * taken, taken + 1),
                done,
            )

        free = (start > low) & (start < ceiling)
        taken = tf.zeros_like(start[..., 0], dtype=tf.int32)
        state = (tf.constant(0), start, free, taken, finished)
        state = tf.while_loop(unfinished, advance, state)
        at, free = state[1], state[2]
        for _ in range(_POLISHING_STEPS):
            slope = -tf.matmul(residual(at), directions, transpose_b=True)
            at, blocked = free_step(at, slope, free)
            free = free & ~blocked
        if simplex:
            at = tf.math.divide_no_nan(at, tf.reduce_sum(at, axis=2, keepdims=True))
        return tf.where(finished[..., None], start, at)


def _onto_simplex(values: Tensor) -> Tensor:
    """Return the nearest nonnegative numbers with sum 1 (Duchi et al. 2008, figure 1)."""
    ordered = tf.sort(values, axis=2, direction="DESCENDING")
    excess = tf.cumsum(ordered, axis=2) - 1
    place = tf.cast(tf.range(1, tf.shape(values)[2] + 1), values.dtype)
    support = tf.cast(ordered * place > excess, values.dtype)
    count = tf.maximum(tf.reduce_sum(support, axis=2, keepdims=True), 1.0)
    last = tf.cast(count, tf.int32) - 1
    level = tf.gather(excess, last, axis=2, batch_dims=2) / count
    return tf.nn.relu(values - level)


def check_rows(name: str, count: str, values: Any, shape: Shape) -> NDArray[np.floating]:
    """Return finite points of shape ``(batch, count, *shape)``; each may be flattened."""
    array = as_floats(name, values)
    size = int(np.prod(shape))
    if array.ndim < 3 or array.shape[2:] not in (shape, (size,)):
        flat = f" or (batch, {count}, {size})" if shape != (size,) else ""
        raise ValueError(
            f"{name} must have the shape (batch, {count}, {', '.join(map(str, shape))}){flat}, "
            f"with points like the model's inputs. Received: {name} of shape {array.shape}"
        )
    check_finite(name, array)
    return array.reshape(*array.shape[:2], *shape)
