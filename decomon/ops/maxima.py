"""The maximum of the entries along the last axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from decomon._backend import Tensor, tf
from decomon.bounds import Gathered, Interval
from decomon.ops._base import NonlinearOp, SlopeRule
from decomon.rounding import precision


@final
@dataclass(frozen=True, eq=False)
class Max(NonlinearOp):
    """``f(z) = max_i z_i`` over the last axis: ``(*shape, n)`` to ``(*shape)``.

    Parameters: the lower plane's weights, ``(*shape, n)``, nonnegative with sum one, and the upper
    plane's threshold, ``(*shape)``, from 0 (the largest lower end) to 1 (the second largest upper
    end).

    Attributes
    ----------
    valid : bool array, optional
        Which entries count, broadcast against ``(*shape, n)``: the others never win.  Every
        window has at least one.
    """

    valid: NDArray[np.bool_] | None = None

    def __call__(self, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        return tf.reduce_max(self._among(x), axis=-1)

    def interval(self, *inputs: Interval) -> Interval:
        """Return the exact image: the maximum is monotone, and nothing is rounded."""
        (x,) = inputs
        return Interval(self(x.lower), self(x.upper))

    def unstable(self, *intervals: Interval) -> tuple[Tensor, ...]:
        """Say which entries of undecided maxima may win and vary."""
        window = self._window(intervals[0])
        open_ = (window.upper > window.least[..., None]) & (window.lower < window.upper)
        return (open_ & ~window.decided[..., None],)

    def initial(self, intervals: Sequence[Interval], rule: SlopeRule) -> tuple[Tensor, ...]:
        """Return the planes that leave the least volume.

        Below, that is the entry whose centre is largest: no plane below a convex function is above
        it at the centre of the box.  Above, the value at the centre is ``t + sum_i (u_i - t)_+ /
        2``, least for any t between the third and the second largest upper end; there it
        is the mean of the two largest, and no valid plane is lower: when one of these two
        entries is at its upper end exactly where the other one is not, the mean of the maximum is
        that.  Of these thresholds the second largest end leaves the smallest range.
        """
        window = self._window(intervals[0])
        return window.winner, tf.ones_like(window.least)

    def project(self, parameters: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return the nearest weights of the simplex and the nearest threshold in [0, 1].

        The projection subtracts one number from all weights and cuts off below zero; which weights
        stay follows from their order (Held, Wolfe and Crowder 1974).
        """
        weights, threshold = parameters
        highest = tf.reduce_max(self._among(weights), axis=-1, keepdims=True)
        shifted = weights - tf.stop_gradient(highest)
        if self.valid is not None:
            shifted = tf.where(self.valid, shifted, -2 * tf.ones_like(shifted))
        count = weights.shape[-1]
        ordered = tf.sort(shifted, axis=-1, direction="DESCENDING")
        rank = tf.range(1, count + 1, dtype=weights.dtype)
        stays = tf.cast(1 + rank * ordered > tf.cumsum(ordered, axis=-1), weights.dtype)
        excess = tf.reduce_sum(stays * ordered, axis=-1, keepdims=True) - 1
        excess = excess / tf.reduce_sum(stays, axis=-1, keepdims=True)
        return tf.nn.relu(shifted - excess), tf.clip_by_value(threshold, 0.0, 1.0)

    def relax(self, intervals: Sequence[Interval], parameters: tuple[Tensor, ...]) -> Gathered:
        """Bound the maximum by a mean from below and by hinges above a threshold from above.

        A weighted mean of numbers is not above their maximum.  For any t, ``max_i z_i <= t + sum_i
        (z_i - t)_+``; with t at least every lower end, each hinge lies below its chord, which is
        zero if ``u_i <= t``.  Over all t these planes are the concave envelope of the maximum on
        the box (Meilijson and Nadas 1979, with two-point marginals); a t above the second largest
        upper end is never better than that end.  Where one entry is never below any other, both
        planes are that entry.

        Rounding: whatever a chord's slope s was rounded to, the hinge minus ``s z`` is convex and
        so largest at an end, which gives the offset; each of its terms is off by at most ``2 u (s m
        + (u_i - t)_+)``, ``m`` being the largest ``|z_i|``, and the sum of the k terms that are
        not zero and of t by ``k u`` times the sum of their sizes.  Weights that add up to ``1 + d``
        are moved down by ``|d|`` times the largest ``|max_i z_i|``; d is known up to ``k u``, k
        weights being positive, so a single weight of one is exact.
        """
        window = self._window(intervals[0]).with_spec_axis()
        weights, position = parameters
        dtype = position.dtype
        eps, tiny = precision(position)
        lower, upper = window.lower, window.upper

        total = tf.reduce_sum(weights, axis=-1)
        terms = tf.reduce_sum(tf.cast(weights > 0, dtype), axis=-1)
        distance = (1 + 4 * eps) * tf.abs(total - 1) + eps * (terms - 1) * total
        lower_offset = -distance * tf.maximum(tf.abs(window.least), tf.abs(window.most))

        second = tf.maximum(window.second, window.least)
        threshold = tf.maximum((1 - position) * window.least + position * second, window.least)
        above = tf.nn.relu(upper - threshold[..., None])
        slope = tf.minimum(tf.math.divide_no_nan(above, upper - lower), 1.0)
        ends = tf.maximum(-slope * lower, above - slope * upper)
        sizes = slope * tf.maximum(tf.abs(lower), tf.abs(upper)) + above
        terms = tf.reduce_sum(tf.cast(above > 0, dtype), axis=-1)
        error = eps * (terms + 3) * (tf.abs(threshold) + tf.reduce_sum(sizes, axis=-1))
        error = error + 4 * tiny * (lower.shape[-1] + 1)
        upper_offset = threshold + tf.reduce_sum(ends, axis=-1) + error

        decided, zero = window.decided, tf.zeros([], dtype)
        return Gathered(
            lower_slope=tf.where(decided[..., None], window.winner, weights),
            lower_offset=tf.where(decided, zero, lower_offset),
            upper_slope=tf.where(decided[..., None], window.winner, slope),
            upper_offset=tf.where(decided, zero, upper_offset),
        )

    def _among(self, x: Tensor) -> Tensor:
        """Put minus infinity where entries do not count."""
        if self.valid is None:
            return x
        return tf.where(self.valid, x, tf.constant(-np.inf, x.dtype))

    def _window(self, x: Interval) -> _Window:
        count = x.lower.shape[-1]
        lower, upper = self._among(x.lower), self._among(x.upper)
        least, most = tf.reduce_max(lower, axis=-1), tf.reduce_max(upper, axis=-1)
        outside = tf.constant(-np.inf, lower.dtype)
        widest = tf.one_hot(tf.argmax(upper, axis=-1), count, True, False, dtype=tf.bool)
        second = tf.reduce_max(tf.where(widest, outside, upper), axis=-1)
        winner = tf.one_hot(
            tf.argmax(self._among(x.center), axis=-1), count, True, False, dtype=tf.bool
        )
        others = tf.reduce_max(tf.where(winner, outside, upper), axis=-1)
        own = tf.reduce_max(tf.where(winner, lower, outside), axis=-1)
        if self.valid is not None:  # an entry that is surely not above the others
            lower = tf.where(self.valid, lower, least[..., None])
            upper = tf.where(self.valid, upper, least[..., None])
        return _Window(
            lower, upper, least, most, second, tf.cast(winner, lower.dtype), own >= others
        )


@final
@dataclass(frozen=True)
class _Window:
    """Intervals along the last axis, and what the planes need to know of them.

    ``least`` and ``most`` are the ends of the image, ``second`` the second largest upper end,
    ``winner`` marks the entry with the largest centre, and ``decided`` says that it always wins.
    """

    lower: Tensor
    upper: Tensor
    least: Tensor
    most: Tensor
    second: Tensor
    winner: Tensor
    decided: Tensor

    def with_spec_axis(self) -> _Window:
        return _Window(
            self.lower[:, None],
            self.upper[:, None],
            self.least[:, None],
            self.most[:, None],
            self.second[:, None],
            self.winner[:, None],
            self.decided[:, None],
        )
