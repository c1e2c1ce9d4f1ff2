"""Sets that a few directions span: brightness, contrast, any fixed changes of an input."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from decomon._backend import Shape, Tensor, tf
from decomon._tensors import flatten, flatten_rows
from decomon.bounds import AffineBound, Interval
from decomon.domains._base import Domain
from decomon.domains._checks import (
    as_floats,
    as_parameter,
    check_finite,
    check_points,
)
from decomon.domains._combinations import Combinations, check_rows
from decomon.domains._radius import (
    accepted,
    jitter,
    kept_or_projected,
    move_within,
    rounded_radius,
    shape_radius,
    spread_radius,
    units_of,
)
from decomon.rounding import round_down, round_up


@final
@dataclass(frozen=True)
class AffineDomain(Domain):
    """All points ``x + sum_i t_i v_i`` with ``low_i <= t_i <= high_i``.

    Parameters
    ----------
    x : array or tensor of shape ``(batch, *input shape)``, or ``(batch, n)``
    directions : array or tensor of shape ``(batch or 1, k, *input shape)``, or flattened
        The ``v_i``, at least one, which may depend on each other.
    low, high : numbers, or arrays or tensors of shape ``(k,)`` or ``(batch, k)``
        Numbers are rounded outward to the type of ``x`` and ``directions``.
    radius : number, or array or tensor of shape ``(batch, *input shape)``
        Half-widths of a box that is added to the set (a Minkowski sum); 0 by default.
        Rounded points lie in such a set.

    Notes
    -----
    Numbers are rounded, so hardly any point of a thin set can be written down exactly.
    :meth:`contains` accepts what rounding explains, feature by feature: a distance of
    ``2 gamma(k + 4) (|x| + sum_i max(|low_i|, |high_i|) |v_i|)``.  A sum of ``k + 1`` products has
    half of that as its error, and checking it has the other half.  :meth:`outer`, which is what
    bounds are computed for, covers all points that are accepted.

    A ``True`` is always right.  A ``False`` may be wrong for points at the very edge of a box of
    ``radius``, and in double precision for sets that are flatter than about 1e-3 of their size in
    some direction: there the coefficients may not be found to the last digit.

    See Also
    --------
    brightness, contrast : ready-made sets
    """

    x: Any
    directions: Any
    low: Any = -1.0
    high: Any = 1.0
    radius: Any = 0.0

    def __post_init__(self) -> None:
        x, directions = as_parameter("x", self.x), as_parameter("directions", self.directions)
        if len(directions.shape) < 3 or directions.shape[1] == 0:
            raise ValueError(
                "directions must have the shape (batch or 1, k, *input shape), with k >= 1. "
                f"Received: directions of shape {tuple(directions.shape)}"
            )
        if not tf.is_tensor(x) and not tf.is_tensor(directions):
            check_finite("x", x)
            check_finite("directions", directions)
            dtype = np.result_type(x, directions)
            x, directions = x.astype(dtype), directions.astype(dtype)
            directions = _spread_directions(directions, x)
        low, high = (
            _spread_coefficients(name, value, directions, x)
            for name, value in (("low", self.low), ("high", self.high))
        )
        if not tf.is_tensor(low) and not tf.is_tensor(high):
            _check_coefficients(low, high)
        for name, value in (("x", x), ("directions", directions), ("low", low), ("high", high)):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "radius", spread_radius(self.radius, x))

    def tensors(self) -> tuple[Tensor, ...]:
        return (self.x, self.directions, self.low, self.high, self.radius)

    def rebuild(self, *tensors: Tensor) -> AffineDomain:
        return AffineDomain(*tensors)

    def specs(self, input_shape: Shape, dtype: Tensor) -> tuple[Any, ...]:
        point = tf.TensorSpec([None, *input_shape], dtype)
        coefficients = tf.TensorSpec([None, None], dtype)
        directions = tf.TensorSpec([None, None, *input_shape], dtype)
        return point, directions, coefficients, coefficients, point

    def shaped(self, input_shape: Shape) -> AffineDomain:
        x = check_points("x", self.x, input_shape)
        directions = check_rows("directions", "k", self.directions, input_shape)
        low, high = (as_floats(name, getattr(self, name)) for name in ("low", "high"))
        dtype = np.result_type(x, directions)
        x, directions = x.astype(dtype), directions.astype(dtype)
        radius = shape_radius(np.asarray(self.radius), x)
        return AffineDomain(x, directions, low, high, radius)

    def interval(self) -> Interval:
        low, high = (self._by_feature(side) for side in (self.low, self.high))
        down = tf.reduce_sum(tf.minimum(low * self.directions, high * self.directions), axis=1)
        up = tf.reduce_sum(tf.maximum(low * self.directions, high * self.directions), axis=1)
        return Interval(self.x + down - self.radius, self.x + up + self.radius)

    def concretize(self, bound: AffineBound) -> Tensor:
        """Maximise a linear function: ``w . x + sum_i max_t t (w . v_i) + |w| . radius``.

        Each ``t_i`` is chosen independently, so the maximum is exact.
        """
        weights = flatten_rows(bound.weights)
        slopes = self._slopes(weights)
        positive = tf.nn.relu(slopes)
        return (
            tf.linalg.matvec(weights, flatten(self.x))
            + tf.linalg.matvec(positive, self.high)
            + tf.linalg.matvec(slopes - positive, self.low)
            + tf.linalg.matvec(tf.abs(weights), flatten(self.radius))
            + bound.offset
        )

    def maximizer(self, weights: Tensor) -> Tensor:
        slopes = self._slopes(flatten_rows(weights))
        best = tf.where(slopes >= 0, self.high[:, None], self.low[:, None])
        return self._points(best) + tf.sign(weights) * self.radius[:, None]

    def center(self) -> Tensor:
        return self._points((0.5 * self.low + 0.5 * self.high)[:, None])[:, 0]

    def project(self, points: Tensor) -> Tensor:
        """Return the nearest points ``x + sum_i t_i v_i`` of the set.

        An accelerated gradient and an active-set method, see ``Combinations.nearest``: ``t`` is
        always between its bounds, and the best up to rounding unless the limit of steps was
        reached.  With a radius the result moves on to the nearest point of the box around it,
        which is in the set and not further away, but need not be the nearest.
        """
        moved = tf.cast(flatten_rows(points - self.x[:, None]), tf.float64)
        best = tf.cast(self._combinations().nearest(moved), points.dtype)
        best = tf.clip_by_value(best, self.low[:, None], self.high[:, None])
        return move_within(self._points(best), points, self.radius)

    def sample(self, count: int, seed: int) -> Tensor:
        shape = tf.shape(self.low)
        ratio = tf.random.stateless_uniform(
            tf.stack([1, count, shape[1]]), [seed, 2 * count], dtype=self.low.dtype
        )
        low, high = self.low[:, None], self.high[:, None]
        chosen = tf.clip_by_value(low * (1 - ratio) + high * ratio, low, high)
        return jitter(self._points(chosen), self.radius, [seed, 2 * count + 1])

    def contains(self, points: Tensor) -> Tensor:
        """Say which points are in the set, up to rounding and ``radius``; see the class.

        Coefficients are looked for as in :meth:`project`, in double precision.
        """
        moved = tf.cast(points, tf.float64) - tf.cast(self.x[:, None], tf.float64)
        tolerance = tf.cast(self.radius, tf.float64) + self._room()
        return accepted(self._combinations(), flatten_rows(moved), flatten(tolerance))

    def scores(self, weights: Tensor, importance: Tensor) -> Tensor:
        """Return ``|w . v_i| (high_i - low_i)`` of every direction."""
        slopes = tf.abs(self._slopes(flatten_rows(weights)))
        return tf.einsum("bs,bsk->bk", importance, slopes) * (self.high - self.low)

    def split(self, scores: Tensor) -> tuple[AffineDomain, AffineDomain]:
        """Halve the range of the coefficient with the largest score.

        Both halves have the same middle as an end, so nothing is lost between them.
        """
        chosen = tf.one_hot(
            tf.argmax(scores, axis=1), tf.shape(self.low)[1], on_value=True, off_value=False
        )
        middle = tf.clip_by_value(0.5 * self.low + 0.5 * self.high, self.low, self.high)
        high, low = tf.where(chosen, middle, self.high), tf.where(chosen, middle, self.low)
        return (
            AffineDomain(self.x, self.directions, self.low, high, self.radius),
            AffineDomain(self.x, self.directions, low, self.high, self.radius),
        )

    def outer(self, *dtypes: Any) -> AffineDomain:
        """Round the ends of ``t`` outward, and widen the radius by all that rounding moves.

        A point is a sum ``x + sum_i t_i v_i`` and a rest within ``radius`` and what
        :meth:`contains` tolerates.  The same ``t`` gives a sum of the rounded ``x`` and ``v_i``
        that differs by their moves, and rounding the point itself moves it by ``u |x|``.
        """
        x, directions, low, high, radius = (np.asarray(values) for values in self.tensors())
        radius = radius.astype(np.float64) + self._room().numpy()
        peaks: list[NDArray[np.floating]] = []
        moves: list[NDArray[np.floating]] = []
        for dtype in dtypes:
            cast, turned = x.astype(dtype), directions.astype(dtype)
            # The ends before they are rounded hold all t, and the ends after it do, too.
            largest = np.maximum(np.abs(low), np.abs(high)).astype(np.float64)
            largest = largest.reshape(*largest.shape, *[1] * (x.ndim - 1))
            peaks.append(np.abs(x) + (largest * np.abs(directions)).sum(axis=1))
            turns = largest * np.abs(directions.astype(np.float64) - turned)
            moves.append(np.abs(x.astype(np.float64) - cast) + turns.sum(axis=1))
            x, directions = cast, turned
            low, high = round_down(low, dtype), round_up(high, dtype)
        grown = rounded_radius(radius, tuple(peaks), tuple(moves), dtypes).astype(x.dtype)
        return AffineDomain(*(tf.constant(values) for values in (x, directions, low, high, grown)))

    def inside(self, points: NDArray[np.floating]) -> NDArray[np.floating]:
        """Return points that the set contains as they are, and project the others."""
        # Points at the edge of the radius might not be recognised.
        bare = replace(self, radius=tf.zeros_like(self.radius))
        return kept_or_projected(self, bare, points.astype(self.x.dtype))

    def _slopes(self, weights: Tensor) -> Tensor:
        """Return ``w . v_i`` for flat rows, shape ``(batch, spec, k)``."""
        return tf.matmul(weights, flatten_rows(self.directions), transpose_b=True)

    def _points(self, coefficients: Tensor) -> Tensor:
        """Return the points of ``t``, which is ``(batch, count, k)``."""
        moves = tf.matmul(coefficients, flatten_rows(self.directions))
        shape = tf.concat([tf.shape(moves)[:2], tf.shape(self.x)[1:]], axis=0)
        return self.x[:, None] + tf.reshape(moves, shape)

    def _by_feature(self, coefficients: Tensor) -> Tensor:
        features = [1] * (len(self.x.shape) - 1)
        return tf.reshape(coefficients, tf.concat([tf.shape(coefficients), features], axis=0))

    def _combinations(self) -> Combinations:
        atoms = tf.cast(flatten_rows(self.directions), tf.float64)
        return Combinations(atoms, tf.cast(self.low, tf.float64), tf.cast(self.high, tf.float64))

    def _room(self) -> Tensor:
        """What rounding of sums explains, in double precision; see the class."""
        unit = units_of(self.x.dtype)[0]
        share = unit * tf.cast(tf.shape(self.directions)[1] + 4, tf.float64)
        largest = self._by_feature(tf.maximum(tf.abs(self.low), tf.abs(self.high)))
        peak = tf.abs(self.x) + tf.reduce_sum(largest * tf.abs(self.directions), axis=1)
        return 2 * share / (1 - share) * tf.cast(peak, tf.float64)


def brightness(x: Any, delta: Any) -> AffineDomain:
    """Return all inputs whose entries are made brighter or darker by the same amount.

    ``x + t`` with ``|t| <= delta``; values are not clipped to any range.

    Parameters
    ----------
    x : array or tensor of shape ``(batch, *input shape)``
    delta : number or array of shape ``(batch,)``, not negative
    """
    x = as_parameter("x", x)
    ones = tf.ones_like(x) if tf.is_tensor(x) else np.ones_like(x)
    return _one_direction(x, ones, "delta", delta)


def contrast(x: Any, factor: Any) -> AffineDomain:
    """Return all inputs whose contrast is changed.

    ``mean + (1 + t) (x - mean)`` with ``|t| <= factor``, where ``mean`` is the one of all entries
    of a sample, over all axes; values are not clipped to any range.

    Parameters
    ----------
    x : array or tensor of shape ``(batch, *input shape)``
    factor : number or array of shape ``(batch,)``, not negative
    """
    x = as_parameter("x", x)
    axes = tuple(range(1, len(x.shape)))
    if tf.is_tensor(x):
        return _one_direction(x, x - tf.reduce_mean(x, axis=axes, keepdims=True), "factor", factor)
    mean = x.mean(axis=axes, keepdims=True, dtype=np.float64)
    return _one_direction(x, (x - mean).astype(x.dtype), "factor", factor)


def _one_direction(x: Any, direction: Any, name: str, limit: Any) -> AffineDomain:
    """Return ``x + t direction`` with ``|t| <= limit``, per sample."""
    if not tf.is_tensor(limit):
        limit = as_floats(name, limit)
        check_finite(name, np.atleast_1d(limit))
        if limit.ndim > 1 or (limit.ndim == 1 and limit.shape[0] not in (1, x.shape[0])):
            raise ValueError(
                f"{name} must be a number or have the shape (batch,). "
                f"Received: {name} of shape {limit.shape} for x of shape {tuple(x.shape)}"
            )
        if (limit < 0).any():
            raise ValueError(f"{name} must not be negative. Received: {name}={limit.min()}")
    if len(limit.shape) == 1:
        limit = limit[:, None]
    return AffineDomain(x, direction[:, None], -limit, limit)


def _spread_directions(
    directions: NDArray[np.floating], x: NDArray[np.floating]
) -> NDArray[np.floating]:
    """Repeat directions that all samples share."""
    if len(directions) == len(x):
        return directions
    if len(directions) != 1:
        raise ValueError(
            "directions must be the same for all samples, with a first axis of 1, or be given for "
            f"each. Received: directions of shape {directions.shape} and x of shape {x.shape}"
        )
    return np.broadcast_to(directions, (len(x), *directions.shape[1:]))


def _spread_coefficients(name: str, values: Any, directions: Any, x: Any) -> Any:
    """Give bounds of coefficients the shape ``(batch, k)`` and the type of the directions."""
    if tf.is_tensor(values) and len(values.shape) == 2:
        return values
    if not tf.is_tensor(values):
        values = as_floats(name, values)
        check_finite(name, np.atleast_1d(values))
    if tf.is_tensor(directions) or tf.is_tensor(values):
        shape = tf.stack([tf.shape(x)[0], tf.shape(directions)[1]])
        return tf.broadcast_to(tf.cast(values, directions.dtype), shape)
    shape = (len(x), directions.shape[1])
    try:
        outward = round_down if name == "low" else round_up
        return np.broadcast_to(outward(values, directions.dtype.type), shape)
    except ValueError as error:
        raise ValueError(
            f"{name} must be a number or have the shape (k,) or (batch, k), with one entry per "
            f"direction. Received: {name} of shape {values.shape} for {shape[1]} directions of "
            f"{shape[0]} samples"
        ) from error


def _check_coefficients(low: NDArray[np.floating], high: NDArray[np.floating]) -> None:
    """Refuse a lower bound above the upper one."""
    crossed = np.argwhere(low > high)
    if crossed.size:
        sample, direction = (int(i) for i in crossed[0])
        raise ValueError(
            "low must not exceed high anywhere. "
            f"Received: low={low[sample, direction]} > high={high[sample, direction]} for "
            f"direction {direction} of sample {sample}"
        )
