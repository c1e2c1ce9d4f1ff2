"""The logarithm of a sum of exponentials, and the planes that bound it on a box."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from decomon._backend import Tensor, tf
from decomon.bounds import Gathered, Interval
from decomon.ops._base import NonlinearOp, SlopeRule
from decomon.rounding import precision

NEAREST = 1e-3
"""Tangent points keep this part of the width away from the ends: slopes stay finite there."""


@final
@dataclass(frozen=True)
class Plane:
    """``value + slope . (x - point)`` along the last axis, next to a log-sum-exp.

    ``error`` bounds what rounding does to it anywhere on the box that it was made for.
    """

    value: Tensor
    slope: Tensor
    point: Tensor
    error: Tensor


def log_sum_exp(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return ``log(sum_k exp(x_k))`` along the last axis, and a bound of its rounding error.

    With ``m`` the largest entry, an exponent ``x_k - m`` is off by ``u |x_k - m|``, its exponential
    by a few ``u`` more, and the sum by ``n u``; what underflows is below ``n tiny``, and the sum
    is at least 1.  The logarithm halves no error, the final sum adds ``u`` times the result.
    """
    eps, tiny = precision(x)
    n = x.shape[-1]
    most = tf.stop_gradient(tf.reduce_max(x, axis=-1, keepdims=True))
    shifted = x - most
    terms = tf.exp(shifted)
    total = tf.reduce_sum(terms, axis=-1)
    weighted = tf.reduce_sum(terms * -shifted, axis=-1)
    value = most[..., 0] + tf.math.log(total)
    error = eps * ((weighted + n) / total + n + 8 + tf.abs(value)) + n * tiny
    return value, tf.stop_gradient(error)


def lower_plane(box: Interval, ratio: Tensor) -> Plane:
    """Return the tangent of the log-sum-exp at ``l + ratio * (u - l)``.

    The function is convex, so its tangent is below it, wherever it touches.  The slopes
    ``exp(c_k) / sum exp(c)`` are off by at most ``slope * (u |c_k - log-sum-exp| + n u)``, each of
    which counts as often as ``x_k`` can be away from ``c_k``.
    """
    eps, tiny = precision(box.lower)
    width = box.upper - box.lower
    point = box.lower + ratio * width
    value, error = log_sum_exp(point)
    distance = point - value[..., None]
    slope = tf.exp(tf.minimum(distance, 0.0))
    relative = eps * (tf.abs(distance) + 8) + error[..., None]
    moved = tf.reduce_sum((slope * relative + tiny) * width, axis=-1)
    shift = eps * tf.reduce_sum(slope * tf.abs(point), axis=-1)
    return Plane(value, slope, point, tf.stop_gradient(error + moved + 2 * shift))


def upper_plane(box: Interval, ratio: Tensor) -> Plane:
    """Return the tangent of ``log(sum_k chord_k(x_k))`` at ``l + ratio * (u - l)``.

    Every exponential is below its chord on ``[l_k, u_k]``; the logarithm of a sum of linear
    functions is concave, hence below its tangents (Wei et al. 2023, section 3.2).  With
    ``w_k = u_k - l_k`` the chord is ``exp(u_k) (ratio + (1 - ratio) exp(-w_k))`` at the point, and
    its slope is ``exp(u_k) (1 - exp(-w_k)) / w_k``: only nonpositive numbers are exponentiated,
    after the largest ``u_k`` has been taken out.
    """
    eps, tiny = precision(box.lower)
    n = box.lower.shape[-1]
    width = box.upper - box.lower
    point = box.lower + ratio * width
    most = tf.reduce_max(box.upper, axis=-1, keepdims=True)
    shifted = box.upper - most
    scale = tf.exp(shifted)
    chords = scale * (ratio + (1 - ratio) * tf.exp(-width))
    safe = tf.where(width > tiny, width, tf.ones_like(width))
    steepness = tf.where(width > tiny, -tf.math.expm1(-safe) / safe, tf.ones_like(width))
    total = tf.reduce_sum(chords, axis=-1)
    slope = scale * steepness / total[..., None]
    value = most[..., 0] + tf.math.log(total)
    # A chord is off by the error of its exponent and a few roundings; so is its slope.
    relative = eps * (tf.abs(shifted) + n + 10)
    off = tf.reduce_sum(chords * relative + tiny, axis=-1) / total
    error = off + eps * (tf.abs(value) + tf.abs(tf.math.log(total)) + 4)
    wrong = slope * (relative + off[..., None] + 4 * eps) + tiny / NEAREST
    moved = tf.reduce_sum(wrong * width, axis=-1)
    shift = eps * tf.reduce_sum(slope * (tf.abs(point) + tf.abs(width)), axis=-1)
    return Plane(value, slope, point, tf.stop_gradient(error + moved + 2 * shift))


def keep_inside(parameters: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Return the nearest tangent points that are not too close to the ends."""
    return tuple(tf.clip_by_value(value, NEAREST, 1 - NEAREST) for value in parameters)


def centers(x: Interval) -> tuple[Tensor, Tensor]:
    """Return the starting tangent points of both sides: a plane that touches at the centre.

    The volume below a plane over a box is its value at the centre, so among all tangents of a
    convex function the one there leaves the least volume.
    """
    half = 0.5 * tf.ones_like(x.lower)
    return half, half


@final
@dataclass(frozen=True)
class LogSumExp(NonlinearOp):
    """``log(sum_k exp(x_k))`` over the last axis: ``(*s, n)`` to ``(*s)``.

    Parameters: for the lower and for the upper plane, where between the interval's ends it
    touches, of the shape of the input.
    """

    def __call__(self, *inputs: Tensor) -> Tensor:
        return tf.reduce_logsumexp(inputs[0], axis=-1)

    def interval(self, *inputs: Interval) -> Interval:
        """Return the exact image: the function increases with every entry."""
        (x,) = inputs
        (low, below), (high, above) = log_sum_exp(x.lower), log_sum_exp(x.upper)
        return Interval(low - below, high + above)

    def unstable(self, *intervals: Interval) -> tuple[Tensor, ...]:
        return (intervals[0].lower < intervals[0].upper,)

    def initial(self, intervals: Sequence[Interval], rule: SlopeRule) -> tuple[Tensor, ...]:
        return centers(intervals[0])

    def project(self, parameters: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return keep_inside(parameters)

    def relax(self, intervals: Sequence[Interval], parameters: tuple[Tensor, ...]) -> Gathered:
        """Bound it by a tangent and by the tangent of the logarithm of the sum of chords.

        See :func:`lower_plane` and :func:`upper_plane`.  The offset ``value - slope . point`` is
        off by ``(n + 2) u`` times the sizes of its terms.
        """
        (x,), (low, high) = intervals, parameters
        box = Interval(x.lower[:, None], x.upper[:, None])
        below, above = lower_plane(box, low), upper_plane(box, high)
        return Gathered(below.slope, offset_of(below, -1.0), above.slope, offset_of(above, 1.0))


def offset_of(plane: Plane, side: float) -> Tensor:
    """Return the offset of a plane as a function of ``x``, moved outward: side 1 is up."""
    eps, _ = precision(plane.value)
    n = plane.slope.shape[-1]
    products = plane.slope * plane.point
    size = tf.reduce_sum(tf.abs(products), axis=-1) + tf.abs(plane.value)
    error = plane.error + (n + 4) * eps * tf.stop_gradient(size)
    return plane.value - tf.reduce_sum(products, axis=-1) + side * error
