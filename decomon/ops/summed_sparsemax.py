"""Sparsemax as Keras up to 3.15 computes it, with a threshold that is not the simplex's.

With the entries sorted in falling order, ``c_j`` the sum of the first j and k the size of
sparsemax's support, the threshold should be ``(c_k - 1) / k``.  Those versions of Keras use
``(c_1 + ... + c_k - 1) / k``, which jumps where k changes.  Bounds are of what the model computes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from decomon._backend import Tensor, tf
from decomon.bounds import Gathered, Interval
from decomon.ops._base import NonlinearOp, SlopeRule
from decomon.ops.narrow import Narrow
from decomon.rounding import units


@final
@dataclass(frozen=True)
class SummedThreshold(NonlinearOp):
    """``t_k = (c_1 + ... + c_k - 1) / k``, over the last axis: ``(*s, n)`` to ``(*s)``."""

    def __call__(self, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        ordered = tf.sort(x, axis=-1, direction="DESCENDING")
        sums = tf.cumsum(ordered, axis=-1)
        counts = tf.range(1, x.shape[-1] + 1, dtype=x.dtype)
        support = tf.cast(ordered - (sums - 1) / counts > 0, x.dtype)
        return (tf.reduce_sum(sums * support, axis=-1) - 1) / tf.reduce_sum(support, axis=-1)

    def interval(self, *inputs: Interval) -> Interval:
        """Return the range over all sizes that the support can have.

        For a fixed k the threshold increases with every entry.
        """
        (x,) = inputs
        possible, error = _sizes(x)
        return Interval(
            _least(_thresholds(x.lower), possible) - error,
            _most(_thresholds(x.upper), possible) + error,
        )

    def unstable(self, *intervals: Interval) -> tuple[Tensor, ...]:
        return (intervals[0].lower < intervals[0].upper,)

    def initial(self, intervals: Sequence[Interval], rule: SlopeRule) -> tuple[Tensor, ...]:
        return ()

    def relax(self, intervals: Sequence[Interval], parameters: tuple[Tensor, ...]) -> Gathered:
        """Bound the threshold by planes if the support has one possible size, else by constants.

        For a fixed k, the sum of ``c_1, ..., c_k`` gives the r-th largest entry the weight
        ``k - r + 1``.  Any other order of the entries gives no larger sum, so the order at the
        centre makes a lower plane.  From above, ``c_j <= j t + sum_i relu(x_i - t)`` for any t,
        with equality for t between the j-th and the next entry; t is the j-th entry at the
        centre, and each rectifier is replaced by its chord, which is not below it.  A constant
        that is lower at the centre is used instead.

        Rounding: sums of n sums of n terms, off by ``2 (n + 4) u`` of the terms' sizes.
        """
        (x,) = intervals
        unit, tiny = units(x.lower)
        n = x.lower.shape[-1]
        possible, _ = _sizes(x)
        fixed = tf.reduce_sum(possible, axis=-1) == 1
        constant = self.interval(x)
        rank = tf.argsort(tf.argsort(x.center, axis=-1, direction="DESCENDING"), axis=-1)
        weights = tf.linalg.band_part(tf.ones([n, n], x.lower.dtype), 0, -1)
        # Entry (r, k) is the weight of the r-th largest entry for the size k + 1.
        weights = tf.cumsum(weights, axis=1)
        size = tf.reduce_sum(possible * tf.range(1, n + 1, dtype=x.lower.dtype), axis=-1)
        count = tf.where(fixed, size, tf.ones_like(size))
        ranked = tf.linalg.matvec(weights, possible)
        slope = tf.gather(ranked, rank, axis=-1, batch_dims=len(rank.shape) - 1)
        slope = tf.where(fixed[..., None], slope / count[..., None], tf.zeros_like(slope))
        error = 8 * (n + 4) * unit * n * (tf.reduce_sum(x.reach, axis=-1) + 1) + 8 * tiny
        low = tf.where(fixed, -1 / count - error, constant.lower)
        above, offset = self._above(x, possible, count)
        offset = offset + error
        center = tf.reduce_sum(above * x.center, axis=-1) + offset
        plane = fixed & (center < constant.upper)
        above = tf.where(plane[..., None], above, tf.zeros_like(above))
        offset = tf.where(plane, offset, constant.upper)
        return Gathered(slope[:, None], low[:, None], above[:, None], offset[:, None])

    @staticmethod
    def _above(x: Interval, possible: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
        """Return slopes and offset of the upper plane for the one possible size."""
        n = x.lower.shape[-1]
        points = tf.sort(x.center, axis=-1, direction="DESCENDING")[..., None]
        used = tf.cumsum(possible, axis=-1, reverse=True)[..., None]  # sums up to the size
        low, high = x.lower[..., None, :], x.upper[..., None, :]
        first, last = tf.nn.relu(low - points), tf.nn.relu(high - points)
        slope = tf.math.divide_no_nan(last - first, high - low)
        slope = tf.clip_by_value(slope, 0.0, 1.0)
        offset = tf.maximum(first - slope * low, last - slope * high)
        numbers = tf.range(1, n + 1, dtype=x.lower.dtype)[:, None]
        total = tf.reduce_sum(used * offset, axis=[-2, -1])
        total = total + tf.reduce_sum(used * numbers * points, axis=[-2, -1]) - 1
        return tf.reduce_sum(used * slope, axis=-2) / count[..., None], total / count


@final
@dataclass(frozen=True)
class SummedImage(Narrow):
    """The image of ``relu(x_i - t_k)``.

    For a fixed k, ``x_i - t_k`` grows with ``x_i``, whose weight in ``t_k`` is at most one, and
    falls with all others; the image is that over all possible k.
    """

    def image(self, *sources: Interval) -> Interval:
        (x,) = sources
        possible, error = _sizes(x)
        unit, _ = units(x.lower)
        eye = tf.eye(x.lower.shape[-1], dtype=tf.bool)

        def ends(own: Tensor, others: Tensor) -> Tensor:
            points = tf.where(eye, own[..., None, :], others[..., None, :])
            return own[..., None] - _thresholds(points)

        low = _least(ends(x.lower, x.upper), possible[..., None, :])
        high = _most(ends(x.upper, x.lower), possible[..., None, :])
        error = error[..., None]
        return Interval(
            tf.nn.relu(low - error - unit * tf.abs(low)),
            tf.nn.relu(high + error + unit * tf.abs(high)),
        )


def _thresholds(x: Tensor) -> Tensor:
    """Return ``t_k`` for every k."""
    ordered = tf.sort(x, axis=-1, direction="DESCENDING")
    sums = tf.cumsum(tf.cumsum(ordered, axis=-1), axis=-1)
    return (sums - 1) / tf.range(1, x.shape[-1] + 1, dtype=x.dtype)


def _sizes(x: Interval) -> tuple[Tensor, Tensor]:
    """Return 1 for every size that the support can have, 0 for others, and the rounding error.

    Sparsemax's own threshold, the largest of all ``(c_j - 1) / j``, increases with every entry, so
    entries that are above it at the other end of the box always are, and those that are below it
    at their own upper ends never.  What rounding can decide, in the bounds or in the model, is
    left open.  The error is that of a sum of n sums of n terms, for bounds and model.
    """
    unit, tiny = units(x.lower)
    n = x.lower.shape[-1]
    numbers = tf.range(1, n + 1, dtype=x.lower.dtype)
    total = tf.reduce_sum(x.reach, axis=-1) + 1
    error = 4 * (n + 4) * unit * total
    low, high = (
        tf.reduce_max(
            (tf.cumsum(tf.sort(end, axis=-1, direction="DESCENDING"), axis=-1) - 1) / numbers,
            axis=-1,
        )
        for end in (x.lower, x.upper)
    )
    always = tf.reduce_sum(tf.cast(x.lower > (high + error)[..., None], numbers.dtype), axis=-1)
    ever = tf.reduce_sum(tf.cast(x.upper > (low - error)[..., None], numbers.dtype), axis=-1)
    possible = (numbers >= tf.maximum(always, 1)[..., None]) & (numbers <= ever[..., None])
    return tf.cast(possible, numbers.dtype), n * error + tiny


def _least(values: Tensor, possible: Tensor) -> Tensor:
    return tf.reduce_min(tf.where(possible > 0, values, values.dtype.max), axis=-1)


def _most(values: Tensor, possible: Tensor) -> Tensor:
    return tf.reduce_max(tf.where(possible > 0, values, values.dtype.min), axis=-1)
