"""Sparsemax: the projection onto the probability simplex (Martins and Astudillo 2016)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from decomon._backend import Tensor, keras, tf
from decomon.bounds import Gathered, Interval
from decomon.ops._base import NonlinearOp, SlopeRule
from decomon.ops._registry import Builder, UnsupportedError, Value
from decomon.ops.elementwise.hinge import Hinge
from decomon.ops.linear import Subtract
from decomon.ops.narrow import Narrow
from decomon.ops.shaping import Reshape
from decomon.ops.summed_sparsemax import SummedImage, SummedThreshold
from decomon.rounding import units


@final
@dataclass(frozen=True)
class Threshold(NonlinearOp):
    """``tau`` with ``sum_k relu(x_k - tau) = 1``, over the last axis: ``(*s, n)`` to ``(*s)``.

    Parameters, of the output's shape: for the lower plane a position between the tangents at the
    lower end (0), the centre (one half) and the upper end (1) of the box; for the upper one
    a position between the planes that are exact at the lower (0) and at the upper end (1).

    Notes
    -----
    For any set S of entries, ``sum_S (x_k - tau) <= sum_k relu(x_k - tau) = 1``, so
    ``tau >= (sum_S x_k - 1) / |S|``, with equality for the entries above ``tau``: the function is
    the largest of these, hence convex and increasing.
    """

    def __call__(self, *inputs: Tensor) -> Tensor:
        return _threshold(inputs[0])[0]

    def interval(self, *inputs: Interval) -> Interval:
        """Return the exact image: the function increases with every entry."""
        (x,) = inputs
        (low, below), (high, above) = _threshold(x.lower), _threshold(x.upper)
        return Interval(low - below, high + above)

    def unstable(self, *intervals: Interval) -> tuple[Tensor, ...]:
        return (intervals[0].lower < intervals[0].upper,)

    def initial(self, intervals: Sequence[Interval], rule: SlopeRule) -> tuple[Tensor, ...]:
        """Return the tangent at the centre and, from above, the plane that is lower there."""
        (x,) = intervals
        values = [
            tf.reduce_sum(plane.slope * x.center, axis=-1) + plane.offset
            for plane in _upper_planes(x)
        ]
        half = 0.5 * tf.ones_like(values[0])
        return half, tf.where(values[0] > values[1], 2 * half, tf.zeros_like(half))

    def relax(self, intervals: Sequence[Interval], parameters: tuple[Tensor, ...]) -> Gathered:
        """Bound the threshold by mixtures of planes that are valid on the box.

        Lower: ``(sum_S x_k - 1) / |S|`` for any S.  Upper: with ``tau_l`` and ``tau_u`` the
        thresholds at both ends, ``tau(x)`` lies between them, and
        ``g(t) = sum_k relu(x_k - t) - 1`` vanishes at ``tau(x)``.  Between ``tau_l`` and ``tau(x)``
        its slope is at most ``-m``, where m, at least 1, counts the entries with ``l_k > tau_u``;
        so ``tau(x) <= tau_l + g(tau_l) / m``.  Between ``tau(x)`` and ``tau_u`` its slope is at
        least ``-M``, where M counts the entries with ``u_k > tau_l``; so
        ``tau(x) <= tau_u + g(tau_u) / M``.  In g, every rectifier is replaced by its chord, which
        is not below it.  Mixtures of valid planes are valid.

        Rounding: sums of n terms, and a few operations on each, are off by at most ``(n + 12) u``
        times the sizes of the terms.
        """
        (x,), (low, high) = intervals, parameters
        unit, tiny = units(x.lower)
        n = x.lower.shape[-1]
        shares = tf.nn.relu(1 - 2 * low), 1 - tf.abs(1 - 2 * low), tf.nn.relu(2 * low - 1)
        lower = _mix([_tangent(x, point) for point in (x.lower, x.center, x.upper)], shares)
        upper = _mix(_upper_planes(x), (1 - high, high))
        rounding = 2 * (n + 12) * unit
        return Gathered(
            lower.slope,
            lower.offset - tf.stop_gradient(rounding * lower.size + 8 * tiny),
            upper.slope,
            upper.offset + tf.stop_gradient(rounding * upper.size + 8 * tiny),
        )


@final
@dataclass(frozen=True)
class _Plane:
    """``slope . x + offset``, and the size of the terms that both are computed from."""

    slope: Tensor
    offset: Tensor
    size: Tensor


def _threshold(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the threshold and a bound of its rounding error.

    The largest of the means over the k largest entries; the largest entry is taken out first, so
    that those above the threshold lie in [-1, 0], and their sums are off by at most ``n n u``.
    """
    unit, _ = units(x)
    n = x.shape[-1]
    most = tf.reduce_max(x, axis=-1, keepdims=True)
    ordered = tf.sort(x - most, axis=-1, direction="DESCENDING")
    counts = tf.range(1, n + 1, dtype=x.dtype)
    value = tf.reduce_max((tf.cumsum(ordered, axis=-1) - 1) / counts, axis=-1) + most[..., 0]
    return value, unit * (2 * n + 8 + 2 * tf.abs(value))


