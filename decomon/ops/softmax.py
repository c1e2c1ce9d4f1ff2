"""Softmax along the last axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from decomon._backend import Tensor, tf
from decomon._tensors import dot
from decomon.bounds import Interval, Mixed, Relaxation
from decomon.ops._base import NonlinearOp, SlopeRule
from decomon.ops.elementwise.curves import SIGMOID
from decomon.ops.logsumexp import (
    Plane,
    centers,
    keep_inside,
    log_sum_exp,
    lower_plane,
    upper_plane,
)
from decomon.rounding import units

# Takes an entry out of a log-sum-exp: its exponential is zero, and its products with zero are too.
_EXCLUDED = -1e30


@final
@dataclass(frozen=True)
class OnSimplex(Relaxation):
    """Bounds of numbers that add up to one.

    ``lower`` and ``upper`` are the values of the planes at the centre of the box, of shape
    ``(batch, 1 or spec, *outer, n)``.
    """

    planes: Mixed
    lower: Tensor
    upper: Tensor

    def substitute(self, rows: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        """Substitute ``(rows - g) . p + g``, which is ``rows . p``, whatever g.

        As a function of g, the bound at the centre of the box is convex and piecewise linear: with
        the entries of the row in falling order, its slope between two of them is 1 minus the upper
        values of those before and the lower values of those after.  The best g is the first
        entry at which that slope is no longer positive; the largest entries are then bounded from
        above, the others from below, relative to it.
        """
        count = tf.maximum(tf.shape(rows), tf.shape(self.lower))
        shape = rows.shape[2:]
        rows = tf.broadcast_to(rows, count)
        rows.set_shape([None, None, *shape])
        order = tf.argsort(rows, axis=-1, direction="DESCENDING")
        axes = len(rows.shape) - 1
        rise = tf.broadcast_to(tf.nn.relu(self.upper - self.lower), count)
        rise = tf.gather(rise, order, axis=-1, batch_dims=axes)
        mass = tf.reduce_sum(self.lower, axis=-1, keepdims=True) + tf.cumsum(rise, axis=-1)
        first = tf.reduce_sum(tf.cast(mass < 1, tf.int32), axis=-1, keepdims=True)
        first = tf.minimum(first, rows.shape[-1] - 1)
        chosen = tf.gather(order, first, axis=-1, batch_dims=axes)
        level = tf.gather(rows, chosen, axis=-1, batch_dims=axes)
        level = tf.stop_gradient(level)
        sent, offset = self.planes.substitute(rows - level)
        return sent, offset + dot(level, tf.ones_like(level[:1, :1]))


@final
@dataclass(frozen=True)
class Softmax(NonlinearOp):
    """``p_i = exp(x_i) / sum_k exp(x_k)`` along the last axis.

    Parameters: for the planes of the other entries' log-sum-exp from below and from above, where
    between the interval's ends they touch, of the shape of the input.

    Notes
    -----
    ``p_i`` is the sigmoid of ``z_i = x_i - log(sum_{k != i} exp(x_k))``.  The log-sum-exp is
    bounded by planes (Wei et al. 2023, "Convex bounds on the softmax function", section 3.2), the
    sigmoid by lines of nonnegative slope on the range of ``z_i``.  Wei et al. use the
    exponential of ``x_i - log(sum_k exp(x_k))`` instead of the sigmoid.  In the centre of the box
    the sigmoid is never looser: from above, its chord is a share of the way from the lowest to the
    highest probability that grows with the odds, theirs one that grows with the probability's
    logarithm, which is a concave function of the log-odds, so theirs is larger; where the
    sigmoid is concave, the tangent is lower than its chord still.  From below it is mostly tighter
    too, because no exponential of ``x_i`` itself has to be replaced by its chord; whichever plane
    is higher in the centre is used.
    """

    def __call__(self, *inputs: Tensor) -> Tensor:
        return tf.nn.softmax(inputs[0], axis=-1)

    def interval(self, *inputs: Interval) -> Interval:
        """Return the exact image: ``p_i`` grows with ``x_i`` and falls with all others."""
        return SIGMOID.interval(log_odds(inputs[0]))

    def unstable(self, *intervals: Interval) -> tuple[Tensor, ...]:
        return (intervals[0].lower < intervals[0].upper,)

    def initial(self, intervals: Sequence[Interval], rule: SlopeRule) -> tuple[Tensor, ...]:
        return centers(intervals[0])

    def project(self, parameters: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return keep_inside(parameters)

    def relax(self, intervals: Sequence[Interval], parameters: tuple[Tensor, ...]) -> OnSimplex:
        """Bound each probability by a line of the sigmoid and a plane of the log-sum-exp.

        The lines hold for all log-odds of the box.  As their slopes are not negative, ``z_i`` may
        be replaced by something larger in the upper one, that is the log-sum-exp of the others by
        one of its lower planes, and the other way round in the lower one.

        Rounding: an error of a plane counts as often as the line's slope says; the product of
        slope and plane and the offset ``value - slope . point`` are off by at most ``(n + 8) u``
        times the sizes of their terms.
        """
        (x,), (low, high) = intervals, parameters
        odds = log_odds(x)
        others = Interval(_without_own(x.lower)[:, None], _without_own(x.upper)[:, None])
        below = lower_plane(others, low[..., None, :])
        above = upper_plane(others, high[..., None, :])
        point_low, point_high = _between(x, low), _between(x, high)
        shares = _share(odds, point_low - below.value), _share(odds, point_high - above.value)
        lines = SIGMOID.relax((odds,), shares)
        zero = tf.zeros_like(lines.lower_slope)
        offset = zero if lines.lower_offset is None else lines.lower_offset
        lower = _compose(lines.lower_slope, offset, above, point_high, x, -1.0)
        upper = _compose(lines.upper_slope, lines.upper_offset, below, point_low, x, 1.0)
        lower = _higher(x.center, lower, self._share_of_chords(x, high))
        planes = Mixed(*lower, *upper)
        return OnSimplex(planes, *(_at(x.center, *plane) for plane in (lower, upper)))

    @staticmethod
    def _share_of_chords(x: Interval, ratio: Tensor) -> tuple[Tensor, Tensor]:
        """Return the tangents of ``exp(x_i) / sum_k chord_k(x_k)``, slopes and offset.

        The exponential of something concave, ``w = x_i - log(sum_k chord_k)``, is at least
        ``s (1 + w - log(s))`` for any positive s, and that grows with w, which is at least ``x_i``
        minus a tangent of the logarithm.
        """
        above = upper_plane(Interval(x.lower[:, None], x.upper[:, None]), ratio)
        every = Plane(
            above.value[..., None],
            above.slope[..., None, :],
            above.point[..., None, :],
            above.error[..., None],
        )
        touch = tf.minimum(above.point - every.value, 0.0)
        slope = tf.exp(touch)
        return _compose(slope, slope * (1 - touch), every, above.point, x, -1.0)


def _without_own(x: Tensor) -> Tensor:
    """Return ``(..., n, n)``: all entries in every row, but in row i without entry i."""
    excluded = tf.constant(_EXCLUDED, x.dtype)
    return tf.where(tf.eye(x.shape[-1], dtype=tf.bool), excluded, x[..., None, :])


def log_odds(x: Interval) -> Interval:
    """Return the range of ``x_i - log(sum_{k != i} exp(x_k))``, outward by its rounding error."""
    (least, below), (most, above) = (
        log_sum_exp(_without_own(x.lower)),
        log_sum_exp(_without_own(x.upper)),
    )
    unit, _ = units(x.lower)
    lower, upper = x.lower - most, x.upper - least
    return Interval(
        lower - above - 2 * unit * tf.abs(lower), upper + below + 2 * unit * tf.abs(upper)
    )


def _between(x: Interval, ratio: Tensor) -> Tensor:
    return x.lower[:, None] + ratio * (x.upper - x.lower)[:, None]


def _share(odds: Interval, point: Tensor) -> Tensor:
    """Return where a point lies between the ends of an interval."""
    lower, upper = odds.lower[:, None], odds.upper[:, None]
    return tf.clip_by_value(tf.math.divide_no_nan(point - lower, upper - lower), 0.0, 1.0)


def _higher(
    point: Tensor, first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    """Return, for every output, the plane that is higher at a point."""
    chosen = _at(point, *first) >= _at(point, *second)
    return tf.where(chosen[..., None], first[0], second[0]), tf.where(chosen, first[1], second[1])


def _at(point: Tensor, slope: Tensor, offset: Tensor) -> Tensor:
    return tf.stop_gradient(tf.einsum("b...ik,b...k->b...i", slope, point[:, None]) + offset)


def _compose(
    slope: Tensor, offset: Tensor, plane: Plane, point: Tensor, x: Interval, side: float
) -> tuple[Tensor, Tensor]:
    """Return ``slope * (x_i - plane(x)) + offset`` as slopes and an offset, moved outward.

    The plane does not depend on ``x_i``.
    """
    unit, tiny = units(slope)
    n = point.shape[-1]
    own = tf.eye(n, dtype=slope.dtype)
    slopes = slope[..., None] * (own - plane.slope)
    value = slope * (point - plane.value)
    products = slopes * tf.where(own > 0, point[..., None], plane.point)
    largest = x.reach[:, None]
    size = tf.reduce_sum(tf.abs(slopes) * largest[..., None, :], axis=-1)
    size = size + tf.abs(offset) + slope * (tf.abs(point) + tf.abs(plane.value))
    error = slope * plane.error + 2 * (n + 8) * unit * size
    error = error + 4 * tiny * (1 + tf.reduce_sum(largest, axis=-1, keepdims=True))
    total = offset + value - tf.reduce_sum(products, axis=-1)
    return slopes, total + side * tf.stop_gradient(error)
