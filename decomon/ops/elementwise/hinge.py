"""Convex functions of two linear pieces that meet at zero: ReLU, leaky ReLU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from decomon._backend import Tensor, tf
from decomon.bounds import Interval, Lines
from decomon.ops._base import NonlinearOp, SlopeRule


@final
@dataclass(frozen=True)
class Hinge(NonlinearOp):
    """``f(z) = left * z`` for ``z < 0`` and ``right * z`` for ``z >= 0``, with ``left <= right``.

    ReLU is ``Hinge(0, 1)``.
    """

    left: float = 0.0
    right: float = 1.0

    def __post_init__(self) -> None:
        if not self.left <= self.right:
            raise ValueError(
                "A hinge is convex: its left slope must not exceed its right slope. "
                f"Received: left={self.left}, right={self.right}"
            )

    def __call__(self, *inputs: Tensor) -> Tensor:
        (z,) = inputs
        if (self.left, self.right) == (0.0, 1.0):
            return tf.nn.relu(z)
        return tf.where(z < 0, self.left * z, self.right * z)

    def interval(self, *inputs: Interval) -> Interval:
        """Return the exact image: a convex function is largest at an end of the interval.

        It is smallest at an end too, or at the kink, where its value is zero, if the kink lies
        inside.
        """
        (z,) = inputs
        low, high = self(z.lower), self(z.upper)
        least = tf.minimum(low, high)
        if self.left < 0 < self.right:
            least = tf.where(self.unstable(z), tf.zeros_like(least), least)
        return Interval(least, tf.maximum(low, high))

    def unstable(self, interval: Interval) -> Tensor:
        return (interval.lower < 0) & (interval.upper > 0)

    def initial(self, interval: Interval, rule: SlopeRule) -> Tensor:
        return rule.choose(interval, self.left, self.right)

    def project(self, parameter: Tensor) -> Tensor:
        return tf.clip_by_value(parameter, self.left, self.right)

    def relax(self, interval: Interval, parameter: Tensor) -> Lines:
        """Bound the hinge from below by a line through its kink and from above by its chord.

        Where the interval does not contain zero inside, the function is linear there and both
        lines are that piece.  Otherwise: any line through the kink with a slope between the
        two pieces' slopes lies below a convex function, so every admissible parameter is
        sound (Zhang et al. 2018, section 3.2).  A convex function lies below its chord; the
        chord's slope is rounded, so its offset is the larger of those that pass
        through either end: at both ends the line is then not below the function, hence, by
        convexity, nowhere in between (whatever the slope is, even if the division underflowed).
        """
        lower, upper = interval.lower, interval.upper
        inside = self.unstable(interval)
        width = upper - lower
        slope = tf.math.divide_no_nan(self.right * upper - self.left * lower, width)
        slope = tf.clip_by_value(slope, self.left, self.right)
        offset = tf.maximum(self(lower) - slope * lower, self(upper) - slope * upper)
        inside = inside[:, None]
        piece = tf.where(
            lower >= 0, self.right * tf.ones_like(lower), self.left * tf.ones_like(lower)
        )[:, None]
        return Lines(
            lower_slope=tf.where(inside, parameter, piece),
            lower_offset=None,
            upper_slope=tf.where(inside, slope[:, None], piece),
            upper_offset=tf.where(inside, offset[:, None], tf.zeros_like(piece)),
        )