def _tangent(x: Interval, point: Tensor) -> _Plane:
    """Return the mean over the entries that are above the threshold at a point."""
    value, _ = _threshold(point)
    most = tf.reduce_max(point, axis=-1, keepdims=True)
    chosen = tf.cast((point > value[..., None]) | (point == most), point.dtype)
    count = tf.reduce_sum(chosen, axis=-1)
    size = (1 + tf.reduce_sum(chosen * x.reach, axis=-1)) / count
    return _Plane(chosen / count[..., None], -1 / count, size)


def _upper_planes(x: Interval) -> tuple[_Plane, _Plane]:
    """Return the planes that are exact at the lower and at the upper end."""
    (low, below), (high, above) = _threshold(x.lower), _threshold(x.upper)
    least, most = low - below, high + above
    always = tf.reduce_sum(tf.cast(x.lower > most[..., None], low.dtype), axis=-1)
    ever = tf.reduce_sum(tf.cast(x.upper > least[..., None], low.dtype), axis=-1)
    return _above(x, least, tf.maximum(always, 1.0)), _above(x, most, tf.maximum(ever, 1.0))


def _above(x: Interval, start: Tensor, count: Tensor) -> _Plane:
    """Return ``start + (sum_k chord_k(x_k) - 1) / count``, with chords of ``relu(x_k - start)``.

    A chord's offset is the larger one over both ends, so it is valid whatever its slope.
    """
    low, high = x.lower - start[..., None], x.upper - start[..., None]
    slope = tf.math.divide_no_nan(tf.nn.relu(high) - tf.nn.relu(low), high - low)
    slope = tf.clip_by_value(slope, 0.0, 1.0)
    offset = tf.maximum(tf.nn.relu(low) - slope * x.lower, tf.nn.relu(high) - slope * x.upper)
    active = tf.cast(high > 0, high.dtype)
    used = slope * x.reach + tf.nn.relu(high) + active * tf.abs(start[..., None])
    size = tf.abs(start) + (1 + tf.reduce_sum(used, axis=-1)) / count
    return _Plane(
        slope / count[..., None], start + (tf.reduce_sum(offset, axis=-1) - 1) / count, size
    )


def _mix(planes: Sequence[_Plane], shares: Sequence[Tensor]) -> _Plane:
    """Mix planes with shares ``(batch, spec, *s)``."""
    pairs = list(zip(planes, shares, strict=True))
    return _Plane(
        tf.add_n([share[..., None] * plane.slope[:, None] for plane, share in pairs]),
        tf.add_n([share * plane.offset[:, None] for plane, share in pairs]),
        tf.add_n([share * plane.size[:, None] for plane, share in pairs]),
    )


@final
@dataclass(frozen=True)
class SparsemaxImage(Narrow):
    """The image of sparsemax: each entry grows with its own argument and falls with the others."""

    def image(self, *sources: Interval) -> Interval:
        (x,) = sources
        return Interval(_own(x.lower, x.upper, -1.0), _own(x.upper, x.lower, 1.0))


def _own(own: Tensor, others: Tensor, side: float) -> Tensor:
    """Return the entries with one argument from the first and all others from the second tensor.

    With entry i moved to ``z``, it is ``relu(z - tau)``.
    """
    unit, _ = units(own)
    n = own.shape[-1]
    points = tf.where(tf.eye(n, dtype=tf.bool), own[..., None, :], others[..., None, :])
    value, error = _threshold(points)
    entry = own - value
    outward = error + unit * tf.abs(entry)
    return tf.clip_by_value(entry + side * outward, 0.0, 1.0)


def add_sparsemax(builder: Builder, x: Value) -> Value:
    """Add ``relu(x - tau(x))`` along the last axis, with the threshold of the installed Keras."""
    threshold, image = _installed()
    total = builder.apply(Reshape((*x.shape[:-1], 1)), builder.apply(threshold, x))
    positive = builder.apply(Hinge(), builder.apply(Subtract(), x, total))
    return builder.apply(image, positive, x)


def _installed() -> tuple[NonlinearOp, Narrow]:
    """Return the threshold of the installed Keras and the image that goes with it."""
    points = np.array([[0.5, 0.25, 0.25], [0.6, 0.5, -1.0], [2.0, 0.5, 0.0]])
    found = np.asarray(keras.ops.sparsemax(tf.constant(points)))
    known: tuple[tuple[NonlinearOp, Narrow], ...] = (
        (Threshold(), SparsemaxImage()),
        (SummedThreshold(), SummedImage()),
    )
    for threshold, image in known:
        wanted = np.maximum(points - np.asarray(threshold(tf.constant(points)))[:, None], 0)
        if np.allclose(found, wanted):
            return threshold, image
    raise UnsupportedError(
        f"the installed Keras computes {found[0].tolist()} for {points[0].tolist()}, which is not "
        "a sparsemax that is known here. Use softmax"
    )
